"""Health: breakers, cooldowns and speed, against an independent model and by example."""

from __future__ import annotations

import copy
import logging
import math
import pickle
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from langchain_llmdispatch import errors
from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.health.health import Health, result_of
from langchain_llmdispatch.health.latency import LatencyEstimate
from tests.calls import dispatch_of
from tests.fakes import FakeClock
from tests.fleet import fail, learn, target, targets

A, B = targets("a", "b")


class Jitter(random.Random):
    """A source of jitter whose next draw is known."""

    share = 0.5

    def uniform(self, a: float, b: float) -> float:
        """Return the point at `share` between the two."""
        return a + (b - a) * self.share


# -- an independent model --------------------------------------------------------------------------------


@dataclass
class Model:
    """What the documentation says, written down naively: all calls are kept, nothing is decayed in place."""

    calls: list[tuple[float, bool]] = field(default_factory=list)
    row: int = 0
    opens: int = 0
    era: int = 0
    tripped: bool = False
    open_until: float = 0.0
    cool_until: float = 0.0
    probe_until: float = 0.0
    closed_at: float = -1e9
    flights: dict[int, int] = field(default_factory=dict)

    def state(self, now: float) -> str:
        """Return the breaker's state."""
        if now < max(self.open_until, self.cool_until):
            return "open"
        return "half_open" if self.tripped else "closed"

    def permits(self, now: float, last_resort: bool) -> bool:
        """Say whether a request may go, and note a probe."""
        state = self.state(now)
        if state == "closed":
            return True
        if state == "half_open" and now >= self.probe_until:
            self.probe_until = now + 120
            return True
        return last_resort or not self.tripped

    def is_bad(self, now: float) -> bool:
        """Say whether the last calls open a breaker."""
        if self.row >= 5:
            return True
        last = self.calls[-5:]
        if len(last) < 5 or now - last[0][0] > 30:
            return False
        weights = [(math.exp(-(self.calls[-1][0] - at) / 30), ok) for at, ok in self.calls]
        failed = sum(weight for weight, ok in weights if not ok)
        return failed >= 1.2 and (sum(w for w, _ in weights) - failed) < 0.8 * sum(w for w, _ in weights)

    def settle(self, now: float) -> None:
        """Forget earlier openings if it has stayed closed for a minute."""
        if not self.tripped and now - self.closed_at >= 60:
            self.opens = 0

    def open(self, now: float, seconds: float) -> None:
        """Open the breaker."""
        self.tripped, self.opens, self.era, self.probe_until = True, self.opens + 1, self.era + 1, 0.0
        self.open_until = max(self.open_until, now + seconds)

    def learn(self, now: float, flight: int, result: AttemptResult, share: float) -> None:
        """Note what became of a request."""
        if self.flights.pop(flight) == self.era:
            self.judge(now, result, share)
        if result.blame in {"health", "limits"} and result.retry_after:
            self.cool_until = max(self.cool_until, now + min(result.retry_after, 300))

    def judge(self, now: float, result: AttemptResult, share: float) -> None:
        """Note what a request of this era says."""
        if result.blame is None:
            if self.tripped:
                self.tripped, self.open_until, self.closed_at, self.calls = False, 0.0, now, []
            self.row, self.probe_until = 0, 0.0
            self.calls.append((now, True))
        elif result.blame == "health":
            self.row += 1
            self.calls.append((now, False))
            if self.tripped or self.is_bad(now):
                self.settle(now)
                seconds = min(5 * 2**self.opens, 300) * (1 + share) / 2
                asked = result.retry_after
                self.open(now, seconds if asked is None else min(asked, 300))
        elif result.blame == "configuration":
            self.settle(now)
            self.open(now, min(300 * 2**self.opens, 3600) * (1 + share) / 2)
        else:
            self.probe_until = 0.0


REACHED: Counter[str] = Counter()
WAITS = st.one_of(st.none(), st.sampled_from([0.0, 2.0, 40.0, 1000.0]))


