"""Each kind of fault does to a call what a network or a vendor would, in both colours and in no time."""

from __future__ import annotations

import pytest

from langchain_llmdispatch import (
    RetryPolicy,
    StreamInterruptedError,
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
from tests.testing.models import COLOURS, STREAMS, answer, deployment, model_of


@each("colour", COLOURS)
@each("name", ["connect_error", "reset", "timeout"])
def test_broken_connections_are_answered_by_policy(server: LoopbackServer, colour: str, name: str) -> None:
    """What fails before an answer is retried or goes elsewhere, unseen by the caller."""
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models, timeout=5) as model, Faults() as faults:
        getattr(faults, name)("openai:*", times=1)
        message = answer(model, colour)
    assert route_of(message)[0].startswith("openai:")
    assert len(route_of(message)) == 2
    kinds = {"timeout": "AttemptTimeoutError"}
    error = message.response_metadata["llmdispatch"]["attempts"][0]["error"]
    assert error == kinds.get(name, "ConnectionFailedError")


@each("colour", STREAMS)
@each("vendor", ["openai", "anthropic", "google", "cohere", "ollama"])
@each("name", ["cut", "malformed", "stall", "reset"])
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
        answer(model, colour)
    assert raised.value.partial.text
    assert (7 in [round(seconds) for seconds in clock.slept]) is (name == "stall")


@each("colour", STREAMS)
@each("vendor", ["openai", "anthropic", "google", "cohere", "ollama"])
def test_no_end_marker_is_never_a_whole_answer(server: LoopbackServer, colour: str, vendor: str) -> None:
    """A stream without its end marker is an error, not a stop."""
    with (
        model_of(deployment(server, vendor)) as model,
        Faults() as faults,
        pytest.raises(StreamInterruptedError),
    ):
        faults.no_end_marker()
        answer(model, colour)


@pytest.mark.parametrize("colour", STREAMS)
def test_a_slow_first_token_goes_elsewhere_in_no_time(server: LoopbackServer, colour: str) -> None:
    """The first-token timeout is judged by the model's clock."""
    clock = FakeClock()
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models, clock=clock, first_token_timeout=3) as model, Faults() as faults:
        faults.slow_first_token("openai:*", seconds=10)
        message = answer(model, colour)
    assert_route(message, ["openai:*", "anthropic:*"])
    assert clock.slept == [pytest.approx(3)]


@each("colour", COLOURS)
@each("name", ["slow_first_token", "duplicate_event"])
def test_what_does_no_harm_leaves_the_answer_whole(server: LoopbackServer, colour: str, name: str) -> None:
    """A short pause changes nothing, nor does a repeated head."""
    with model_of(deployment(server, "openai")) as model, Faults() as faults:
        getattr(faults, name)(**({"seconds": 1} if name == "slow_first_token" else {}))
        message = answer(model, colour)
    assert message.response_metadata["normalized_finish_reason"] == "stop"
    assert_attempts(message, exactly=1)


@each("colour", COLOURS)
def test_another_content_type_is_no_answer(server: LoopbackServer, colour: str) -> None:
    """A proxy's page under 200 makes the next deployment answer."""
    models = deployment(server, "openai"), deployment(server, "anthropic")
    retries = RetryPolicy(max_retries=0)
    with model_of(*models, retry_policy=retries) as model, Faults() as faults:
        faults.wrong_content_type("openai:*")
        message = answer(model, colour)
    assert_route(message, ["openai:*", "anthropic:*"])
