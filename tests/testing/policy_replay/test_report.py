"""The report of a replay: its table, and what it cannot know."""

from __future__ import annotations

import json
from decimal import Decimal

from langchain_llmdispatch.testing.policy_replay.report import Replay
from langchain_llmdispatch.testing.policy_replay.results import PolicyResult
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
