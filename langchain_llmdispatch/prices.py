"""What a call cost, and what the next one may cost, in USD.

Prices are genai-prices' (by day, prompt length, cache and service tier), with our own dated corrections in
`data/prices.json`. Its calculation takes about 100 us; a price is linear in each kind of token, so the
coefficients are taken from it once per model, day and length tier, and a cost is then a few products.

An unknown price is `None`, never 0. What runs on the user's own machine costs 0. Web searches and other
things that are not tokens are not in a cost.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmdispatch.catalog import plain_name, read_data, undated, vendor_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages.ai import UsageMetadata

PricePerMillion: TypeAlias = Decimal | float | str
"""USD per million tokens."""

_MILLION = 1_000_000
_ZERO = Decimal(0)
_MOST_MODELS = 4096  # price lookups kept; names come from users, so there must be an end
_MOST_DAYS = 64  # days (or minutes, for prices by the hour) kept per model


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs.

    Attributes:
        usd: US dollars, or None if the price is unknown. `format(usd, "f")` writes it without an exponent.
        source: Whose price it is: `genai-prices 0.2.3`, `llmdispatch 2026-11-24` (our correction),
            `deployment` (the user's own), `local`; None if unknown.
    """

    usd: Decimal | None
    source: str | None = None


_UNKNOWN = Cost(None)


@dataclass(frozen=True, slots=True)
class _Rates:
    """The price of one more token, USD, at one time and prompt length.

    Cached, written, audio and reasoning tokens are part of the input or output; their rates are what such a
    token costs over a plain one, so a discount is negative.
    """

    input: Decimal
    output: Decimal
    cached: Decimal = _ZERO
    written: Decimal = _ZERO
    written_1h: Decimal = _ZERO
    audio_in: Decimal = _ZERO
    audio_out: Decimal = _ZERO
    reasoning: Decimal = _ZERO
    request: Decimal = _ZERO
    overlaps: bool = False
    """Cached audio has a price of its own, so cached and audio tokens together cannot be told apart."""

    def of_usage(self, usage: UsageMetadata) -> Decimal | None:
        """Return the cost of `usage`, USD; None if its counts contradict each other or do not settle it.

        Cache writes come as `cache_creation`, or split by how long they last
        (`ephemeral_5m_input_tokens`, `ephemeral_1h_input_tokens`), or both.
        """
        usd = self.request + self.input * usage["input_tokens"] + self.output * usage["output_tokens"]
        read: Mapping[str, Any] = usage.get("input_token_details") or {}
        if read:
            cached, audio = read.get("cache_read") or 0, read.get("audio") or 0
            long = read.get("ephemeral_1h_input_tokens") or 0
            short = read.get("ephemeral_5m_input_tokens") or 0
            written = max(read.get("cache_creation") or 0, long + short)
            special = cached + written + (audio if self.audio_in else 0)
            if special > usage["input_tokens"] or (self.overlaps and audio and cached):
                return None
            usd += self.cached * cached + self.written * written + self.written_1h * long
            usd += self.audio_in * audio
        made: Mapping[str, Any] = usage.get("output_token_details") or {}
        if made:
            usd += self.audio_out * (made.get("audio") or 0) + self.reasoning * (made.get("reasoning") or 0)
        return usd


@dataclass(frozen=True, slots=True)
class _Tiers:
    """One model's rates at one time: a prompt of more than `starts[i]` tokens pays `rates[i + 1]`."""

    starts: Sequence[int]
    rates: Sequence[_Rates]
    source: str


_FREE = _Tiers((), (_Rates(_ZERO, _ZERO),), "local")


def price_of(
    vendor: str,
    model: str,
    usage: UsageMetadata,
    *,
    at: datetime,
    input_price: PricePerMillion | None = None,
    output_price: PricePerMillion | None = None,
    base_url: str | None = None,
    service_tier: str | None = None,
) -> Cost:
    """Return what a call cost.

    Args:
        vendor: The vendor's name.
        model: The model that answered, as the response names it (for Azure the deployment's name is no use).
        usage: LangChain's usage: `input_tokens` with cache reads and writes, `output_tokens` with reasoning.
        at: When the request was made; without a time zone it is UTC.
        input_price: The deployment's own price, USD per million input tokens, cached or not.
        output_price: The deployment's own price, USD per million output tokens.
        base_url: Where the request went, if not to the vendor's own address.
        service_tier: OpenAI's service tier as the response names it (`flex`, `priority`).
    """
    length = usage["input_tokens"]
    rates, source = _quote((vendor, model, base_url, service_tier), at, length, input_price, output_price)
    usd = rates.of_usage(usage) if rates else None
    return _UNKNOWN if usd is None else Cost(usd, source)


