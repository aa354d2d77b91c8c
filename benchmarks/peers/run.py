"""The order of a run: every round takes one sample of each row, so that a busy machine slows all alike."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from math import inf

from benchmarks.peers import fresh
from benchmarks.peers.rows import Row
from benchmarks.peers.scenarios import SCENARIOS, SPENT, Figures, Scenario
from benchmarks.peers.worker import RowFailedError, Worker

Table = dict[str, dict[str, dict[str, list[float]]]]
"""Figures by scenario, measure and row: one of each round."""


@dataclass(frozen=True)
class Plan:
    """How long a run takes.

    Attributes:
        rounds: Samples of each row in each scenario.
        seconds: Of CPU for one sample, where its scenario allows any number of calls.
        long: Seconds of CPU of a sample beyond which a row has fewer of them: `few`.
        few: Samples of such a row, and one less beyond six times `long`; 0: it is left out of the scenario.
        starts: Rounds of fresh processes.
        budget: Seconds after which scenarios have `few` rounds: the run ends in time on a slow machine, too.
        whole: All rows are measured, and decisions by themselves.
        only: These scenarios alone, if there are any, and no fresh processes.
    """

    rounds: int
    seconds: float
    long: float
    few: int
    starts: int
    budget: float = 330.0
    whole: bool = True
    only: tuple[str, ...] = ()


FULL = Plan(rounds=5, seconds=0.08, long=1.5, few=3, starts=3)
QUICK = Plan(rounds=1, seconds=0.08, long=1.5, few=0, starts=1, budget=inf, whole=False)


@dataclass
class Run:
    """A run under way: its plan, its rows' processes, what it found."""

    plan: Plan
    workers: list[Worker]
    url: str
    note: Callable[[str], None]
    table: Table = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    sent: dict[str, dict[str, float]] = field(default_factory=dict)
    connected: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, scenario: str, measure: str, row: str, value: float) -> None:
        """Add a figure."""
        self.table.setdefault(scenario, {}).setdefault(measure, {}).setdefault(row, []).append(value)

    def all(self) -> Table:
        """Measure everything, or only the scenarios of the plan."""
        for name, scenario in SCENARIOS.items():
            if name in (self.plan.only or SCENARIOS):
                self._scenario(name, scenario)
                self.note(name)
        if not self.plan.only:
            self._fresh()
        return self.table

    def _fresh(self) -> None:
        rows = self._starting()
        fresh.compiled(rows)
        for _ in range(self.plan.starts):
            for row in rows:
                self._taken(partial(fresh.of_row, row, self.url))
            self._taken(fresh.command_line)
        self.note("fresh processes")
        if self.plan.whole:
            self._taken(fresh.decisions)
            self.note("decisions")

    def _starting(self) -> list[Row]:
        """Return the rows that start fresh processes: one of each import."""
        chosen = [worker.row for worker in self.workers if self.plan.whole or worker.row.chat_model]
        return list({row.imports: row for row in reversed(chosen)}.values())

    def _scenario(self, name: str, scenario: Scenario) -> None:
        sizes = {worker.row.name: self._size(worker, name, scenario) for worker in self.workers}
        late = time.monotonic() - self.began > self.plan.budget
        for number in range(min(self.plan.few, self.plan.rounds) if late else self.plan.rounds):
            turn = number % len(self.workers)
            for worker in [*self.workers[turn:], *self.workers[:turn]]:  # no row always follows the same one
                count, rounds = sizes[worker.row.name]
                if number < rounds and not self._sampled(worker, name, scenario, count):
                    sizes[worker.row.name] = (0, 0)

    def _size(self, worker: Worker, name: str, scenario: Scenario) -> tuple[int, int]:
        """Warm up, and return the calls of a sample, and the samples; none where the row has none."""
        warm = scenario.warm or scenario.least
        figures = self._ordered(worker, name, warm)
        if figures and not scenario.warm:  # the first calls import and connect: others say what a call costs
            figures = self._ordered(worker, name, warm)
        if figures is None:
            return 0, 0
        each = figures.get(SPENT, 0.0) / warm
        count = min(
            scenario.most, max(scenario.least, int(self.plan.seconds * scenario.longer / max(each, 1e-6)))
        )
        if each * count <= self.plan.long:
            return count, self.plan.rounds
        if not self.plan.few:
            print(f"{worker.row.name} is left out of {name!r}: too slow for a quick run", file=sys.stderr)
        few = self.plan.few if each * count <= 6 * self.plan.long else self.plan.few - 1
        return count, min(few, self.plan.rounds)

    def _ordered(self, worker: Worker, name: str, count: int) -> Figures | None:
        try:
            return worker.sample(name, count)
        except RowFailedError as error:
            print(f"no figure of {worker.row.name} for {name!r}: {error}", file=sys.stderr, flush=True)
            return None

    def _sampled(self, worker: Worker, name: str, scenario: Scenario, count: int) -> bool:
        before = self._counts()
        figures = self._ordered(worker, name, count)
        if figures is None:
            return False
        after = self._counts()
        sent = (after["requests"] - before["requests"]) / count
        self.sent.setdefault(name, {})[worker.row.name] = round(sent, 2)
        opened = after["connections"] - before["connections"] - 1  # the second count's own
        held = self.connected.setdefault(name, {})
        held[worker.row.name] = max(opened, held.get(worker.row.name, 0))
        if scenario.requests and abs(sent - scenario.requests) > 0.1:
            print(f"{worker.row.name} sent {sent:.2f} requests a call in {name!r}", file=sys.stderr)
        for measure, value in figures.items():
            if measure != SPENT:
                self.add(name, measure, worker.row.name, value)
        return True

    def _counts(self) -> dict[str, int]:
        connection = http.client.HTTPConnection(self.url.split("/")[2])
        try:
            connection.request("GET", "/counts")
            found: dict[str, int] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return found

    def _taken(self, make: Callable[[], Iterable[fresh.Figure]]) -> None:
        try:
            for figure in make():
                self.add(*figure)
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            print(f"no figure: {error}; {getattr(error, 'stderr', '')}"[-600:], file=sys.stderr)
