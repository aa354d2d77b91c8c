"""Statistics as HTML: totals, a row per deployment, folded where there are many."""

from __future__ import annotations

import pickle

from tests.html_reader import NASTY, nasty_model, words
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_large_statistics_are_folded(server: LoopbackServer) -> None:
    """Of forty deployments with requests the first 25 are open to see, the others folded."""
    model = model_of(*(deployment(server, "openai", f"d{n}") for n in range(40)))
    for n in range(40):
        model.invoke("hello", model=f"d{n}")
    assert "15 more" in words(model.get_stats()._repr_html_())


def test_statistics_show_what_was_counted(server: LoopbackServer) -> None:
    """Totals and a row per deployment; before any request nothing was counted."""
    model = nasty_model(server)
    assert words(model.get_stats()._repr_html_()).endswith("UTC nothing counted yet")
    server.script("openai", [Fault.error("overloaded")])
    model.invoke("hello")
    shown = words(model.get_stats()._repr_html_())
    assert "2 requests · 50.0% of requests answered" in shown
    assert "1 retries · 0 fallbacks" in shown
    assert NASTY in shown
    assert "by vendor" in shown


def test_displays_survive_pickling(server: LoopbackServer) -> None:
    """Statistics of another process are shown the same."""
    model = nasty_model(server)
    model.invoke("hello")
    stats = model.get_stats()
    again = pickle.loads(pickle.dumps(stats))
    assert words(again._repr_html_()) == words(stats._repr_html_())
