"""The result of a replay: calls, policies, the table, and what it cannot know."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_COLUMNS = ("", "calls", "failed", "cost", "p50", "p95", "p99", "requests", "fallbacks", "answered by")
_QUALITY = (
    "what another model would have answered: whether its answer is as good, or comes at all, is not in this "
    "table; its cost is that of as many tokens as were recorded"
)
_NEVER_MADE = (
    "the outcome of a request that was never made: it is drawn from the outcomes of the same deployment at "
    "about that time"
)
_ASSUMED = "assumed not to fail and to be as fast as the others, unless `assume` names it"
_ARRIVALS = (
    "when an application that waits for answers would have made its next call: calls arrive when they did; "
    "and how the vendors' limits would have met other traffic"
)


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


_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Replay:
    """What configurations would have done with a journal's calls, beside what happened. Print it.

    Attributes:
        recorded: What really happened.
        policies: The result of each configuration.
    """

    recorded: PolicyResult
    policies: Sequence[PolicyResult]

    @property
    def unknown(self) -> list[str]:
        """What a replay cannot know, for these calls."""
        lines = [_QUALITY]
        if any(policy.sources.get("neighbours") for policy in self.policies):
            counts = ", ".join(f"{p.name}: {p.sources.get('neighbours', 0)}" for p in self.policies)
            lines.append(f"{_NEVER_MADE} (requests: {counts})")
        lines += [
            f"{', '.join(sorted(p.assumed))}, tried under {p.name} but never recorded: {_ASSUMED}"
            for p in self.policies
            if p.assumed
        ]
        lines.append(_ARRIVALS)
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        return {
            "recorded": self.recorded.to_dict(),
            "policies": [policy.to_dict() for policy in self.policies],
            "unknown": self.unknown,
        }

    def __str__(self) -> str:
        """Return a table, and what it cannot know."""
        rows = [_COLUMNS, self.recorded.row(), *(policy.row() for policy in self.policies)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(width) if column in {0, len(row) - 1} else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, "", "What this cannot know:", *(f"- {line}" for line in self.unknown)])

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw latencies and costs of all configurations; needs matplotlib.

        Args:
            path: Where the picture is written; None only returns the axes.
        """
        from langchain_llmdispatch.testing.policy_replay.chart import draw

        return draw(self, path)


def _quantile(values: Iterable[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4) if ordered else None


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
