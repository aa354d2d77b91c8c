"""Usage by kind of token, and sums of tokens and dollars. Only this module takes LangChain's usage apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from operator import add, sub
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata


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
class Summable:
    """A value whose fields are all sums: values of one class add and subtract."""

    def __add__(self, other: Self) -> Self:
        """Return both taken together."""
        return self._combined(other, add)

    def __sub__(self, earlier: Self) -> Self:
        """Return what was added since an earlier snapshot of the same sums."""
        return self._combined(earlier, sub)

    def _combined(self, other: Self, combine: Callable[[Any, Any], Any]) -> Self:
        names = [each.name for each in fields(self)]
        return replace(self, **{name: combine(getattr(self, name), getattr(other, name)) for name in names})


@dataclass(frozen=True, slots=True)
class Spending(Summable):
    """Tokens and dollars of some requests, as their vendors reported them.

    Attributes:
        input_tokens: Tokens of prompts, cached ones and failed requests included.
        output_tokens: Tokens of answers, reasoning and failed requests included.
        cached_tokens: Tokens of prompts that were read from a vendor's cache.
        reasoning_tokens: Tokens of answers that were reasoning.
        wasted_tokens: Tokens of requests that brought no answer.
        cost: US dollars, exactly, failed requests included; unknown prices are not in it.
        wasted: US dollars of requests that brought no answer.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    wasted_tokens: int = 0
    cost: Decimal = Decimal(0)
    wasted: Decimal = Decimal(0)

    @property
    def total_tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    @property
    def cost_usd(self) -> float:
        """US dollars, failed requests included; unknown prices are not in it. `cost` is exact."""
        return float(self.cost)

    @property
    def wasted_usd(self) -> float:
        """US dollars of requests that brought no answer."""
        return float(self.wasted)
