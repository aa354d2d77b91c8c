"""Health: what attempts show, memory, copies and threads."""

from __future__ import annotations

import copy
import logging
import pickle
import random
import threading
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.health.health import Health, result_of
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.cases import each
from tests.targets import fail, learn, target, targets

A, B = targets("a", "b")


def test_a_wrong_configuration_opens_at_once_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """A 401 opens the breaker for minutes, with one warning that names it; `reset` closes it."""
    health = Health()
    with caplog.at_level(logging.WARNING):
        for moment in (0.0, 400.0, 1500.0):
            learn(health, A, at=moment, blame="configuration", reason="AuthenticationError")
    assert [r.message for r in caplog.records] == [
        "deployment 'a' is out (AuthenticationError): check its settings"
    ]
    assert health.snapshot(A, 1500.0).open_until >= 1500.0 + 600.0
    health.reset("a")
    assert health.snapshot(A, 1500.0).state == "closed"
    assert health.all_available


def test_deployments_of_one_name_on_two_accounts_are_two() -> None:
    """Health is kept by name and account: another key is another deployment."""
    other = target("a", api_key="another")
    health = Health()
    fail(health, A)
    assert health.snapshot(A, 0.0).state == "open"
    assert health.snapshot(other, 0.0).state == "closed"


def test_memory_is_bounded_and_requests_in_flight_are_kept() -> None:
    """Beyond `most`, the deployments that were idle longest are forgotten."""
    health = Health(most=16)
    health.begin(A, 0.0, "flight")
    for n in range(200):
        learn(health, target(f"t{n}"))
    assert len(health._deployments) <= 16
    assert health.snapshot(A, 0.0).in_flight == 1


def test_it_pickles_and_copies_as_a_new_one() -> None:
    """Health is of one process and moment: a copy is empty and locks nothing."""
    health = Health()
    fail(health, A)
    for other in (pickle.loads(pickle.dumps(health)), copy.deepcopy(health)):
        assert other.all_available
        assert other.snapshot(A, 0.0).calls == 0


def test_sixteen_threads_lose_nothing() -> None:
    """Every request in flight ends; exactly one probe is admitted."""
    health, barrier, granted = Health(), threading.Barrier(16), []
    fail(health, B)

    def work(number: int) -> None:
        barrier.wait()
        if health.admits(B, 10.0):
            granted.append(number)
        for n in range(200):
            flight = (number, n)
            health.begin(A, 0.0, flight)
            health.learn(A, 0.0, flight, AttemptResult(latency=0.1))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    view = health.snapshot(A, 0.0)
    assert (view.in_flight, view.calls, view.samples) == (0, 3200, 3200)
    assert len(granted) == 1


def ended(error: BaseException | None, *, sent: bool = True) -> tuple[Health, Any]:
    """Return the health after one attempt that ended so, and the attempt."""
    health, clock = Health(), FakeClock()
    dispatch = dispatch_of([A], clock=clock, observers=[health])
    attempt = next(dispatch.attempts())
    with suppress(*([] if error is None else [type(error)])), attempt:
        if sent:
            attempt.send()
        clock.sleep(2.0)
        if error is not None:
            raise error
        attempt.usage = {"input_tokens": 5, "output_tokens": 20, "total_tokens": 25}
        attempt.succeed()
    return health, attempt


@each(
    ("error", "blame"),
    [
        (errors.ServerError("x"), "health"),
        (errors.TruncatedStreamError("x"), "health"),
        (errors.AttemptTimeoutError("x"), "health"),
        (errors.AttemptTimeoutError("x", code="pool"), "none"),
        (errors.RateLimitError("x"), "limits"),
        (errors.AuthenticationError("x"), "configuration"),
        (errors.ModelNotFoundError("x"), "configuration"),
        (errors.QuotaExceededError("x"), "configuration"),
        (errors.InvalidRequestError("x"), "none"),
        (errors.LimitTimeoutError("x"), "none"),
        (KeyboardInterrupt(), "none"),
        (ZeroDivisionError(), "none"),
    ],
)
def test_each_error_is_attributed(error: BaseException, blame: str) -> None:
    """Only failures of the vendor count against its deployment."""
    health, attempt = ended(error)
    assert result_of(attempt).blame == blame
    assert health.snapshot(A, 2.0).in_flight == 0


def test_answers_are_learned_from_and_unsent_attempts_are_not() -> None:
    """Latency and tokens are learned; an attempt that was not sent leaves no trace."""
    view = ended(None)[0].snapshot(A, 2.0)
    assert (view.calls, view.samples, view.expected_output) == (1, 1, 20)
    assert view.latency(20) == pytest.approx(2.0)
    assert ended(errors.ServerError("x"), sent=False)[0].snapshot(A, 2.0).calls == 0


def test_a_request_is_checked_right_before_it_is_sent() -> None:
    """An open breaker keeps it back while another deployment is left, and admits it as the last resort."""
    health, clock = Health(), FakeClock()
    fail(health, A)
    for candidates, admitted in ((targets("a", "b"), False), ((A,), True)):
        attempt = next(dispatch_of(candidates, clock=clock, send_checks=[health.check]).attempts())
        with attempt:
            if admitted:
                attempt.send()
            else:
                with pytest.raises(errors.BreakerOpenError):
                    attempt.send()
            attempt.fail(errors.ServerError("x"))
        assert attempt.sent is admitted
    assert health.breaker_wait(A, 0.0) > 0
    learn(health, B, blame="limits", reason="RateLimitError", retry_after=5.0)
    assert health.breaker_wait(B, 0.0) == 0.0


