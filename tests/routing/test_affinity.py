"""Affinity: threads stay with the deployment that answered them."""

from __future__ import annotations

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_llmdispatch.routing.affinity import Affinity
from langchain_llmdispatch.routing.router import Router
from tests.routing.decisions import FLEET, names
from tests.targets import request, routing, target


def test_a_thread_stays_where_it_was_answered_for_ten_minutes() -> None:
    """An answer binds it, a failure or time releases it; other threads are not bound."""
    affinity = Affinity()
    affinity.bind("t", "gem", 0.0)

    def first(thread: str, now: float) -> str:
        return names(Router().decide(routing(FLEET, affinity=affinity, thread=thread, now=now)))[0]

    assert [first("t", 599.0), first("u", 1.0), first("t", 600.0)] == ["gem", "oai", "oai"]
    affinity.release("t", "oai")
    assert first("t", 1.0) == "gem"
    affinity.release("t", "gem")
    assert first("t", 1.0) == "oai"


def test_affinity_forgets_the_oldest() -> None:
    """Memory is bounded."""
    affinity = Affinity(most=3)
    for n in range(10):
        affinity.bind(str(n), "a", 0.0)
    affinity.bind("8", "a", 0.0)
    affinity.bind("new", "a", 0.0)
    assert len(affinity) == 3
    assert affinity.deployment_of("8", 1.0) == "a"
    assert affinity.deployment_of("7", 1.0) is None


def test_a_thread_moves_to_a_cheaper_deployment_only_if_that_pays() -> None:
    """Under a strategy that compares costs: it stays with a warm cache, unless another one is cheaper even so."""
    prompt = [SystemMessage("x" * 400_000), HumanMessage("a"), AIMessage("b"), HumanMessage("c")]
    affinity = Affinity()
    affinity.bind("t", "warm", 0.0)

    def first(strategy: str, price: float) -> str:
        # Claude Haiku 4.5 costs 1.00 USD per million tokens, 0.10 from the cache.
        fleet = (
            target("other", input_price=price, output_price=5.0),
            target("warm", "anthropic:claude-haiku-4-5"),
        )
        return names(Router(strategy).decide(routing(fleet, request(prompt), affinity=affinity, thread="t")))[
            0
        ]

    assert first("lowest_cost", 0.5) == "warm"
    assert first("lowest_cost", 0.05) == "other"
    assert first("ordered", 0.05) == "warm"
