"""The price lists of genai-prices, compiled into rates by time and prompt length.

genai-prices' own calculation takes about 100 us; a price is linear in each kind of token, so the coefficients
are taken from it once per model, day and length tier, and a cost is then a few products. Our own dated
data are in `data/prices.json`: corrections, factors of terms that genai-prices does not list (service tiers,
geography), and fees of tools that vendors run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple

from langchain_llmdispatch.catalog.files import read_data
from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.price_key import DatedPrices, PriceKey
from langchain_llmdispatch.catalog.prices import (
    MILLION,
    ZERO,
    DeploymentPrice,
    PricePerMillion,
    TieredRates,
    TokenRates,
)
from langchain_llmdispatch.catalog.terms import PLAIN, Fee, Terms
from langchain_llmdispatch.internal import forks

MOST_MODELS = 4096  # prices kept; model names come from users, so there must be an end
MOST_DAYS = 64  # days (or minutes, for prices by the hour) kept per model


class PriceList:
    """The prices of one snapshot of genai-prices, compiled when a model is first looked up.

    Safe to share between threads: entries are immutable, two threads may at worst compile the same one.

    Args:
        snapshot: genai-prices' data.
        source: What costs name as their source.
        newest: Returns the snapshot that is current.
    """

    def __init__(self, snapshot: Any, source: str, newest: Callable[[], Any]) -> None:
        self.snapshot, self.source, self.newest = snapshot, source, newest
        self.own = read_data("prices.json")
        self._histories: dict[PriceKey, PriceHistory] = {}

    def rates(self, at: datetime, key: PriceKey) -> TieredRates | None:
        """Return the rates at a time, or None if the price is unknown."""
        return self._history_of(key).rates(at)

    def fee(self, at: datetime, key: PriceKey, kind: str) -> Fee | None:
        """Return the fee of a kind at a time, or None if it is unknown; ours win over genai-prices'."""
        return self._history_of(key).fee(at, kind)

    def missing(self, at: datetime, key: PriceKey) -> str:
        """Return why the price of a key is unknown, in words."""
        known = self._history_of(key._replace(terms=PLAIN)).rates(at) is not None
        what = f"{key.terms} of {key.model!r}" if known and key.terms != PLAIN else repr(key.model)
        return f"the price of {what} is not listed for {self._seller(key)}"

    def _history_of(self, key: PriceKey) -> PriceHistory:
        history = self._histories.get(key)
        if history is None:
            if len(self._histories) >= MOST_MODELS:
                self._histories.clear()
            history = self._histories[key] = self._history(key)
        return history

    def _history(self, key: PriceKey) -> PriceHistory:
        listing, model = key.listing, key.model
        name, seller = listing.plain_name(model), self._seller(key)
        entry = _entry(self.snapshot, seller, listing.price_names(model))
        sources = (self.source, f"llmdispatch {self.own['as_of']}")
        own = OwnPrices.of(self.own, {seller, listing.section}, name)
        return PriceHistory(entry, key.terms, own, sources)

    def _seller(self, key: PriceKey) -> str:
        if key.base_url:
            with suppress(LookupError):  # a proxy, most likely: the vendor's list price is the best guess
                return str(self.snapshot.find_provider(None, None, key.base_url).id)
        return key.listing.seller_of(key.model)


class OwnPrices(NamedTuple):
    """Our own data on one model of one seller; of rows that have begun the last one holds.

    Attributes:
        rows: Its corrections.
        factors: Its factors, by terms.
        fees: Its fees.
    """

    rows: Sequence[Mapping[str, Any]] = ()
    factors: Sequence[Mapping[str, Any]] = ()
    fees: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any], sellers: AbstractSet[str], name: str) -> OwnPrices:
        """Return the rows of `data` that are about a model of some sellers."""

        def about(row: Mapping[str, Any]) -> bool:
            fits = any(fnmatchcase(name, glob) for glob in row["models"])
            return fits and not sellers.isdisjoint(row["sellers"])

        return cls(*([row for row in data[part] if about(row)] for part in ("rows", "factors", "fees")))

    def factor(self, at: datetime, name: str, value: str) -> Mapping[str, Any] | None:
        """Return the factors of a term (`tier`, `speed`, `geography`) at a time, or None."""
        return _begun([row for row in self.factors if row["term"] == name and value in row["values"]], at)


def _begun(rows: Sequence[Mapping[str, Any]], at: datetime) -> Mapping[str, Any] | None:
    """Return the last row that has begun, or None."""
    begun = (r for r in reversed(rows) if not r["from"] or date.fromisoformat(r["from"]) <= at.date())
    return next(begun, None)


