"""Filters: which deployments are left out, and why."""

from __future__ import annotations

import random
from decimal import Decimal

from langchain_core.messages import HumanMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.types import OutputSchema
from tests.routing.decisions import BLIND, CLAUDE, FLEET, IMAGE, OPENAI, SEARCH, left_out, names
from tests.targets import fail, learn, request, routing, target, targets


def test_vendors_that_are_not_allowed_are_left_out_by_model_and_by_run() -> None:
    """Both lists must allow a vendor, by name or alias."""
    router = Router(allowed_vendors=["openai", "gemini"])
    decision = router.decide(routing(FLEET))
    assert (names(decision), left_out(decision)) == (["oai", "gem"], {"ant": "vendor"})
    decision = router.decide(routing(FLEET, allowed_vendors=["gemini", "anthropic"]))
    assert names(decision) == ["gem"]


def test_what_a_model_lacks_leaves_it_out_where_another_has_it() -> None:
    """Images, tools, window and output limit; but where every model lacks something, all are tried."""
    cases = [
        request([HumanMessage(IMAGE)]),
        request("x" * 4 * 20_000),
        request(params={"max_tokens": 50_000}),
    ]
    for given in cases:
        decision = Router().decide(routing((BLIND, OPENAI), given))
        assert (names(decision), left_out(decision)) == (["oai"], {"old": "doubt"})
        assert names(Router().decide(routing((BLIND,), given))) == ["old"]
    mute = target("mute", profile={"tool_calling": False})
    decision = Router().decide(routing((mute, OPENAI), request(tools=(SEARCH,))))
    assert (names(decision), left_out(decision)) == (["oai"], {"mute": "doubt"})


def test_a_model_without_structured_output_is_left_out_where_another_has_it() -> None:
    """A schema is followed by the vendor's own means or a forced tool call; without both, a model is a last resort."""
    shape = request(output=OutputSchema("city", {"type": "object", "properties": {}}))
    neither = target("loose", profile={"structured_output": False, "tool_calling": False})
    by_call = target("call", profile={"structured_output": False})
    decision = Router().decide(routing((neither, by_call, OPENAI), shape))
    assert (names(decision), left_out(decision)) == (["call", "oai"], {"loose": "doubt"})
    assert names(Router().decide(routing((neither,), shape))) == ["loose"]
    assert names(Router().decide(routing((neither, OPENAI), request()))) == ["loose", "oai"]


def test_a_vendor_without_a_form_for_the_request_is_left_out_for_good() -> None:
    """A server tool of another vendor, and with `raise` a parameter that it does not take."""
    given = request(server_tools=({"type": "web_search_20250305", "name": "web_search"},))
    decision = Router().decide(routing((OPENAI, CLAUDE), given))
    assert (names(decision), left_out(decision)) == (["ant"], {"oai": "unfit"})
    assert isinstance(Router().decide(routing((OPENAI,), given)).error(), errors.NoDeploymentError)
    given = request(params={"logit_bias": {"1": 1}}, unsupported_params="raise")
    assert left_out(
        Router().decide(routing((CLAUDE, target("x", "compatible:q", base_url="http://h/v1")), given))
    )


def test_a_budget_leaves_out_worst_cases_above_it_or_unknown() -> None:
    """Known worst cases are compared; unknown prices and limits fit no budget; free models always do."""
    fleet = (
        target("dear", input_price=10, output_price=100),
        target("cheap", input_price=0.1, output_price=1),
        target("unpriced", "compatible:some", base_url="http://127.0.0.1/v1"),
        target(
            "unlimited", "compatible:other", base_url="http://127.0.0.1/v1", input_price=1, output_price=1
        ),
        target("free", "compatible:free", base_url="http://127.0.0.1/v1", input_price=0, output_price=0),
    )
    decision = Router().decide(routing(fleet, limit=Decimal("0.13")))
    assert names(decision) == ["cheap", "free"]
    assert left_out(decision) == dict.fromkeys(["dear", "unpriced", "unlimited"], "budget")
    decision = Router().decide(routing(fleet[:1], limit=Decimal("0.13")))
    assert isinstance(decision.error(), errors.BudgetExceededError)
    decision = Router().decide(routing(fleet, request(params={"max_tokens": 100}), limit=Decimal("0.13")))
    assert names(decision) == ["dear", "cheap", "unlimited", "free"]


