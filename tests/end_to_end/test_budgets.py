"""Budgets by scope: whole agent runs, many requests at once, and what happens near their end."""

from __future__ import annotations

import asyncio
import operator
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import reduce
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from langchain_llmdispatch import Budget, BudgetMiddleware, BudgetState
from langchain_llmdispatch.errors import BudgetExceededError
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, deployment, model_of

PRICES = {"input_price": 0, "output_price": 100}  # a hundredth of a cent a token


def spent_by(results: list[Any]) -> Decimal:
    """Return the dollars of the answers among some results; the other ones were refused for the budget."""
    answers = [one for one in results if not isinstance(one, BaseException)]
    assert all(isinstance(one, BudgetExceededError) for one in results if isinstance(one, BaseException))
    costs = [Decimal(one.response_metadata["llmdispatch"]["cost_usd"]) for one in answers]
    return reduce(operator.add, costs, Decimal(0))


# -- holds -------------------------------------------------------------------------------------------------


def test_two_hundred_at_once_use_all_of_it_and_no_more(server: LoopbackServer) -> None:
    """Subagents of one run: what others hold is waited for, and at the end a call is refused."""
    budget = Budget(usd="0.1", per="run")
    model = model_of(deployment(server, "openai", **PRICES), budget=budget, max_retries=0)

    async def subagents(_: Any) -> list[Any]:
        calls = (model.ainvoke("hello", max_tokens=50) for _ in range(200))
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(RunnableLambda(subagents).ainvoke(None))
    spent = spent_by(results)
    [state] = model.get_stats().budgets
    assert state.spent_usd == spent
    assert Decimal("0.095") <= spent <= Decimal("0.1")
    assert (state.held_usd, state.held_tokens) == (0, 0)


def test_threads_wait_for_each_other(server: LoopbackServer) -> None:
    """One dollar's worth at once is all that fits; twenty threads get their turn."""
    budget = Budget(usd="0.02")
    model = model_of(deployment(server, "openai", **PRICES), budget=budget, max_retries=0)

    def call(_: int) -> Any:
        try:
            return model.invoke("hello", max_tokens=100)
        except BudgetExceededError as error:
            return error

    with ThreadPoolExecutor(20) as pool:
        spent = spent_by(list(pool.map(call, range(60))))
    assert Decimal("0.01") <= spent <= Decimal("0.02")
    assert budget.state(model._engine.clock.now()).spent_usd == spent
    assert threading.active_count() < 20


def test_a_refusal_names_what_was_spent_on_what(server: LoopbackServer) -> None:
    """Before sending, with the state of the account."""
    budget = Budget(usd="0.01", scope="user")
    model = model_of(deployment(server, "openai", **PRICES), budget=budget)
    model.invoke("hello", max_tokens=50, user="ann")
    with pytest.raises(BudgetExceededError, match="left"):
        model.invoke("hello", max_tokens=99, user="ann")
    assert "openai" in model.explain("hello", max_tokens=99, user="ann").budgets[0].by_deployment
    assert model.invoke("hello", max_tokens=99, user="bob").text


@each(
    ("scope", "mine", "others"),
    [
        ("thread", {"configurable": {"thread_id": "a"}}, {"configurable": {"thread_id": "b"}}),
        ("tag", {"tags": ["a"]}, {"tags": ["b"]}),
        ("metadata:team", {"metadata": {"team": "a"}}, {"metadata": {"team": "b"}}),
        ("user", {"metadata": {"user_id": "a"}}, {"metadata": {"user_id": "b"}}),
    ],
)
def test_each_scope_is_read_off_the_run(server: LoopbackServer, scope: str, mine: Any, others: Any) -> None:
    """One spender's budget is used up, the other's is not."""
    model = model_of(deployment(server, "openai", **PRICES), budget=Budget(usd="0.005", scope=scope))
    model.invoke("hello", mine, max_tokens=49)
    with pytest.raises(BudgetExceededError):
        model.invoke("hello", mine, max_tokens=49)
    assert model.invoke("hello", others, max_tokens=49).text


@each("scope", ["deployment", "vendor", "model"])
def test_a_deployment_whose_budget_is_used_up_is_left_out(server: LoopbackServer, scope: str) -> None:
    """The next one answers."""
    first, second = (deployment(server, vendor, **PRICES) for vendor in ("openai", "anthropic"))
    model = model_of(first, second, budget=Budget(usd="0.005", scope=scope))
    answered = [model.invoke("hello", max_tokens=49) for _ in range(2)]
    assert [one.response_metadata["llmdispatch"]["vendor"] for one in answered] == ["openai", "anthropic"]
    with pytest.raises(BudgetExceededError):
        model.invoke("hello", max_tokens=49)


def test_several_budgets_hold_together(server: LoopbackServer) -> None:
    """The one that is used up first decides; tokens are bounded beside dollars."""
    model = model_of(
        deployment(server, "openai", **PRICES),
        budget=[Budget(usd=10), Budget(tokens=200, scope="thread"), Budget(usd=1, per="call")],
    )
    ann = {"configurable": {"thread_id": "ann"}}
    for _ in range(2):
        model.invoke("hello", ann, max_tokens=80)
    with pytest.raises(BudgetExceededError, match="tokens"):
        for _ in range(9):
            model.invoke("hello", ann, max_tokens=80)
    assert model.invoke("hello", {"configurable": {"thread_id": "bob"}}, max_tokens=80).text
    assert len(model.get_stats().budgets) == 3


# -- runs ---------------------------------------------------------------------------------------------------


