"""`Exchange`: the request of one attempt, and the check of its answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.cascade import Cascade
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.cases import each
from tests.drivers.script import call, exchange_of
from tests.targets import targets


def answer(text: str, **fields: Any) -> AIMessage:
    """Return a whole answer as a codec does."""
    metadata = {"finish_reason": "stop", "model_name": "gpt-5.4-mini"}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    return AIMessage(text, response_metadata=metadata, usage_metadata=usage, **fields)


@each(
    ("times", "stream", "seconds", "what"),
    [
        ({"timeout": 30.0}, False, 30.0, "the answer"),
        ({"timeout": 30.0, "first_token": 5.0}, True, 5.0, "the first token"),
        ({"timeout": 30.0, "first_token": 5.0}, False, 30.0, "the answer"),
        ({"timeout": 3.0, "first_token": 5.0}, True, 3.0, "the answer"),
        ({"timeout": None, "deadline": 20.0}, False, 20.0, "the answer"),
    ],
)
def test_the_read_deadline_begins_with_the_request(
    times: dict[str, float | None], stream: bool, seconds: float, what: str
) -> None:
    """It is the nearest of the attempt's timeout, the first token's, and the call's deadline."""
    exchange = exchange_of(call(policy=CallPolicy(times=TimeLimits(**times)), stream=stream))
    exchange.begin()
    assert exchange.read_deadline.left() == pytest.approx(seconds)
    assert exchange.read_deadline.what == what
    assert exchange.seconds_left() == pytest.approx(seconds)


def test_without_any_bound_the_seconds_left_are_none() -> None:
    """Vendors that run in process are given None then."""
    exchange = exchange_of(call(policy=CallPolicy(times=TimeLimits(timeout=None, deadline=None))))
    exchange.begin()
    assert exchange.seconds_left() is None


def test_a_request_names_its_attempt_to_middleware() -> None:
    """And it is recorded as sent."""
    exchange = exchange_of(call())
    request = exchange.request()
    assert request.extensions["llmdispatch"] is exchange.attempt
    assert exchange.attempt.sent


def test_an_accepted_answer_has_the_facts_of_the_call() -> None:
    """Usage, cost and the model that answered are recorded; the attempt has succeeded."""
    exchange = exchange_of(call())
    exchange.begin()
    (generation,) = exchange.accept(answer("fine"))
    facts = generation.message.response_metadata["llmdispatch"]
    assert (facts["deployment"], facts["cost_usd"] is not None) == ("a", True)
    assert exchange.attempt.usage is not None
    assert generation.generation_info == {
        "lc_gateway_metadata": {"provider": "openai", "model": "gpt-5.4-mini"}
    }
    assert exchange.attempt.call.outcome == "answered"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (answer(""), errors.EmptyAnswerError),
        (
            answer("", invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": None}]),
            errors.TruncatedToolCallError,
        ),
    ],
)
def test_a_bad_answer_is_billed_too(message: AIMessage, error: type[Exception]) -> None:
    """It raises, after its usage was recorded."""
    exchange = exchange_of(call())
    exchange.begin()
    with pytest.raises(error):
        exchange.accept(message)
    assert exchange.attempt.usage == message.usage_metadata
    assert exchange.attempt.record is None


def test_a_declined_answer_is_kept_and_not_handed_over() -> None:
    """The facts are those of the moment when it is handed over after all."""
    dispatch = call("a", CallPolicy(cascade=Cascade.of(lambda message: "know" in message.text)))
    attempts = dispatch.attempts()
    with next(attempts) as attempt:
        exchange = Exchange(attempt)
        exchange.begin()
        assert exchange.accept(answer("who knows")) == []
    assert next(attempts, None) is None
    (generation,) = dispatch.call.declined[-1].outputs()
    assert generation.message.response_metadata["llmdispatch"]["accepted"] is False


@each(
    ("status", "error"),
    [(503, errors.OverloadedError), (401, errors.AuthenticationError), (302, errors.VendorError)],
)
def test_another_status_is_an_error(status: int, error: type[errors.DispatchError]) -> None:
    """By the vendor's codec; redirects are not followed."""
    exchange = exchange_of(call())
    response = httpx.Response(status, headers={"location": "https://elsewhere.test"})
    with pytest.raises(error) as raised:
        exchange.decode(response, b"{}")
    assert raised.value.status_code == status


def test_a_server_on_this_machine_is_located_before_sending() -> None:
    """Its address is known once it runs."""
    exchange = exchange_of(call())
    assert not exchange.needs_server
    exchange.locate("local://model")
    assert exchange.needs_server
    exchange.locate("http://127.0.0.1:5/v1")
    assert str(exchange.request().url) == "http://127.0.0.1:5/v1/chat/completions"


def test_a_lost_race_ends_the_wait() -> None:
    """The attempt is recorded as lost, and the read deadline, which begins with sending, is over."""
    clock = FakeClock()
    exchange = exchange_of(call(clock=clock))
    exchange.abandon()
    exchange.begin()
    exchange.lose()
    assert exchange.attempt.lost
    assert exchange.read_deadline.left() < 0


@pytest.mark.parametrize("zone", [UTC, None])
def test_a_refusal_without_a_date_is_dated_by_our_clock(zone: tzinfo | None) -> None:
    """A date to wait for counts from there; an answer, or a refusal with a date, is left as it is."""
    clock = FakeClock(date=datetime(2026, 11, 24, 8, tzinfo=zone))
    exchange = exchange_of(call(clock=clock))
    until = format_datetime((clock.now() + timedelta(seconds=7)).astimezone(UTC), usegmt=True)
    response = httpx.Response(503, headers={"retry-after": until}, json={})
    exchange.answered(response)
    with pytest.raises(errors.OverloadedError) as raised:
        exchange.refuse(response, b"{}")
    assert raised.value.retry_after == 7.0
    response = httpx.Response(200, headers={"retry-after": until})
    exchange.answered(response)
    assert "date" not in response.headers
    dated = httpx.Response(503, headers={"date": until})
    exchange.answered(dated)
    assert dated.headers["date"] == until


def test_the_token_of_a_key_function_is_redacted() -> None:
    """A vendor that repeats it notifies no handler."""
    exchange = exchange_of(call(fleet=targets("a", api_key=lambda: "canary-0123456789")))
    exchange.authorize(SecretStr("canary-0123456789"))
    request = exchange.request()
    assert request.headers["authorization"] == "Bearer canary-0123456789"
    with pytest.raises(errors.AuthenticationError) as raised:
        exchange.refuse(httpx.Response(401), b'{"error": {"message": "no canary-0123456789"}}')
    assert raised.value.message == "no [redacted]"
    assert "canary" not in repr(exchange.call)