class PriceHistory:
    """One model's prices over time: genai-prices' entry if there is one, and our own data.

    Args:
        entry: genai-prices' `ModelInfo`, or None.
        terms: The terms on which the model is sold.
        own: Our own data.
        sources: What costs name as their source: for the entry, and for our own data.
    """

    def __init__(self, entry: Any, terms: Terms, own: OwnPrices, sources: tuple[str, str]) -> None:
        self._entry, self._terms, self._own, self._sources = entry, terms, own, sources
        self._by_minute = entry is not None and _changes_within_a_day(entry)
        self._known: dict[object, TieredRates | None] = {}

    def rates(self, at: datetime) -> TieredRates | None:
        """Return the rates at a time, compiled once a day (once a minute for prices by the hour)."""
        at = in_utc(at)
        day = at.toordinal()
        key = (day, at.hour, at.minute) if self._by_minute else day
        known = self._known
        if key not in known:
            if len(known) >= MOST_DAYS:
                known = self._known = {}  # a new one: other threads may hold the old
            known[key] = self._compile(at)
        return known[key]

    def fee(self, at: datetime, kind: str) -> Fee | None:
        """Return the fee of a kind at a time, or None if it is unknown."""
        at = in_utc(at)
        row = _begun([row for row in self._own.fees if row["kind"] == kind], at)
        if row is not None:
            once = row.get("once", False)
            return Fee(Decimal(row["usd"]), row["per"], self._sources[1], row["as_of"], once)
        listed = vars(self._entry.get_prices(at)) if self._entry is not None else {}
        usd = listed.get(_LISTED_FEES.get(kind, ""))
        return None if usd is None else Fee(usd, 1000, self._sources[0], at.date().isoformat())

    def _compile(self, at: datetime) -> TieredRates | None:
        priced = self._prices(at)
        if priced is None:
            return None
        prices, source = priced
        if prices.get("input_mtok") is None or prices.get("output_mtok") is None:
            return None
        starts = sorted({tier.start for price in prices.values() for tier in getattr(price, "tiers", ())})
        try:
            return TieredRates(starts, [_rates(_flat(prices, start + 1)) for start in (-1, *starts)], source)
        except ValueError:  # prices that genai-prices itself cannot calculate with
            return None

    def _prices(self, at: datetime) -> tuple[Mapping[str, Any], str] | None:
        """Return the prices at a time by genai-prices' keys, and their source; None if unknown."""
        listed, own = self._sources
        row = _begun(self._own.rows, at)
        if row is not None:
            prices: Mapping[str, Any] = {k: Decimal(str(usd)) for k, usd in (row["prices"] or {}).items()}
        else:
            prices = vars(self._entry.get_prices(at, None)) if self._entry is not None else {}
        source = listed if row is None else own
        for name, value in self._terms._asdict().items():
            if not value:
                continue
            when = _CONTEXTS.get((name, value)) or {_WORDS.get(name, name): value}
            if row is None and self._entry is not None and _has_variant(self._entry, when, at):
                prices = vars(self._entry.get_prices(at, when))
            elif (factor := self._own.factor(at, name, value)) is not None:
                prices, source = _scaled(prices, factor), own if source == own else f"{listed}, {own}"
            else:
                return None
        return prices, source


# -- genai-prices --------------------------------------------------------------------------------------


def _entry(snapshot: Any, seller: str, names: Iterable[str]) -> Any:
    """Return genai-prices' entry for the first of `names` that `seller` has, or None."""
    for name in names:
        with suppress(LookupError):
            provider, entry = snapshot.find_provider_model(name, None, seller, None)
            if provider.id == seller:  # and not one whose name merely resembles it
                return entry
    return None


_LISTED_FEES = {"web_search": "web_searches_kcount", "file_search": "storage_searches_kcount"}
_CONTEXTS: Mapping[tuple[str, str], Mapping[str, str]] = {("tier", "batch"): {"processing": "batch"}}
_WORDS = {"tier": "service_tier"}


def _has_variant(entry: Any, when: Mapping[str, str], at: datetime) -> bool:
    """Return whether genai-prices lists prices of an entry under these conditions, at a time."""
    return any(
        dict(variant.when) == when and (variant.constraint is None or variant.constraint.active(at))
        for variant in entry.price_variants or ()
    )


