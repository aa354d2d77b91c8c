"""The whole engine against the loopback vendors: the same script takes the same decisions in every colour."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
    Deployment,
    DispatcherChatModel,
    StreamInterruptedError,
    errors,
)
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, MODELS, ONE_CALL, VENDORS, deployment, model_of


@pytest.fixture(params=list(COLOURS))
def call(request: pytest.FixtureRequest) -> Callable[[DispatcherChatModel, str], AIMessage]:
    """Return one way to call a model, in each colour."""
    return COLOURS[request.param]


@dataclass(frozen=True)
class Case:
    """A script of answers for deployments `a` and `b`, and what must be done about it.

    Attributes:
        a: What `a` answers, in order.
        b: What `b` answers, in order.
        tries: The deployments that are tried, in order.
        slept: What is slept, in seconds.
        error: The final error, or None.
    """

    a: Sequence[Any]
    b: Sequence[Any]
    tries: str
    slept: Sequence[float] = ()
    error: type[Exception] | None = None


CASES = {
    "plain": Case([], [], "a"),
    "retry, then success": Case([Fault.error("server_error")], [], "aa", [0.5]),
    "overloaded three times, then fallback": Case([Fault.error("overloaded")] * 3, [], "aaab", [0.5, 1.0]),
    "rate limit goes elsewhere": Case([Fault.error("rate_limit")], [], "ab"),
    "wrong key falls back": Case([Fault.error("auth")], [], "ab"),
    "no permission falls back": Case([Fault.error("permission")], [], "ab"),
    "unknown model falls back": Case([Fault.error("not_found")], [], "ab"),
    "quota falls back": Case([Fault.error("quota")], [], "ab"),
    "caller's fault is raised": Case(
        [Fault.error("invalid_request")], [], "a", (), errors.InvalidRequestError
    ),
    "reset connection is retried": Case([Fault.reset()], [], "aa", [0.5]),
    "empty answer is no answer": Case([Fault.empty_answer()], [], "aa", [0.5]),
    "both dead": Case(
        [Fault.error("auth")], [Fault.error("permission")], "ab", (), AllDeploymentsFailedError
    ),
}


@each("vendor", VENDORS)
@pytest.mark.parametrize("name", CASES)
def test_same_script_same_decisions(
    server: LoopbackServer, call: Callable[[DispatcherChatModel, str], AIMessage], vendor: str, name: str
) -> None:
    """Every colour tries the same deployments in the same order and sleeps the same times."""
    case = CASES[name]
    server.script(vendor, list(case.a), account="a")
    server.script(vendor, list(case.b), account="b")
    clock = FakeClock()
    with model_of(deployment(server, vendor, "a"), deployment(server, vendor, "b"), clock=clock) as model:
        if case.error is None:
            message = call(model, "hello")
            facts = message.response_metadata["llmdispatch"]
            assert message.text
            assert message.response_metadata["normalized_finish_reason"] == "stop"
            assert [r["deployment"] for r in facts["attempts"]] == list(case.tries)
            assert facts["deployment"] == case.tries[-1]
            assert facts["fallback"] is (len(set(case.tries)) > 1)
        else:
            with pytest.raises(case.error) as raised:
                call(model, "hello")
            assert [r.deployment for r in raised.value.attempts] == list(case.tries)
    assert [received.account for received in server.requests] == list(case.tries)
    assert clock.slept == pytest.approx(list(case.slept))


STREAMED = ("openai", "anthropic", "google", "azure", "cohere", "ollama")


@pytest.mark.parametrize("vendor", STREAMED)
@pytest.mark.parametrize("colour", ["stream", "astream"])
@pytest.mark.parametrize(
    "fault", [Fault.cut(after_events=4), Fault.no_end_marker(), Fault.malformed(after_events=4)]
)
def test_a_stream_that_breaks_after_content_raises_with_the_partial(
    server: LoopbackServer, vendor: str, colour: str, fault: Fault
) -> None:
    """Nothing is repeated and nothing false: the error carries what was delivered."""
    if vendor in {"openai", "azure"} and fault == Fault.no_end_marker():
        pytest.skip("in the OpenAI family a finish reason ends the answer")
    server.script(vendor, [fault, Answer("one two three four five six")], account="a")
    seen: list[str] = []

    def on(chunk: AIMessageChunk) -> None:
        seen.append(chunk.text)

    async def arun(model: DispatcherChatModel) -> None:
        async for chunk in model.astream("say one two three four five six seven eight nine ten"):
            on(chunk)

    with model_of(deployment(server, vendor, "a"), deployment(server, vendor, "b")) as model:
        with pytest.raises(StreamInterruptedError) as raised:
            if colour == "stream":
                for chunk in model.stream("say one two three four five six seven eight nine ten"):
                    on(chunk)
            else:
                asyncio.run(arun(model))
    assert raised.value.partial.text == "".join(seen) != ""
    assert len(server.requests) == 1


@each("vendor", STREAMED)
@each("colour", ["stream", "astream"])
@each("fault", [Fault.cut(after_events=0), Fault.in_band_error(after_events=0)])
def test_a_stream_that_breaks_before_content_is_retried_unseen(
    server: LoopbackServer, vendor: str, colour: str, fault: Fault
) -> None:
    """The caller sees one whole answer and no trace of the broken one."""
    server.script(vendor, [fault], account="a")
    with model_of(deployment(server, vendor, "a")) as model:
        message = COLOURS[colour](model, "hello")
    assert message.text.count("Hello!") == 1
    assert len(message.response_metadata["llmdispatch"]["attempts"]) == 2


def test_usage_is_in_exactly_one_chunk(server: LoopbackServer) -> None:
    """Summing chunks never counts twice, for every vendor."""
    for vendor in VENDORS:
        with model_of(deployment(server, vendor)) as model:
            chunks = list(model.stream("hello"))
        assert sum(1 for chunk in chunks if chunk.usage_metadata) == 1
        scalars = [set(chunk.response_metadata) - {"model_provider"} for chunk in chunks]
        assert sum(1 for names in scalars if names) == 1
        assert chunks[-1].chunk_position == "last"


def test_leaving_a_stream_closes_its_connection(server: LoopbackServer) -> None:
    """The consumer who stops reading does not leave a request running."""
    server.script("openai", [Fault.stall(after_events=3)], account="a")
    before = server.open_connections
    with model_of(deployment(server, "openai", "a")) as model:
        stream = model.stream("hello")
        next(stream)
        stream.close()
    ends = time.monotonic() + 60
    while server.open_connections > before and time.monotonic() < ends:
        time.sleep(0.01)
    assert server.open_connections <= before


@each("colour", ONE_CALL)
@each("policy", ["adapt", "raise"])
def test_what_an_api_has_no_word_for_is_said(server: LoopbackServer, colour: str, policy: str) -> None:
    """A seed, which Responses does not take, is reported as dropped, or refused before anything is sent."""
    fields = {"seed": 7, "unsupported_params": policy, "model_kwargs": {"use_responses_api": True}}
    with model_of(deployment(server, "openai"), **fields) as model:
        if policy == "raise":
            with pytest.raises(core.ModelInvalidRequestError, match="seed=7"):
                COLOURS[colour](model, "hello")
            assert server.requests == []
        else:
            facts = COLOURS[colour](model, "hello").response_metadata["llmdispatch"]
            assert [change["kind"] for change in facts["adapted"]] == ["seed_dropped"]
            assert "seed" not in server.requests[0].body


# -- a key that is refused -------------------------------------------------------------------------


def keyed(server: LoopbackServer, *names: str, **fields: Any) -> list[Deployment]:
    """Return deployments that share a key and an address."""
    url = server.base_url("openai", "shared")
    return [Deployment(f"openai:{n}", name=n, base_url=url, api_key="key", **fields) for n in names]


def asked_models(server: LoopbackServer) -> list[str]:
    """Return the models of the requests, in order."""
    return [received.body["model"] for received in server.requests]


@each("colour", COLOURS)
def test_a_refused_key_is_not_tried_on_one_deployment_after_the_other(
    server: LoopbackServer, colour: str
) -> None:
    """After a 401 its other deployments are out with it, until one is tried anew, and then alone."""
    server.script("openai", [Fault.error("auth")], "shared", repeat=True)
    clock, call = FakeClock(), COLOURS[colour]
    spare = deployment(server, "openai", "spare")
    with model_of(*keyed(server, "x", "y", "z"), spare, clock=clock) as model:
        for _ in range(3):
            assert call(model, "hello").response_metadata["llmdispatch"]["deployment"] == "spare"
        assert asked_models(server) == ["x", *[MODELS["openai"]] * 3]
        last = {each.deployment for each in model.explain("hello").candidates if "last resort" in each.why}
        assert last == {"x", "y", "z"}
        clock.advance(301)
        server.clear()
        assert call(model, "hello").text
    assert asked_models(server) == ["x"]


def test_who_has_the_key_of_a_refused_one_gets_to_show_its_luck(server: LoopbackServer) -> None:
    """A gateway may refuse a key for one model: others are tried in the end, and then they are known."""
    refused, served = Fault.error("auth"), Fault.none()
    server.script("openai", [refused, refused, served, served, refused], "shared")
    clock = FakeClock()
    with model_of(*keyed(server, "x", "y"), deployment(server, "openai", "spare"), clock=clock) as model:
        names = []
        for seconds in (0, 301, 30, 571):
            clock.advance(seconds)
            names.append(model.invoke("hello").response_metadata["llmdispatch"]["deployment"])
    assert names == ["spare", "y", "y", "y"]
    assert asked_models(server) == ["x", MODELS["openai"], "x", "y", "y", "x", "y"]


def test_the_only_key_there_is_is_tried_to_the_last(server: LoopbackServer) -> None:
    """Where no other is left, the other deployment of a refused key is tried all the same."""
    server.script("openai", [Fault.error("auth")], "shared")
    with model_of(*keyed(server, "x", "y")) as model:
        assert model.invoke("hello").response_metadata["llmdispatch"]["deployment"] == "y"
        assert model.explain("hello").candidates[0].deployment == "y"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"headers": {"x-team": "1"}}, {"headers": {"x-team": "2"}}),
        ({"api_key": "key"}, {"api_key": "another"}),
        ({"api_key": lambda: "key"}, {"api_key": lambda: "another"}),
    ],
)
def test_another_key_is_another_matter(
    server: LoopbackServer, one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Keys, or headers that may hold one, differ: the refusal of one is no sign for the other."""
    server.script("openai", [Fault.error("auth")], "shared")
    url, spare = server.base_url("openai", "shared"), deployment(server, "openai", "spare")
    first = Deployment("openai:x", name="x", base_url=url, **{"api_key": "key", **one})
    second = Deployment("openai:y", name="y", base_url=url, **{"api_key": "key", **other})
    with model_of(first, second, spare) as model:
        assert model.invoke("hello").response_metadata["llmdispatch"]["deployment"] == "y"


# -- calls that are refused before anything is sent ---------------------------------------------------


@each("colour", COLOURS)
@each(
    ("fields", "error"),
    [
        ({"budget_usd": 1e-9, "max_tokens": 100}, errors.BudgetExceededError),
        ({"budget": Budget(0.0), "max_tokens": 100}, errors.BudgetExceededError),
        ({"strategy": {"cost": 1.0, "max_cost_usd": 1e-9}}, errors.NoDeploymentError),
    ],
)
def test_a_call_that_is_refused_beforehand_is_a_failed_one(
    server: LoopbackServer, colour: str, fields: dict[str, Any], error: type[Exception]
) -> None:
    """It is counted as a call that failed, without any request."""
    with model_of(deployment(server, "openai"), **fields) as model:
        with pytest.raises(error):
            COLOURS[colour](model, "hello")
        stats = model.get_stats()
    assert (stats.calls.calls, stats.calls.failed, stats.total_requests) == (1, 1, 0)
    assert server.requests == []
