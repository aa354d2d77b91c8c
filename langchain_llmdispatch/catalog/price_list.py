"""The price lists of genai-prices, compiled into rates by time and prompt length.

genai-prices' own calculation takes about 100 us; a price is linear in each kind of token, so the coefficients
are taken from it once per model, day and length tier, and a cost is then a few products. Our own dated
corrections are in `data/prices.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import partial
from threading import RLock
from typing import Any

from langchain_llmdispatch.catalog.files import read_data
from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.prices import (
    MILLION,
    DatedPrices,
    DeploymentPrice,
    PriceKey,
    PricePerMillion,
    TieredRates,
    TokenRates,
)
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
        self.corrections = read_data("prices.json")
        self._histories: dict[PriceKey, PriceHistory] = {}

    def rates(self, at: datetime, key: PriceKey) -> TieredRates | None:
        """Return the rates at a time, or None if the price is unknown."""
        history = self._histories.get(key)
        if history is None:
            if len(self._histories) >= MOST_MODELS:
                self._histories.clear()
            history = self._histories[key] = self._history(key)
        return history.rates(at)

    def _history(self, key: PriceKey) -> PriceHistory:
        listing, model = key.listing, key.model
        name, seller = listing.plain_name(model), self._seller(key)
        rows = [
            row
            for row in self.corrections["rows"]
            if row["vendor"] == seller and any(fnmatchcase(name, glob) for glob in row["models"])
        ]
        entry = _entry(self.snapshot, seller, listing.price_names(model))
        context = {"service_tier": key.service_tier} if key.service_tier else None
        return PriceHistory(entry, context, rows, (self.source, f"llmdispatch {self.corrections['as_of']}"))

    def _seller(self, key: PriceKey) -> str:
        if key.base_url:
            with suppress(LookupError):  # a proxy, most likely: the vendor's list price is the best guess
                return str(self.snapshot.find_provider(None, None, key.base_url).id)
        return key.listing.seller_of(key.model)


class PriceHistory:
    """One model's prices over time: genai-prices' entry if there is one, and our corrections.

    Args:
        entry: genai-prices' `ModelInfo`, or None.
        context: genai-prices' price context, or None.
        corrections: Rows of `prices.json`; the last one that has begun wins.
        sources: What costs name as their source: for the entry, and for a correction.
    """

    def __init__(
        self,
        entry: Any,
        context: Mapping[str, str] | None,
        corrections: Sequence[Mapping[str, Any]],
        sources: tuple[str, str],
    ) -> None:
        self._entry, self._context = entry, context
        self._corrections, self._sources = corrections, sources
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

    def _compile(self, at: datetime) -> TieredRates | None:
        prices, source = self._prices(at)
        if prices.get("input_mtok") is None or prices.get("output_mtok") is None:
            return None
        starts = sorted({tier.start for price in prices.values() for tier in getattr(price, "tiers", ())})
        try:
            return TieredRates(starts, [_rates(_flat(prices, start + 1)) for start in (-1, *starts)], source)
        except ValueError:  # prices that genai-prices itself cannot calculate with
            return None

    def _prices(self, at: datetime) -> tuple[Mapping[str, Any], str]:
        """Return the prices at a time by genai-prices' keys, empty if unknown, and their source."""
        listed, corrected = self._sources
        for row in reversed(self._corrections):
            if row["from"] is None or date.fromisoformat(row["from"]) <= at.date():
                return {key: Decimal(str(usd)) for key, usd in (row["prices"] or {}).items()}, corrected
        return (vars(self._entry.get_prices(at, self._context)) if self._entry else {}), listed


# -- genai-prices --------------------------------------------------------------------------------------


def _entry(snapshot: Any, seller: str, names: Iterable[str]) -> Any:
    """Return genai-prices' entry for the first of `names` that `seller` has, or None."""
    for name in names:
        with suppress(LookupError):
            provider, entry = snapshot.find_provider_model(name, None, seller, None)
            if provider.id == seller:  # and not one whose name merely resembles it
                return entry
    return None


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
        overlaps="cache_audio_read_mtok" in prices,
    )


# -- the list that is current --------------------------------------------------------------------------


def in_utc(at: datetime) -> datetime:
    """Return the same moment in UTC; without a time zone it is taken to be."""
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


_loading = RLock()
forks.hold_while_forking(_loading)  # a child cannot import what its parent was just importing
_current: PriceList | None = None


def current_prices() -> PriceList:
    """Return the list of genai-prices' current snapshot: the bundled one, unless the user has it updated.

    The first call imports genai-prices, which takes 0.1 to 0.3 s.
    """
    held = _current
    return held if held is not None and held.newest() is held.snapshot else _loaded()


def prices_are_loaded() -> bool:
    """Return whether genai-prices has been imported."""
    return _current is not None


def _loaded() -> PriceList:
    global _current
    with _loading:
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
        end, rates = start + timedelta(minutes=1), partial(prices.rates, start)
        latest = _latest = DatedPrices(start, end, rates, prices.snapshot, prices.newest)
    return latest


def deployment_price(
    listing: Listing,
    model: str,
    *,
    base_url: str | None = None,
    service_tier: str | None = None,
    is_free: bool = False,
    input_price: PricePerMillion | None = None,
    output_price: PricePerMillion | None = None,
) -> DeploymentPrice:
    """Return what a deployment costs by the current list, and its own prices.

    Args:
        listing: The vendor's listing.
        model: The model's name.
        base_url: Where requests go, if not to the vendor's own address.
        service_tier: OpenAI's service tier (`flex`, `priority`).
        is_free: The model runs on the user's own machines.
        input_price: The deployment's own price, USD per million input tokens, cached or not.
        output_price: The deployment's own price, USD per million output tokens.
    """
    key = PriceKey(listing, model, base_url, service_tier)
    return DeploymentPrice(
        key, prices_at, is_free=is_free, input_price=input_price, output_price=output_price
    )


def prices_as_of() -> str:
    """Return how fresh the price data is: its version, and when it was updated if the user has it updated."""
    held = current_prices()
    updated = f", updated {held.snapshot.timestamp:%Y-%m-%d}" if held.snapshot.from_auto_update else ""
    return f"{held.source}{updated}; corrections of {held.corrections['as_of']}"