def _scaled(prices: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return prices times the factor of a row; `except` has other factors by key, `set` prices."""
    others, common = row.get("except", {}), Decimal(row["factor"])
    scaled = {key: _times(price, Decimal(others.get(key, common))) for key, price in prices.items()}
    own = {key: Decimal(usd) for key, usd in row.get("set", {}).items() if scaled.get(key) is not None}
    return {**scaled, **own}


def _times(price: Any, factor: Decimal) -> Any:
    if hasattr(price, "tiers"):
        tiers = [replace(tier, price=tier.price * factor) for tier in price.tiers]
        return replace(price, base=price.base * factor, tiers=tiers)
    return None if price is None else price * factor


def _changes_within_a_day(entry: Any) -> bool:
    dated = [*(entry.prices if isinstance(entry.prices, list) else ()), *(entry.price_variants or ())]
    return any(hasattr(each.constraint, "start_time") for each in dated)


def _flat(prices: Mapping[str, Any], length: int) -> dict[str, Decimal]:
    """Return the prices that a prompt of `length` tokens pays, without tiers."""
    flat: dict[str, Decimal] = {}
    for key, price in prices.items():
        if hasattr(price, "tiers"):
            flat[key] = next((t.price for t in reversed(price.tiers) if length > t.start), price.base)
        elif price is not None:
            flat[key] = price
    return flat


def _rates(prices: Mapping[str, Decimal]) -> TokenRates:
    """Return the rates behind flat prices: the difference that a million tokens of each kind makes."""
    from genai_prices.types import ModelPrice, Usage

    price = ModelPrice(**prices)

    def usd(*kinds: str) -> Decimal:
        usage = Usage(**{f"{kind}_tokens": MILLION for kind in kinds})
        return Decimal(price.calc_price(usage)["total_price"]) / MILLION

    request, plain, out, written = usd(), usd("input"), usd("output"), usd("input", "cache_write")

    def more(kind: str, than: Decimal, *kinds: str) -> Decimal:
        return usd(*kinds) - than if f"{kind}_mtok" in prices else ZERO

    return TokenRates(
        input=plain - request,
        output=out - request,
        cached=usd("input", "cache_read") - plain,
        written=written - plain,
        written_1h=usd("input", "cache_write", "cache_write_1h") - written,
        audio_in=usd("input", "input_audio") - plain,
        audio_out=usd("output", "output_audio") - out,
        reasoning=usd("output", "output_reasoning") - out,
        request=request * MILLION,  # not by the token
        image_in=more("input_image", plain, "input", "input_image"),
        image_out=more("output_image", out, "output", "output_image"),
        video_in=more("input_video", plain, "input", "input_video"),
        overlaps="cache_audio_read_mtok" in prices,
    )


# -- the list that is current --------------------------------------------------------------------------


def in_utc(at: datetime) -> datetime:
    """Return the same moment in UTC; without a time zone it is taken to be."""
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


_current: PriceList | None = None


def current_prices() -> PriceList:
    """Return the list of genai-prices' current snapshot: the bundled one, unless the user has it updated.

    The first call imports genai-prices, which takes 0.1 to 0.3 s.
    """
    held = _current
    return held if held is not None and held.newest() is held.snapshot else _loaded()


def _loaded() -> PriceList:
    global _current
    with forks.undivided():  # a child cannot import what its parent was just importing
        from genai_prices import __version__
        from genai_prices.data_snapshot import get_snapshot

        snapshot, held = get_snapshot(), _current
        if held is None:
            _rates(
                {"input_mtok": Decimal(1)}
            )  # imports what genai-prices itself imports when it is first used
        if held is None or held.snapshot is not snapshot:
            held = _current = PriceList(snapshot, f"genai-prices {__version__}", get_snapshot)
        return held


_latest: DatedPrices | None = None


def prices_at(at: datetime) -> DatedPrices:
    """Return the price list as of a moment; without a time zone it is UTC."""
    global _latest
    at, prices, latest = in_utc(at), current_prices(), _latest
    if latest is None or latest.snapshot is not prices.snapshot or not latest.start <= at < latest.end:
        start = at.replace(second=0, microsecond=0)
        latest = _latest = DatedPrices(
            start,
            start + timedelta(minutes=1),
            rates=partial(prices.rates, start),
            fee=partial(prices.fee, start),
            missing=partial(prices.missing, start),
            snapshot=prices.snapshot,
            newest=prices.newest,
        )
    return latest


def deployment_price(
    listing: Listing,
    model: str,
    *,
    base_url: str | None = None,
    terms: Terms = PLAIN,
    is_free: bool = False,
    input_price: PricePerMillion | None = None,
    output_price: PricePerMillion | None = None,
) -> DeploymentPrice:
    """Return what a deployment costs by the current list, and its own prices.

    Args:
        listing: The vendor's listing.
        model: The model's name.
        base_url: Where requests go, if not to the vendor's own address.
        terms: The terms on which it is sold.
        is_free: The model runs on the user's own machines.
        input_price: The deployment's own price, USD per million input tokens, cached or not.
        output_price: The deployment's own price, USD per million output tokens.
    """
    key = PriceKey(listing, model, base_url, terms)
    return DeploymentPrice(
        key, prices_at, is_free=is_free, input_price=input_price, output_price=output_price
    )


def prices_as_of() -> str:
    """Return how fresh the price data is: its version, and when it was updated if the user has it updated."""
    held = current_prices()
    updated = f", updated {held.snapshot.timestamp:%Y-%m-%d}" if held.snapshot.from_auto_update else ""
    return f"{held.source}{updated}; our own data of {held.own['as_of']}"