def estimate(
    vendor: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    *,
    at: datetime,
    cached_tokens: int = 0,
    input_price: PricePerMillion | None = None,
    output_price: PricePerMillion | None = None,
    base_url: str | None = None,
) -> Cost:
    """Return what a call would cost.

    Args:
        vendor: The vendor's name.
        model: The model that would be asked.
        input_tokens: Tokens of the prompt, cached ones included.
        output_tokens: Tokens of the answer, reasoning included; for the worst case, the limit.
        at: When the request would be made; without a time zone it is UTC.
        cached_tokens: Tokens of the prompt that would be read from the vendor's cache.
        input_price: As for `price_of`.
        output_price: As for `price_of`.
        base_url: As for `price_of`.
    """
    rates, source = _quote((vendor, model, base_url, None), at, input_tokens, input_price, output_price)
    if rates is None:
        return _UNKNOWN
    usd = rates.request + rates.input * input_tokens + rates.output * output_tokens
    return Cost(usd + rates.cached * min(cached_tokens, input_tokens) if cached_tokens else usd, source)


def prices_as_of() -> str:
    """Return how fresh the price data is: its version, and when it was updated if the user has it updated."""
    book = _book()
    updated = f", updated {book.snapshot.timestamp:%Y-%m-%d}" if book.snapshot.from_auto_update else ""
    return f"{book.source}{updated}; corrections of {book.corrections['as_of']}"


def load_prices() -> None:
    """Load the price data now (0.1 to 0.3 s at first), so that no call has to wait for it later."""
    _book()


# -- whose price ---------------------------------------------------------------------------------------

_Asked: TypeAlias = tuple[str, str, str | None, str | None]  # vendor, model, base URL, service tier


def _quote(
    asked: _Asked,
    at: datetime,
    length: int,
    input_price: PricePerMillion | None,
    output_price: PricePerMillion | None,
) -> tuple[_Rates | None, str | None]:
    """Return the rates for a prompt of `length` tokens and their source, (None, None) if unknown."""
    if input_price is not None and output_price is not None:
        return _own(None, input_price, output_price), "deployment"
    tiers = _FREE if _is_free(asked) else _book().tiers(asked, at)
    if tiers is None:
        return None, None
    rates = tiers.rates[bisect_left(tiers.starts, length)]
    if input_price is None and output_price is None:
        return rates, tiers.source
    return _own(rates, input_price, output_price), "deployment"


@lru_cache(maxsize=1024)
def _own(
    rates: _Rates | None, input_price: PricePerMillion | None, output_price: PricePerMillion | None
) -> _Rates:
    """Return `rates` with the deployment's own prices in place of the list's."""
    rates = rates or _FREE.rates[0]
    if input_price is not None:
        flat = dict.fromkeys(("cached", "written", "written_1h", "audio_in"), _ZERO)
        rates = replace(rates, input=Decimal(str(input_price)) / _MILLION, overlaps=False, **flat)
    if output_price is not None:
        usd = Decimal(str(output_price)) / _MILLION
        rates = replace(rates, output=usd, audio_out=_ZERO, reasoning=_ZERO)
    return rates


def _is_free(asked: _Asked) -> bool:
    """Tell whether the model runs on the user's own machines, which Ollama's cloud is not."""
    vendor, model, base_url, _ = asked
    cloud = vendor == "ollama" and (
        model.lower().endswith((":cloud", "-cloud")) or "ollama.com" in (base_url or "")
    )
    return vendor in {"ollama", "local"} and not cloud


class _Book:
    """The price lists of one snapshot of genai-prices, compiled as models are asked for.

    Safe to share between threads: entries are immutable, two threads may at worst compile the same one.
    """

    def __init__(self, snapshot: Any, source: str) -> None:
        self.snapshot = snapshot
        self.source = source
        self.corrections = read_data("prices.json")
        self._models: dict[_Asked, _Model] = {}

    def tiers(self, asked: _Asked, at: datetime) -> _Tiers | None:
        """Return the model's rates at a time, or None if nobody knows them."""
        model = self._models.get(asked)
        if model is None:
            if len(self._models) >= _MOST_MODELS:
                self._models.clear()
            model = self._models[asked] = self._model(*asked)
        return model.tiers(at)

    def _model(self, vendor: str, model: str, base_url: str | None, service_tier: str | None) -> _Model:
        vendor = vendor_key(vendor)
        name = plain_name(vendor, model)
        provider = self._provider(vendor, model, base_url)
        rows = [
            row
            for row in self.corrections["rows"]
            if row["vendor"] == provider and any(fnmatchcase(name, glob) for glob in row["models"])
        ]
        written = model.strip().lower() if vendor != "huggingface" else name
        info = _entry(self.snapshot, provider, dict.fromkeys((written, name, undated(name))))
        context = {"service_tier": service_tier} if service_tier else None
        return _Model(info, context, rows, (self.source, f"llmdispatch {self.corrections['as_of']}"))

    def _provider(self, vendor: str, model: str, base_url: str | None) -> str:
        """Return genai-prices' id of who sells the call; an id that it does not have where nobody does."""
        if base_url:
            with suppress(LookupError):  # a proxy, most likely: the vendor's list price is the best guess
                return str(self.snapshot.find_provider(None, None, base_url).id)
        # org/model:provider; without one Hugging Face's router chooses, so nobody knows
        return f"huggingface_{model.lower().partition(':')[2]}" if vendor == "huggingface" else vendor


