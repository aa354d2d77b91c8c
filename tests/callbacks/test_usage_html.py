"""Usage as HTML: dollars, and the budget."""

from __future__ import annotations

from langchain_llmdispatch.callbacks.usage import UsageCallbackHandler
from tests.html_reader import nasty_model, words
from tests.loopback.server import LoopbackServer


def test_usage_shows_money(server: LoopbackServer) -> None:
    """A usage handler shows what was spent, of which budget."""
    model = nasty_model(server)
    usage = UsageCallbackHandler(budget_usd=1)
    model.invoke("hello", {"callbacks": [usage]})
    assert "$1.00 budget" in words(usage._repr_html_())
