"""What one configuration did with the calls of a journal: each call's end, sums and shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class CallResult:
    """The end of one call.

    Attributes:
        at: When it began, in seconds from the first one.
        seconds: How long it took.
        ttft_s: Seconds to the first content, where streamed.
        deployment: The deployment that answered; None if the call failed.
        error: The error that it ended with, or None.
        requests: How many requests it took.
        fallback: Whether more than one deployment was tried.
        cost_usd: What its answer cost; None where that is unknown.
    """

    at: float
    seconds: float
    ttft_s: float | None
    deployment: str | None
    error: str | None
    requests: int
    fallback: bool
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What one configuration would have done with the calls, or what really happened.

    Attributes:
        name: The configuration's name.
        calls: The calls, in order.
        cost_usd: US dollars of all requests whose price is known, those that failed included.
        unpriced: How many answers have no known price.
        sources: Where outcomes came from: `recorded`, `neighbours`, `assumed`.
        assumed: The deployments that were never recorded.
    """

    name: str
    calls: Sequence[CallResult]
    cost_usd: Decimal
    unpriced: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    assumed: frozenset[str] = frozenset()

    @property
    def failed(self) -> int:
        """How many calls failed."""
        return sum(1 for call in self.calls if call.error is not None)

    @property
    def requests(self) -> int:
        """How many requests left the process."""
        return sum(call.requests for call in self.calls)

    @property
    def fallbacks(self) -> int:
        """How many calls tried more than one deployment."""
        return sum(1 for call in self.calls if call.fallback)

    @property
    def answered_by(self) -> dict[str, int]:
        """How many calls each deployment answered, most first."""
        return dict(Counter(call.deployment for call in self.calls if call.deployment).most_common())

    def latency(self, share: float) -> float | None:
        """Return the seconds within which a share (0 to 1) of the answered calls were over."""
        return _quantile([call.seconds for call in self.calls if call.error is None], share)

    def ttft(self, share: float) -> float | None:
        """Return the seconds within which a share (0 to 1) of the streams began."""
        return _quantile([call.ttft_s for call in self.calls if call.ttft_s is not None], share)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values; dollars as a string."""
        return {
            "name": self.name,
            "calls": len(self.calls),
            "failed": self.failed,
            "cost_usd": format(self.cost_usd, "f"),
            "unpriced": self.unpriced,
            "latency_s": {name: self.latency(share) for name, share in _SHARES.items()},
            "ttft_s": {name: self.ttft(share) for name, share in _SHARES.items()},
            "requests": self.requests,
            "fallbacks": self.fallbacks,
            "answered_by": self.answered_by,
            "sources": dict(self.sources),
            "assumed": sorted(self.assumed),
        }

    def row(self) -> tuple[str, ...]:
        """Return the table's row."""
        cost = f"${self.cost_usd:.4f}" + (f" +{self.unpriced} unpriced" if self.unpriced else "")
        times = [_seconds(self.latency(share)) for share in _SHARES.values()]
        shares = [f"{name} {count}" for name, count in self.answered_by.items()]
        numbers = (
            str(len(self.calls)),
            str(self.failed),
            cost,
            *times,
            str(self.requests),
            str(self.fallbacks),
        )
        return (self.name, *numbers, ", ".join(shares))


def _quantile(values: Iterable[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4) if ordered else None


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