RESULTS = st.sampled_from(
    [
        AttemptResult(latency=1.0, tokens=10),
        AttemptResult(latency=2.0, ttft=0.5, tokens=40),
        AttemptResult("health", "ServerError"),
        AttemptResult("health", "AttemptTimeoutError", latency=9.0, timed_out=True),
        AttemptResult("limits", "RateLimitError", retry_after=2.0),
    ]
)


@example(
    [*[(0.1, AttemptResult(latency=1.0, tokens=10))] * 70, (0.1, AttemptResult("health", "ServerError"))]
)
@given(
    st.lists(
        st.tuples(st.floats(0, 5), RESULTS | st.just(AttemptResult(latency=1.5, tokens=20))), max_size=90
    )
)
def test_answers_are_averaged_when_read_and_reading_changes_nothing(
    steps: list[tuple[float, AttemptResult]],
) -> None:
    """Health that is read after each request and health that is read at the end agree."""
    often, once, now = Health(rng=random.Random(1)), Health(rng=random.Random(1)), 0.0
    for number, (pause, result) in enumerate(steps):
        now += pause
        for health in (often, once):
            health.begin(A, now, number)
            health.learn(A, now, number, result)
        often.snapshot(A, now)
        often.expected_outputs([A.key])
    assert once.snapshot(A, now) == often.snapshot(A, now)
    assert once.expected_outputs([A.key]) == often.expected_outputs([A.key])


def test_a_turn_is_counted_once() -> None:
    """A deployment that a decision puts first takes its turn there, and not again when its request leaves."""
    health = Health()
    for where in (A, B):
        health.take_turn(where)
    for where in (B, A):  # the requests leave in another order
        learn(health, where)
    assert health.snapshot(A, 0.0).turn < health.snapshot(B, 0.0).turn
    learn(health, A)  # a fallback, which no decision chose
    assert health.snapshot(A, 0.0).turn > health.snapshot(B, 0.0).turn


def test_what_an_attempt_shows_is_whole() -> None:
    """The error's name, Retry-After and whether it was a timeout; an answer's latency, first token and tokens."""
    assert result_of(ended(None)[1]) == AttemptResult(latency=2.0, tokens=20)
    for error, timed_out in [
        (errors.RateLimitError("x", retry_after=3.0), False),
        (errors.AttemptTimeoutError("x"), True),
        (errors.AttemptTimeoutError("x", code="pool"), False),
    ]:
        found = result_of(ended(error)[1])
        assert (found.reason, found.retry_after) == (type(error).__name__, error.retry_after)
        assert (found.latency, found.timed_out) == (2.0, timed_out)
    left = result_of(ended(KeyboardInterrupt())[1])
    assert (left.reason, left.retry_after) == ("KeyboardInterrupt", None)


def refused(health: Health, clock: FakeClock, *candidates: Any) -> None:
    """Have the first candidate's key refused."""
    attempt = next(dispatch_of(candidates, clock=clock, observers=[health]).attempts())
    with attempt:
        attempt.send()
        raise errors.AuthenticationError("x")


def test_a_refused_key_is_suspected_wherever_it_is_used() -> None:
    """For as long as where it was refused; a deployment with another key, or that answered, is not."""
    one, same, other = target("one"), target("same"), target("other", api_key="another")
    health, clock = Health(rng=random.Random(1)), FakeClock(start=100.0)
    refused(health, clock, one, same, other)
    views = [health.snapshot(each, 100.0) for each in (one, same, other)]
    assert [view.state for view in views] == ["open", "open", "closed"]
    assert views[0].open_until == views[1].open_until > 100.0
    assert health.blocked(same, 100.0)[0] == health.blocked(one, 100.0)[0] > 0


def test_only_the_first_refusal_suspects_others() -> None:
    """Where they have shown that they accept the key, the same deployment's next refusal is its own."""
    one, same = target("one"), target("same")
    health, clock = Health(rng=random.Random(1)), FakeClock(start=100.0)
    refused(health, clock, one)
    clock.advance(1000.0)
    refused(health, clock, one, same)
    assert health.snapshot(one, clock.monotonic()).state == "open"
    assert health.snapshot(same, clock.monotonic()).state == "closed"


@given(
    events=st.lists(st.tuples(st.sampled_from([A, B]), st.floats(0.1, 90), st.booleans()), max_size=12),
    waited=st.floats(0, 600),
)
def test_what_strategies_compare_is_what_a_snapshot_shows(events: list, waited: float) -> None:
    """Latencies, loads and turns, without a snapshot of each deployment."""
    health, now, keys = Health(), 0.0, [A.key, B.key]
    for where, seconds, ends in events:
        health.begin(where, now, flight := object())
        now += seconds
        if ends:
            health.learn(where, now, flight, AttemptResult(latency=seconds, tokens=9))
    now += waited
    views = [health.snapshot(where, now) for where in (A, B)]
    assert health.latencies(keys, [100.0, 5.0], now) == [
        view.latency(tokens) for view, tokens in zip(views, (100.0, 5.0), strict=True)
    ]
    assert health.loads(keys) == [view.in_flight for view in views]
    assert health.turns(keys) == [view.turn for view in views]
