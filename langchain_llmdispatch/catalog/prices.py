"""Usage by kind of token, what a call cost, and what the next one may cost, in USD.

Only `TokenCounts` takes LangChain's usage apart.

Prices are genai-prices' (by day, prompt length, cache, service tier and speed) with our corrections and
additions: see `price_list.py`. A deployment's own prices win over both; so does what a vendor itself states.

An unknown price is `None`, never 0. What runs on the user's own machine costs 0. Fees of tools that vendors
run are list prices: quotas that are free are ignored.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from langchain_llmdispatch.catalog.price_key import DatedPrices, PriceKey
from langchain_llmdispatch.catalog.terms import NO_BILL, PLAIN, Bill, Fee, Terms

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

MILLION, ZERO = 1_000_000, Decimal(0)
_MOST_OTHERS = 64  # names of models that answered; they come from vendors, so there must be an end
PricePerMillion: TypeAlias = Decimal | float | str
"""USD per million tokens."""
CONTRADICTORY = "the usage contradicts itself, or does not settle which tokens pay which price"


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
        image_in: Part of the prompt that was images.
        image_out: Part of the answer that was images.
        video_in: Part of the prompt that was video.
    """

    input: int
    output: int
    cached: int = 0
    reasoning: int = 0
    written: int = 0
    written_1h: int = 0
    audio_in: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_out: int = 0
    video_in: int = 0

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
            prompt.get("image") or 0,
            answer.get("image") or 0,
            prompt.get("video") or 0,
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

    Cached, written, audio, image, video and reasoning tokens are part of the input or output; their rates are
    what such a token costs over a plain one, so a discount is negative.
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
    image_in: Decimal = ZERO
    image_out: Decimal = ZERO
    video_in: Decimal = ZERO
    overlaps: bool = False
    """Cached audio has a price of its own, so cached and audio tokens together cannot be separated."""
    floats: tuple[float, float, float] = field(init=False, repr=False, compare=False)
    """Dollars per request, input token and output token: enough to compare deployments by."""
    texts: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """Dollars per million tokens of `input` and `output`, as text."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "floats", (float(self.request), float(self.input), float(self.output)))
        millions = {"input": self.input * MILLION, "output": self.output * MILLION}
        texts = {kind: format(usd.normalize(), "f") for kind, usd in millions.items()}
        object.__setattr__(self, "texts", texts)

    def of_tokens(self, read: int, written: int, cached: int = 0) -> Decimal:
        """Return what a prompt of `read` tokens, `cached` of them, and an answer of `written` cost, USD."""
        usd = self.request + self.input * read + self.output * written
        return usd + self.cached * min(cached, read) if cached else usd

    def at_most(self, read: int, written: int, *, caches: bool) -> Decimal:
        """Return what so many tokens can cost, USD; `caches` if the prompt may be cached, for an hour."""
        usd = self.of_tokens(read, written)
        return usd + max(ZERO, self.written, self.written + self.written_1h) * read if caches else usd

    def of_counts(self, tokens: TokenCounts) -> Decimal | None:
        """Return the cost of tokens, USD; None if their counts contradict each other or do not settle it."""
        media = (tokens.audio_in if self.audio_in else 0) + (tokens.image_in if self.image_in else 0)
        special = tokens.cached + tokens.written + media + (tokens.video_in if self.video_in else 0)
        if special > tokens.input or (self.overlaps and tokens.audio_in and tokens.cached):
            return None
        usd = self.request + self.input * tokens.input + self.output * tokens.output
        if special or tokens.audio_in:
            usd += self.cached * tokens.cached + self.audio_in * tokens.audio_in
            usd += self.written * tokens.written + self.written_1h * tokens.written_1h
            usd += self.image_in * tokens.image_in + self.video_in * tokens.video_in
        if tokens.reasoning or tokens.audio_out or tokens.image_out:
            usd += self.reasoning * tokens.reasoning + self.audio_out * tokens.audio_out
            usd += self.image_out * tokens.image_out
        return usd


class Priced(NamedTuple):
    """What a cost was calculated from.

    Attributes:
        rates: The rates of its tokens.
        tokens: The tokens.
        source: Where the rates are from.
        at: The moment at which they held.
        fees: What was paid by the piece: kind, number, fee.
    """

    rates: TokenRates
    tokens: TokenCounts
    source: str
    at: datetime
    fees: Sequence[tuple[str, int, Fee]] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs.

    Attributes:
        usd: US dollars, or None if the price is unknown. `format(usd, "f")` writes it without an exponent.
        source: Where the price is from: `genai-prices 0.2.3`, `llmdispatch 2026-11-28` (our own data),
            `deployment` (the user's own), `vendor` (the answer states it), `local`; None if unknown.
        priced: What it was calculated from; None where it was not.
        unknown: Why it is unknown, in words; empty if it is known.
        estimated: Whether something in it was counted by estimate, because the vendor did not report it.
        terms: The terms on which it was served.
        stated_at: When the vendor stated it; None where it did not.
        parts: The costs that it is the total of; empty for that of one request.
    """

    usd: Decimal | None
    source: str | None = None
    priced: Priced | None = field(default=None, compare=False, repr=False)
    unknown: str = field(default="", compare=False)
    estimated: bool = False
    terms: Terms = field(default=PLAIN, compare=False)
    stated_at: datetime | None = field(default=None, compare=False)
    parts: Sequence[Cost] = field(default=(), compare=False, repr=False)


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


