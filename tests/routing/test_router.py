"""Routing: filters, rules, preferences, affinity and a run's own choices; pure decisions, then real calls."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, RoutingRule, errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.chat_model.run_options import RunOptions
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.affinity import Affinity
from langchain_llmdispatch.routing.decision import Decision
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.routing.rules import matches_model
from langchain_llmdispatch.types import OutputSchema, ToolSpec
from tests.fakes import FakeClock
from tests.fleet import fail, learn, request, routing, target, targets
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

SEARCH = ToolSpec("search", "Search.", {"type": "object", "properties": {}})
IMAGE = [
    {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
    {"type": "text", "text": "what is it?"},
]
OPENAI, CLAUDE = target("oai", "openai:gpt-5.4-mini"), target("ant", "anthropic:claude-haiku-4-5")
GEMINI, BLIND = target("gem", "google:gemini-2.5-flash"), target("old", "openai:gpt-3.5-turbo")
FLEET = (OPENAI, CLAUDE, GEMINI)


def names(decision: Decision) -> list[str]:
    """Return whom a decision tries, in order."""
    return [where.name for where in decision.targets]


def left_out(decision: Decision) -> dict[str, str]:
    """Return why each was left out, as a stable word."""
    return {each.deployment: each.kind for each in decision.excluded}


def led(rule: RoutingRule, asked: Any = None, **fields: Any) -> bool:
    """Return whether the rule to Gemini moved it to the front."""
    decision = Router(rules=[rule]).decide(routing(FLEET, asked, **fields))
    assert (decision.rule is rule) == (names(decision)[0] == "gem")
    return decision.rule is rule


# -- rules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("gpt-4", "gpt-4-turbo", True),
        ("gpt-4", "openai:gpt-4-turbo", True),
        ("gpt-4", "openai/gpt-4o", True),
        ("gpt-4", "gpt-3.5", False),
        ("*-turbo", "gpt-4-turbo", True),
        ("*-turbo", "gpt-4-turbo-x", False),
        ("gpt-?", "gpt-4", True),
        ("GPT-4*", "gpt-4o", True),
        ("openai:*", "openai:gpt-4o", True),
        ("mini", "gpt-4o-mini", False),
    ],
)
def test_model_patterns_are_globs_or_prefixes(pattern: str, model: str, matches: bool) -> None:
    """Wildcards make a glob; without them it is how the name begins, with or without its vendor."""
    assert matches_model(pattern, model) is matches


@pytest.mark.parametrize(
    ("conditions", "asked", "matches"),
    [
        ({}, {}, True),
        ({"enabled": False}, {}, False),
        ({"max_tokens": 100}, {"params": {"max_tokens": 100}}, True),
        ({"max_tokens": 100}, {"params": {"max_tokens": 101}}, False),
        ({"max_tokens": 100}, {}, False),
        ({"min_input_tokens": 50}, {"text": "x" * 400}, True),
        ({"min_input_tokens": 50}, {"text": "x" * 40}, False),
        ({"max_input_tokens": 50}, {"text": "x" * 40}, True),
        ({"max_input_tokens": 50}, {"text": "x" * 400}, False),
        ({"has_tools": True}, {"tools": (SEARCH,)}, True),
        ({"has_tools": True}, {}, False),
        ({"has_tools": False}, {"tools": (SEARCH,)}, False),
        ({"has_images": True}, {"text": [HumanMessage(IMAGE)]}, True),
        ({"has_images": True}, {}, False),
        ({"has_images": False}, {}, True),
        ({"tags": {"a"}}, {"tags": frozenset({"a", "b"})}, True),
        ({"tags": {"a", "c"}}, {"tags": frozenset({"a", "b"})}, False),
        ({"metadata": {"tier": 1}}, {"metadata": {"tier": 1, "x": 2}}, True),
        ({"metadata": {"tier": 1}}, {"metadata": {"tier": 2}}, False),
        ({"model_pattern": "gpt-5"}, {}, True),
        ({"model_pattern": "claude"}, {}, False),
        ({"model_pattern": "gpt-5", "has_tools": True}, {}, False),
    ],
)
def test_every_condition_of_a_rule_must_hold(conditions: dict, asked: dict, matches: bool) -> None:
    """Each condition by itself, and two together."""
    rule = RoutingRule(vendor="google", **conditions)
    assert led(rule, request(asked.pop("text", "hello"), **asked)) is matches


def test_the_first_rule_by_priority_decides_and_the_others_stay_behind() -> None:
    """Higher priority first, then the order written; nobody is lost by a rule."""
    rules = [
        RoutingRule(vendor="anthropic"),
        RoutingRule(deployment="gem", priority=5),
        RoutingRule(vendor="openai", priority=9, has_tools=True),
    ]
    assert names(Router(rules=rules).decide(routing(FLEET))) == ["gem", "oai", "ant"]


def test_a_rule_leads_to_vendors_by_alias_deployments_by_tag_and_routes() -> None:
    """`gemini` is Google; a tag names all that carry it; a route brings its deployments along."""
    tagged = (OPENAI, target("eu", "anthropic:claude-haiku-4-5", tags=frozenset({"european"})))
    assert names(Router(rules=[RoutingRule(vendor="gemini")]).decide(routing(FLEET)))[0] == "gem"
    assert names(Router(rules=[RoutingRule(deployment="european")]).decide(routing(tagged)))[0] == "eu"
    smart = {"smart": (CLAUDE,)}
    decision = Router(rules=[RoutingRule(route="smart")]).decide(routing((OPENAI,), routes=smart))
    assert names(decision) == ["ant", "oai"]


def test_a_rule_that_leads_to_nobody_here_gives_way_to_the_next() -> None:
    """A vendor without a deployment is passed over."""
    rules = [RoutingRule(vendor="cohere"), RoutingRule(vendor="google")]
    assert names(Router(rules=rules).decide(routing(FLEET)))[0] == "gem"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"deployment": "oia"}, "Did you mean 'oai'"),
        ({"route": "smrat"}, "Did you mean 'smart'"),
        ({"vendor": "opnai"}, "Did you mean 'openai'"),
    ],
)
def test_rules_that_lead_nowhere_are_named_at_construction(rule: dict, said: str) -> None:
    """A misspelt destination is an error with the nearest right one."""
    with pytest.raises(ValueError, match=said):
        DispatcherChatModel(
            models=[Deployment("openai:gpt-5.4-mini", name="oai", api_key="k")],
            routes={"smart": [Deployment("openai:gpt-5.4", api_key="k")]},
            routing_rules=[RoutingRule(**rule)],
            env={},
        )


def test_default_and_fallback_vendor_go_first_and_last_within_any_strategy() -> None:
    """They part the strategy's order in three; a rule goes before both."""
    router = Router("lowest_cost", default_vendor="anthropic", fallback_vendor="openai")
    assert names(router.decide(routing(FLEET))) == ["ant", "gem", "oai"]
    rule = RoutingRule(vendor="openai")
    router = Router(rules=[rule], default_vendor="anthropic", fallback_vendor="openai")
    assert names(router.decide(routing(FLEET))) == ["oai", "ant", "gem"]


