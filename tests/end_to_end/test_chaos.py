"""A thousand calls over deployments of every vendor that flap in every way keep every promise.

`make chaos` makes ten thousand of another seed; `tests/chaos` lists what is drawn, and what is checked.
"""

from __future__ import annotations

from tests.chaos.report import chaos
from tests.loopback.server import LoopbackServer

SEED = "2026"


def test_no_promise_is_broken() -> None:
    """Bounds, answers, partials, books and leaks hold at the server; a broken one names how to repeat it."""
    with LoopbackServer() as server:
        report = chaos(server, SEED, 1000)
    assert report.broken == []
    assert {colour for colour, _ in report.outcomes} == {"invoke", "ainvoke", "stream", "astream"}
    assert report.outcomes.total() == 1000