class Breakers(RuleBasedStateMachine):
    """Requests are sent, answered and lost in any order; model and breaker must agree after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.jitter = Jitter()
        self.health, self.model = Health(rng=self.jitter), Model()
        self.now, self.next_flight = 0.0, 0

    def send(self, *, last_resort: bool) -> None:
        """Send a request if both allow it."""
        before = self.model.state(self.now)
        expected = self.model.permits(self.now, last_resort)
        assert self.health.admits(A, self.now, last_resort=last_resort) == expected
        REACHED[f"{'sent' if expected else 'kept back'} {before}"] += 1
        if expected:
            self.next_flight += 1
            self.model.flights[self.next_flight] = self.model.era
            self.health.begin(A, self.now, self.next_flight)

    def end(self, which: int, result: AttemptResult) -> None:
        """End one of the requests under way."""
        flight = sorted(self.model.flights)[which % len(self.model.flights)]
        stale = self.model.flights[flight] != self.model.era
        before = self.model.state(self.now)
        self.model.learn(self.now, flight, result, self.jitter.share)
        self.health.learn(A, self.now, flight, result)
        after = self.model.state(self.now)
        REACHED["stale" if stale else f"{before} -> {after}"] += 1
        if (before, after, result.blame) == ("closed", "open", "health") and 0 < self.model.row < 5:
            REACHED["open by the share of failures"] += result.retry_after is None

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 10.0, 70.0, 400.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @precondition(lambda self: self.model.state(self.now) == "open")
    @rule(beyond=st.sampled_from([-0.1, 0.0, 0.1]))
    def wait_for_the_end(self, beyond: float) -> None:
        """Time passes, to about the moment at which the breaker lets a probe through."""
        until = max(self.model.open_until, self.model.cool_until)
        self.now = max(self.now, until + beyond)

    @precondition(lambda self: self.model.tripped)
    @rule(ends=st.sampled_from([None, "health", "none", "limits", "configuration"]), others=st.integers(0, 2))
    def probe(self, ends: Any, others: int) -> None:
        """When its time has come a probe goes, others are kept back meanwhile, and the probe ends."""
        self.now = max(self.now, self.model.open_until, self.model.cool_until)
        before = self.next_flight
        for _ in range(1 + others):
            self.send(last_resort=False)
        if self.next_flight > before:
            place = sorted(self.model.flights).index(self.next_flight)
            self.end(place, AttemptResult(ends, "" if ends is None else "Some"))

    @precondition(lambda self: self.model.state(self.now) == "open")
    @rule(ends=st.sampled_from([None, None, "health"]))
    def panic(self, ends: Any) -> None:
        """Nobody else is left: an open breaker is tried, and the request ends."""
        self.send(last_resort=True)
        place = sorted(self.model.flights).index(self.next_flight)
        self.end(place, AttemptResult(ends, "" if ends is None else "Some"))

    @rule(share=st.sampled_from([0.0, 0.25, 0.5, 1.0]))  # exact in binary, so times compare exactly
    def shake(self, share: float) -> None:
        """Jitter changes."""
        self.jitter.share = share

    @rule(last_resort=st.booleans())
    def ask(self, last_resort: bool) -> None:
        """Somebody wants to send."""
        self.send(last_resort=last_resort)

    @precondition(lambda self: self.model.flights)
    @rule(which=st.integers(0, 5))
    def succeed(self, which: int) -> None:
        """A request is answered."""
        self.end(which, AttemptResult(latency=1.0))

    @precondition(lambda self: self.model.flights)
    @rule(which=st.integers(0, 5), wait=WAITS)
    def fail(self, which: int, wait: float | None) -> None:
        """A request fails, and it is the vendor's fault."""
        self.end(which, AttemptResult("health", "ServerError", wait))

    @rule(times=st.integers(2, 6))
    def fail_in_a_row(self, times: int) -> None:
        """Several requests go and fail."""
        for _ in range(times):
            self.send(last_resort=False)
            if self.model.flights:
                self.end(len(self.model.flights) - 1, AttemptResult("health", "ServerError"))

    @precondition(lambda self: self.model.state(self.now) == "closed")
    @rule(marks=st.lists(st.sampled_from([True, True, True, False]), min_size=6, max_size=16))
    def mixed_traffic(self, marks: list[bool]) -> None:
        """Requests go one after the other, and about one in four fails."""
        for ok in marks:
            before = self.next_flight
            self.send(last_resort=False)
            if self.next_flight > before:
                self.end(
                    sorted(self.model.flights).index(self.next_flight),
                    AttemptResult(latency=1.0) if ok else AttemptResult("health", "ServerError"),
                )

    @precondition(lambda self: self.model.flights)
    @rule(which=st.integers(0, 5), wait=WAITS)
    def rate_limit(self, which: int, wait: float | None) -> None:
        """A request meets a rate limit."""
        self.end(which, AttemptResult("limits", "RateLimitError", wait))

    @precondition(lambda self: self.model.flights)
    @rule(which=st.integers(0, 5), blame=st.sampled_from(["none", "none", "configuration"]))
    def refuse(self, which: int, blame: Any) -> None:
        """A request was wrong or given up, or the key is."""
        self.end(which, AttemptResult(blame, "Some"))

    @invariant()
    def agree(self) -> None:
        """Model and breaker say the same."""
        view = self.health.snapshot(A, self.now)
        model, until = self.model, max(self.model.open_until, self.model.cool_until)
        assert view.state == model.state(self.now)
        assert view.open_until == (until if until > self.now else 0.0)
        assert view.in_flight == len(model.flights)
        assert view.consecutive_failures == model.row
        left, cooling = self.health.blocked(A, self.now)
        assert left == max(0.0, until - self.now)
        assert self.health.probing(A, self.now) == (model.tripped and model.probe_until > self.now)
        assert cooling == (left > 0 and not model.tripped)
        if self.health.all_available:
            assert view.state == "closed"