# -- filters ---------------------------------------------------------------------------------------------


def test_vendors_that_may_not_see_it_are_left_out_by_model_and_by_run() -> None:
    """Both lists must allow a vendor, by name or alias."""
    router = Router(allowed_vendors=["openai", "gemini"])
    decision = router.decide(routing(FLEET))
    assert (names(decision), left_out(decision)) == (["oai", "gem"], {"ant": "vendor"})
    decision = router.decide(routing(FLEET, allowed_vendors=["gemini", "anthropic"]))
    assert names(decision) == ["gem"]


def test_what_a_model_lacks_leaves_it_out_where_another_has_it() -> None:
    """Images, tools, window and output limit; but where nobody is known to be able, all are tried."""
    cases = [
        request([HumanMessage(IMAGE)]),
        request("x" * 4 * 20_000),
        request(params={"max_tokens": 50_000}),
    ]
    for asked in cases:
        decision = Router().decide(routing((BLIND, OPENAI), asked))
        assert (names(decision), left_out(decision)) == (["oai"], {"old": "doubt"})
        assert names(Router().decide(routing((BLIND,), asked))) == ["old"]
    mute = target("mute", profile={"tool_calling": False})
    decision = Router().decide(routing((mute, OPENAI), request(tools=(SEARCH,))))
    assert (names(decision), left_out(decision)) == (["oai"], {"mute": "doubt"})


