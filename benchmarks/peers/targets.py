"""The targets that this package sets itself, and what was measured: the short table of README and documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.peers.figures import Figures
from benchmarks.peers.rows import FLOOR, OURS, RIVAL
from benchmarks.peers.scenarios import ADDED

CORE_IMPORT = "import over LangChain's core"
CROWDS = ("64 in flight", "512 in flight", "abatch of 1,000")
STRATEGIES = (
    "ordered",
    "weighted",
    "round_robin",
    "least_busy",
    "lowest_latency",
    "lowest_cost",
    "balanced",
)


@dataclass(frozen=True)
class Part:
    """One figure of a target.

    Attributes:
        name: What it is, in a table of its own.
        value: What was measured, or None if it was not.
        bar: What it is held against, as it is shown: rounded.
        unit: What follows the number.
        digits: After the point.
        least: The bar is the least that is required, not the most.
    """

    name: str
    value: float | None
    bar: float
    unit: str = "x"
    digits: int = 2
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is within the bar."""
        if self.value is None:
            return False
        shown = round(self.value, self.digits)
        return shown >= self.bar if self.least else shown <= self.bar

    @property
    def required(self) -> str:
        """The bar, in words."""
        return f"{'>=' if self.least else '<='} {self.bar:g} {self.unit}"

    @property
    def measured(self) -> str:
        """The figure, in the same words."""
        return "-" if self.value is None else f"{self.value:,.{self.digits}f} {self.unit}"

    def line(self) -> str:
        """Return the figure as a row in Markdown."""
        return f"| {self.name} | {self.required} | {self.measured} | {'yes' if self.met else 'no'} |"


@dataclass(frozen=True)
class Target:
    """A row of the table: what, and its figures."""

    name: str
    parts: Sequence[Part]

    @property
    def met(self) -> str:
        """Whether every figure is: `yes`, `no`, or how many of them."""
        count = sum(part.met for part in self.parts)
        return {len(self.parts): "yes", 0: "no"}.get(count, f"{count} of {len(self.parts)}")

    def line(self) -> str:
        """Return the row in Markdown."""
        bars = [part.required for part in self.parts]
        required = ", ".join(bars if len(set(bars)) > 1 else bars[:1])
        measured = ", ".join(part.measured for part in self.parts)
        return f"| {self.name} | {required} | {measured} | {self.met} |"


def _beside(figures: Figures, name: str, scenario: str, floor: float, rival: float) -> Target:
    parts = [
        Part(f"{name}, over {other}'s", figures.ratio(scenario, OURS, other), bar, f"x {other}")
        for other, bar in ((FLOOR, floor), (RIVAL, rival))
    ]
    return Target(name, parts)


def _against_rival(figures: Figures, scenarios: Sequence[str], bar: float) -> list[Part]:
    return [
        Part(f"CPU of a {name}, over {RIVAL}'s", figures.ratio(name, OURS, RIVAL), bar) for name in scenarios
    ]


def _added(figures: Figures, scenario: str, plain: str = "one call") -> float | None:
    """Return what a kind of call costs more than a plain one, beyond what it costs raw httpx more: microseconds."""
    if (paired := figures.beyond(scenario, OURS, FLOOR, ADDED)) is not None:
        return paired
    # Of a run that made all plain calls minutes before.
    four = [figures.median(name, row) for row in (OURS, FLOOR) for name in (scenario, plain)]
    found = [value for value in four if value is not None]
    return found[0] - found[1] - (found[2] - found[3]) if len(found) == 4 else None


def _slowest(figures: Figures, count: int) -> float | None:
    found = [figures.median(f"decision, {count} deployments", name) for name in STRATEGIES]
    values = [value for value in found if value is not None]
    return max(values) if values else None


def _per_deployment(figures: Figures) -> float | None:
    ten, one = (figures.median(name, OURS) for name in ("construction, 10 deployments", "construction"))
    return None if ten is None or one is None else (ten - one) / 9e3


def _crowds(figures: Figures, other: str, bar: float) -> Target:
    parts = [
        Part(f"calls/s, {name}, over {other}'s", figures.speedup(name, OURS, other), bar, "x", 1, least=True)
        for name in CROWDS
    ]
    return Target(f"calls/s, ours over {other}'s: 64 in flight, 512 in flight, `abatch` of 1,000", parts)


def _own_parts(figures: Figures) -> Sequence[Part]:
    slowest = "choosing among {} deployments, slowest strategy"
    found = {
        "our own part of a fallback after a 500": (_added(figures, "fallback"), 150),
        slowest.format(10): (_slowest(figures, 10), 60),
        slowest.format(100): (_slowest(figures, 100), 150),
        "the next call of a thread of 200 messages, over a plain one and httpx's; LangChain's own loops included": (
            _added(figures, "thread of 200, next call"),
            100,
        ),
    }
    return [Part(name, value, bar, "us", 0) for name, (value, bar) in found.items()]


def _starts(figures: Figures) -> Sequence[Part]:
    built = figures.median("construction", OURS)
    return [
        Part(
            "CPU of the import, over LangChain's core", figures.median(CORE_IMPORT, OURS, "ms"), 50, "ms", 0
        ),
        Part(
            "memory of the import, over LangChain's core", figures.median(CORE_IMPORT, OURS, "MB"), 6, "MB", 1
        ),
        Part(
            "first character of `llmdispatch --help`",
            figures.median("--help, first character", OURS, "ms"),
            150,
            "ms",
            0,
        ),
        Part("CPU of construction", None if built is None else built / 1e3, 2, "ms"),
        Part("CPU of construction, each deployment more", _per_deployment(figures), 1, "ms"),
    ]


def targets(figures: Figures) -> Iterator[Target]:
    """Yield the targets."""
    yield _beside(figures, "CPU of a call", "one call", 1.25, 0.33)
    yield _beside(figures, "CPU of a call, async", "one call, async", 1.2, 0.33)
    yield _crowds(figures, FLOOR, 3.0)
    yield _crowds(figures, RIVAL, 6.0)
    bursts = [f"chunk of {size}{way}" for size in ("200", "2,000") for way in ("", ", async")]
    yield Target(
        "CPU of a streamed chunk, ours over ChatOpenAI's: 200 sync, async; 2,000 sync, async",
        _against_rival(figures, bursts, 0.15),
    )
    paced = ("chunk, paced", "chunk, paced, async")
    yield Target(
        "the same, one chunk at a time as vendors send them: sync, async",
        _against_rival(figures, paced, 0.4),
    )
    yield Target(
        "our own part of a fallback after a 500, and of choosing among 10, 100 deployments; what the next call of a thread of "
        "200 messages costs more",
        _own_parts(figures),
    )
    yield Target(
        "import over LangChain's core: CPU, memory; first character of `--help`; construction, each deployment more",
        _starts(figures),
    )
