"""The report of a replay: the table, and what it cannot know."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_llmdispatch.testing.policy_replay.chart import draw
from langchain_llmdispatch.testing.policy_replay.results import PolicyResult

COLUMNS = ("", "calls", "failed", "cost", "p50", "p95", "p99", "requests", "fallbacks", "answered by")
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
        rows = [COLUMNS, self.recorded.row(), *(policy.row() for policy in self.policies)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(width) if column in {0, len(row) - 1} else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, "", "What this cannot know:", *(f"- {line}" for line in self.unknown)])

    def _repr_html_(self) -> str:
        from langchain_llmdispatch.testing.policy_replay.report_html import replay_html

        return replay_html(self)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw latencies and costs of all configurations; needs matplotlib.

        Args:
            path: Where the picture is written; None returns the axes of a new figure, which a notebook
                shows.
        """
        return draw([self.recorded, *self.policies], path)