def test_open_breakers_come_last_and_the_nearest_to_closing_is_their_first() -> None:
    """One open: after the others. All open: in the order in which they close."""
    a, b, c = targets("a", "b", "c")
    health = Health(rng=random.Random(1))
    fail(health, a, retry_after=60.0)
    decision = Router().decide(routing((a, b, c), health=health))
    assert (names(decision), left_out(decision), decision.last_resorts) == (["b", "c", "a"], {}, 1)
    fail(health, b, retry_after=20.0)
    fail(health, c, retry_after=40.0)
    decision = Router().decide(routing((a, b, c), health=health))
    assert (names(decision), decision.last_resorts) == (["b", "c", "a"], 3)
    assert names(Router().decide(routing((a, b, c), health=health, now=45.0))) == ["b", "c", "a"]
    learn(health, b, blame="configuration", reason="AuthenticationError")
    decision = Router().decide(routing((a, b, c), health=health, now=0.5))
    assert (names(decision), decision.last_resorts) == (["c", "a", "b"], 3)


def test_a_half_open_deployment_waits_for_its_probe_as_a_last_resort() -> None:
    """One request probes it; meanwhile the others go elsewhere, and to it at last."""
    a, b = targets("a", "b")
    health = Health(rng=random.Random(1))
    fail(health, a)
    assert names(Router().decide(routing((a, b), health=health, now=6.0))) == ["a", "b"]
    assert health.admits(a, 6.0)
    decision = Router().decide(routing((a, b), health=health, now=6.0))
    assert (names(decision), decision.last_resorts) == (["b", "a"], 1)


def test_ceilings_and_callables_leave_out_last_resorts_as_well() -> None:
    """What a strategy leaves out is not tried at all."""
    a, b = targets("a", "b", input_price=100, output_price=100)
    health = Health(rng=random.Random(1))
    fail(health, a)
    decision = Router({"latency": 1, "max_cost_usd": 0.001}).decide(routing((a, b), health=health))
    assert (names(decision), left_out(decision)) == ([], {"a": "ceiling", "b": "ceiling"})
    decision = Router(lambda found: [c for c in found if c.name != "a"]).decide(
        routing((a, b), health=health)
    )
    assert (names(decision), left_out(decision), decision.last_resorts) == (["b"], {"a": "strategy"}, 0)


def test_a_weighted_deployment_is_probed_at_once() -> None:
    """Chance does not decide when a deployment that was down is found again; one of weight 0 is not probed."""
    a, b, c = target("a", weight=0), target("b", weight=1), target("c", weight=100)
    health = Health(rng=random.Random(1))
    for each in (a, b):
        fail(health, each)
    decisions = [
        Router("weighted").decide(routing((a, b, c), health=health, now=6.0, seed=n)) for n in range(9)
    ]
    assert all(names(decision) == ["b", "c", "a"] for decision in decisions)


def test_a_cooldown_is_waited_for_within_reason() -> None:
    """After a 429 the others are first; a cooldown above `longest_wait` leaves out."""
    a, b = targets("a", "b")
    health = Health()
    learn(health, a, blame="limits", reason="RateLimitError", retry_after=30.0)
    decision = Router().decide(routing((a, b), health=health, now=10.0))
    assert (names(decision), decision.waits) == (["b", "a"], (0.0, 20.0))
    learn(health, a, blame="limits", reason="RateLimitError", retry_after=200.0)
    assert left_out(Router().decide(routing((a, b), health=health, now=10.0))) == {"a": "health"}


def test_ceilings_and_callables_leave_out_with_a_reason() -> None:
    """Hard ceilings exclude; so does a callable that returns fewer."""
    fleet = (
        target("dear", input_price=100, output_price=100),
        target("cheap", input_price=1, output_price=1),
    )
    decision = Router({"latency": 1, "max_cost_usd": 0.001}).decide(routing(fleet))
    assert (names(decision), left_out(decision)) == (["cheap"], {"dear": "ceiling"})
    decision = Router(lambda found: found[1:]).decide(routing(fleet))
    assert (names(decision), left_out(decision)) == (["cheap"], {"dear": "strategy"})
