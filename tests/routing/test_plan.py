"""Plans: what `explain` says before a call is what the call does, and its bound holds whatever goes wrong."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, RoutingRule, errors
from langchain_llmdispatch.budgets.call_budget import CallBudget
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.plan import make_plan
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.types import TimeLimits, ToolSpec
from tests.calls import dispatch_of
from tests.fakes import FakeClock
from tests.fleet import fail, learn, request, routing, target, targets
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

GOLDEN = Path(__file__).parent / "golden" / "decisions.txt"
SEARCH = ToolSpec("search", "Search.", {"type": "object", "properties": {}})
FLEET = (
    target("mini", "openai:gpt-5.4-mini", weight=3, input_price=0.75, output_price=4.5),
    target("haiku", "anthropic:claude-haiku-4-5", weight=2, input_price=1, output_price=5),
    target("flash", "google:gemini-2.5-flash", input_price=0.3, output_price=2.5),
    target("own", "compatible:qwen3-4b", base_url="http://127.0.0.1:9/v1"),
)


def model(server: LoopbackServer, *accounts: str, **fields: Any) -> DispatcherChatModel:
    """Return a model over accounts of the loopback server, in virtual time."""
    models = [
        Deployment("openai:gpt-5.4-mini", name=name, base_url=server.base_url("openai", name), api_key="k")
        for name in accounts
    ]
    defaults = {"retry_policy": RetryPolicy(jitter=False), "clock": FakeClock(), "rng": random.Random(1)}
    return DispatcherChatModel(models=models, env={}, **{**defaults, **fields})  # type: ignore[arg-type]


# -- the plan and the call agree ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy",
    ["ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced"],
)
def test_the_call_does_what_the_plan_says(strategy: str) -> None:
    """Ten calls with faults: each message names the deployments in the order that `explain` gave before."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", "c", strategy=strategy, retry_policy=RetryPolicy(max_retries=0))
        chance = random.Random(4)
        for _ in range(10):
            plan = dispatcher.explain("hello")
            failing = chance.randrange(3)
            for planned in plan.candidates[:failing]:
                server.script("openai", [Fault.error("server_error")], planned.deployment)
            message = dispatcher.invoke("hello")
            tried = [each["deployment"] for each in message.response_metadata["llmdispatch"]["attempts"]]
            assert tried == [planned.deployment for planned in plan.candidates[: failing + 1]]


def test_explaining_sends_and_changes_nothing() -> None:
    """Asked a hundred times, the plan is the same, and so is the next call."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b", "c", strategy="weighted")
        plans = {str(dispatcher.explain("hello")) for _ in range(100)}
        assert len(plans) == 1
        assert server.requests == []
        assert dispatcher.get_stats().total_requests == 0


def test_explain_takes_what_invoke_takes() -> None:
    """Messages, bound tools, a route, a run's choices; and says what would be adapted."""
    with LoopbackServer() as server:
        dispatcher = model(server, "a", "b")
        assert dispatcher.explain("hi", model="b").candidates[0].deployment == "b"
        assert dispatcher.explain("hi", {"configurable": {"route": "b"}}).route == "b"
        assert dispatcher.explain([("user", "hi")], {"configurable": {"deadline": 7}}).bound.seconds == 7
        plan = dispatcher.explain("hi", temperature=0.3, top_k=5)
        assert {change.kind for change in plan.candidates[0].changes} >= {"top_k_dropped"}
        with pytest.raises(errors.ConfigurationError):
            dispatcher.explain("hi", model="cohere:command-a-03-2025")


# -- the bound ---------------------------------------------------------------------------------------------