def test_who_cannot_be_held_to_a_schema_is_left_out_where_another_can() -> None:
    """A schema is kept by the vendor's own means or by a forced tool call; who has neither is a last resort."""
    shape = request(output=OutputSchema("city", {"type": "object", "properties": {}}))
    neither = target("loose", profile={"structured_output": False, "tool_calling": False})
    by_call = target("call", profile={"structured_output": False})
    decision = Router().decide(routing((neither, by_call, OPENAI), shape))
    assert (names(decision), left_out(decision)) == (["call", "oai"], {"loose": "doubt"})
    assert names(Router().decide(routing((neither,), shape))) == ["loose"]
    assert names(Router().decide(routing((neither, OPENAI), request()))) == ["loose", "oai"]


def test_what_cannot_be_said_to_a_vendor_leaves_it_out_for_good() -> None:
    """A server tool of another vendor, and with `raise` a parameter that it does not take."""
    asked = request(server_tools=({"type": "web_search_20250305", "name": "web_search"},))
    decision = Router().decide(routing((OPENAI, CLAUDE), asked))
    assert (names(decision), left_out(decision)) == (["ant"], {"oai": "unfit"})
    assert isinstance(Router().decide(routing((OPENAI,), asked)).error(), errors.NoDeploymentError)
    asked = request(params={"logit_bias": {"1": 1}}, unsupported_params="raise")
    assert left_out(
        Router().decide(routing((CLAUDE, target("x", "compatible:q", base_url="http://h/v1")), asked))
    )


