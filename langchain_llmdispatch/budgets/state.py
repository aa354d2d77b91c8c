"""`BudgetState`: what is left of a budget for one spender, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What was spent and is left of a budget, for one spender in one period.

    Attributes:
        budget: The budget, in words.
        account: Who spends: a run, thread, user, ...; empty where the budget has no scope.
        usd: Its dollars, or None if it bounds none.
        tokens: Its tokens, or None if it bounds none.
        spent_usd: Dollars spent.
        held_usd: Dollars held for open requests, at their worst case.
        spent_tokens: Tokens spent.
        held_tokens: Tokens held for open requests.
        by_deployment: Dollars spent by deployment.
        resets_at: When its period ends, in UTC; None if it never does.
    """

    budget: str
    account: str = ""
    usd: Decimal | None = None
    tokens: int | None = None
    spent_usd: Decimal = Decimal(0)
    held_usd: Decimal = Decimal(0)
    spent_tokens: int = 0
    held_tokens: int = 0
    by_deployment: Mapping[str, Decimal] = field(default_factory=dict)
    resets_at: datetime | None = None

    @property
    def left_usd(self) -> Decimal | None:
        """Dollars that may still be held, or None if they are not bounded."""
        return None if self.usd is None else max(Decimal(0), self.usd - self.spent_usd - self.held_usd)

    @property
    def left_tokens(self) -> int | None:
        """Tokens that may still be held, or None if they are not bounded."""
        return None if self.tokens is None else max(0, self.tokens - self.spent_tokens - self.held_tokens)

    @property
    def share(self) -> float:
        """The share of it that is spent, of dollars or tokens, whichever is more; 1.0 if it is zero."""
        shares = [0.0]
        if self.usd is not None:
            shares.append(float(self.spent_usd / self.usd) if self.usd else 1.0)
        if self.tokens is not None:
            shares.append(self.spent_tokens / self.tokens if self.tokens else 1.0)
        return max(shares)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values; dollars as text."""
        return {
            "budget": self.budget,
            "account": self.account,
            "usd": _text(self.usd),
            "tokens": self.tokens,
            "spent_usd": _text(self.spent_usd),
            "held_usd": _text(self.held_usd),
            "left_usd": _text(self.left_usd),
            "spent_tokens": self.spent_tokens,
            "held_tokens": self.held_tokens,
            "left_tokens": self.left_tokens,
            "by_deployment": {name: _text(usd) for name, usd in self.by_deployment.items()},
            "resets_at": None if self.resets_at is None else self.resets_at.isoformat(),
        }

    def __str__(self) -> str:
        """Return in one line what was spent, on what, and what is left."""
        whose = f" of {self.account!r}" if self.account else ""
        parts = []
        if self.usd is not None:
            items = sorted(self.by_deployment.items(), key=lambda item: -item[1])[:_MOST_SHOWN]
            on = f" ({', '.join(f'{name} ${usd:.6f}' for name, usd in items)})" if items else ""
            parts.append(f"${self.spent_usd:.6f} of ${self.usd:f} spent{on}")
        if self.tokens is not None:
            parts.append(f"{self.spent_tokens:,} of {self.tokens:,} tokens spent")
        if self.held_usd or self.held_tokens:
            parts.append(f"${self.held_usd:.6f} and {self.held_tokens:,} tokens held for open requests")
        return f"{self.budget}{whose}: {', '.join(parts)}"


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else format(usd, "f")