def _agents(server: LoopbackServer, **fields: Any) -> tuple[Any, Any]:
    """Return an agent whose tool is another agent with the same model, and the model."""
    model = model_of(deployment(server, "openai", **PRICES), max_tokens=50, **fields)
    inner = create_agent(model, [])

    @tool
    def research(topic: str) -> str:
        """Find something out."""
        return inner.invoke({"messages": [("user", topic)]})["messages"][-1].text

    return create_agent(model, [research]), model


def test_an_agent_with_its_subagents_is_one_run(server: LoopbackServer) -> None:
    """All calls of a run spend from one account, those of the next run from another."""
    budget = Budget(usd=1, per="run")
    agent, model = _agents(server, budget=budget)
    question = {"messages": [("user", "please call the tool research")]}
    for runs in (1, 2):
        agent.invoke(question)
        assert len(budget.states()) == runs
    calls = model.get_stats().calls.answered
    assert calls >= 4
    assert sum((state.spent_usd for state in budget.states()), Decimal(0)) == model.get_stats().cost


def test_async_agents_are_one_run_too(server: LoopbackServer) -> None:
    """Tools and subgraphs in other tasks and threads."""
    budget = Budget(usd=1, per="run")
    agent, _ = _agents(server, budget=budget)
    asyncio.run(agent.ainvoke({"messages": [("user", "please call the tool research")]}))
    assert len(budget.states()) == 1


# -- near the end -------------------------------------------------------------------------------------------


def _near(server: LoopbackServer, on_budget: Any, **fields: Any) -> Any:
    """Return a model that has spent most of its budget; the second deployment is cheaper."""
    dear = deployment(server, "openai", input_price=0, output_price=100)
    cheap = deployment(server, "anthropic", input_price=0, output_price=1)
    budget = Budget(usd="0.02", near=0.01)
    model = model_of(dear, cheap, budget=budget, on_budget=on_budget, **fields)
    model.invoke("hello", max_tokens=20)
    return model


def test_near_the_end_cheaper_deployments_come_first(server: LoopbackServer) -> None:
    """The plan shows it, and so does the next answer; `raise` changes nothing."""
    model = _near(server, "cheaper")
    plan = model.explain("hello", max_tokens=20)
    assert plan.on_budget == "cheaper"
    assert [each.deployment for each in plan.candidates] == ["anthropic", "openai"]
    assert model.invoke("hello", max_tokens=20).response_metadata["llmdispatch"]["vendor"] == "anthropic"
    assert _near(server, "raise").explain("hello", max_tokens=20).candidates[0].deployment == "openai"


def test_near_the_end_less_effort_is_asked_for(server: LoopbackServer) -> None:
    """One step less than what the model or the call sets."""
    model = model_of(
        deployment(server, "openai", **PRICES),
        budget=Budget(usd="0.05", near=0.01),
        on_budget="cheaper",
        reasoning_effort="high",
    )
    for _ in range(2):
        model.invoke("hello", max_tokens=20)
    first, second = server.requests
    assert "high" in str(first.body)
    assert "medium" in str(second.body)


@each(("action", "vendor"), [("small", "anthropic"), ("cheaper", "anthropic"), (None, "openai")])
def test_a_function_decides_near_the_end(server: LoopbackServer, action: Any, vendor: str) -> None:
    """It gets the state, and names a route, `cheaper`, or nothing."""
    states: list[BudgetState] = []

    def on_budget(state: BudgetState) -> Any:
        states.append(state)
        return action

    small = [deployment(server, "anthropic", input_price=0, output_price=1)]
    model = _near(server, on_budget, routes={"small": small})
    answer = model.invoke("hello", max_tokens=20)
    assert answer.response_metadata["llmdispatch"]["vendor"] == vendor
    assert states[0].spent_usd > 0


# -- the middleware -----------------------------------------------------------------------------------------


def _loops(server: LoopbackServer, budget: Budget, colour: str, **fields: Any) -> Any:
    """Run an agent that would call its tool for ever, and return its messages."""
    model = model_of(deployment(server, "openai", **PRICES), max_tokens=60, budget=budget)

    @tool
    def look(place: str) -> str:
        """Look somewhere."""
        return "please call the tool look"

    agent = create_agent(model, [look], middleware=[BudgetMiddleware(budget, **fields)])
    question = {"messages": [("user", "please call the tool look")]}
    config: Any = {"recursion_limit": 400}
    result = (
        agent.invoke(question, config) if colour == "invoke" else asyncio.run(agent.ainvoke(question, config))
    )
    return result["messages"]


@pytest.mark.parametrize("colour", ["invoke", "ainvoke"])
def test_an_agent_concludes_within_its_budget(server: LoopbackServer, colour: str) -> None:
    """The last request has no tools and states that it is the last; the budget holds."""
    budget = Budget(usd="0.0125", per="run")
    messages = _loops(server, budget, colour, reserve=0.5)
    assert messages[-1].text
    assert not messages[-1].tool_calls
    body = server.requests[-1].body
    assert "tools" not in body
    assert "budget" in str(body["messages"][-1]["content"])
    [state] = budget.states()
    assert 0 < state.spent_usd <= Decimal("0.0125")


def test_an_agent_that_cannot_conclude_says_so(server: LoopbackServer) -> None:
    """Where not even the conclusion fits, its answer is one sentence, and nothing is sent."""
    messages = _loops(server, Budget(usd="0.001", per="run"), "invoke", exhausted="No money.")
    assert messages[-1].text == "No money."
    assert len(server.requests) == 0


def test_all_vendors_are_bounded(server: LoopbackServer) -> None:
    """Each with its own usage."""
    for vendor in sorted(MODELS):
        budget = Budget(usd="0.01")
        model = model_of(deployment(server, vendor, input_price=1, output_price=100), budget=budget)
        model.invoke("hello", max_tokens=50)
        assert 0 < budget.state(model._engine.clock.now()).spent_usd < Decimal("0.01")
