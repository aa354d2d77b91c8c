"""Rules for faults: which requests they meet, in which order, how often."""

from __future__ import annotations

import time

import pytest

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
)
from langchain_llmdispatch.testing import (
    FakeClock,
    Faults,
    assert_attempts,
    assert_route,
    route_of,
)
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import VENDORS
from tests.testing.models import COLOURS, answer, deployment, model_of


@each("colour", COLOURS)
@each("vendor", VENDORS)
def test_a_rate_limit_goes_to_the_next_deployment(server: LoopbackServer, vendor: str, colour: str) -> None:
    """A refusal is read by each vendor's codec as its own, and the other one answers."""
    other = "anthropic" if vendor != "anthropic" else "openai"
    with model_of(deployment(server, vendor), deployment(server, other)) as model, Faults() as faults:
        rule = faults.fail(f"{vendor}:*", status=429, retry_after=2, times=1)
        message = answer(model, colour)
    assert_route(message, [f"{vendor}:*", f"{other}:*"])
    assert rule.happened == 1
    assert message.response_metadata["llmdispatch"]["attempts"][0]["error"] == "RateLimitError"


@each("colour", COLOURS)
def test_retry_after_is_waited_for_on_a_fake_clock(server: LoopbackServer, colour: str) -> None:
    """The fault's Retry-After is waited for, in no time."""
    clock, began = FakeClock(), time.monotonic()
    with model_of(deployment(server, "openai"), clock=clock) as model, Faults() as faults:
        faults.fail(status=429, retry_after=30, times=1)
        message = answer(model, colour)
    assert clock.slept == [30.0]
    assert time.monotonic() - began < 30
    assert_attempts(message, exactly=2)


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


def test_a_glob_that_matches_no_request_fails_the_test(server: LoopbackServer) -> None:
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
