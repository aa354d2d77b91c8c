"""A plan as HTML: the candidates in order, escaped, folded where there are many."""

from __future__ import annotations

from langchain_llmdispatch.internal.html import page
from tests.html_reader import NASTY, nasty_model, words
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_a_plan_looks_like_the_rest(server: LoopbackServer) -> None:
    """The first choice, the worst-case cost, the state of each; escaped, in the same style sheet."""
    model = nasty_model(server)
    html = str(model.explain("hello")._repr_html_())
    shown = words(html)
    assert f"{NASTY} first choice" in shown
    assert "at most" in shown
    assert "not tried yet" in shown
    assert "50 requests" in shown
    assert html.startswith(str(page())[:200])


def test_large_plans_are_folded(server: LoopbackServer) -> None:
    """Of a hundred candidates the first 25 are open to see, the others folded."""
    model = model_of(*(deployment(server, "openai", f"d{n}") for n in range(100)))
    shown = words(model.explain("hello")._repr_html_())
    assert "75 more" in shown
    assert "d99" in shown
