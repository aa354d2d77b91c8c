"""Events and retries on the LLM run, in every colour, in order, and only where a handler takes them."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
    DispatcherChatModel,
)
from langchain_llmdispatch.chat_model.run_context import take_run
from tests.callbacks.handlers import AsyncRecordingHandler, Config, RecordingHandler, colours
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


@colours
def test_events_reach_the_llm_run_in_order(
    server: LoopbackServer, streaming: bool, run: Callable[[DispatcherChatModel, Config], Any]
) -> None:
    """Retry, fallback, attempts and usage reach the LLM run itself, in order, in every colour."""
    server.script("openai", [Fault.error("overloaded")] * 3)
    model = model_of(deployment(server, "openai"), deployment(server, "anthropic"), streaming=streaming)
    handler = RecordingHandler()
    run(model, {"callbacks": [handler]})
    failure = ["attempt", "on_retry", "retry"]
    assert handler.names() == ["start", *failure, *failure, "attempt", "fallback", "attempt", "usage", "end"]
    assert len({run_id for _, run_id in handler.seen}) == 1
    json.dumps(handler.data)
    attempts = [data for name, data in handler.data if name == "attempt"]
    assert [data["error"] for data in attempts] == ["OverloadedError"] * 3 + [None]
    assert [data["retry"] for data in attempts] == [False, True, True, False]
    fallback = next(data for name, data in handler.data if name == "fallback")
    assert (fallback["from"], fallback["to"], fallback["status"]) == ("openai", "anthropic", 503)
    assert take_run() is None


@colours
def test_tracers_see_retries_and_who_answered(
    server: LoopbackServer, streaming: bool, run: Callable[[DispatcherChatModel, Config], Any]
) -> None:
    """A tracer records the retry on the LLM run, and the vendor that answered by its name in LangChain."""
    server.script("openai", [Fault.error("overloaded"), Fault.error("auth")])
    model = model_of(deployment(server, "openai"), deployment(server, "google"), streaming=streaming)
    tracer = RunCollectorCallbackHandler()
    run(model, {"callbacks": [tracer]})
    (traced,) = tracer.traced_runs
    events = [event["name"] for event in traced.events]
    assert (events[0], events[1], events[-1]) == ("start", "retry", "end")
    seen = traced.extra["metadata"]
    assert (seen["ls_provider"], seen["ls_model_name"]) == ("google_genai", "gemini-2.5-flash")


@each("name", ["fast", "google", "google:gemini-2.5-flash"])
def test_the_planned_model_goes_by_its_bare_name(server: LoopbackServer, name: str) -> None:
    """A route, a deployment and a prefixed model are the vendor's own model id to tracers, who price by it."""
    google = deployment(server, "google")
    model = model_of(deployment(server, "openai"), google, routes={"fast": [google]})
    params = model._get_ls_params(model=name)
    assert (params["ls_provider"], params["ls_model_name"]) == ("google_genai", "gemini-2.5-flash")


FACTS = {
    *("vendor", "deployment", "route", "messages", "attempts", "fallback", "queue_ms", "created_at"),
    *("cost_usd", "cost_details", "price_source"),
}


@colours
def test_an_error_has_the_facts_that_an_answer_has(
    server: LoopbackServer, streaming: bool, run: Callable[[DispatcherChatModel, Config], Any]
) -> None:
    """By the same names, JSON-safe: which deployments were tried, how often, and what the failed answers cost."""
    for vendor, faults in {"openai": [Fault.empty_answer(), Fault.error("auth")], "anthropic": []}.items():
        server.script(vendor, faults or [Fault.error("auth")])
    prices = {"input_price": 1, "output_price": 2}
    model = model_of(
        deployment(server, "openai", **prices), deployment(server, "anthropic"), streaming=streaming
    )
    with pytest.raises(AllDeploymentsFailedError) as failed:
        run(model, {})
    facts = json.loads(json.dumps(pickle.loads(pickle.dumps(failed.value)).llmdispatch))
    assert set(facts) == FACTS
    assert facts["attempts"] == [record.to_dict() for record in failed.value.attempts]
    assert [one["error"] for one in facts["attempts"]] == [
        *("EmptyAnswerError", "AuthenticationError", "AuthenticationError")
    ]
    assert (facts["vendor"], facts["fallback"], facts["queue_ms"]) == ("anthropic", True, 500)
    reported = server.usage()["openai"]
    assert (
        Decimal(facts["cost_usd"])
        == Decimal(reported.input_tokens + 2 * reported.output_tokens) / 1_000_000
        > 0
    )
    assert set(model.invoke("hello", model="anthropic").response_metadata["llmdispatch"]) == FACTS


def test_no_usage_reported_is_no_cost(server: LoopbackServer) -> None:
    """A refused request's cost is unknown, not zero."""
    server.script("openai", [Fault.error("auth")])
    with pytest.raises(AllDeploymentsFailedError) as failed:
        model_of(deployment(server, "openai")).invoke("hello")
    assert failed.value.llmdispatch["cost_usd"] is None


def test_waits_for_our_own_limits_are_events(server: LoopbackServer) -> None:
    """A wait for a limit is an event with its length, and counts as throttled."""
    model, handler = model_of(deployment(server, "openai", rpm=60)), RecordingHandler()
    for _ in range(9):
        model.invoke("hello", {"callbacks": [handler]})
    waits = [data["wait_ms"] for name, data in handler.data if name == "throttle"]
    assert len(waits) >= 3
    assert sum(waits) / 1000 == pytest.approx(model.get_stats().throttled, abs=0.01)


def test_the_final_error_of_a_call_follows_its_attempts(server: LoopbackServer) -> None:
    """A failed call ends with its attempts reported, then LangChain's error."""
    server.script("openai", [Fault.error("auth")])
    handler = RecordingHandler()
    with pytest.raises(AllDeploymentsFailedError):
        model_of(deployment(server, "openai")).invoke("hello", {"callbacks": [handler]})
    assert handler.names() == ["start", "attempt", "error"]


def test_async_handlers_are_awaited_in_the_caller_s_loop(server: LoopbackServer) -> None:
    """Async handlers are awaited in the loop that runs the call, in order."""
    server.script("openai", [Fault.error("overloaded")])
    model, handler = model_of(deployment(server, "openai")), AsyncRecordingHandler()
    loops = []

    async def main() -> None:
        loops.append(id(asyncio.get_running_loop()))
        await model.ainvoke("hello", {"callbacks": [handler]})

    asyncio.run(main())
    assert handler.names == ["attempt", "on_retry", "retry", "attempt", "usage"]
    assert handler.loops == set(loops)


def test_events_nest_in_chains_and_show_in_astream_events(server: LoopbackServer) -> None:
    """In a chain the events belong to the model's run, and `astream_events` shows them."""
    model = model_of(deployment(server, "openai"))
    chain = ChatPromptTemplate.from_template("say {word}") | model

    async def main() -> list[Any]:
        return [event async for event in chain.astream_events({"word": "hello"}, version="v2")]

    events = asyncio.run(main())
    run_id = next(event["run_id"] for event in events if event["event"] == "on_chat_model_start")
    custom = [event for event in events if event["event"] == "on_custom_event"]
    assert [event["name"] for event in custom] == ["llmdispatch.attempt", "llmdispatch.usage"]
    assert {event["run_id"] for event in custom} == {run_id}


def test_without_a_handler_for_custom_events_none_are_made(server: LoopbackServer) -> None:
    """A handler without `on_custom_event` is never called for one."""
    model = model_of(deployment(server, "openai"))
    assert model.invoke("hello", {"callbacks": [BaseCallbackHandler()]}).text
