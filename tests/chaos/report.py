"""A chaos run over several scenarios, and the table that it prints."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos.promises import broken
from tests.chaos.scenario import Scenario
from tests.loopback.server import LoopbackServer

CALLS = 125
"""Calls of one scenario."""


@dataclass
class Report:
    """What came of a run.

    Attributes:
        seed: What everything was drawn from.
        seconds: How long it took.
        most: The most requests of one call.
        longest: Seconds of the longest call.
        outcomes: How the calls ended, by colour.
        kinds: Requests by how they were answered and what became of them.
        broken: Promises that do not hold, in words.
    """

    seed: str
    seconds: float = 0.0
    most: int = 0
    longest: float = 0.0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def add(self, place: int, scenario: Scenario) -> None:
        """Add what came of a scenario."""
        again = f"CHAOS_SEED={self.seed} CHAOS_ONLY={place}"
        self.broken += [f"[{again}] {found}" for found in broken(scenario)]
        requests = Counter(map(len, scenario.vendors.arrived.values()))
        self.most = max(self.most, *requests)
        self.longest = max(self.longest, *(call.ended - call.began for call in scenario.calls))
        self.outcomes.update((call.colour, call.outcome) for call in scenario.calls)
        for number, attempt in scenario.ledger.attempts.items():
            given = scenario.vendors.given.get(number)
            record = attempt.record
            ended = "unrecorded" if record is None else record.error or "answered"
            self.kinds["never arrived" if given is None else given.kind, ended] += 1

    def lines(self) -> Iterator[str]:
        """Yield the table."""
        yield from _table("call", self.outcomes)
        yield from _table("request was answered with", self.kinds)
        yield f"seed {self.seed}: {self.outcomes.total()} calls, {self.kinds.total()} requests in {self.seconds:.1f} s"
        yield f"most requests of a call {self.most}, longest call {self.longest:.2f} s"
        yield f"promises broken: {len(self.broken)}"
        yield from self.broken


def chaos(
    server: LoopbackServer, seed: str, calls: int, *, only: int | None = None, alone: bool = False
) -> Report:
    """Make calls, and check every promise.

    Args:
        server: Responds.
        seed: What everything is drawn from.
        calls: How many, rounded up to whole scenarios.
        only: The place of the one scenario to run; None for all.
        alone: Whether one call is made after the other.
    """
    report, began = Report(seed), time.monotonic()
    warm = Scenario.drawn(server, "warm", 12)  # what the process opens once and keeps is no leak
    warm.run(server, alone=alone)
    for place in range(-(-calls // CALLS)) if only is None else [only]:
        scenario = Scenario.drawn(server, f"{seed}/{place}", CALLS)
        scenario.run(server, alone=alone)
        report.add(place, scenario)
    report.seconds = time.monotonic() - began
    return report


def _table(title: str, counts: Counter[tuple[str, str]]) -> Iterator[str]:
    rows: dict[str, list[tuple[int, str]]] = {}
    for (row, ended), count in counts.items():
        rows.setdefault(row, []).append((count, ended))
    yield f"{title:26} {'count':>6}  how it ended"
    for row, ends in sorted(rows.items(), key=lambda item: -sum(count for count, _ in item[1])):
        yield f"{row:26} {sum(count for count, _ in ends):6}  {_listed(ends)}"
    yield ""


def _listed(ends: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{ended} {count}" for count, ended in sorted(ends, reverse=True))
