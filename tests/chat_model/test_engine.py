"""The engine begins calls; what becomes of them is in `end_to_end/` (`test_routing`, `test_explain`, `test_failover`)."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import Budget, DispatcherChatModel, Health, Limiter
from langchain_llmdispatch.chat_model.engine import Engine
from langchain_llmdispatch.config.schema import ModelFields
from tests.cases import each

HELLO = [HumanMessage("hello")]


def engine(**fields: Any) -> Engine:
    """Return an engine: it is made from fields alone, without a chat model."""
    settings: dict[str, Any] = {"models": ["ollama:x"], "env": {}}
    return Engine(ModelFields(**{**settings, **fields}))


def test_it_needs_no_chat_model() -> None:
    """A call is begun from fields: its attempts, request and run are ready, and nothing is sent."""
    dispatch, run = engine(temperature=0.5).begin(HELLO, None, {"max_tokens": 7}, None)
    assert dispatch.call.request.params == {"temperature": 0.5, "max_tokens": 7}
    assert [attempt.target.name for attempt in dispatch.attempts()][:1] == ["ollama:x"]
    assert run.observer is None


def test_what_is_handed_in_is_shared_and_the_rest_its_own() -> None:
    """Limits and health are its own by default, and those of a model that is handed the same objects."""
    limiter, health = Limiter(), Health()
    first, second = engine(limiter=limiter, health=health), engine(limiter=limiter, health=health)
    assert (first.limiter, first.health) == (second.limiter, second.health) == (limiter, health)
    third = engine()
    assert third.limiter is not engine().limiter
    assert third.health is not health
    assert engine(enable_metrics=False).counters is None


@each(
    ("fields", "kwargs", "seconds"),
    [
        ({"deadline": 9}, {}, 9),
        ({"deadline": 9}, {"deadline": 7}, 7),
        ({"model_kwargs": {"deadline": 5}}, {}, 5),
    ],
)
def test_a_calls_times_win(fields: dict[str, Any], kwargs: dict[str, Any], seconds: float) -> None:
    """Over the model's keywords, and those over its fields."""
    dispatch, _ = engine(**fields).begin(HELLO, None, kwargs, None)
    assert dispatch.call.deadline - dispatch.call.started == seconds
    assert "deadline" not in dispatch.call.request.extra


def test_the_identity_holds_what_changes_answers_and_no_key() -> None:
    """Deployments, parameters and words for the body."""
    found = engine(
        models=[{"model": "ollama:x", "api_key": "k-canary"}], temperature=0.5, model_kwargs={"store": True}
    )
    identity = found.identity()
    assert identity["deployments"] == ["ollama:x=ollama:x@http://127.0.0.1:11434 []"]
    assert (identity["temperature"], identity["model_kwargs"]) == (0.5, {"store": True})
    assert "canary" not in str(identity)


def test_dollars_of_a_call_are_the_least_of_all_limits() -> None:
    """The model's, the run's, and what a shared budget has left."""
    plan = engine(budget_usd=3, budget=Budget(usd=2)).explain(HELLO, {}, tags=(), metadata={})
    assert plan.bound.usd == Decimal(0)  # a local model costs nothing
    priced = [{"model": "openai:gpt-6-luna", "api_key": "k", "input_price": 10**5, "output_price": 10**5}]
    for fields, usd in (({"budget_usd": 2}, 2), ({"budget_usd": 2, "budget": Budget(usd=1)}, 1)):
        plan = engine(models=priced, max_tokens=1, **fields).explain(HELLO, {}, tags=(), metadata={})
        assert plan.bound.usd == usd


def test_only_failures_are_logged_where_nothing_else_would_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    """The level is read in each call."""
    found = engine()
    quiet = found.begin(HELLO, None, {}, None)[0].call.observers
    with caplog.at_level(logging.INFO, logger="langchain_llmdispatch"):
        full = found.begin(HELLO, None, {}, None)[0].call.observers
    assert len(full.ended) == len(quiet.ended) + 1
    assert found.begin(HELLO, None, {}, None)[0].call.observers is quiet


def test_rules_lead_to_what_is_known() -> None:
    """A rule to an unknown vendor, deployment or route is an error at construction that names the nearest."""
    for rule in ({"vendor": "olama"}, {"deployment": "olama:x"}, {"route": "fsat"}):
        with pytest.raises(ValueError, match="routing_rules"):
            DispatcherChatModel(
                models=["ollama:x"], routes={"fast": ["ollama:y"]}, routing_rules=[rule], env={}
            )
