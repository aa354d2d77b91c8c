"""Markdown from the figures: the tables of `results/peers.md`, and the blocks of README and documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.figures import RESULTS, Figures
from benchmarks.peers.rows import BY_NAME, CLAUDE_OURS, CLAUDE_RIVAL, FLOOR, OURS, RIVAL, ROWS
from benchmarks.peers.scenarios import ADDED
from benchmarks.peers.targets import targets

ROOT = Path(__file__).parents[2]
ROUTER = "litellm.Router"
MAIN = tuple(row.name for row in ROWS if row.name not in {CLAUDE_RIVAL, CLAUDE_OURS})
"""The rows on OpenAI's wire."""


@dataclass(frozen=True)
class Line:
    """A row of a table: a scenario's measure."""

    title: str
    scenario: str
    measure: str = "cpu"
    digits: int = 0
    rate: bool = False
    compared: bool = True

    def middle(self, figures: Figures, row: str) -> str:
        """Return the median."""
        middle = figures.median(self.scenario, row, self.measure)
        if middle is None:
            return "-"
        return f"{1e6 / middle if self.rate else middle:,.{self.digits}f}"

    def cell(self, figures: Figures, row: str) -> str:
        """Return the median and its spread."""
        text = self.middle(figures, row)
        if text == "-" or len(figures.rounds(self.scenario, row, self.measure)) < 2:
            return text
        return f"{text} ±{figures.spread(self.scenario, row, self.measure):.0%}"

    def ratio(self, figures: Figures, row: str, other: str) -> str:
        """Return the first over the second."""
        found = figures.ratio(self.scenario, row, other, self.measure) if self.compared else None
        return "-" if not found else f"{1 / found if self.rate else found:.2f}"


def _cpu(*names: str) -> list[Line]:
    return [Line(name, name) for name in names]


GROUPS: dict[str, Sequence[Line]] = {
    "CPU of a call, us": _cpu(
        "one call", "one call, async", "16 threads", "64 in flight", "512 in flight", "abatch of 1,000"
    ),
    "Calls per second": [
        Line(name, name, "wall", rate=True)
        for name in ("one call", "16 threads", "64 in flight", "512 in flight", "abatch of 1,000")
    ],
    "CPU of a streamed chunk, us": [
        Line(name, name, digits=1)
        for name in (
            "chunk of 200",
            "chunk of 2,000",
            "chunk of 200, async",
            "chunk of 2,000, async",
            "chunk, paced",
            "chunk, paced, async",
        )
    ],
    "First chunk, and a stream that is left after it, us": [
        *_cpu("first chunk", "first chunk, async"),
        Line("first chunk, by the clock", "first chunk", "wall"),
        Line("first chunk, async, by the clock", "first chunk, async", "wall"),
        *_cpu("abandoned stream"),
    ],
    "CPU of other calls, us": [
        *_cpu("tool", "structured output", "thread of 200, first call", "thread of 200, next call"),
        Line("fallback after a 500", "fallback"),
        Line("the same, over a plain call", "fallback", ADDED),
    ],
    "CPU of a call over several deployments, and with more or less on, us": _cpu(
        "10 deployments, weighted",
        "100 deployments, weighted",
        "10 deployments, by latency",
        "100 deployments, by latency",
        "10 deployments, balanced",
        "100 deployments, balanced",
        "statistics off",
        "limits on",
        "a callback",
    ),
    "Memory": [
        Line("peak of a call, kB", "memory of a call", "peak", 1),
        Line("left to the garbage collector by a call, blocks", "memory of a call", "cyclic", 1),
        Line("kept after 1,000 calls, blocks", "memory of a call", "kept", compared=False),
        Line("in use after the calls and streams above, MB", "resident memory", "MB"),
    ],
    "A fresh process": [
        Line("import, ms of CPU", "import", "ms"),
        Line("import, MB", "import", "MB", 1),
        Line("import over LangChain's core, ms of CPU", "import over LangChain's core", "ms"),
        Line("import over LangChain's core, MB", "import over LangChain's core", "MB", 1),
        Line("construction, us of CPU", "construction"),
        Line("construction, 10 deployments, us of CPU", "construction, 10 deployments"),
        Line("start and first call, ms of CPU", "start and first call", "ms"),
        Line("start and first call, MB", "start and first call", "MB"),
        Line("`llmdispatch --help`, first character, ms", "--help, first character", "ms"),
    ],
}


COMPARED = {
    FLOOR: "raw httpx",
    OURS: "ours",
    RIVAL: RIVAL,
    ROUTER: "LiteLLM's router",
    "pydantic-ai": "pydantic-ai",
}
"""The columns of README's table."""
BRIEF = (
    Line("a call, us of CPU", "one call"),
    Line("a call, async", "one call, async"),
    Line("a call of 512 at a time", "512 in flight"),
    Line("a streamed chunk", "chunk of 200"),
    Line("the same as vendors send them, one at a time", "chunk, paced"),
    Line("a call whose first deployment responds with a 500", "fallback"),
    Line("the next call of a thread of 200 messages", "thread of 200, next call"),
    Line("calls per second, 512 at a time", "512 in flight", "wall", rate=True),
)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    marks = ["---"] + ["---:"] * (len(heads) - 1) if len(heads) > 2 else ["---"] * len(heads)
    return [f"| {' | '.join(row)} |" for row in (heads, marks, *lines)]


