"""The figures of README and documentation are those of the committed run: no table is edited by hand, none goes stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import report
from benchmarks.peers.figures import RESULTS, Figures
from benchmarks.peers.targets import targets


@pytest.mark.parametrize("path", report.PAGES, ids=lambda path: path.name)
def test_the_tables_of_a_page_are_those_of_the_committed_run(path: Path) -> None:
    """After a run, or a change of a table: `python -m benchmarks.peers --report`."""
    text = path.read_text(encoding="utf-8")
    assert "<!-- peers: " in text
    assert report.page(text, Figures.read()) == text


def test_the_results_are_those_of_the_committed_run() -> None:
    """The Markdown beside the figures has their values."""
    assert (RESULTS / "peers.md").read_text(encoding="utf-8") == report.results(Figures.read())


def test_a_ratio_is_the_median_of_single_rounds() -> None:
    """A round in which the machine was slow does not count for one row alone."""
    rounds = {"ours": [10.0, 40.0, 12.0], "httpx": [10.0, 20.0, 10.0]}
    figures = Figures({"figures": {"one call": {"cpu": rounds}}})
    assert figures.ratio("one call", "ours", "httpx") == 1.2


def test_our_own_part_is_of_the_same_round() -> None:
    """What a fallback adds is compared within each round, and is not what it costs."""
    rounds = {"ours": [500.0, 900.0, 480.0], "httpx": [400.0, 780.0, 390.0]}
    figures = Figures({"figures": {"fallback": {"added": rounds, "cpu": {"ours": [1.0], "httpx": [2.0]}}}})
    assert "100 us" in next(
        part.measured for target in targets(figures) for part in target.parts if "fallback" in part.name
    )


def test_a_figure_that_is_missing_meets_no_target() -> None:
    """A peer that could not be measured has a dash, and the target is not met."""
    lines = report.summary(Figures({"figures": {}})).splitlines()[2:]
    assert all(line.endswith("| no |") for line in lines)
    assert "| -, - |" in lines[0]
