"""Faults at the transport do to a call what a network or a vendor would, in both colours and in no time."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
    Deployment,
    DispatcherChatModel,
    RetryPolicy,
    StreamInterruptedError,
    errors,
)
from langchain_llmdispatch.testing import (
    CallLeftError,
    Cassette,
    FakeClock,
    Faults,
    NoNetwork,
    UnhurriedClock,
    assert_attempts,
    assert_cost,
    assert_route,
    attempts_of,
    route_of,
    use_clock,
)
from langchain_llmdispatch.testing.faults.vendor_errors import error_body
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS, total

COLOURS = ("invoke", "ainvoke", "stream", "astream")
STREAMS = ("stream", "astream")


def deployment(server: LoopbackServer, vendor: str, **fields: Any) -> Deployment:
    """Return a deployment on the loopback server under its own name, `vendor:model`."""
    return Deployment(f"{vendor}:{MODELS[vendor]}", base_url=server.base_url(vendor), api_key="key", **fields)


def model_of(*deployments: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a model in virtual time, without jitter."""
    fields = {"clock": FakeClock(), "retry_policy": RetryPolicy(jitter=False), **fields}
    return DispatcherChatModel(models=deployments, env={}, rng=random.Random(1), **fields)


def ask(model: DispatcherChatModel, colour: str, text: str = "say one two three four five six") -> Any:
    """Return the whole answer, asked in one colour."""

    async def collect() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream(text)]

    if colour == "invoke":
        return model.invoke(text)
    if colour == "ainvoke":
        return asyncio.run(model.ainvoke(text))
    return total(list(model.stream(text)) if colour == "stream" else asyncio.run(collect()))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_rate_limit_goes_to_the_next_deployment(server: LoopbackServer, vendor: str, colour: str) -> None:
    """A refusal is read by each vendor's codec as its own, and the other one answers."""
    other = "anthropic" if vendor != "anthropic" else "openai"
    with model_of(deployment(server, vendor), deployment(server, other)) as model, Faults() as faults:
        rule = faults.fail(f"{vendor}:*", status=429, retry_after=2, times=1)
        message = ask(model, colour)
    assert_route(message, [f"{vendor}:*", f"{other}:*"])
    assert rule.happened == 1
    assert message.response_metadata["llmdispatch"]["attempts"][0]["error"] == "RateLimitError"


STATUSES = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.ServerError,
}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("status", STATUSES)
def test_statuses_mean_what_they_mean_to_each_vendor(
    server: LoopbackServer, vendor: str, status: int
) -> None:
    """The injected body is one that the vendor's codec understands."""
    with (
        model_of(deployment(server, vendor), max_attempts=1) as model,
        Faults() as faults,
        pytest.raises(AllDeploymentsFailedError) as raised,
    ):
        faults.fail(status=status)
        model.invoke("hello")
    assert isinstance(raised.value.errors[0], STATUSES[status])
    assert "injected" in str(raised.value.errors[0])
    assert server.requests == []


@pytest.mark.parametrize("colour", COLOURS)
def test_retry_after_is_waited_for_on_a_fake_clock(server: LoopbackServer, colour: str) -> None:
    """The wait that the fault asks for is taken, in no time."""
    clock, began = FakeClock(), time.monotonic()
    with model_of(deployment(server, "openai"), clock=clock) as model, Faults() as faults:
        faults.fail(status=429, retry_after=30, times=1)
        message = ask(model, colour)
    assert clock.slept == [30.0]
    assert time.monotonic() - began < 5
    assert_attempts(message, exactly=2)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", ["connect_error", "reset", "timeout"])
def test_broken_connections_are_answered_by_policy(server: LoopbackServer, colour: str, name: str) -> None:
    """What fails before an answer is retried or goes elsewhere, unseen by the caller."""
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models, timeout=5) as model, Faults() as faults:
        getattr(faults, name)("openai:*", times=1)
        message = ask(model, colour)
    assert route_of(message)[0].startswith("openai:")
    assert len(route_of(message)) == 2
    kinds = {"timeout": "AttemptTimeoutError"}
    error = message.response_metadata["llmdispatch"]["attempts"][0]["error"]
    assert error == kinds.get(name, "ConnectionFailedError")


@pytest.mark.parametrize("colour", STREAMS)
@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "cohere", "ollama"])
@pytest.mark.parametrize("name", ["cut", "malformed", "stall", "reset"])
def test_a_broken_stream_raises_with_its_partial(
    server: LoopbackServer, colour: str, vendor: str, name: str
) -> None:
    """After content nothing is repeated: the error carries what was delivered."""
    clock = FakeClock()
    with (
        model_of(deployment(server, vendor), clock=clock, stream_idle_timeout=7) as model,
        Faults() as faults,
        pytest.raises(StreamInterruptedError) as raised,
    ):
        getattr(faults, name)(after_events=4)
        ask(model, colour)
    assert raised.value.partial.text
    assert (7 in [round(seconds) for seconds in clock.slept]) is (name == "stall")


