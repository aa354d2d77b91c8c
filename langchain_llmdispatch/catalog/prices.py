"""Usage by kind of token, what a call cost, and what the next one may cost, in USD.

Only `TokenCounts` takes LangChain's usage apart.

Prices are genai-prices' (by day, prompt length, cache and service tier) with our corrections: see
`price_list.py`. A deployment's own prices win over both.

An unknown price is `None`, never 0. What runs on the user's own machine costs 0. Web searches and other
things that are not tokens are not in a cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from langchain_llmdispatch.catalog.listing import Listing

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

MILLION = 1_000_000
ZERO = Decimal(0)
PricePerMillion: TypeAlias = Decimal | float | str
"""USD per million tokens."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs.

    Attributes:
        usd: US dollars, or None if the price is unknown. `format(usd, "f")` writes it without an exponent.
        source: Where the price is from: `genai-prices 0.2.3`, `llmdispatch 2026-11-24` (our correction),
            `deployment` (the user's own), `local`; None if unknown.
    """

    usd: Decimal | None
    source: str | None = None


_UNKNOWN = Cost(None)


# -- counts and rates by kind of token -----------------------------------------------------------------


class TokenCounts(NamedTuple):
    """The tokens of one answer, by kind.

    Attributes:
        input: The whole prompt, cached tokens included.
        output: The whole answer, reasoning included.
        cached: Part of the prompt that was read from the vendor's cache.
        reasoning: Part of the answer that was reasoning.
        written: Part of the prompt that was written to the cache, for however long.
        written_1h: Part of the prompt that was written to the cache for an hour.
        audio_in: Part of the prompt that was audio.
        audio_out: Part of the answer that was audio.
    """

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    written: int = 0
    written_1h: int = 0
    audio_in: int = 0
    audio_out: int = 0

    @classmethod
    def of(cls, usage: UsageMetadata) -> Self:
        """Return the counts of a message's usage.

        Cache writes are reported as `cache_creation`, or split by how long they last
        (`ephemeral_5m_input_tokens`, `ephemeral_1h_input_tokens`), or both.
        """
        read, made = usage.get("input_token_details"), usage.get("output_token_details")
        if not read and not made:
            return cls(usage["input_tokens"], usage["output_tokens"])
        prompt: Mapping[str, Any] = read or {}  # vendors' own kinds too
        answer: Mapping[str, Any] = made or {}
        long = prompt.get("ephemeral_1h_input_tokens") or 0
        written = long + (prompt.get("ephemeral_5m_input_tokens") or 0)
        return cls(
            usage["input_tokens"],
            usage["output_tokens"],
            prompt.get("cache_read") or 0,
            answer.get("reasoning") or 0,
            max(prompt.get("cache_creation") or 0, written),
            long,
            prompt.get("audio") or 0,
            answer.get("audio") or 0,
        )

    def summed(self) -> dict[str, int]:
        """Return the counts that are added up, by their names in `Spending`."""
        return {
            "input_tokens": self.input,
            "output_tokens": self.output,
            "cached_tokens": self.cached,
            "reasoning_tokens": self.reasoning,
        }


@dataclass(frozen=True, slots=True)
class TokenRates:
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
        """Return what so many tokens can cost, USD; `caches` if the prompt may be cached, for an hour."""
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
class TieredRates:
    """One model's rates at one time: a prompt of more than `starts[i]` tokens pays `tiers[i + 1]`."""

    starts: Sequence[int]
    tiers: Sequence[TokenRates]
    source: str

    def of_length(self, tokens: int) -> TokenRates:
        """Return the rates of a prompt of so many tokens."""
        return self.tiers[bisect_left(self.starts, tokens)] if self.starts else self.tiers[0]


FREE = TieredRates((), (TokenRates(ZERO, ZERO),), "local")
"""What runs on the user's own machines."""


# -- the price of a deployment -------------------------------------------------------------------------


class PriceKey(NamedTuple):
    """What a price depends on, besides time and prompt length.

    Attributes:
        listing: The vendor's listing.
        model: The model's name, as written.
        base_url: Where requests go, if not to the vendor's own address: another seller may be there.
        service_tier: OpenAI's service tier (`flex`, `priority`).
    """

    listing: Listing
    model: str
    base_url: str | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DatedPrices:
    """The price list as of one minute. While it is current, no price can have changed.

    Attributes:
        start: The minute's begin, in UTC.
        end: Its end.
        rates: Returns the rates of a key, or None if the price is unknown.
        snapshot: The data that the list was made of.
        newest: Returns the data that is current.
    """

    start: datetime
    end: datetime
    rates: Callable[[PriceKey], TieredRates | None]
    snapshot: Any
    newest: Callable[[], Any]


class DeploymentPrice:
    """What one deployment costs; prices are looked up once a minute.

    Args:
        key: The model, where it is and by whom it is sold.
        prices_at: Returns the price list as of a moment.
        is_free: The model runs on the user's own machines.
        input_price: The deployment's own price, USD per million input tokens, cached or not.
        output_price: The deployment's own price, USD per million output tokens.

    Attributes:
        fixed: Its rates where no price list is needed to know them; else None, and `rates` has them.
    """

    __slots__ = ("_held", "_key", "_others", "_own", "_prices_at", "fixed")

    def __init__(
        self,
        key: PriceKey,
        prices_at: Callable[[datetime], DatedPrices],
        *,
        is_free: bool = False,
        input_price: PricePerMillion | None = None,
        output_price: PricePerMillion | None = None,
    ) -> None:
        self._key, self._prices_at = key, prices_at
        self._own = (input_price, output_price)
        self._held: tuple[DatedPrices | None, TieredRates | None] = (None, None)
        self._others: dict[tuple[str, str | None], DeploymentPrice] = {}
        self.fixed = self._with_own(FREE) if is_free or None not in self._own else None

    def rates(self, dated: DatedPrices) -> TieredRates | None:
        """Return the rates at that time, or None if the price is unknown."""
        held, rates = self._held
        if held is not dated:
            listed = dated.rates(self._key)
            rates = None if listed is None else self._with_own(listed)
            self._held = (dated, rates)
        return rates

    def rates_at(self, at: datetime) -> TieredRates | None:
        """Return the rates at a moment, or None if the price is unknown; without a time zone it is UTC."""
        if self.fixed is not None:
            return self.fixed
        dated = self._held[0]
        if dated is None or at.tzinfo is not UTC or not dated.start <= at < dated.end:
            return self.rates(self._prices_at(at))
        return self.rates(dated if dated.newest() is dated.snapshot else self._prices_at(at))

    def cost(
        self, usage: UsageMetadata, at: datetime, *, model: str | None = None, service_tier: str | None = None
    ) -> Cost:
        """Return what a call cost.

        Args:
            usage: LangChain's usage: `input_tokens` with cache reads and writes, `output_tokens` with
                reasoning.
            at: When the request was made; without a time zone it is UTC.
            model: The model that answered, if the response names another than was requested.
            service_tier: The service tier that the response names (`flex`, `priority`).
        """
        price, own = self, self._key.model
        if service_tier is not None or (model is not None and model != own):
            answered = (model or own, service_tier)
            price = self._others.get(answered) or self._other(*answered)
        rates = self.fixed or price.rates_at(at)
        if rates is None:
            return _UNKNOWN
        tier = rates.of_length(usage["input_tokens"]) if rates.starts else rates.tiers[0]
        usd = tier.of_usage(usage)
        return _UNKNOWN if usd is None else Cost(usd, rates.source)

    def estimate(
        self, input_tokens: int, output_tokens: int, at: datetime, *, cached_tokens: int = 0
    ) -> Cost:
        """Return what a call would cost.

        Args:
            input_tokens: Tokens of the prompt, cached ones included.
            output_tokens: Tokens of the answer, reasoning included; for the worst case, the limit.
            at: When the request would be made; without a time zone it is UTC.
            cached_tokens: Tokens of the prompt that would be read from the vendor's cache.
        """
        rates = self.rates_at(at)
        if rates is None:
            return _UNKNOWN
        usd = rates.of_length(input_tokens).of_tokens(input_tokens, output_tokens, cached_tokens)
        return Cost(usd, rates.source)

    def _other(self, model: str, service_tier: str | None) -> DeploymentPrice:
        """Return, and remember, the price of another model or service tier of the same seller."""
        if len(self._others) >= _MOST_OTHERS:
            self._others = {}
        key, (own_input, own_output) = self._key._replace(model=model, service_tier=service_tier), self._own
        other = DeploymentPrice(key, self._prices_at, input_price=own_input, output_price=own_output)
        self._others[model, service_tier] = other
        return other

    def _with_own(self, listed: TieredRates) -> TieredRates:
        if self._own == (None, None):
            return listed
        if None not in self._own:
            return TieredRates((), (_own_rates(FREE.tiers[0], *self._own),), "deployment")
        tiers = [_own_rates(rates, *self._own) for rates in listed.tiers]
        return TieredRates(listed.starts, tiers, "deployment")


_MOST_OTHERS = 64  # names of models that answered; they come from vendors, so there must be an end


@lru_cache(maxsize=1024)
def _own_rates(
    rates: TokenRates, input_price: PricePerMillion | None, output_price: PricePerMillion | None
) -> TokenRates:
    """Return `rates` with the deployment's own prices in place of the list's."""
    if input_price is not None:
        usd = Decimal(str(input_price)) / MILLION
        rates = replace(
            rates, input=usd, cached=ZERO, written=ZERO, written_1h=ZERO, audio_in=ZERO, overlaps=False
        )
    if output_price is not None:
        usd = Decimal(str(output_price)) / MILLION
        rates = replace(rates, output=usd, audio_out=ZERO, reasoning=ZERO)
    return rates