class DeploymentPrice:
    """What one deployment costs; prices are looked up once a minute.

    Args:
        key: The model, where it is, by whom and on which terms it is sold.
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
        self._others: dict[tuple[str, Terms], DeploymentPrice] = {}
        self.fixed = _with_own(FREE, *self._own) if is_free or None not in self._own else None

    def rates(self, dated: DatedPrices) -> TieredRates | None:
        """Return the rates at that time, or None if the price is unknown."""
        held, rates = self._held
        if held is not dated:
            listed = dated.rates(self._key)
            rates = None if listed is None else _with_own(listed, *self._own)
            self._held = (dated, rates)
        return rates

    def rates_at(self, at: datetime) -> TieredRates | None:
        """Return the rates at a moment, or None if the price is unknown; without a time zone it is UTC."""
        return self.fixed if self.fixed is not None else self.rates(self._dated(at))

    def on(self, terms: Terms, model: str | None = None) -> DeploymentPrice:
        """Return the price of the same seller on other terms, or of another model."""
        key = self._key
        other = (model or key.model, terms.over(key.terms))
        if self.fixed is not None or other == (key.model, key.terms):
            return self
        return self._others.get(other) or self._other(*other)

    def cost(
        self, usage: UsageMetadata, at: datetime, *, model: str | None = None, bill: Bill = NO_BILL
    ) -> Cost:
        """Return what a call cost.

        Args:
            usage: LangChain's usage: `input_tokens` with cache reads and writes, `output_tokens` with
                reasoning.
            at: When the request was made; without a time zone it is UTC.
            model: The model that answered, if the response names another than was requested.
            bill: What the answer states of its own price.
        """
        price = self
        if bill.terms is not PLAIN or (model is not None and model != self._key.model):
            price = self.on(bill.terms, model)
        if bill is not NO_BILL and (price.fixed is None or bill.fees):
            return _billed(price, usage, at, bill)
        tokens = TokenCounts.of(usage)
        if (rates := price.fixed or price.rates_at(at)) is None:
            return Cost(None, unknown=price.missing(at))
        tier = rates.of_length(tokens.input) if rates.starts else rates.tiers[0]
        if (usd := tier.of_counts(tokens)) is None:
            return Cost(None, unknown=CONTRADICTORY)
        return Cost(usd, rates.source, Priced(tier, tokens, rates.source, at))

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
        tokens = TokenCounts(input_tokens, output_tokens, min(cached_tokens, input_tokens))
        rates = self.rates_at(at)
        if rates is None:
            return Cost(None, unknown=self.missing(at))
        tier = rates.of_length(input_tokens)
        usd = tier.of_tokens(input_tokens, output_tokens, cached_tokens)
        return Cost(usd, rates.source, Priced(tier, tokens, rates.source, at))

    def fee(self, kind: str, at: datetime) -> Fee | None:
        """Return the price of something that is paid by the piece, or None if it is unknown."""
        return self._dated(at).fee(self._key, kind)

    def missing(self, at: datetime) -> str:
        """Return why the price is unknown, in words."""
        return self._dated(at).missing(self._key)

    def _dated(self, at: datetime) -> DatedPrices:
        dated = self._held[0]
        if dated is None or at.tzinfo is not UTC or not dated.start <= at < dated.end:
            return self._prices_at(at)
        return dated if dated.newest() is dated.snapshot else self._prices_at(at)

    def _other(self, model: str, terms: Terms) -> DeploymentPrice:
        """Return, and remember, the price of another model, or on other terms, of the same seller."""
        if len(self._others) >= _MOST_OTHERS:
            self._others = {}
        key, (own_input, own_output) = self._key._replace(model=model, terms=terms), self._own
        other = DeploymentPrice(key, self._prices_at, input_price=own_input, output_price=own_output)
        self._others[model, terms] = other
        return other


def _billed(price: DeploymentPrice, usage: UsageMetadata, at: datetime, bill: Bill) -> Cost:
    """Return what a call cost whose answer states something of its own price."""
    if bill.stated is not None and price.fixed is None:
        return Cost(bill.stated, "vendor", terms=bill.terms, stated_at=at)
    tokens = TokenCounts.of(usage) if bill.tokens is None else TokenCounts(*bill.tokens)
    if (rates := price.rates_at(at)) is None:
        return Cost(None, unknown=price.missing(at), terms=bill.terms)
    tier = rates.of_length(tokens.input)
    if (usd := tier.of_counts(tokens)) is None:
        return Cost(None, unknown=CONTRADICTORY, terms=bill.terms)
    fees = [] if price.fixed is FREE else [(kind, n, price.fee(kind, at)) for kind, n in bill.fees]
    if unpriced := [kind for kind, _, fee in fees if fee is None]:
        why = f"no price is known of {', '.join(unpriced)}"
        return Cost(None, unknown=why, terms=bill.terms)
    known = [(kind, n, fee) for kind, n, fee in fees if fee is not None]
    usd += sum((fee.of(n) for _, n, fee in known), ZERO)
    priced = Priced(tier, tokens, rates.source, at, known)
    return Cost(usd, rates.source, priced, estimated=bill.estimated, terms=bill.terms)


def _with_own(
    listed: TieredRates, input_price: PricePerMillion | None, output_price: PricePerMillion | None
) -> TieredRates:
    """Return rates with a deployment's own prices in place of the list's."""
    if input_price is None and output_price is None:
        return listed
    if input_price is not None and output_price is not None:
        return TieredRates((), (_own_rates(FREE.tiers[0], input_price, output_price),), "deployment")
    tiers = [_own_rates(rates, input_price, output_price) for rates in listed.tiers]
    return TieredRates(listed.starts, tiers, "deployment")


@lru_cache(maxsize=1024)
def _own_rates(
    rates: TokenRates, input_price: PricePerMillion | None, output_price: PricePerMillion | None
) -> TokenRates:
    """Return `rates` with the deployment's own prices in place of the list's."""
    if input_price is not None:
        usd = Decimal(str(input_price)) / MILLION
        rates = replace(rates, **{**_INPUTS, "input": usd})
    if output_price is not None:
        usd = Decimal(str(output_price)) / MILLION
        rates = replace(rates, **{**_OUTPUTS, "output": usd})
    return rates


_ENTERING = ("cached", "written", "written_1h", "audio_in", "image_in", "video_in")
_INPUTS: dict[str, Any] = {**dict.fromkeys(_ENTERING, ZERO), "overlaps": False}
_OUTPUTS: dict[str, Any] = dict.fromkeys(("audio_out", "reasoning", "image_out"), ZERO)
