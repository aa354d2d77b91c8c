"""The price lists of genai-prices, compiled into rates: what one more token costs, by time and prompt length.

genai-prices' own calculation takes about 100 us; a price is linear in each kind of token, so the coefficients
are taken from it once per model, day and length tier, and a cost is then a few products. Our own dated
corrections are in `data/prices.json`. `prices.py` asks here, and knows of prices that are the user's own.
"""

from __future__ import annotations

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmdispatch.catalog.models import plain_name, read_data, undated, vendor_key
from langchain_llmdispatch.usage import TokenCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages.ai import UsageMetadata

MILLION = 1_000_000
ZERO = Decimal(0)
MOST_MODELS = 4096  # price lookups kept; names come from users, so there must be an end
MOST_DAYS = 64  # days (or minutes, for prices by the hour) kept per model

Asked: TypeAlias = tuple[str, str, str | None, str | None]  # vendor, model, base URL, service tier


@dataclass(frozen=True, slots=True)
class Rates:
    """The price of one more token, USD, at one time and prompt length.

    Cached, written, audio and reasoning tokens are part of the input or output; their rates are what such a
    token costs over a plain one, so a discount is negative.
    """

    input: Decimal
    output: Decimal
    cached: Decimal = ZERO
    written: Decimal = ZERO
    written_1h: Decimal = ZERO
    audio_in: Decimal = ZERO
    audio_out: Decimal = ZERO
    reasoning: Decimal = ZERO
    request: Decimal = ZERO
    overlaps: bool = False
    """Cached audio has a price of its own, so cached and audio tokens together cannot be told apart."""
    floats: tuple[float, float, float] = field(init=False, repr=False, compare=False)
    """Dollars per request, input token and output token: enough to compare deployments by."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "floats", (float(self.request), float(self.input), float(self.output)))

    def of_tokens(self, read: int, written: int, cached: int = 0) -> Decimal:
        """Return what a prompt of `read` tokens, `cached` of them, and an answer of `written` cost, USD."""
        usd = self.request + self.input * read + self.output * written
        return usd + self.cached * min(cached, read) if cached else usd

    def at_most(self, read: int, written: int, *, caches: bool) -> Decimal:
        """Return what so many tokens can cost, USD; `caches` if the prompt may be kept, for an hour."""
        usd = self.of_tokens(read, written)
        return usd + max(ZERO, self.written, self.written + self.written_1h) * read if caches else usd

    def of_usage(self, usage: UsageMetadata) -> Decimal | None:
        """Return the cost of `usage`, USD; None if its counts contradict each other or do not settle it."""
        tokens = TokenCounts.of(usage)
        special = tokens.cached + tokens.written + (tokens.audio_in if self.audio_in else 0)
        if special > tokens.input or (self.overlaps and tokens.audio_in and tokens.cached):
            return None
        usd = self.request + self.input * tokens.input + self.output * tokens.output
        if special or tokens.audio_in:
            usd += self.cached * tokens.cached + self.audio_in * tokens.audio_in
            usd += self.written * tokens.written + self.written_1h * tokens.written_1h
        if tokens.reasoning or tokens.audio_out:
            usd += self.reasoning * tokens.reasoning + self.audio_out * tokens.audio_out
        return usd


@dataclass(frozen=True, slots=True)
class Tiers:
    """One model's rates at one time: a prompt of more than `starts[i]` tokens pays `rates[i + 1]`."""

    starts: Sequence[int]
    rates: Sequence[Rates]
    source: str

    def of_length(self, tokens: int) -> Rates:
        """Return the rates of a prompt of so many tokens."""
        return self.rates[bisect_left(self.starts, tokens)] if self.starts else self.rates[0]


FREE = Tiers((), (Rates(ZERO, ZERO),), "local")


class Book:
    """The price lists of one snapshot of genai-prices, compiled as models are asked for.

    Safe to share between threads: entries are immutable, two threads may at worst compile the same one.
    """

    def __init__(self, snapshot: Any, source: str) -> None:
        self.snapshot = snapshot
        self.source = source
        self.corrections = read_data("prices.json")
        self._models: dict[Asked, Model] = {}

    def tiers(self, asked: Asked, at: datetime) -> Tiers | None:
        """Return the model's rates at a time, or None if nobody knows them."""
        model = self._models.get(asked)
        if model is None:
            if len(self._models) >= MOST_MODELS:
                self._models.clear()
            model = self._models[asked] = self._model(*asked)
        return model.tiers(at)

    def _model(self, vendor: str, model: str, base_url: str | None, service_tier: str | None) -> Model:
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
        return Model(info, context, rows, (self.source, f"llmdispatch {self.corrections['as_of']}"))

    def _provider(self, vendor: str, model: str, base_url: str | None) -> str:
        """Return genai-prices' id of who sells the call; an id that it does not have where nobody does."""
        if base_url:
            with suppress(LookupError):  # a proxy, most likely: the vendor's list price is the best guess
                return str(self.snapshot.find_provider(None, None, base_url).id)
        # org/model:provider; without one Hugging Face's router chooses, so nobody knows
        return f"huggingface_{model.lower().partition(':')[2]}" if vendor == "huggingface" else vendor


class Model:
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
        self._known: dict[object, Tiers | None] = {}

    def tiers(self, at: datetime) -> Tiers | None:
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

    def _compile(self, at: datetime) -> Tiers | None:
        prices, source = self._prices(at)
        if prices.get("input_mtok") is None or prices.get("output_mtok") is None:
            return None
        starts = sorted({tier.start for price in prices.values() for tier in getattr(price, "tiers", ())})
        try:
            return Tiers(starts, [_rates(_flat(prices, start + 1)) for start in (-1, *starts)], source)
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


def _rates(prices: Mapping[str, Decimal]) -> Rates:
    """Return the rates behind flat prices, by asking genai-prices what a million of each kind costs."""
    from genai_prices.types import ModelPrice, Usage  # noqa: PLC0415 - loaded lazily

    price = ModelPrice(**prices)

    def usd(*kinds: str) -> Decimal:
        usage = Usage(**{f"{kind}_tokens": MILLION for kind in kinds})
        return Decimal(price.calc_price(usage)["total_price"]) / MILLION

    request, plain, out, written = usd(), usd("input"), usd("output"), usd("input", "cache_write")
    return Rates(
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


def in_utc(at: datetime) -> datetime:
    """Return the same moment in UTC; without a time zone it is taken to be."""
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


_opening = Lock()
_newest: Callable[[], Any] | None = None
_open_book: Book | None = None


def book() -> Book:
    """Return the book of genai-prices' current snapshot: the bundled one, unless the user has it updated."""
    held = _open_book
    if held is not None and _newest is not None and held.snapshot is _newest():
        return held
    return _opened()


def is_open() -> bool:
    """Return whether `book` costs nothing any more."""
    return _open_book is not None


def _opened() -> Book:
    """Open the current snapshot, importing genai-prices where this is the first price asked for."""
    global _newest, _open_book  # noqa: PLW0603 - a cache of immutable data, not state
    with _opening:
        from genai_prices import __version__  # noqa: PLC0415 - costs 0.1 s
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

        snapshot, held = get_snapshot(), _open_book
        if held is None or held.snapshot is not snapshot:
            held = _open_book = Book(snapshot, f"genai-prices {__version__}")
        _newest = get_snapshot
        return held
