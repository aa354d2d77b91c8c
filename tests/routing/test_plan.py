"""Plans as text, JSON and HTML (`plan_html.py`)."""

from __future__ import annotations

import json
import random
from html.parser import HTMLParser
from typing import Any

from langchain_core.messages import HumanMessage, SystemMessage

from langchain_llmdispatch import RoutingRule
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.plan import make_plan
from langchain_llmdispatch.routing.router import Router
from tests.routing.decisions import PRICED, SEARCH
from tests.targets import fail, learn, request, routing, target


class Reader(HTMLParser):
    """Collects the tags and words of some HTML, and whether it is balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Note a tag."""
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that it closes the last one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.words += data


def showcase() -> Any:
    """Return a plan with something of everything in it."""
    health = Health(rng=random.Random(1))
    learn(health, PRICED[0], latency=2.0, ttft=0.4, tokens=100)
    learn(health, PRICED[1], blame="limits", reason="RateLimitError", retry_after=30.0)
    fail(health, PRICED[2], retry_after=20.0)
    evil = target("<script>alert(1)</script>", "openai:gpt-3.5-turbo")
    rule = RoutingRule(vendor="anthropic", has_tools=True)
    history = [SystemMessage("s"), HumanMessage("x" * 100_000), SystemMessage("late")]
    case = request(history, tools=(SEARCH,), params={"temperature": 0.2}, route="smart")
    headroom = {"requests": 3.0, "tokens": 1200.0}
    router = Router("balanced", rules=[rule], allowed_vendors=["openai", "anthropic", "google"])
    return make_plan(
        router, routing((*PRICED, evil), case, health=health), CallPolicy(), headroom=lambda _: headroom
    )


def test_a_plan_reads_as_text() -> None:
    """Order, prices, waits, headroom, adaptations, exclusions and bound are all there."""
    text = str(showcase())
    for words in (
        "balanced",
        "1. mini",
        "2. haiku",
        "[rule]",
        "after 30.0 s",
        "tokens left: 1200",
        "at most",
    ):
        assert words in text
    for words in (
        "3. flash: $",
        ", breaker open (ServerError)  [last resort]",
        "own: left out: compatible is not among",
    ):
        assert words in text


def test_a_plan_is_json() -> None:
    """`to_dict` survives JSON unchanged; dollars are strings."""
    held = showcase().to_dict()
    assert json.loads(json.dumps(held)) == held
    assert isinstance(held["candidates"][0]["cost_usd"], str)
    assert [each["kind"] for each in held["excluded"]] == ["vendor", "doubt"]
    assert held["candidates"][-1]["why"] == ["last resort"]


def test_a_plan_is_html_that_runs_nothing() -> None:
    """It is balanced, escaped, without scripts, and takes its colour from the page, dark or light."""
    html, reader = showcase()._repr_html_(), Reader()
    reader.feed(html)
    assert reader.open == []
    assert "script" not in reader.tags
    assert "<script>alert(1)</script>" in reader.words
    assert "color:inherit" in html