def _group(figures: Figures, title: str, lines: Sequence[Line]) -> Iterator[str]:
    """Yield a group's two tables: OpenAI's wire, and Anthropic's."""
    pairs = [(OURS, FLOOR), (OURS, RIVAL), (OURS, ROUTER)]
    lines = [line for line in lines if line.measure in figures.found["figures"].get(line.scenario, {})]
    names = [name for name in MAIN if any(line.cell(figures, name) != "-" for line in lines)]
    if not names:
        return
    pairs = [pair for pair in pairs if pair[1] in names]
    yield from ("", f"### {title}", "")
    heads = ["", *names, *(f"{one} / {two}" for one, two in pairs)]
    yield from _table(heads, [_cells(figures, line, names, pairs) for line in lines])
    both, claude = [CLAUDE_RIVAL, CLAUDE_OURS], [(CLAUDE_OURS, CLAUDE_RIVAL)]
    held = [line for line in lines if all(line.cell(figures, name) != "-" for name in both)]
    if held:
        yield ""
        yield from _table(
            ["on Anthropic's wire", *both, "ratio"], [_cells(figures, line, both, claude) for line in held]
        )


def _cells(figures: Figures, line: Line, names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [
        line.title,
        *(line.cell(figures, name) for name in names),
        *(line.ratio(figures, one, two) for one, two in pairs),
    ]


def _decisions(figures: Figures) -> list[str]:
    counts = ("1", "10", "100")
    held = figures.found["figures"].get("decision, 10 deployments", {}).get("cpu", {})
    lines = []
    for name in held:
        found = [figures.median(f"decision, {count} deployments", name) for count in counts]
        lines.append([name, *("-" if value is None else f"{value:,.1f}" for value in found)])
    title = ["", "### Decision: which deployments, in which order, us of CPU", ""]
    return [*title, *_table(["", *(f"{count} deployments" for count in counts)], lines)] if lines else []


def _connections(figures: Figures) -> list[str]:
    found = figures.found["connections"]
    crowds = [name for name in ("64 in flight", "512 in flight", "abatch of 1,000") if name in found]
    names = [row for row in MAIN if any(row in found[name] for name in crowds)]
    lines = [[name, *(str(found[name].get(row, "-")) for row in names)] for name in crowds]
    title = ["", "### Connections that a sample opens, at most", ""]
    return [*title, *_table(["", *names], lines)] if lines else []


def _slower(figures: Figures) -> str:
    """Return where another library is cheaper than ours; HTTP clients and the SDK are in the tables."""
    found = [
        f"{line.title}: {name}, ours {line.ratio(figures, ours, name)} x"
        for lines in GROUPS.values()
        for line in lines
        for name, ours in [*((name, OURS) for name in MAIN), (CLAUDE_RIVAL, CLAUDE_OURS)]
        if name != OURS and not BY_NAME[name].floor and _loses(figures, line, ours, name)
    ]
    return "\n".join(f"- {each}" for each in found) or "Nowhere in this run."


def _loses(figures: Figures, line: Line, ours: str, other: str) -> bool:
    ratio = figures.ratio(line.scenario, ours, other, line.measure)
    return ratio is not None and ratio > 1.0 and line.compared and not line.rate


def about(figures: Figures) -> str:
    """Return under which conditions was measured."""
    found = figures.found
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    ceiling = found["ceiling"]
    return (
        f"{found['date']}, {found['machine']}; rounds: {found['rounds']}; load {found['load']} at the start. "
        f"Versions: {versions}. Ceiling of the vendor: {ceiling['calls']:,} calls/s, {ceiling['streams']:,} streams of "
        "200 chunks/s."
    )


def brief(figures: Figures) -> str:
    """Return README's table: medians of a few lines and rows."""
    cells = [[line.title, *(line.middle(figures, row) for row in COMPARED)] for line in BRIEF]
    return "\n".join(_table(["", *COMPARED.values()], cells))


def summary(figures: Figures) -> str:
    """Return the short table: each target, what was measured, whether it is met."""
    head = ["| | target | measured | met |", "|---|---|---|---|"]
    return "\n".join([*head, *(target.line() for target in targets(figures))])


def single(figures: Figures) -> str:
    """Return the same with a row for each figure."""
    head = ["| | target | measured | met |", "|---|---|---|---|"]
    return "\n".join([*head, *(part.line() for target in targets(figures) for part in target.parts)])


def full(figures: Figures) -> str:
    """Return all tables."""
    lines = [about(figures)]
    for title, group in GROUPS.items():
        lines += _group(figures, title, group)
    lines += [*_decisions(figures), *_connections(figures)]
    return "\n".join([*lines, "", "### Where another library needs less than ours", "", _slower(figures)])


def rows(_: Figures) -> str:
    """Return what each row does, and what it does not."""
    return "\n".join(_table(["row", "what it does"], [[row.name, row.about] for row in ROWS]))


BLOCKS = {"brief": brief, "summary": summary, "targets": single, "rows": rows, "full": full}
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")


def page(text: str, figures: Figures) -> str:
    """Return a page with its generated blocks, `<!-- peers: NAME -->` to `<!-- peers: end -->`, made anew."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- peers: {name} -->", "<!-- peers: end -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            _, _, after = rest.partition(end)
            text = f"{before}{begin}\n{make(figures)}\n{end}{after}"
    return text


def results(figures: Figures) -> str:
    """Return the contents of `results/peers.md`."""
    return f"# Beside its peers\n\n`make bench`\n\n{single(figures)}\n\n{full(figures)}\n"


def write(figures: Figures) -> None:
    """Write the Markdown files from the figures."""
    (RESULTS / "peers.md").write_text(results(figures), encoding="utf-8")
    for path in PAGES:
        if path.exists():  # an sdist may have none
            path.write_text(page(path.read_text(encoding="utf-8"), figures), encoding="utf-8")