@pytest.mark.parametrize("colour", STREAMS)
@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "cohere", "ollama"])
def test_no_end_marker_is_never_a_whole_answer(server: LoopbackServer, colour: str, vendor: str) -> None:
    """A stream without its end marker is an error, not a stop."""
    with (
        model_of(deployment(server, vendor)) as model,
        Faults() as faults,
        pytest.raises(StreamInterruptedError),
    ):
        faults.no_end_marker()
        ask(model, colour)


@pytest.mark.parametrize("colour", STREAMS)
def test_a_slow_first_token_goes_elsewhere_in_no_time(server: LoopbackServer, colour: str) -> None:
    """The first-token timeout is judged by the model's clock."""
    clock = FakeClock()
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models, clock=clock, first_token_timeout=3) as model, Faults() as faults:
        faults.slow_first_token("openai:*", seconds=10)
        message = ask(model, colour)
    assert_route(message, ["openai:*", "anthropic:*"])
    assert clock.slept == [pytest.approx(3)]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", ["slow_first_token", "duplicate_event"])
def test_what_does_no_harm_leaves_the_answer_whole(server: LoopbackServer, colour: str, name: str) -> None:
    """A short pause changes nothing, nor does a repeated head."""
    with model_of(deployment(server, "openai")) as model, Faults() as faults:
        getattr(faults, name)(**({"seconds": 1} if name == "slow_first_token" else {}))
        message = ask(model, colour)
    assert message.response_metadata["finish_reason"] == "stop"
    assert_attempts(message, exactly=1)


@pytest.mark.parametrize("colour", COLOURS)
def test_another_content_type_is_no_answer(server: LoopbackServer, colour: str) -> None:
    """A proxy's page under 200 makes the next deployment answer."""
    models = deployment(server, "openai"), deployment(server, "anthropic")
    retries = RetryPolicy(max_retries=0)
    with model_of(*models, retry_policy=retries) as model, Faults() as faults:
        faults.wrong_content_type("openai:*")
        message = ask(model, colour)
    assert_route(message, ["openai:*", "anthropic:*"])


BROKEN = ("malformed", "cut", "stall", "reset", "wrong_content_type", "slow_first_token")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_spoilt_recording_answers_the_retry_too(
    server: LoopbackServer, tmp_path: Path, colour: str, name: str
) -> None:
    """What breaks an answer breaks a recorded one likewise, and leaves the recording for the next attempt."""
    path, first = tmp_path / "spoilt.yaml", deployment(server, "openai")
    with model_of(first) as model, Cassette(path, mode="rewrite"):
        ask(model, colour)
    options = {"slow_first_token": {"seconds": 90}, "reset": {"after_events": 0}}.get(name, {})
    with (
        model_of(first, timeout=30) as model,
        NoNetwork(),
        Cassette(path, strict=True),
        Faults() as faults,
    ):
        getattr(faults, name)("openai:*", times=1, **options)
        message = ask(model, colour)
    assert message.text.count("one two three four five six") == 1
    assert [record["error"] is None for record in attempts_of(message)] == [False, True]


def test_probability_follows_the_seed(server: LoopbackServer) -> None:
    """The same seed fails the same requests."""

    def failures(seed: int) -> list[int]:
        with model_of(deployment(server, "openai")) as model, Faults(seed=seed) as faults:
            faults.fail(status=503, probability=0.5)
            calls = []
            for _ in range(12):
                try:
                    calls.append(len(route_of(model.invoke("hello"))))
                except AllDeploymentsFailedError as error:
                    calls.append(-len(route_of(error)))
            return calls

    assert failures(1) == failures(1) != failures(2)


def test_rules_follow_one_another(server: LoopbackServer) -> None:
    """A used-up rule makes way for the next; `skip` lets requests pass first."""
    with model_of(deployment(server, "openai")) as model, Faults() as faults:
        faults.connect_error(times=1)
        faults.fail(status=503, times=1)
        faults.fail(status=500, times=1, skip=1)
        first, second = model.invoke("hello"), model.invoke("hello")
    assert [a["status"] for a in first.response_metadata["llmdispatch"]["attempts"]] == [None, 503, 200]
    assert [a["status"] for a in second.response_metadata["llmdispatch"]["attempts"]] == [500, 200]


