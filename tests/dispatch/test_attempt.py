"""`Attempt`: what it records, and how it ends."""

from __future__ import annotations

import httpx
import pytest
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.hedging import LostRaceError
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import OK, Walk, dispatch_of, steady
from tests.cases import each
from tests.targets import targets


def first(clock: FakeClock | None = None, **times: float) -> Attempt:
    """Return the first attempt of a call."""
    policy = CallPolicy(times=TimeLimits(**times))
    return next(dispatch_of(targets("a"), policy, clock=clock or FakeClock()).attempts())


def test_records_hold_when_each_attempt_began() -> None:
    """From the call's start, before its own wait: one begins where the one before it ended."""
    walk = Walk({"a": [errors.ServerError("x"), errors.ServerError("x"), OK]}, steady()).run(targets("a"))
    assert walk.dispatch is not None
    times = [(r.started_ms, r.wait_ms, r.latency_ms) for r in walk.dispatch.call.records]
    assert times == [(0, 0, 1000), (1000, 500, 1000), (2500, 1000, 1000)]


def test_a_record_of_an_answer() -> None:
    """Waiting, the time to the first content and the whole latency are apart; content counts once."""
    clock = FakeClock()
    with first(clock) as attempt:
        clock.advance(0.25)
        attempt.send()
        attempt.answered(200, "req-1")
        for _ in range(2):
            clock.advance(1.0)
            attempt.content()
        attempt.succeed()
    record = attempt.record
    assert record is not None
    assert (record.wait_ms, record.ttft_ms, record.latency_ms) == (250, 1000, 2000)
    assert (record.status, record.request_id, record.error) == (200, "req-1", None)
    assert (attempt.waited, attempt.ttft, attempt.latency) == (0.25, 1.0, 2.0)
    assert attempt.accepted
    assert attempt.call.outcome == "answered"


def test_an_error_gets_what_is_known_of_its_attempt() -> None:
    """Vendor, deployment, status and request id, unless the error has its own."""
    with first() as attempt:
        attempt.send()
        attempt.answered(503, "req-1")
        raise errors.ServerError("down", request_id="req-2")
    error = attempt.error
    assert error is not None
    assert (error.vendor, error.deployment) == ("openai", "a")
    assert (error.status_code, error.request_id) == (503, "req-2")
    assert attempt.call.errors == (error,)


def test_no_error_holds_a_request_of_the_transport() -> None:
    """Httpx's errors hold the request, and with it the key: they are cut out of the chain."""
    with first() as attempt:
        attempt.send()
        try:
            raise httpx.ConnectError("x", request=httpx.Request("POST", "https://x.test"))
        except httpx.ConnectError as cause:
            raise errors.ConnectionFailedError("x") from cause
    assert attempt.error is not None
    assert attempt.error.__cause__ is None
    assert attempt.error.__context__ is None


def test_a_timeout_at_the_deadline_is_the_calls() -> None:
    """An attempt that times out when the call's time is up too ends the call with its deadline."""
    clock = FakeClock()
    with first(clock, deadline=5.0) as attempt:
        attempt.send()
        clock.advance(5.0)
        raise errors.AttemptTimeoutError("timed out waiting for the answer")
    assert isinstance(attempt.error, errors.DeadlineExceededError)
    assert isinstance(attempt.error.__cause__, errors.AttemptTimeoutError)


def test_nothing_is_sent_after_the_deadline() -> None:
    """`send` raises, and the attempt is in no record: no request has left."""
    clock = FakeClock()
    with first(clock, deadline=5.0) as attempt:
        clock.advance(5.0)
        attempt.send()
    assert isinstance(attempt.error, errors.DeadlineExceededError)
    assert not attempt.sent
    assert attempt.call.records == ()


def test_a_check_keeps_a_request_back() -> None:
    """Checks run in order, right before the request; one that raises ends the attempt unsent."""
    ran: list[str] = []

    def refuse(attempt: Attempt) -> None:
        ran.append("refuse")
        raise errors.BudgetExceededError("too much", deployment=attempt.target.name)

    checks = [lambda _: ran.append("first"), refuse, lambda _: ran.append("last")]
    dispatch = dispatch_of(targets("a"), clock=FakeClock(), send_checks=checks)
    with next(dispatch.attempts()) as attempt:
        attempt.send()
    assert ran == ["first", "refuse"]
    assert (attempt.sent, dispatch.call.sent) == (False, 0)


def test_content_that_was_handed_over_is_on_the_error() -> None:
    """A committed attempt that breaks is an interrupted stream with everything that was delivered."""
    with first() as attempt:
        attempt.send()
        attempt.committed = True
        attempt.chunks += [AIMessageChunk("one "), AIMessageChunk("two")]
        raise errors.ConnectionFailedError("reset")
    assert isinstance(attempt.error, errors.StreamInterruptedError)
    assert attempt.error.partial.text == "one two"
    assert [chunk.text for chunk in attempt.call.delivered] == ["one ", "two"]


@each("error", [KeyboardInterrupt(), GeneratorExit(), ZeroDivisionError()])
def test_what_is_not_an_error_of_a_call_passes_through(error: BaseException) -> None:
    """Interrupts and bugs are recorded by name, count against no deployment, and are raised."""
    attempt = first()
    with pytest.raises(type(error)), attempt:
        attempt.send()
        raise error
    assert attempt.error is None
    assert attempt.record is not None
    assert attempt.record.error == type(error).__name__
    crashed = isinstance(error, Exception)
    assert attempt.call.outcome == ("crashed" if crashed else "abandoned")
    assert attempt.crash is (error if crashed else None)


def test_an_attempt_ends_once() -> None:
    """After it has lost, its answer and its errors change nothing."""
    attempt = first()
    with pytest.raises(LostRaceError), attempt:
        attempt.send()
        attempt.lose()
        attempt.fail(errors.ServerError("x"))
        attempt.succeed()
    assert attempt.lost
    assert not attempt.accepted
    assert attempt.record is not None
    assert attempt.record.error == "LostRaceError"
    assert len(attempt.call.records) == 1
    assert attempt.call.errors == ()