def test_breakers_follow_the_model_and_every_state_is_reached() -> None:
    """Model and breaker agree over thousands of steps that reach each state and transition often enough."""
    REACHED.clear()
    run_state_machine_as_test(
        Breakers, settings=settings(max_examples=150, stateful_step_count=40, deadline=None, derandomize=True)
    )
    transitions = ("closed -> closed", "closed -> open", "half_open -> closed", "half_open -> open")
    assert REACHED["open -> closed"] >= 5, REACHED  # by the last resort alone
    for name in (*transitions, "sent half_open", "kept back half_open", "kept back open"):
        assert REACHED[name] >= 10, REACHED
    assert REACHED["sent closed"] >= 300
    assert REACHED["stale"] >= 20
    assert REACHED["open by the share of failures"] >= 10


# -- by example ------------------------------------------------------------------------------------------


def test_five_failures_in_a_row_open_for_about_five_seconds() -> None:
    """The fifth failure opens; a success in between starts the count again."""
    health = Health(rng=random.Random(3))
    fail(health, A, times=4)
    learn(health, A)
    fail(health, B, times=4)
    assert health.snapshot(A, 0.0).state == health.snapshot(B, 0.0).state == "closed"
    fail(health, B, times=1)
    view = health.snapshot(B, 0.0)
    assert (view.state, view.reason) == ("open", "ServerError")
    assert 2.5 <= view.open_until <= 5.0


def test_one_failure_among_few_calls_does_not_open() -> None:
    """With thin traffic a single failure is no outage, whenever it comes."""
    for gap in (0.0, 1.0, 7.0):
        health = Health()
        for n in range(8):
            learn(health, A, at=n * gap)
        fail(health, A, at=8 * gap, times=1)
        assert health.snapshot(A, 8 * gap).state == "closed"


def test_a_third_of_calls_failing_opens() -> None:
    """Below four successes in five the breaker opens, although never five failures come in a row."""
    health = Health()
    for n in range(12):
        (fail if n % 3 == 2 else learn)(health, A, at=n, times=1)
    assert health.snapshot(A, 12.0).state == "open"


def test_open_times_double_to_five_minutes_and_start_over_after_a_quiet_minute() -> None:
    """5, 10, 20, ... 300 s, at least half of each."""
    health, now, seen = Health(rng=random.Random(5)), 0.0, []
    fail(health, A)
    for _ in range(9):
        left = health.snapshot(A, now).open_until - now
        seen.append(left)
        now += left
        assert health.admits(A, now)
        fail(health, A, at=now, times=1)
    for n, left in enumerate(seen):
        assert min(5 * 2**n, 300) / 2 <= left <= min(5 * 2**n, 300)
    now = health.snapshot(A, now).open_until
    learn(health, A, at=now)
    fail(health, A, at=now + 59, times=5)  # it flaps
    assert health.snapshot(A, now).open_until - now >= 150
    now = health.snapshot(A, now).open_until
    learn(health, A, at=now)
    now += 60
    fail(health, A, at=now, times=5)
    assert 0 < health.snapshot(A, now).open_until - now <= 5