def test_a_glob_that_means_nobody_fails_the_test(server: LoopbackServer) -> None:
    """A misspelt deployment does not pass silently."""
    with (
        model_of(deployment(server, "openai")) as model,
        pytest.raises(AssertionError, match="opnai.*tried were: openai:gpt"),
        Faults() as faults,
    ):
        faults.fail("opnai:*", status=500)
        model.invoke("hello")


def test_faults_of_one_model_leave_others_alone(server: LoopbackServer) -> None:
    """`Faults(model)` concerns that model only, and ends with its context."""
    ours, theirs = model_of(deployment(server, "openai")), model_of(deployment(server, "openai"))
    with Faults(ours) as faults:
        faults.fail(status=500, times=1)
        assert_attempts(theirs.invoke("hello"), exactly=1)
        assert_attempts(ours.invoke("hello"), exactly=2)
    assert_attempts(ours.invoke("hello"), exactly=1)


def test_body_and_code_can_be_given(server: LoopbackServer) -> None:
    """A vendor's own code decides: a quota is not a rate limit."""
    with (
        model_of(deployment(server, "openai")) as model,
        Faults() as faults,
        pytest.raises(AllDeploymentsFailedError) as raised,
    ):
        faults.fail(status=429, code="insufficient_quota")
        model.invoke("hello")
    assert isinstance(raised.value.errors[0], errors.QuotaExceededError)
    assert_attempts(raised.value, exactly=1)
    assert error_body("ollama", 500, message="no") == {"error": "no"}


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", [FakeClock(), UnhurriedClock()], ids=["fake", "unhurried"])
def test_a_clock_stands_in_for_models_made_elsewhere(server: LoopbackServer, clock: FakeClock) -> None:
    """An application's own model, made before the test, waits for nothing either; afterwards it does."""
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    began = time.monotonic()
    with use_clock(clock), Faults() as faults:
        faults.fail(status=429, retry_after=20, times=1)
        message = model.invoke("hello")
        assert model.clock.monotonic() >= 19.5
    assert time.monotonic() - began < 5
    assert clock.slept == pytest.approx([20.0], abs=0.5)
    assert message.response_metadata["llmdispatch"]["attempts"][1]["wait_ms"] >= 19_500
    assert abs(model.clock.monotonic() - time.monotonic()) < 1
    model.close()


def test_stand_ins_nest_and_a_models_own_clock_wins(server: LoopbackServer) -> None:
    """The innermost stand-in holds; a clock that was handed over is kept."""
    own, outer, inner = FakeClock(1), FakeClock(100), FakeClock(200)
    plain = DispatcherChatModel(models=[deployment(server, "openai")], env={}).clock
    with use_clock(outer):
        with use_clock(inner):
            assert plain.monotonic() == 200
        assert plain.monotonic() == 100
        assert own.monotonic() == 1


# -- assertions ------------------------------------------------------------------------------------


def test_nothing_may_leave(server: LoopbackServer) -> None:
    """A call that would leave fails at once, is no fallback trigger, and is remembered if swallowed."""
    with model_of(deployment(server, "openai"), deployment(server, "anthropic")) as model:
        with pytest.raises(CallLeftError, match="openai:gpt"), NoNetwork() as guard:
            model.invoke("hello")
        assert len(guard.tried) == 1
        with pytest.raises(CallLeftError, match=r"1 request\(s\) to the network"), NoNetwork():
            with suppress(CallLeftError):
                asyncio.run(model.ainvoke("hello"))
        with NoNetwork(), Faults() as faults:
            faults.fail("openai:*", status=400)
            with pytest.raises(errors.InvalidRequestError):
                model.invoke("hello")
    assert server.requests == []


def test_assertions_show_what_happened(server: LoopbackServer) -> None:
    """A failed assertion names every attempt; unknown prices are not zero."""
    priced = deployment(server, "openai", input_price=1.0, output_price=1.0)
    with model_of(priced) as model, Faults() as faults:
        faults.fail(status=503, times=1)
        message = model.invoke("hello")
    with pytest.raises(
        AssertionError, match=r"(?s)expected: \['anthropic:\*'\].*503  (Server|Overloaded)Error.*answered"
    ):
        assert_route(message, ["anthropic:*"])
    with pytest.raises(AssertionError, match="2 attempts, expected at most 1"):
        assert_attempts(message, at_most=1)
    assert_cost(message, at_most="0.01")
    with pytest.raises(AssertionError, match="more than 0.0000001 USD"):
        assert_cost({"messages": [message]}, at_most="0.0000001")
    message.response_metadata["llmdispatch"]["cost_usd"] = None
    with pytest.raises(AssertionError, match="unknown"):
        assert_cost(message, at_most=1)
    with pytest.raises(AssertionError, match="no dispatch metadata"):
        route_of(AIMessageChunk("hello"))
