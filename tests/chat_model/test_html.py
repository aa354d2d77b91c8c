"""A model as HTML: its deployments, their states, limits and prices."""

from __future__ import annotations

import re

from tests.html_reader import NASTY, nasty_model, words
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_a_model_shows_its_deployments(server: LoopbackServer) -> None:
    """Names, states, limits, prices as of a date; a nasty name is only a name."""
    model = nasty_model(server)
    shown = words(model._repr_html_())
    assert NASTY in shown
    assert "500 rpm" in shown
    assert re.search(r"claude-haiku-4-5 .* 200.000", shown)
    assert re.search(r"prices: genai-prices [\d.]+", shown)


def test_a_model_shows_how_its_deployments_do(server: LoopbackServer) -> None:
    """Before any request all are untried; then which are good, which are out, for how long and why."""
    model = nasty_model(server)
    assert words(model._repr_html_()).count("not tried yet") == 2
    server.script("openai", [Fault.error("auth")])
    model.invoke("hello")
    shown = words(model._repr_html_())
    assert re.search(r"gpt-5.4-mini breaker open \d+ (s|min) \(AuthenticationError\)", shown)
    assert re.search(r"claude-haiku-4-5 good", shown)


def test_large_fleets_are_folded(server: LoopbackServer) -> None:
    """Of a hundred deployments the first 25 are open to see, the others folded."""
    shown = words(model_of(*(deployment(server, "openai", f"d{n}") for n in range(100)))._repr_html_())
    assert "75 more" in shown
    assert "d99" in shown