def test_one_probe_at_a_time_and_its_success_closes() -> None:
    """Half open, one of many gets leave; when it is answered, all do."""
    health = Health()
    fail(health, A)
    assert not health.admits(A, 1.0)
    assert [health.admits(A, 6.0) for _ in range(4)] == [True, False, False, False]
    learn(health, A, at=6.0)
    assert all(health.admits(A, 6.0) for _ in range(4))
    assert health.all_available


def test_a_probe_that_proves_nothing_or_is_lost_lets_another_probe() -> None:
    """A cancelled probe gives its leave back; one that never ends loses it after two minutes."""
    health = Health()
    fail(health, A)
    assert health.admits(A, 6.0)
    learn(health, A, at=6.5, blame="none", reason="CancelledError")
    assert not health.probing(A, 6.5)
    assert health.admits(A, 6.5)
    assert health.probing(A, 6.5)
    assert not health.admits(A, 126.0)
    assert health.admits(A, 127.0)


def test_answers_to_requests_sent_before_the_outage_do_not_close() -> None:
    """What was under way when the breaker opened says nothing about now."""
    health, early = Health(), object()
    health.begin(A, 0.0, early)
    fail(health, A, at=1.0)
    health.learn(A, 2.0, early, AttemptResult(latency=2.0))
    assert health.snapshot(A, 2.0).state == "open"


@pytest.mark.parametrize("blame", ["none", "limits"])
def test_what_is_not_its_fault_never_opens(blame: Any) -> None:
    """Wrong requests and rate limits without a time never count."""
    health = Health()
    learn(health, A, times=100, blame=blame, reason="x")
    assert health.snapshot(A, 0.0).state == "closed"


def test_a_rate_limit_cools_down_as_long_as_the_vendor_asks_and_needs_no_probe() -> None:
    """429 with Retry-After keeps others away; a longer time is never shortened; 300 s is the most."""
    health = Health()
    for asked, until in ((30.0, 30.0), (5.0, 30.0), (9999.0, 300.0)):
        learn(health, A, blame="limits", reason="RateLimitError", retry_after=asked)
        view = health.snapshot(A, 0.0)
        assert (view.state, view.cooling, view.open_until) == ("open", True, until)
    assert [health.admits(A, 300.0) for _ in range(3)] == [True, True, True]


def test_retry_after_overrides_the_open_time() -> None:
    """A 503 that names a time opens for that time."""
    health = Health()
    fail(health, A, retry_after=120.0)
    assert health.snapshot(A, 0.0).open_until == 120.0


def test_a_wrong_configuration_is_out_at_once_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """401 takes the deployment out for minutes, with one warning that names it; `reset` brings it back."""
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
    """Health goes by name and account: another key is another matter."""
    other = target("a", api_key="another")
    health = Health()
    fail(health, A)
    assert health.snapshot(A, 0.0).state == "open"
    assert health.snapshot(other, 0.0).state == "closed"


def test_memory_is_bounded_and_requests_under_way_are_kept() -> None:
    """Beyond `most`, those idle longest are forgotten."""
    health = Health(most=16)
    health.begin(A, 0.0, "flight")
    for n in range(200):
        learn(health, target(f"t{n}"))
    assert len(health._deployments) <= 16
    assert health.snapshot(A, 0.0).in_flight == 1


def test_it_pickles_and_copies_as_a_new_one() -> None:
    """Health is of one process and moment: a copy knows nothing and locks nothing."""
    health = Health()
    fail(health, A)
    for other in (pickle.loads(pickle.dumps(health)), copy.deepcopy(health)):  # noqa: S301 - our own
        assert other.all_available
        assert other.snapshot(A, 0.0).calls == 0


def test_sixteen_threads_lose_nothing() -> None:
    """Every request under way is counted out again; exactly one probe gets leave."""
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


# -- what attempts say -------------------------------------------------------------------------------------


def ended(error: BaseException | None, *, sent: bool = True) -> tuple[Health, Any]:
    """Return health after one attempt that ended so, and the attempt."""
    health, clock = Health(), FakeClock()
    dispatch = dispatch_of([A], clock=clock, observers=[health])
    attempt = next(dispatch.attempts())
    try:
        with attempt:
            if sent:
                attempt.send()
            clock.sleep(2.0)
            if error is not None:
                raise error
            attempt.usage = {"input_tokens": 5, "output_tokens": 20, "total_tokens": 25}
            attempt.succeed()
    except BaseException as raised:  # noqa: BLE001 - what passes through
        assert raised is error
    return health, attempt