FAULTS: Sequence[Any] = (
    errors.ServerError("x", status_code=503),
    errors.RateLimitError("x", status_code=429),
    errors.RateLimitError("x", status_code=429, retry_after=20.0),
    errors.AttemptTimeoutError("x"),
    errors.ConnectionFailedError("x"),
    errors.AuthenticationError("x", status_code=401),
    errors.EmptyAnswerError("x"),
)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_no_fault_schedule_exceeds_the_bound(data: st.DataObject) -> None:
    """Requests, dollars and seconds of a call stay within what its plan promised, whatever fails."""
    names = data.draw(st.sampled_from(["a", "ab", "abc"]))
    prices = data.draw(st.lists(st.floats(0.1, 50), min_size=3, max_size=3))
    fleet = [target(n, input_price=p, output_price=p) for n, p in zip(names, prices, strict=False)]
    retries = RetryPolicy(max_retries=data.draw(st.integers(0, 3)))
    deadline = data.draw(st.sampled_from([None, 10.0, 100.0, 600.0]))
    timeout = data.draw(st.sampled_from([5.0, 60.0]))
    policy = CallPolicy(retries, data.draw(st.integers(1, 8)), TimeLimits(timeout, deadline))
    limit = data.draw(st.none() | st.floats(0.001, 0.2).map(lambda usd: Decimal(str(usd))))
    asked = routing(fleet, request("x" * 400, params={"max_tokens": 1000}), limit=limit)
    router, clock = Router("lowest_cost"), FakeClock()
    bound, decision = make_plan(router, asked, policy).bound, router.decide(asked)
    purse = CallBudget(asked.forecast.worst, limit=limit)
    dispatch = dispatch_of(
        decision.targets, policy, clock=clock, observers=[purse], send_checks=[purse.reserve]
    )
    try:
        for attempt in dispatch.attempts():
            with attempt:
                clock.sleep(attempt.delay)
                attempt.send()
                fault = data.draw(st.sampled_from([*FAULTS, None]))
                share = data.draw(st.floats(0, 1))
                clock.sleep(min(attempt.times.timeout or 0, attempt.left()) * share)
                attempt.status = getattr(fault, "status_code", None) or 200
                worst = asked.forecast.worst(attempt.target)
                assert worst is not None
                if fault is not None:
                    raise type(fault)(
                        fault.message, status_code=fault.status_code, retry_after=fault.retry_after
                    )
                attempt.cost = Cost(worst * Decimal(str(share)), "deployment")
                attempt.succeed()
    except errors.DispatchError:
        pass
    assert len(dispatch.call.records) <= bound.requests
    assert bound.usd is not None
    assert purse.spent <= bound.usd
    if bound.seconds is not None:
        assert clock.monotonic() <= bound.seconds + 1e-6


def test_a_bound_is_honest_where_nothing_bounds() -> None:
    """Unknown prices and missing time limits are said to be so; a budget bounds the dollars again."""
    policy = CallPolicy(times=TimeLimits(None, None))
    bound = make_plan(Router(), routing(FLEET), policy).bound
    assert (bound.requests, bound.usd, bound.seconds) == (6, None, None)
    assert str(bound) == "at most 6 requests, an unknown price, no time limit"
    asked = routing(FLEET[:1], request(params={"max_tokens": 10}), limit=Decimal("0.01"))
    assert make_plan(Router(), asked, policy).bound.usd <= Decimal("0.01")  # type: ignore[operator]
    streamed = routing(FLEET[:1], request(stream=True))
    assert make_plan(Router(), streamed, CallPolicy(times=TimeLimits(5, 600))).bound.seconds == 600
    limited = routing(targets("a", rpm=1))
    assert make_plan(Router(), limited, CallPolicy(times=TimeLimits(5, 600))).bound.seconds == 600
    repeated = make_plan(Router(), routing(FLEET[:1]), CallPolicy(), repeats=True)
    assert (
        make_plan(Router(), routing(FLEET[:1]), CallPolicy()).bound.requests,
        repeated.bound.requests,
    ) == (
        3,
        6,
    )


