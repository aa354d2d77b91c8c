"""The figures of a routing simulation: what `routing_simulation.py` counts and prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

BAD_FROM, BAD_UNTIL = 1 / 3, 2 / 3
"""When the bad time begins and ends, as shares of the run."""
SETTLED, LAST = 0.1, 0.9
"""From when on, and from when on at the end, shares of first choices are counted."""
FEW = 0.05
"""Share of first choices below which the bad deployment counts as dropped."""


@dataclass
class Result:
    """What came of one simulation; moments as shares of the run."""

    strategy: str
    scenario: str
    lost: int = 0
    latencies: list[float] = field(default_factory=list)
    bad_latencies: list[float] = field(default_factory=list)
    spent: float = 0.0
    cheapest: float = 0.0
    to_bad: int = 0
    bad_requests: int | None = None
    bad_seconds: float | None = None
    back_seconds: float | None = None
    began: float | None = None
    recovered: float | None = None
    firsts: dict[str, list[int]] = field(default_factory=lambda: {"before": [0, 0], "after": [0, 0]})

    def sent(self, *, to_bad: bool) -> None:
        """Note a request."""
        if to_bad and self.began is not None and self.bad_requests is None:
            self.to_bad += 1

    def answered(self, moment: float, seconds: float) -> None:
        """Note a call that began at a moment and was answered after so many seconds."""
        self.latencies.append(seconds)
        if BAD_FROM <= moment < BAD_UNTIL:
            self.bad_latencies.append(seconds)

    def watch(self, moment: float, now: float, first: bool, share: float | None) -> None:
        """Note a first choice, and the bad deployment's share of the last hundred."""
        when = "before" if SETTLED < moment < BAD_FROM else "after" if moment > LAST else None
        if when is not None:
            self.firsts[when][0] += first
            self.firsts[when][1] += 1
        if self.began is None or share is None:
            return
        if self.recovered is not None:
            if self.back_seconds is None and share >= self.share("before") / 2:
                self.back_seconds = now - self.recovered
        elif share < FEW and self.bad_requests is None:
            self.bad_requests, self.bad_seconds = self.to_bad, now - self.began

    def turns(self, moment: float, now: float) -> bool:
        """Note and return whether the deployment has just gone bad, or recovered."""
        if self.began is None and moment >= BAD_FROM:
            self.began = now
            return True
        if self.recovered is None and moment >= BAD_UNTIL:
            self.recovered = now
            return True
        return False

    def share(self, when: str) -> float:
        """Return the bad deployment's share of first choices before, or after."""
        chosen, calls = self.firsts[when]
        return chosen / max(1, calls)

    def paid(self, price: float, cheapest: float, tokens: int) -> None:
        """Note what an answer cost, and what it would have cost at the cheapest."""
        self.spent += price * (500 + 4 * tokens)
        self.cheapest += cheapest * (500 + 4 * tokens)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures."""
        had = self.share("before") >= FEW
        return {
            "scenario": self.scenario,
            "strategy": self.strategy,
            "lost": self.lost,
            "before": self.share("before"),
            "bad": self.bad_requests,
            "seconds": self.bad_seconds,
            "slow": quantile(self.bad_latencies, 0.95),
            "back": self.back_seconds if had else "-",
            "after": self.share("after"),
            "p50": quantile(self.latencies, 0.5),
            "p95": quantile(self.latencies, 0.95),
            "cost": self.spent / self.cheapest if self.cheapest else 0.0,
        }


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    return sorted(values)[int(len(values) * share)] if values else 0.0