@pytest.mark.parametrize(
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
def test_each_error_blames_whom_it_should(error: BaseException, blame: str) -> None:
    """Vendors are blamed for what they did, and for nothing else."""
    health, attempt = ended(error)
    assert result_of(attempt).blame == blame
    assert health.snapshot(A, 2.0).in_flight == 0


def test_an_answer_teaches_and_what_was_never_sent_does_not() -> None:
    """Latency and tokens are learned; an attempt that stayed here leaves no trace."""
    view = ended(None)[0].snapshot(A, 2.0)
    assert (view.calls, view.samples, view.expected_output) == (1, 1, 20)
    assert view.latency(20) == pytest.approx(2.0)
    assert ended(errors.ServerError("x"), sent=False)[0].snapshot(A, 2.0).calls == 0


# -- speed ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 2000), min_size=2, max_size=40), st.floats(0.05, 5), st.floats(0.0005, 0.1))
def test_both_parts_of_speed_are_found_in_streams(lengths: list[int], first: float, each: float) -> None:
    """From streamed answers of any lengths: the time to the first token, and the time per token."""
    speed = LatencyEstimate()
    for n, tokens in enumerate(lengths):
        speed.learn(n * 1.0, first + tokens * each, first, tokens)
    found_first, found_each = speed.estimate
    assert found_first == pytest.approx(first)
    assert found_each is None if set(lengths) == {1} else found_each == pytest.approx(each, rel=0.01)


@given(st.lists(st.integers(1, 2000), min_size=2, max_size=40), st.floats(0.05, 5), st.floats(0.0005, 0.1))
def test_whole_answers_are_predicted_at_their_usual_length(
    lengths: list[int], first: float, each: float
) -> None:
    """From whole answers: what lies on a line is predicted by it, at the lengths that were seen."""
    speed = LatencyEstimate()
    for n, tokens in enumerate(lengths):
        speed.learn(n * 1.0, first + tokens * each, None, tokens)
    found_first, found_each = speed.estimate
    assert found_first is not None
    assert found_each is not None
    assert found_first >= 0
    assert found_each >= 0
    if max(lengths[-5:]) - min(lengths[-5:]) > 50:
        mean = lengths[-1]
        assert found_first + found_each * mean == pytest.approx(first + each * mean, rel=0.05)


def test_failures_are_never_fast_and_timeouts_are_slow() -> None:
    """A vendor that fails in a millisecond has no speed; one that timed out after 8 s takes at least that."""
    health = Health()
    fail(health, A, times=3, latency=0.001)
    assert health.snapshot(A, 0.0).latency(100) is None
    learn(health, B, latency=0.3, ttft=0.1, tokens=20)
    fail(health, B, times=1, latency=8.0, timed_out=True)
    assert health.snapshot(B, 0.0).latency(20) == 8.0


def test_a_request_overdue_is_news_before_its_answer_comes() -> None:
    """Half the age of the oldest request under way is a lower bound."""
    health = Health()
    learn(health, A, latency=0.3, ttft=0.1, tokens=20)
    health.begin(A, 0.0, "late")
    assert health.snapshot(A, 0.5).latency(20) == pytest.approx(0.3)
    assert health.snapshot(A, 6.0).latency(20) == pytest.approx(3.0)


def test_thin_traffic_averages_over_a_few_answers_and_heavy_traffic_over_half_a_minute() -> None:
    """One odd answer an hour moves the estimate by a third; one of many a second hardly at all."""
    thin, heavy = LatencyEstimate(), LatencyEstimate()
    for n in range(200):
        thin.learn(n * 3600.0, 1.0, 1.0, None)
        heavy.learn(n * 0.1, 1.0, 1.0, None)
    thin.learn(200 * 3600.0, 4.0, 4.0, None)
    heavy.learn(20.0, 4.0, 4.0, None)
    assert thin.estimate[0] == pytest.approx(2.0)
    assert heavy.estimate[0] == pytest.approx(1.0, abs=0.05)


# -- recovery ------------------------------------------------------------------------------------------------


def was_slow(*, passed_over: int) -> Health:
    """Return health in which A answered in 8 s, and then B got so many requests."""
    health = Health()
    learn(health, A, times=20, latency=8.0, ttft=8.0, tokens=1)
    learn(health, B, times=passed_over, latency=0.4, ttft=0.4, tokens=1)
    return health


def test_what_is_known_fades_only_while_others_are_asked() -> None:
    """Time alone, or requests alone, change nothing: an idle night is no news, nor is a busy second."""
    busy, idle = was_slow(passed_over=5000), was_slow(passed_over=50)
    assert busy.snapshot(A, 29.0).latency(1) == pytest.approx(8.0)
    assert idle.snapshot(A, 36_000.0).latency(1) == pytest.approx(8.0)
    seen = [busy.snapshot(A, at).latency(1) or 0.0 for at in (30.0, 60.0, 90.0, 120.0)]
    assert seen == pytest.approx([8.0, 8.0 * math.exp(-1), 8.0 * math.exp(-2), 8.0 * math.exp(-3)])
    few = was_slow(passed_over=300)
    assert few.snapshot(A, 3600.0).latency(1) == pytest.approx(8.0 * math.exp(-2))


def test_one_answer_brings_back_who_has_recovered() -> None:
    """The answer after a long time counts for all that had faded; no second request goes before it."""
    health = was_slow(passed_over=5000)
    assert (health.snapshot(A, 120.0).latency(1) or 9.0) < 0.5
    health.begin(A, 120.0, "probe")
    assert health.snapshot(A, 120.0).latency(1) == pytest.approx(8.0)
    health.learn(A, 120.3, "probe", AttemptResult(latency=0.3, ttft=0.3, tokens=1))
    assert health.snapshot(A, 120.3).latency(1) == pytest.approx(0.3, abs=0.1)


def test_one_answer_puts_back_who_is_still_slow() -> None:
    """It is believed as well, and the next look is as far away as the first was."""
    health = was_slow(passed_over=5000)
    health.begin(A, 120.0, "probe")
    health.learn(A, 128.0, "probe", AttemptResult(latency=8.0, ttft=8.0, tokens=1))
    assert health.snapshot(A, 128.0).latency(1) == pytest.approx(8.0, abs=1.0)
    assert health.snapshot(A, 150.0).fresh == 1.0


def test_a_failed_look_keeps_the_chance_for_the_next_answer() -> None:
    """A failure says nothing of speed: what had faded stays so until an answer comes."""
    health = was_slow(passed_over=5000)
    health.begin(A, 120.0, "probe")
    health.learn(A, 121.0, "probe", AttemptResult("health", "ServerError"))
    learn(health, A, at=122.0, latency=0.3, ttft=0.3, tokens=1)
    assert health.snapshot(A, 122.0).latency(1) == pytest.approx(0.3, abs=0.1)


# -- how soon a breaker opens ----------------------------------------------------------------------------------


def seconds_to_open(pattern: str, *, well_for: float, per_second: int = 20) -> float:
    """Return how long requests fail (`x`) and succeed (`.`) by a pattern until the breaker opens."""
    health, calls = Health(), 0
    while health.all_available:
        since = calls - round(well_for * per_second)
        bad = since >= 0 and pattern[since % len(pattern)] == "x"
        (fail if bad else learn)(health, A, at=calls / per_second, times=1)
        calls += 1
    return calls / per_second - well_for


@pytest.mark.parametrize(("pattern", "share"), [("x.x..", 0.4), ("x.", 0.5), ("x.x", 2 / 3), ("x...", 0.25)])
def test_a_breaker_opens_when_the_half_minute_says_so(pattern: str, share: float) -> None:
    """Success is an EWMA over 30 s: where f of the calls fail it is under 0.8 after 30 ln(f / (f - 0.2)) s.

    So after a good time 40 % of failures take 20.8 s to open it, unless five come in a row before; without a
    good time, two failures among the first five calls or a few more are enough.
    """
    expected = 30 * math.log(share / (share - 0.2))
    assert seconds_to_open(pattern, well_for=900.0) == pytest.approx(expected, abs=0.6)
    assert seconds_to_open(pattern, well_for=0.0) <= 0.5
    assert seconds_to_open("x", well_for=900.0) == pytest.approx(0.25)
