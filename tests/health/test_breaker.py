"""Breakers and cooldowns, against an independent model and by example."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.health.health import Health
from tests.targets import fail, learn, targets

A, B = targets("a", "b")


class Jitter(random.Random):
    """A source of jitter whose next draw is known."""

    share = 0.5

    def uniform(self, a: float, b: float) -> float:
        """Return the point at `share` between the two."""
        return a + (b - a) * self.share


@dataclass
class Model:
    """What the documentation describes, written down naively: all calls are kept, nothing is decayed in place."""

    calls: list[tuple[float, bool]] = field(default_factory=list)
    row: int = 0
    opens: int = 0
    era: int = 0
    bad_since: float = 0.0
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
        """Return whether a request is admitted, and record a probe."""
        state = self.state(now)
        if state == "closed":
            return True
        if state == "half_open" and now >= self.probe_until:
            self.probe_until = now + 120
            return True
        return last_resort or not self.tripped

    def is_bad(self, now: float) -> bool:
        """Return whether the last calls open a breaker."""
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
        if self.opens == 0:
            self.bad_since = now
        self.tripped, self.opens, self.era, self.probe_until = True, self.opens + 1, self.era + 1, 0.0
        self.open_until = max(self.open_until, now + seconds)

    def learn(self, now: float, flight: int, result: AttemptResult, share: float) -> None:
        """Learn how a request ended."""
        if self.flights.pop(flight) == self.era:
            self.judge(now, result, share)
        if result.blame in {"health", "limits"} and result.retry_after:
            self.cool_until = max(self.cool_until, now + min(result.retry_after, 300))

    def judge(self, now: float, result: AttemptResult, share: float) -> None:
        """Learn from a request of this generation."""
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
                bad_for = now - self.bad_since if self.opens else 0.0
                longest = min(max(10, bad_for / 30), 300)
                seconds = min(5 * 2**self.opens, longest) * (1 + share) / 2
                named = result.retry_after
                self.open(now, seconds if named is None else min(named, 300))
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
        """End one of the requests in flight."""
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
        """When its time has come a probe is sent, others are kept back meanwhile, and the probe ends."""
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
        """No other deployment is left: an open breaker is tried, and the request ends."""
        self.send(last_resort=True)
        place = sorted(self.model.flights).index(self.next_flight)
        self.end(place, AttemptResult(ends, "" if ends is None else "Some"))

    @rule(share=st.sampled_from([0.0, 0.25, 0.5, 1.0]))  # exact in binary, so times compare exactly
    def shake(self, share: float) -> None:
        """Jitter changes."""
        self.jitter.share = share

    @rule(last_resort=st.booleans())
    def attempt(self, last_resort: bool) -> None:
        """A request is sent if both allow it."""
        self.send(last_resort=last_resort)

    @precondition(lambda self: self.model.flights)
    @rule(which=st.integers(0, 5))
    def succeed(self, which: int) -> None:
        """A request is answered."""
        self.end(which, AttemptResult(latency=1.0))

    @precondition(lambda self: self.model.flights)
    @rule(which=st.integers(0, 5), wait=WAITS)
    def fail(self, which: int, wait: float | None) -> None:
        """A request fails at the vendor."""
        self.end(which, AttemptResult("health", "ServerError", wait))

    @rule(times=st.integers(2, 6))
    def fail_in_a_row(self, times: int) -> None:
        """Several requests are sent and fail."""
        for _ in range(times):
            self.send(last_resort=False)
            if self.model.flights:
                self.end(len(self.model.flights) - 1, AttemptResult("health", "ServerError"))

    @precondition(lambda self: self.model.state(self.now) == "closed")
    @rule(marks=st.lists(st.sampled_from([True, True, True, False]), min_size=6, max_size=16))
    def mixed_traffic(self, marks: list[bool]) -> None:
        """Requests are sent one after the other, and about one in four fails."""
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
        """A request is wrong or cancelled, or the key is wrong."""
        self.end(which, AttemptResult(blame, "Some"))

    @invariant()
    def agree(self) -> None:
        """Model and breaker agree."""
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


def test_open_times_grow_with_the_outage_and_start_over_after_a_quiet_minute() -> None:
    """5 s, then 10 s; once it has been down for five minutes, a thirtieth of that; 300 s at most; half is jitter."""
    health, now, probes = Health(rng=random.Random(5)), 0.0, []
    fail(health, A)
    while now < 4 * 3600:
        left = health.snapshot(A, now).open_until - now
        longest = min(max(10.0, now / 30), 300.0) if probes else 5.0
        assert longest / 2 <= left <= longest * 1.000001
        now += left
        probes.append(now)
        assert health.admits(A, now)
        fail(health, A, at=now, times=1)
    per_minute = [sum(a <= at < a + 600 for at in probes) / 10 for a in (0, 600, 3600, 3 * 3600)]
    assert 6 <= per_minute[0] <= 12
    assert per_minute[1:] == sorted(per_minute[1:], reverse=True)
    assert per_minute[1] <= 4
    assert per_minute[3] <= 0.4
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
    """Half open, one of many requests is admitted; when it is answered, all are."""
    health = Health()
    fail(health, A)
    assert not health.admits(A, 1.0)
    assert [health.admits(A, 6.0) for _ in range(4)] == [True, False, False, False]
    learn(health, A, at=6.0)
    assert all(health.admits(A, 6.0) for _ in range(4))
    assert health.all_available


def test_a_probe_without_a_result_lets_another_one_probe() -> None:
    """A cancelled probe ends the probing; one that never ends does so after two minutes."""
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
    """Requests in flight when the breaker opened do not show its present state."""
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


def test_a_rate_limit_cools_down_for_its_retry_after_and_needs_no_probe() -> None:
    """A 429 with Retry-After keeps requests back; a longer time is never shortened; 300 s is the most."""
    health = Health()
    for named, until in ((30.0, 30.0), (5.0, 30.0), (9999.0, 300.0)):
        learn(health, A, blame="limits", reason="RateLimitError", retry_after=named)
        view = health.snapshot(A, 0.0)
        assert (view.state, view.cooling, view.open_until) == ("open", True, until)
    assert [health.admits(A, 300.0) for _ in range(3)] == [True, True, True]


def test_retry_after_overrides_the_open_time() -> None:
    """A 503 that names a time opens for that time."""
    health = Health()
    fail(health, A, retry_after=120.0)
    assert health.snapshot(A, 0.0).open_until == 120.0


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
