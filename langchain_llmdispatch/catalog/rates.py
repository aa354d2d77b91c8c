"""Rates: what one more token costs, USD, and what a request's tokens cost by them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from langchain_llmdispatch.usage import TokenCounts

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

MILLION = 1_000_000
ZERO = Decimal(0)


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
