"""The targets that this package sets itself, and what was measured: the short table of README and documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.peers.figures import Figures
from benchmarks.peers.rows import FLOOR, OURS, RIVAL

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
        value: What was measured, or None if it was not.
        bar: What it is held against, as it is shown: rounded.
        unit: What follows the number.
        digits: After the point.
        least: The bar is the least that is wanted, not the most.
    """

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
    def wanted(self) -> str:
        """The bar, in words."""
        return f"{'>=' if self.least else '<='} {self.bar:g} {self.unit}"

    @property
    def measured(self) -> str:
        """The figure, in the same words."""
        return "-" if self.value is None else f"{self.value:,.{self.digits}f} {self.unit}"


@dataclass(frozen=True)
class Target:
    """A row of the table: what, and its figures."""

    name: str
    parts: Sequence[Part]

    @property
    def met(self) -> bool:
        """Whether every figure is."""
        return all(part.met for part in self.parts)

    def line(self) -> str:
        """Return the row in Markdown."""
        wanted = ", ".join(dict.fromkeys(part.wanted for part in self.parts))
        measured = ", ".join(part.measured for part in self.parts)
        return f"| {self.name} | {wanted} | {measured} | {'yes' if self.met else 'no'} |"


def _beside(figures: Figures, scenario: str, floor: float, rival: float) -> list[Part]:
    return [
        Part(figures.ratio(scenario, OURS, FLOOR), floor, "x httpx", 2),
        Part(figures.ratio(scenario, OURS, RIVAL), rival, "x ChatOpenAI", 2),
    ]


def _against_rival(figures: Figures, scenarios: Sequence[str], bar: float) -> list[Part]:
    return [Part(figures.ratio(name, OURS, RIVAL), bar) for name in scenarios]


def _added(figures: Figures, scenario: str, plain: str = "one call") -> float | None:
    """Return what a kind of call costs more than a plain one, beyond what it costs raw httpx more: microseconds."""
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


def targets(figures: Figures) -> Iterator[Target]:
    """Yield the targets."""
    yield Target("a call, CPU", _beside(figures, "one call", 1.25, 0.33))
    yield Target("a call, async, CPU", _beside(figures, "one call, async", 1.2, 0.33))
    for other, bar in ((FLOOR, 3.0), (RIVAL, 6.0)):
        parts = [Part(figures.speedup(name, OURS, other), bar, "x", 1, least=True) for name in CROWDS]
        yield Target(f"calls/s over {other}'s: 64, 512 in flight, `abatch`", parts)
    bursts = [f"chunk of {size}{way}" for size in ("200", "2,000") for way in ("", ", async")]
    yield Target(
        "a streamed chunk, CPU over ChatOpenAI's: 200 sync, async; 2,000 sync, async",
        _against_rival(figures, bursts, 0.15),
    )
    yield Target(
        "the same, paced as vendors are: sync, async",
        _against_rival(figures, ("chunk, paced", "chunk, paced, async"), 0.4),
    )
    yield Target("fallback after a 500, our own part", [Part(_added(figures, "fallback"), 150, "us", 0)])
    decided = [Part(_slowest(figures, 10), 60, "us", 0), Part(_slowest(figures, 100), 150, "us", 0)]
    yield Target("decision, slowest strategy: 10, 100 deployments", decided)
    compiled = Part(_added(figures, "thread of 200, next call"), 100, "us", 0)
    yield Target("next call of a thread of 200 messages, our own part", [compiled])
    built = figures.median("construction", OURS)
    yield Target(
        "construction; each deployment more",
        [
            Part(None if built is None else built / 1e3, 2, "ms", 2),
            Part(_per_deployment(figures), 1, "ms", 2),
        ],
    )
    yield Target(
        "import, over LangChain's core",
        [
            Part(figures.median(CORE_IMPORT, OURS, "ms"), 50, "ms", 0),
            Part(figures.median(CORE_IMPORT, OURS, "MB"), 6, "MB", 1),
        ],
    )
    shown = figures.median("--help, first character", OURS, "ms")
    yield Target("`llmdispatch --help`, first character", [Part(shown, 150, "ms", 0)])