class _Model:
    """One model's prices over time: genai-prices' entry if there is one, and our corrections."""

    def __init__(
        self,
        info: Any,
        context: Mapping[str, str] | None,
        corrections: Sequence[Mapping[str, Any]],
        sources: tuple[str, str],
    ) -> None:
        self._info, self._context = info, context
        self._corrections, self._sources = corrections, sources
        self._by_minute = info is not None and _changes_within_a_day(info)
        self._known: dict[object, _Tiers | None] = {}

    def tiers(self, at: datetime) -> _Tiers | None:
        """Return the rates at a time, compiled once a day (once a minute for prices by the hour)."""
        if at.tzinfo is not UTC:
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        day = at.toordinal()
        key = (day, at.hour, at.minute) if self._by_minute else day
        known = self._known
        if key not in known:
            if len(known) >= _MOST_DAYS:
                known = self._known = {}  # a new one: other threads may hold the old
            known[key] = self._compile(at)
        return known[key]

    def _compile(self, at: datetime) -> _Tiers | None:
        prices, source = self._prices(at)
        if prices.get("input_mtok") is None or prices.get("output_mtok") is None:
            return None
        starts = sorted({tier.start for price in prices.values() for tier in getattr(price, "tiers", ())})
        try:
            return _Tiers(starts, [_rates(_flat(prices, start + 1)) for start in (-1, *starts)], source)
        except ValueError:  # prices that genai-prices itself cannot calculate with
            return None

    def _prices(self, at: datetime) -> tuple[Mapping[str, Any], str]:
        """Return the prices at a time by genai-prices' keys, empty if unknown, and their source."""
        listed, corrected = self._sources
        for row in reversed(self._corrections):
            if row["from"] is None or date.fromisoformat(row["from"]) <= at.date():
                return {key: Decimal(str(usd)) for key, usd in (row["prices"] or {}).items()}, corrected
        return (vars(self._info.get_prices(at, self._context)) if self._info else {}), listed


def _entry(snapshot: Any, provider: str, names: Mapping[str, Any]) -> Any:
    """Return genai-prices' entry for the first of `names` that `provider` has, or None."""
    for name in names:
        with suppress(LookupError):
            seller, info = snapshot.find_provider_model(name, None, provider, None)
            if seller.id == provider:  # and not one whose name merely resembles it
                return info
    return None


def _changes_within_a_day(info: Any) -> bool:
    dated = [*(info.prices if isinstance(info.prices, list) else ()), *(info.price_variants or ())]
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


def _rates(prices: Mapping[str, Decimal]) -> _Rates:
    """Return the rates behind flat prices, by asking genai-prices what a million of each kind costs."""
    from genai_prices.types import ModelPrice, Usage  # noqa: PLC0415 - loaded lazily

    price = ModelPrice(**prices)

    def usd(*kinds: str) -> Decimal:
        usage = Usage(**{f"{kind}_tokens": _MILLION for kind in kinds})
        return Decimal(price.calc_price(usage)["total_price"]) / _MILLION

    request, plain, out, written = usd(), usd("input"), usd("output"), usd("input", "cache_write")
    return _Rates(
        input=plain - request,
        output=out - request,
        cached=usd("input", "cache_read") - plain,
        written=written - plain,
        written_1h=usd("input", "cache_write", "cache_write_1h") - written,
        audio_in=usd("input", "input_audio") - plain,
        audio_out=usd("output", "output_audio") - out,
        reasoning=usd("output", "output_reasoning") - out,
        request=request * _MILLION,  # not by the token
        overlaps="cache_audio_read_mtok" in prices,
    )


_opening = Lock()
_newest: Callable[[], Any] | None = None
_open_book: _Book | None = None


def _book() -> _Book:
    """Return the book of genai-prices' current snapshot: the bundled one, unless the user has it updated."""
    book = _open_book
    if book is not None and _newest is not None and book.snapshot is _newest():
        return book
    return _opened()


def _opened() -> _Book:
    """Open the current snapshot, importing genai-prices where this is the first price asked for."""
    global _newest, _open_book  # noqa: PLW0603 - a cache of immutable data, not state
    with _opening:
        from genai_prices import __version__  # noqa: PLC0415 - costs 0.1 s
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

        snapshot, book = get_snapshot(), _open_book
        if book is None or book.snapshot is not snapshot:
            book = _open_book = _Book(snapshot, f"genai-prices {__version__}")
        _newest = get_snapshot
        return book