# -- how it looks ------------------------------------------------------------------------------------------


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
    learn(health, FLEET[0], latency=2.0, ttft=0.4, tokens=100)
    learn(health, FLEET[1], blame="limits", reason="RateLimitError", retry_after=30.0)
    fail(health, FLEET[2], retry_after=20.0)
    evil = target("<script>alert(1)</script>", "openai:gpt-3.5-turbo")
    rule = RoutingRule(vendor="anthropic", has_tools=True)
    history = [SystemMessage("s"), HumanMessage("x" * 100_000), SystemMessage("late")]
    asked = request(history, tools=(SEARCH,), params={"temperature": 0.2}, route="smart")
    headroom = {"requests": 3.0, "tokens": 1200.0}
    router = Router("balanced", rules=[rule], allowed_vendors=["openai", "anthropic", "google"])
    return make_plan(
        router, routing((*FLEET, evil), asked, health=health), CallPolicy(), headroom=lambda _: headroom
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
    for words in ("flash: left out: its breaker is open", "own: left out: compatible is not among"):
        assert words in text


def test_a_plan_is_json() -> None:
    """`to_dict` survives JSON unchanged; dollars are strings."""
    held = showcase().to_dict()
    assert json.loads(json.dumps(held)) == held
    assert isinstance(held["candidates"][0]["cost_usd"], str)
    assert [each["kind"] for each in held["excluded"]] == ["vendor", "doubt", "health"]


def test_a_plan_is_html_that_runs_nothing() -> None:
    """It is balanced, escaped, without scripts, and takes its colour from the page, dark or light."""
    html, reader = showcase()._repr_html_(), Reader()
    reader.feed(html)
    assert reader.open == []
    assert "script" not in reader.tags
    assert "<script>alert(1)</script>" in reader.words
    assert "color:inherit" in html


# -- golden traces -----------------------------------------------------------------------------------------


def traced(title: str, router: Router, *asks: Any) -> str:
    """Return decisions as readable lines."""
    lines = [f"## {title}"]
    for name, asked in asks:
        decision = router.decide(asked)
        order = " > ".join(where.name for where in decision.targets) or "nobody"
        notes = [f"rule: {decision.rule.destination}"] if decision.rule else []
        notes += [decision.pinned] if decision.pinned else []
        notes += ["panic"] if decision.panic else []
        notes += [f"waits {', '.join(f'{wait:g} s' for wait in decision.waits)}"] if decision.waits else []
        lines.append(f"{name}: {order}" + (f"  ({'; '.join(notes)})" if notes else ""))
        lines += [f"    without {each.deployment}: {each.reason}" for each in decision.excluded]
    return "\n".join(lines)


def learned() -> Health:
    """Return health after a morning of traffic: one fast, one slow, one busy, one never asked."""
    health = Health(rng=random.Random(7))
    for n in range(10):
        learn(health, FLEET[0], at=float(n), latency=2.5, ttft=0.5, tokens=200)
        learn(health, FLEET[1], at=float(n), latency=1.2, ttft=0.2, tokens=200)
        learn(health, FLEET[2], at=float(n), latency=6.0, ttft=1.0, tokens=200)
    for n in range(3):
        health.begin(FLEET[0], 10.0, n)
    return health


def requests() -> list[tuple[str, Any]]:
    """Return a few requests that people make."""
    call = {"name": "search", "args": {}, "id": "1"}
    began = {"llmdispatch": {"deployment": "flash"}}
    loop = [
        HumanMessage("find it"),
        AIMessage("", tool_calls=[call], response_metadata=began),
        ToolMessage("found", tool_call_id="1"),
    ]
    picture = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    return [
        ("greeting", request("hello")),
        ("long document", request("x" * 1_200_000)),
        ("long answer", request("write", params={"max_tokens": 100_000})),
        ("picture", request([HumanMessage([picture, {"type": "text", "text": "what is it?"}])])),
        ("tool loop", request(loop, tools=(SEARCH,))),
        ("bulk", request("classify", tags=frozenset({"bulk"}))),
    ]


def passed_over() -> list[tuple[str, Any]]:
    """Return asks at moments at which less and less counts of what is known of a slow one."""
    health = Health(rng=random.Random(7))
    learn(health, FLEET[2], times=10, latency=6.0, ttft=1.0, tokens=200)
    learn(health, FLEET[1], times=500, latency=1.2, ttft=0.2, tokens=200)
    fleet, moments = FLEET[1:3], (0, 60, 90)
    return [(f"{now} s later", routing(fleet, health=health, now=float(now))) for now in moments]


def golden() -> str:
    """Return the decisions of every strategy, on every request, as text."""
    rules = [
        RoutingRule(vendor="google", min_input_tokens=50_000, priority=1),
        RoutingRule(deployment="own", tags={"bulk"}),
    ]
    health, parts = learned(), []
    routers = {name: Router(name) for name in ("ordered", "round_robin", "least_busy", "lowest_latency")}
    routers |= {name: Router(name) for name in ("lowest_cost", "balanced", "weighted")}
    routers["cost 1, max_latency_s 3"] = Router({"cost": 1, "max_latency_s": 3})
    routers["ordered, rules, default google"] = Router(rules=rules, default_vendor="google")
    for title, router in routers.items():
        asks = [(name, routing(FLEET, asked, health=health, now=20.0)) for name, asked in requests()]
        parts.append(traced(title, router, *asks))
    parts.append(traced("lowest_latency, flash is passed over", routers["lowest_latency"], *passed_over()))
    fail(health, FLEET[0], at=20.0, retry_after=9.0)
    learn(health, FLEET[1], at=20.0, blame="limits", reason="RateLimitError", retry_after=12.0)
    asks = [(f"{now:g} s later", routing(FLEET[:2], health=health, now=20.0 + now)) for now in (0, 5, 10, 15)]
    parts.append(traced("ordered, the first broken, the second rate limited", Router(), *asks))
    fail(health, FLEET[1], at=20.0, retry_after=30.0)
    parts.append(
        traced("ordered, both broken", Router(), ("at once", routing(FLEET[:2], health=health, now=20.0)))
    )
    limit = Decimal("0.35")
    asks = [(name, routing(FLEET, asked, health=health, now=60.0, limit=limit)) for name, asked in requests()]
    parts.append(traced("lowest_cost, at most $0.35", Router("lowest_cost"), *asks))
    return "\n\n".join(parts) + "\n"


def test_decisions_are_those_that_were_reviewed() -> None:
    """A change of policy shows as a difference in a file; `python -m tests.routing.test_plan` writes it anew."""
    assert golden() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
