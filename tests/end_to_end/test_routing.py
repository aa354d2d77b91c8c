"""Routing in real calls: options of a run, breakers, budgets, seeds, rules."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, RoutingRule, errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL, deployment, model_of


class Calls:
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

    def call(self, colour: str, config: Any = None, text: Any = "hi", **kwargs: Any) -> str:
        """Call it in one of the four ways; return the deployment that answered."""
        message = COLOURS[colour](self.model, text, config, **kwargs)
        return str(message.response_metadata["llmdispatch"]["deployment"])


@pytest.fixture
def server() -> Any:
    """Return a loopback server."""
    with LoopbackServer() as running:
        yield running


@pytest.mark.parametrize("colour", ONE_CALL)
def test_a_run_sets_route_vendors_and_thread(server: LoopbackServer, colour: str) -> None:
    """`configurable` reaches every way of calling, and a thread stays with the deployment that answered it."""
    fleet = Calls(server, strategy="round_robin")
    assert [fleet.call(colour) for _ in range(4)] == ["a", "b", "c", "a"]
    config = {"configurable": {"thread_id": "t", "api_key": "never"}}
    stays = fleet.call(colour, config)
    assert [fleet.call(colour, config) for _ in range(4)] == [stays] * 4
    assert fleet.call(colour, {"configurable": {"route": "c"}}) == "c"
    with pytest.raises(errors.NoDeploymentError):
        fleet.call(colour, {"configurable": {"allowed_vendors": ["google"]}})
    with pytest.raises(errors.BudgetExceededError):
        fleet.call(colour, {"configurable": {"max_cost": 0.0}})
    assert len(server.requests) == 10


def last_resorts(model: DispatcherChatModel) -> list[str]:
    """Return the deployments that a call would try only if all others failed."""
    return [each.deployment for each in model.explain("hi").candidates if "last resort" in each.why]


@pytest.mark.parametrize("colour", ONE_CALL)
def test_a_breaker_opens_over_calls_and_one_probe_brings_the_deployment_back(
    server: LoopbackServer, colour: str
) -> None:
    """After five failures nothing is sent there; after some seconds one request is, and then all are."""
    server.script("openai", [Fault.error("server_error")] * 5, "a")
    fleet = Calls(server, "a", "b", retry_policy=RetryPolicy(max_retries=0))
    assert [fleet.call(colour) for _ in range(8)] == ["b"] * 8
    assert len(server.requests_to("openai", "a")) == 5
    assert last_resorts(fleet.model) == ["a"]
    fleet.clock.advance(6.0)
    assert fleet.call(colour) == "a"
    assert last_resorts(fleet.model) == []


def test_two_models_share_health_only_when_handed_the_same(server: LoopbackServer) -> None:
    """Isolation by default; sharing by the same object."""
    shared = Health()
    server.script("openai", [Fault.error("auth")], "a", repeat=True)
    first, second = (Calls(server, "a", "b", health=shared) for _ in range(2))
    alone = Calls(server, "a", "b")
    assert first.call("invoke") == "b"
    assert last_resorts(second.model) == ["a"]
    assert last_resorts(alone.model) == []


@pytest.mark.parametrize("colour", ONE_CALL)
def test_a_budget_is_shared_settled_and_refuses_before_sending(server: LoopbackServer, colour: str) -> None:
    """Two models share one budget; the cost of an answer is charged; then nothing more is sent."""
    prices = {"input_price": 100.0, "output_price": 1000.0}
    budget = Budget(0.5, "day")
    one, two = (Calls(server, "a", deployment=prices, budget=budget, max_tokens=100) for _ in range(2))
    one.call(colour)
    spent = budget.spent(one.clock.now())
    used = server.usage()["openai@a"]
    assert spent == Decimal(used.input_tokens) / 10_000 + Decimal(used.output_tokens) / 1000
    assert budget.left(one.clock.now()) == Decimal("0.5") - spent
    while budget.left(one.clock.now()) > Decimal("0.2"):
        two.call(colour)
    sent = len(server.requests)
    with pytest.raises(errors.BudgetExceededError):
        two.call(colour, max_tokens=1000)
    assert len(server.requests) == sent
    assert budget.spent(one.clock.now()) <= Decimal("0.5")


def test_a_seed_determines_random_choices(server: LoopbackServer) -> None:
    """The same seed tries the same deployment; different seeds try them all."""
    fleet = Calls(server, strategy="weighted")

    def answering(seed: int) -> str:
        return fleet.call("invoke", {"configurable": {"seed": seed}})

    assert {answering(3) for _ in range(5)} == {answering(3)}
    assert {answering(seed) for seed in range(12)} == {"a", "b", "c"}


def test_options_of_the_surrounding_run_apply(server: LoopbackServer) -> None:
    """Inside a chain or a graph's node the thread applies without being passed on."""
    fleet = Calls(server, strategy="round_robin")
    chain = RunnableLambda(lambda text: fleet.call("invoke", text=text))
    config = {"configurable": {"thread_id": "t"}}
    assert len({chain.invoke("hi", config) for _ in range(4)}) == 1
    assert len({chain.invoke("hi") for _ in range(4)}) == 3


def test_tags_and_metadata_of_a_run_reach_rules(server: LoopbackServer) -> None:
    """Rules match LangChain's tags and metadata."""
    rules = [
        RoutingRule(deployment="c", tags={"smart"}),
        RoutingRule(deployment="b", metadata={"tier": "low"}),
    ]
    fleet = Calls(server, routing_rules=rules)
    for colour in ONE_CALL:
        assert fleet.call(colour, {"tags": ["smart"]}) == "c"
        assert fleet.call(colour, {"metadata": {"tier": "low"}}) == "b"
        assert fleet.call(colour) == "a"


def test_a_deadline_of_the_run_holds(server: LoopbackServer) -> None:
    """A run may have less time than the model."""
    server.script("openai", [Fault(status=429, headers={"retry-after": "30"})], "a")
    fleet = Calls(server, "a")
    with pytest.raises(core.ModelRateLimitError):
        fleet.call("invoke", {"configurable": {"deadline": 5}})
    assert fleet.clock.monotonic() < 5


@pytest.mark.parametrize("call", [{"model": "fsat"}, {"config": {"configurable": {"route": "fsat"}}}])
def test_a_mistyped_route_is_no_model_of_the_only_vendor(server: LoopbackServer, call: Any) -> None:
    """A name near a route's that is in no catalog is an error; written with its vendor it is a model."""
    model = model_of(deployment(server, "openai"), routes={"fast": [deployment(server, "openai", "f")]})
    for ask in (model.invoke, model.explain):
        with pytest.raises(errors.ConfigurationError, match="no route is called 'fsat'. Did you mean 'fast'"):
            ask("hello", **call)
    assert model.invoke("hello", model="openai:fsat").response_metadata["model_name"] == "fsat"
    assert model.invoke("hello", model="gpt-5.4-mini").text