def test_the_worst_case_pays_for_what_a_cache_may_be_written() -> None:
    """Marked prompts may cost twice at Anthropic (an hour's cache), as much as the usage would; others not."""
    claude, text = target("c", "anthropic:claude-haiku-4-5"), "x" * 40_000
    marked = {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    plain = {"type": "text", "text": text}
    tool = ToolSpec("t", "", {}, extras={"cache_control": {"type": "ephemeral"}})

    def worst(block: dict[str, Any], **more: Any) -> Decimal:
        asked = request([HumanMessage([block])], params={"max_tokens": 1}, **more)
        found = routing([claude], asked).forecast.worst(claude)
        assert found is not None
        return found

    assert 1.99 < worst(marked) / worst(plain) <= 2
    assert worst(plain, tools=[tool]) > worst(plain) * 19 / 10
    assert worst(plain, extra={"cache_control": {"type": "ephemeral"}}) == worst(marked)


def test_a_budget_leaves_out_whose_worst_case_is_too_dear_or_unknown() -> None:
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


def test_open_breakers_are_left_out_and_the_nearest_to_closing_is_tried_if_all_are_open() -> None:
    """One open: passed over. All open: the one that closes soonest, alone."""
    a, b, c = targets("a", "b", "c")
    health = Health(rng=random.Random(1))
    fail(health, a, retry_after=60.0)
    decision = Router().decide(routing((a, b, c), health=health))
    assert (names(decision), left_out(decision), decision.panic) == (["b", "c"], {"a": "health"}, False)
    fail(health, b, retry_after=20.0)
    fail(health, c, retry_after=40.0)
    decision = Router().decide(routing((a, b, c), health=health))
    assert (names(decision), decision.panic) == (["b"], True)
    assert names(Router().decide(routing((a, b, c), health=health, now=45.0))) == ["b", "c"]


def test_what_only_cools_down_is_kept_for_later_within_reason() -> None:
    """After a 429 the others go first; a wait longer than one would wait is none."""
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


def test_nobody_left_says_why_for_each() -> None:
    """The error lists every deployment with its reason."""
    error = Router(allowed_vendors=["cohere"]).decide(routing(FLEET)).error()
    assert isinstance(error, errors.NoDeploymentError)
    assert all(where.name in str(error) for where in FLEET)


def test_needs_are_counted_in_any_script_and_media_not_by_their_bytes() -> None:
    """About four bytes a token; an image is some hundreds of tokens, however large its file."""
    assert Needs(request("x" * 4000)).tokens == pytest.approx(1000, abs=10)
    assert Needs(request("字" * 4000)).tokens == pytest.approx(3000, abs=10)
    picture = {"type": "image", "base64": "A" * 4_000_000, "mime_type": "image/png"}
    assert Needs(request([HumanMessage([picture])])).tokens < 2000
    assert Needs(request(tools=(SEARCH,) * 10)).tokens > 100


@pytest.mark.parametrize("strategy", ["lowest_latency", "balanced", {"latency": 1, "max_latency_s": 5}])
def test_who_was_slow_gets_its_share_again_after_recovering(strategy: Any) -> None:
    """Not asked while it is slow, but for a rare look; soon after it has recovered it is asked as before."""
    slow, other = targets("slow", "other")
    health, router, rng = Health(), Router(strategy), random.Random(1)
    asked: list[tuple[float, str]] = []
    for call in range(6000):  # ten a second
        now = call / 10
        decision = router.decide(routing((slow, other), health=health, now=now, seed=rng.randrange(2**32)))
        first = decision.targets[0]
        seconds = 8.0 if first is slow and 100 <= now < 300 else 0.5
        learn(health, first, at=now, latency=seconds, ttft=seconds, tokens=1)
        asked.append((now, first.name))

    def share(begin: float, end: float) -> float:
        names_then = [name for at, name in asked if begin <= at < end]
        return names_then.count("slow") / len(names_then)

    assert share(50, 100) > 0.4
    assert share(150, 300) < 0.02
    assert share(450, 600) > 0.4


# -- affinity --------------------------------------------------------------------------------------------


def tool_loop(deployment: str) -> list[Any]:
    """Return a conversation in the middle of a tool loop that a deployment began."""
    call = {"name": "search", "args": {}, "id": "1"}
    facts = {"llmdispatch": {"deployment": deployment}}
    answer = AIMessage("", tool_calls=[call], response_metadata=facts)
    return [HumanMessage("find it"), answer, ToolMessage("found", tool_call_id="1")]


def test_a_tool_loop_stays_where_it_began() -> None:
    """Who asked for the tool gets its result, unless a breaker or a rule says otherwise."""
    loop = request(tool_loop("gem"), tools=(SEARCH,))
    decision = Router().decide(routing(FLEET, loop))
    assert (names(decision), decision.pinned) == (["gem", "oai", "ant"], "tool loop")
    over = request([*tool_loop("gem"), AIMessage("there"), HumanMessage("thanks")])
    assert names(Router().decide(routing(FLEET, over)))[0] == "oai"
    health = Health()
    fail(health, GEMINI)
    assert names(Router().decide(routing(FLEET, loop, health=health))) == ["oai", "ant"]
    rules = [RoutingRule(vendor="anthropic")]
    assert names(Router(rules=rules).decide(routing(FLEET, loop)))[0] == "ant"


def test_a_thread_stays_where_it_was_answered_for_ten_minutes() -> None:
    """Bound by the answer, loosed by a failure or by time; other threads are free."""
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


def test_a_thread_moves_to_a_cheaper_one_only_where_reading_it_anew_pays() -> None:
    """Under a strategy that weighs cost: stay with a warm cache, unless another is cheaper all the same."""
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


# -- a run's own choices -----------------------------------------------------------------------------------


def test_only_allow_listed_choices_are_read() -> None:
    """Keys, addresses and other people's words are not ours; thread ids of any kind are."""
    chosen = {"thread_id": 7, "api_key": "sk-x", "base_url": "http://x", "checkpoint_ns": "", "seed": None}
    assert RunOptions.of(chosen) == RunOptions(thread_id="7")


@pytest.mark.parametrize(
    "wrong",
    [
        {"deadline": 0},
        {"deadline": "1"},
        {"max_cost": -1},
        {"seed": 1.5},
        {"route": 1},
        {"allowed_vendors": [1]},
    ],
)
def test_choices_of_the_wrong_kind_are_named(wrong: dict) -> None:
    """The error names word and value."""
    with pytest.raises(errors.ConfigurationError, match=next(iter(wrong))):
        RunOptions.of(wrong)


# -- real calls --------------------------------------------------------------------------------------------


class DeploymentRegistry:
    """A model over deployments of the loopback server, in virtual time."""

    def __init__(self, server: LoopbackServer, *accounts: str, **fields: Any) -> None:
        self.server = server
        self.clock = FakeClock()
        models = [self.deployment(account, **fields.pop("deployment", {})) for account in accounts or "abc"]
        defaults: dict[str, Any] = {
            "retry_policy": RetryPolicy(jitter=False),
            "rng": random.Random(1),
            "env": {},
        }
        self.model = DispatcherChatModel(models=models, clock=self.clock, **{**defaults, **fields})

    def deployment(self, account: str, **fields: Any) -> Deployment:
        """Return a deployment on its own account."""
        url = self.server.base_url("openai", account)
        return Deployment("openai:gpt-5.4-mini", name=account, base_url=url, api_key="key", **fields)

    def call(self, how: str, config: Any = None, text: Any = "hi", **kwargs: Any) -> str:
        """Call it in one of the four ways; return who answered."""
        model = self.model
        if how == "invoke":
            message = model.invoke(text, config, **kwargs)
        elif how == "ainvoke":
            message = asyncio.run(model.ainvoke(text, config, **kwargs))
        elif how == "stream":
            message = sum_up(list(model.stream(text, config, **kwargs)))
        else:
            message = sum_up(asyncio.run(collect(model.astream(text, config, **kwargs))))
        return str(message.response_metadata["llmdispatch"]["deployment"])


def sum_up(chunks: list[Any]) -> Any:
    """Return the message in chunks."""
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


async def collect(chunks: Any) -> list[Any]:
    """Return all chunks."""
    return [chunk async for chunk in chunks]


@pytest.fixture
def server() -> Any:
    """Return a loopback server."""
    with LoopbackServer() as running:
        yield running


WAYS = ("invoke", "ainvoke", "stream", "astream")


@pytest.mark.parametrize("how", WAYS)
def test_a_run_chooses_route_vendors_and_thread(server: LoopbackServer, how: str) -> None:
    """`configurable` reaches every way of calling, and what answered a thread keeps it."""
    fleet = DeploymentRegistry(server, strategy="round_robin")
    assert [fleet.call(how) for _ in range(4)] == ["a", "b", "c", "a"]
    config = {"configurable": {"thread_id": "t", "api_key": "never"}}
    stays = fleet.call(how, config)
    assert [fleet.call(how, config) for _ in range(4)] == [stays] * 4
    assert fleet.call(how, {"configurable": {"route": "c"}}) == "c"
    with pytest.raises(errors.NoDeploymentError):
        fleet.call(how, {"configurable": {"allowed_vendors": ["google"]}})
    with pytest.raises(errors.BudgetExceededError):
        fleet.call(how, {"configurable": {"max_cost": 0.0}})
    assert len(server.requests) == 10


@pytest.mark.parametrize("how", WAYS)
def test_a_breaker_opens_over_calls_and_one_probe_brings_the_deployment_back(
    server: LoopbackServer, how: str
) -> None:
    """After five failures nothing goes there; after some seconds one request does, and all follow."""
    server.script("openai", [Fault.error("server_error")] * 5, "a")
    fleet = DeploymentRegistry(server, "a", "b", retry_policy=RetryPolicy(max_retries=0))
    assert [fleet.call(how) for _ in range(8)] == ["b"] * 8
    assert len(server.requests_to("openai", "a")) == 5
    assert not fleet.model.is_available("openai") or fleet.model.explain("hi").excluded
    fleet.clock.advance(6.0)
    assert fleet.call(how) == "a"
    assert fleet.model.explain("hi").excluded == ()


def test_two_models_share_health_only_when_handed_the_same(server: LoopbackServer) -> None:
    """Isolation by default; sharing by the same object."""
    shared = Health()
    server.script("openai", [Fault.error("auth")], "a", repeat=True)
    first, second = (DeploymentRegistry(server, "a", "b", health=shared) for _ in range(2))
    alone = DeploymentRegistry(server, "a", "b")
    assert first.call("invoke") == "b"
    assert [each.deployment for each in second.model.explain("hi").excluded] == ["a"]
    assert alone.model.explain("hi").excluded == ()


@pytest.mark.parametrize("how", WAYS)
def test_a_budget_is_shared_settled_and_refuses_before_sending(server: LoopbackServer, how: str) -> None:
    """Two models hold one budget; what an answer cost is entered; then nothing more is sent."""
    prices = {"input_price": 100.0, "output_price": 1000.0}
    budget = Budget(0.5, "day")
    one, two = (
        DeploymentRegistry(server, "a", deployment=prices, budget=budget, max_tokens=100) for _ in range(2)
    )
    one.call(how)
    spent = budget.spent(one.clock.now())
    used = server.usage()["openai@a"]
    assert spent == Decimal(used.input_tokens) / 10_000 + Decimal(used.output_tokens) / 1000
    assert budget.left(one.clock.now()) == Decimal("0.5") - spent
    while budget.left(one.clock.now()) > Decimal("0.2"):
        two.call(how)
    sent = len(server.requests)
    with pytest.raises(errors.BudgetExceededError):
        two.call(how, max_tokens=1000)
    assert len(server.requests) == sent
    assert budget.spent(one.clock.now()) <= Decimal("0.5")


def test_a_seed_decides_what_chance_decides(server: LoopbackServer) -> None:
    """The same seed asks the same deployment; different ones reach them all."""
    fleet = DeploymentRegistry(server, strategy="weighted")

    def asked(seed: int) -> str:
        return fleet.call("invoke", {"configurable": {"seed": seed}})

    assert {asked(3) for _ in range(5)} == {asked(3)}
    assert {asked(seed) for seed in range(12)} == {"a", "b", "c"}


def test_choices_of_the_run_around_it_count(server: LoopbackServer) -> None:
    """Inside a chain or a graph's node the model finds the thread although nobody hands it on."""
    fleet = DeploymentRegistry(server, strategy="round_robin")
    chain = RunnableLambda(lambda text: fleet.call("invoke", text=text))
    config = {"configurable": {"thread_id": "t"}}
    assert len({chain.invoke("hi", config) for _ in range(4)}) == 1
    assert len({chain.invoke("hi") for _ in range(4)}) == 3


def test_tags_and_metadata_of_a_run_reach_rules(server: LoopbackServer) -> None:
    """What LangChain calls tags and metadata are what rules call so."""
    rules = [
        RoutingRule(deployment="c", tags={"smart"}),
        RoutingRule(deployment="b", metadata={"tier": "low"}),
    ]
    fleet = DeploymentRegistry(server, routing_rules=rules)
    for how in WAYS:
        assert fleet.call(how, {"tags": ["smart"]}) == "c"
        assert fleet.call(how, {"metadata": {"tier": "low"}}) == "b"
        assert fleet.call(how) == "a"


def test_a_deadline_of_the_run_holds(server: LoopbackServer) -> None:
    """A run may have less time than the model."""
    server.script("openai", [Fault(status=429, headers={"retry-after": "30"})], "a")
    fleet = DeploymentRegistry(server, "a")
    with pytest.raises(errors.core.ModelRateLimitError):
        fleet.call("invoke", {"configurable": {"deadline": 5}})
    assert fleet.clock.monotonic() < 5
