"""The report of a replay: its table, and what it cannot know."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from langchain_llmdispatch.testing.policy_replay.report import Replay
from langchain_llmdispatch.testing.policy_replay.results import PolicyResult
from tests.html_reader import words
from tests.testing.policy_replay.test_results import result


def test_the_table_and_what_it_cannot_know() -> None:
    """One row for each policy; a row for what was estimated, JSON-safe values."""
    replay = Replay(PolicyResult("what happened", [], Decimal(0)), [result()])
    head, recorded, mine, *rest = str(replay).splitlines()
    assert head.split() == "calls failed cost p50 p95 p99 requests fallbacks answered by".split()
    assert "$1.5000 +1 unpriced" in mine
    assert mine.endswith("a 2, b 1")
    assert recorded.startswith("what happened")
    assert any("mine: 3" in line for line in rest)
    assert json.loads(json.dumps(replay.to_dict()))["policies"][0]["cost_usd"] == "1.5"


def test_a_notebook_shows_the_same_table() -> None:
    """Its display has a row for each policy, money with the same decimals, and folds what it cannot know."""
    shown = words(Replay(PolicyResult("what happened", [], Decimal(0)), [result()])._repr_html_())
    assert "what happened 0 0 $0 - - - 0 0" in shown
    assert "$1.50 +1 unpriced" in shown
    assert "what this cannot know" in shown


def test_a_plot_for_a_notebook_and_one_for_a_file(tmp_path: Path) -> None:
    """A notebook's has no background, and is a figure of pyplot, which shows it; a file's is white and of no window."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    replay = Replay(PolicyResult("what happened", [], Decimal(0)), [result()])
    before = pyplot.get_fignums()
    times, costs = replay.plot()
    assert len(pyplot.get_fignums()) == len(before) + 1
    assert times.figure.patch.get_alpha() == 0
    assert [label.get_text() for label in costs.get_yticklabels()] == [
        "what happened",
        replay.policies[0].name,
    ]
    pyplot.close(times.figure)
    times, _ = replay.plot(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"
    assert pyplot.get_fignums() == before
    assert times.figure.patch.get_alpha() is None
