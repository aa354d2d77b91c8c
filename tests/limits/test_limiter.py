"""Limits in virtual time: what goes when, who pays, and what comes back."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, VendorConfig, errors
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.dispatch import Attempt, Dispatch, Policy
from langchain_llmdispatch.limits.bucket import Window
from langchain_llmdispatch.limits.limiter import _NOTHING, Limiter, _nothing_left
from langchain_llmdispatch.limits.permit import Permit
from langchain_llmdispatch.limits.queue import Draw, Reservation
from langchain_llmdispatch.types import ChatRequest, TimeLimits
from tests.fakes import FakeClock
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

ENVIRONMENT = {"OPENAI_API_KEY": "sk-test"}


def target(name: str = "a", *, vendor: VendorConfig | None = None, **limits: Any) -> Target:
    """Return a target on OpenAI with limits."""
    configs = {"openai": vendor} if vendor is not None else {}
    resolver = Resolver(VendorTable(), configs, ENVIRONMENT)
    return resolver.target(Deployment(f"openai:{name}", name=name, **limits))


@dataclass
class Listener:
    """Keeps what is said of waiting."""

    waits: list[float] = field(default_factory=list)

    def started(self, attempt: Attempt) -> None:
        """Do nothing."""

    def ended(self, attempt: Attempt) -> None:
        """Do nothing."""

    def throttled(self, attempt: Attempt, seconds: float) -> None:
        """Keep the seconds."""
        self.waits.append(seconds)


class FrozenClock(FakeClock):
    """A virtual clock that sleeping does not move until it is thawed."""

    frozen = True

    def sleep(self, seconds: float) -> None:
        """Look away for a moment, so that others can go on."""
        if self.frozen:
            time.sleep(0.001)
        else:
            super().sleep(seconds)


class Bench:
    """A limiter in virtual time, and attempts that go through it."""

    def __init__(self, clock: FakeClock | None = None, **fields: Any) -> None:
        self.clock = clock or FakeClock()
        self.limiter = Limiter(clock=self.clock, **fields)
        self.listener = Listener()

    def attempt(self, to: Target, deadline: float | None = None) -> Attempt:
        """Return a first attempt at a target."""
        policy = Policy(times=TimeLimits(deadline=deadline))
        dispatch = Dispatch([to], policy, clock=self.clock, rng=random.Random(1), observer=self.listener)
        return next(iter(dispatch.attempts()))

    def take(self, to: Target, tokens: float = 0.0, deadline: float | None = None) -> Permit:
        """Return a permit for an attempt that is then sent."""
        attempt = self.attempt(to, deadline)
        permit = self.limiter.acquire(attempt, tokens)
        attempt.send()
        return permit

    def go(self, to: Target, tokens: float = 0.0) -> float:
        """Send an attempt that uses what it reserved, and return when it went."""
        with self.take(to, tokens) as permit:
            return self.moment(permit)

    def moment(self, permit: Permit) -> float:
        """Return when a permit passed, which its own thread may learn of late."""
        return self.clock.monotonic() if permit._entry is _NOTHING else permit._began + permit.waited

    def settled(self) -> None:
        """Wait until the limiter's loop has done what it was told."""
        done, loop = threading.Event(), self.limiter._loop

        async def some_turns() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            done.set()

        tasks: list[asyncio.Future[None]] = []
        loop.post(lambda: tasks.append(asyncio.ensure_future(some_turns())))
        assert done.wait(5)

    async def agoes(self, to: Target, tokens: Sequence[float]) -> list[tuple[int, float]]:
        """Send many at once, and return who went when, in the order of going."""
        went: list[tuple[int, float]] = []

        async def one(number: int, amount: float) -> None:
            attempt = self.attempt(to)
            with await self.limiter.aacquire(attempt, amount) as permit:
                attempt.send()
                went.append((number, self.moment(permit)))

        await asyncio.gather(*(one(number, amount) for number, amount in enumerate(tokens)))
        return went


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return a bench whose thread ends with the test."""
    made = Bench()
    yield made
    made.limiter.close()


def usage(total: int) -> UsageMetadata:
    """Return a vendor's word on tokens."""
    return {"input_tokens": total, "output_tokens": 0, "total_tokens": total}


# -- pace --------------------------------------------------------------------------------------------


def test_no_limits_cost_no_thread(bench: Bench) -> None:
    """Without limits an attempt goes at once, and no thread is started."""
    with bench.take(target()) as permit:
        assert permit.passed is None
    assert not bench.limiter._loop.started


def test_a_tenth_goes_at_once_and_the_rest_at_the_limits_pace(bench: Bench) -> None:
    """600 a minute: 60 at once, then ten a second."""
    limited = target(rpm=600)
    times = [bench.go(limited) for _ in range(100)]
    assert times[59] == 0.0
    assert times[60] == pytest.approx(0.1, abs=1e-3)
    assert times[99] == pytest.approx(4.0, abs=1e-2)


def test_burst_is_settable() -> None:
    """A burst of a half admits half of the minute's budget at once."""
    bench = Bench(burst=0.5)
    limited = target(rpm=60)
    times = [bench.go(limited) for _ in range(32)]
    assert times[29] == 0.0
    assert times[31] == pytest.approx(2.0, abs=1e-3)
    bench.limiter.close()


def test_what_need_not_wait_starts_no_thread(bench: Bench) -> None:
    """A budget with room is drawn from in the caller's own thread; only who must wait needs the loop."""
    limited = target(rpm=60, tpm=6000, max_concurrency=2)
    for _ in range(6):
        bench.go(limited, 10)
    assert not bench.limiter._loop.started
    bench.go(limited, 10)
    assert bench.limiter._loop.started


@pytest.mark.parametrize("burst", [0.0, -1.0, 1.5])
def test_a_burst_that_makes_no_sense_is_refused(burst: float) -> None:
    """A share is above 0 and at most 1."""
    with pytest.raises(errors.ConfigurationError, match="burst"):
        Limiter(burst=burst)


def _worst_minute(went: Sequence[tuple[float, float]]) -> float:
    minute = 60 - 1e-6  # half open, and clocks round
    return max(sum(n for when, n in went if start <= when < start + minute) for start, _ in went)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.floats(1, 900), min_size=1, max_size=60),
    pauses=st.lists(st.floats(0, 30), min_size=60, max_size=60),
)
def test_no_minute_admits_more_than_a_tenth_above_the_limit(sizes: list[float], pauses: list[float]) -> None:
    """Whatever is asked, small or nearly the whole limit at once: no minute sees more than 1.1 limits."""
    bench = Bench()
    limited = target(tpm=1000)
    went = []
    for size, pause in zip(sizes, pauses, strict=False):
        bench.clock.advance(pause if pause > 20 else 0.0)
        went.append((bench.go(limited, size), size))
    bench.limiter.close()
    assert _worst_minute(went) <= 1100 + 1e-3


def test_the_whole_limit_is_used() -> None:
    """Requests of a quarter of the limit each, far above the burst, go at the limit's pace."""
    bench = Bench()
    limited = target(tpm=40_000)
    times = [bench.go(limited, 10_000) for _ in range(21)]
    assert times[-1] == pytest.approx(20 * 15.0, rel=0.05)
    bench.limiter.close()


def test_a_request_above_the_whole_limit_waits_for_a_full_bucket(bench: Bench) -> None:
    """It is not refused: it goes when nothing is in use, and is paid for afterwards."""
    limited = target(tpm=600)
    bench.go(limited, 60)
    assert bench.go(limited, 1200) == pytest.approx(60.0, abs=1.0)  # and the minute before it is over
    assert bench.go(limited, 1) >= 60.0 + 114.0


def test_first_come_first_served(bench: Bench) -> None:
    """Small requests do not overtake a large one."""
    limited = target(tpm=6000)
    went = asyncio.run(bench.agoes(limited, [600, 500, 1, 1, 400, 1]))
    assert [number for number, _ in went] == [0, 1, 2, 3, 4, 5]


def test_nobody_overtakes_who_waits_already() -> None:
    """A small request for which there is room waits behind a large one for which there is none."""
    clock = FrozenClock()
    bench, limited = Bench(clock), target(tpm=6000)
    bench.go(limited, 400)
    went: dict[str, float] = {}
    threads = []
    for place, (name, tokens) in enumerate([("large", 300), ("small", 100)], 1):

        def work(name: str = name, tokens: float = tokens) -> None:
            went[name] = bench.go(limited, tokens)

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        _until(lambda place=place: _gate(bench)._line_requests == place)
    assert went == {}
    clock.frozen = False
    for thread in threads:
        thread.join(5)
    assert went == {"large": pytest.approx(1.0, abs=0.01), "small": pytest.approx(2.0, abs=0.01)}
    bench.limiter.close()


def test_requests_and_tokens_both_count(bench: Bench) -> None:
    """The scarcer of the two sets the pace."""
    limited = target(rpm=600, tpm=6000)
    times = [bench.go(limited, 300) for _ in range(12)]
    assert times[-1] == pytest.approx(30.0, abs=0.1)


def test_an_account_is_one_budget_for_all_its_deployments(bench: Bench) -> None:
    """Two deployments with the same key draw from the vendor's budget."""
    vendor = VendorConfig(rpm=60)
    both = [target("a", vendor=vendor), target("b", vendor=vendor)]
    times = [bench.go(both[n % 2]) for n in range(16)]
    assert times[-1] == pytest.approx(10.0, abs=0.01)


def test_models_share_limits_only_when_handed_the_same_object() -> None:
    """Two benches pace apart."""
    one, two = Bench(), Bench()
    limited = target(rpm=60)
    assert [one.go(limited) for _ in range(7)][-1] == pytest.approx(1.0, abs=0.01)
    assert [two.go(limited) for _ in range(6)][-1] == 0.0
    one.limiter.close()
    two.limiter.close()


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 50)), min_size=1, max_size=80))
def test_a_windows_memory_is_bounded_and_never_forgets_too_early(steps: list[tuple[float, float]]) -> None:
    """A window knows at least what went in the last minute, in few entries."""
    window, now, went = Window(100.0), 0.0, []
    for pause, amount in steps:
        now += pause
        wait = window.ready_in(amount, now)
        now += wait
        window.add(amount, now)
        went.append((now, amount))
    assert _worst_minute(went) <= 100.0 + 1e-3
    assert len(window._entries) <= 130


def test_the_real_clock_keeps_the_pace_too() -> None:
    """On the real clock, where time passes between any two lines: a burst of 30, then a thousand a second."""
    limiter, limited, began = Limiter(burst=0.0005), target(rpm=60_000), time.monotonic()
    for _ in range(60):
        dispatch = Dispatch([limited], Policy(), clock=limiter.clock, rng=random.Random(1))
        attempt = next(iter(dispatch.attempts()))
        with limiter.acquire(attempt):
            attempt.send()
    assert 0.029 <= time.monotonic() - began < 1.0
    limiter.close()


# -- settlement --------------------------------------------------------------------------------------


def test_what_was_not_used_is_spared(bench: Bench) -> None:
    """A reservation of 600 of which 100 were used leaves 500 of the burst."""
    limited = target(tpm=6000)
    with bench.take(limited, 600) as permit:
        permit.settle(usage(100))
    bench.settled()
    assert bench.go(limited, 500) == pytest.approx(0.0, abs=1e-6)
    assert bench.go(limited, 100) == pytest.approx(1.0, abs=0.01)


def test_what_was_used_on_top_is_owed(bench: Bench) -> None:
    """A reservation of 100 that used 1100 holds up the next one for ten seconds more."""
    limited = target(tpm=6000)
    with bench.take(limited, 100) as permit:
        permit.settle(usage(1100))
    bench.settled()
    assert bench.go(limited, 100) == pytest.approx(6.0, abs=0.01)


def test_a_refund_never_makes_more_than_a_bucket(bench: Bench) -> None:
    """What has leaked out of the bucket meanwhile is not given back a second time."""
    limited = target(tpm=6000)
    permit = bench.take(limited, 600)
    bench.clock.advance(60.0)
    permit.settle(usage(0))
    permit.release()
    bench.settled()
    bench.go(limited, 600)
    assert bench.go(limited, 600) == pytest.approx(66.0, abs=0.1)


def test_a_refund_wakes_whoever_waits() -> None:
    """A waiter goes as soon as an earlier reservation turns out too large, not when it was first due."""
    bench = Bench(FrozenClock())
    limited = target(tpm=6000)
    first = bench.take(limited, 600)
    done: list[float] = []
    thread = threading.Thread(target=lambda: done.append(bench.go(limited, 600)))
    thread.start()
    _until(lambda: _gate(bench)._tokens._waiting is not None and _gate(bench)._tokens._drawn)
    first.settle(usage(0))
    first.release()
    thread.join(5)
    assert done == [0.0]
    bench.limiter.close()


def _gate(bench: Bench) -> Any:
    return next(iter(bench.limiter._gates.values()))


def _until(condition: Any) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("it never came true")


def test_an_attempt_that_was_never_sent_pays_nothing(bench: Bench) -> None:
    """A permit that is released unsent gives back its request and its tokens."""
    limited = target(rpm=10, tpm=6000)
    for _ in range(5):
        bench.limiter.acquire(bench.attempt(limited), 600).release()
        bench.settled()
    assert bench.clock.monotonic() == 0.0


def test_a_refused_attempt_pays_its_request_but_no_tokens(bench: Bench) -> None:
    """A 500 counts as a request; the tokens it would have used were not."""
    limited = target(rpm=600, tpm=6000)
    permit = bench.take(limited, 600)
    permit._attempt.answered(500, None)
    permit.release()
    bench.settled()
    assert bench.limiter.headroom(limited) == {"requests": 59.0, "tokens": 600.0}


def test_expected_output_is_learned(bench: Bench) -> None:
    """Reservations follow what answers really are, and never exceed what was asked for at most."""
    limited = target(tpm=6000)
    request = ChatRequest([HumanMessage("x" * 400)])
    first = bench.limiter.tokens(limited, request)
    for _ in range(20):
        with bench.take(limited, 10) as permit:
            permit._attempt.usage = {"input_tokens": 1, "output_tokens": 9, "total_tokens": 10}
        bench.settled()
    assert first > 300
    assert bench.limiter.tokens(limited, request) < 150
    short = ChatRequest([HumanMessage("x" * 400)], params={"max_tokens": 1})
    assert bench.limiter.tokens(limited, short) < 120


# -- deadlines ---------------------------------------------------------------------------------------


def test_a_wait_that_does_not_fit_is_refused_at_once(bench: Bench) -> None:
    """No time is lost on it: another deployment may be asked instead."""
    limited = target(rpm=6)
    bench.go(limited)
    with pytest.raises(errors.LimitTimeoutError, match=r"no room for 10\.0 s") as caught:
        bench.take(limited, deadline=5.0)
    assert bench.clock.monotonic() == 0.0
    assert caught.value.retry_after == pytest.approx(10.0)
    assert caught.value.falls_back
    assert bench.take(limited, deadline=15.0)


def test_a_slot_that_does_not_come_free_in_time(bench: Bench) -> None:
    """A wait for a slot, whose end nobody knows, ends at the deadline."""
    limited = target(max_concurrency=1)
    holder = bench.take(limited)
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            bench.take(limited, deadline=5.0)
        except errors.LimitTimeoutError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    _until(lambda: _gate(bench)._line_requests == 1)
    bench.clock.advance(6.0)
    thread.join(5)
    assert len(failures) == 1
    assert bench.listener.waits == [pytest.approx(6.0)]
    holder.release()
    assert bench.take(limited)


# -- slots -------------------------------------------------------------------------------------------


def test_no_more_than_so_many_are_in_flight(bench: Bench) -> None:
    """Sixteen threads never hold more than three slots."""
    limited = target(max_concurrency=3)
    inside, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(10):
            with bench.take(limited):
                with lock:
                    inside += 1
                    most = max(most, inside)
                time.sleep(0)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert 1 <= most <= 3
    bench.settled()
    assert bench.limiter.headroom(limited) == {"concurrency": 3.0}
    holders = [bench.take(limited) for _ in range(3)]
    assert bench.limiter.headroom(limited) == {"concurrency": 0.0}
    for holder in holders:
        holder.release()


@pytest.mark.parametrize("turns", [0, 1, 2, 5])
async def test_cancelled_waiters_take_nothing(bench: Bench, turns: int) -> None:
    """Whenever a waiter is cancelled, its place, its slot and its tokens are free again."""
    limited = target(tpm=6000, max_concurrency=2)
    holders = [bench.take(limited, 300), bench.take(limited, 300)]
    waiters = [asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited), 10)) for _ in range(5)]
    for _ in range(turns):
        await asyncio.sleep(0.001)
    for waiter in waiters:
        waiter.cancel()
    results = await asyncio.gather(*waiters, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    for holder in holders:
        holder.settle(usage(0))
        holder.release()
    bench.settled()
    await asyncio.to_thread(bench.settled)
    assert bench.limiter.headroom(limited) == {"tokens": 600.0, "concurrency": 2.0}
    assert _gate(bench).idle


async def test_cancelled_before_the_wait_began(bench: Bench) -> None:
    """A waiter that leaves while the loop is busy leaves its place in the line too."""
    limited, busy = target(max_concurrency=1), threading.Event()
    holder = bench.take(limited)
    bench.limiter._loop.post(busy.wait)
    waiter = asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited)))
    await asyncio.sleep(0)
    assert _gate(bench)._line_requests == 1
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    busy.set()
    holder.release()
    await asyncio.to_thread(bench.settled)
    assert _gate(bench).idle


async def test_cancelled_when_it_had_just_passed(bench: Bench) -> None:
    """A slot that was granted to somebody who is leaving goes back."""
    limited = target(max_concurrency=1)
    holder = bench.take(limited)
    waiter = asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited)))
    await asyncio.sleep(0.005)
    holder.release()
    bench.settled()  # this loop stands still: the grant is under way to it
    waiter.cancel()
    (result,) = await asyncio.gather(waiter, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)
    await asyncio.to_thread(bench.settled)
    assert _gate(bench).idle


class SlowBudget:
    """A shared budget that takes its time, and remembers what it is told."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.corrected: list[float] = []

    async def reserve(self, name: str, draws: Sequence[Draw], max_wait: float) -> Reservation:
        """Grant everything, when told to go on."""
        self.asked.set()
        await asyncio.to_thread(self.go_on.wait)
        return Reservation(0.0, True, 1.0, [draw.amount for draw in draws])

    async def correct(self, name: str, draw: Draw, at: float, difference: float) -> None:
        """Remember it."""
        self.corrected.append(difference)


async def test_what_a_shared_budget_grants_too_late_goes_back() -> None:
    """Who leaves while the server is still being asked takes nothing, although the server has granted it."""
    shared = SlowBudget()
    bench, limited = Bench(shared=shared), target(rpm=60, tpm=600)
    waiter = asyncio.ensure_future(bench.limiter.aacquire(bench.attempt(limited), 30))
    assert await asyncio.to_thread(shared.asked.wait, 5)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    shared.go_on.set()
    await asyncio.to_thread(_until, lambda: len(shared.corrected) == 2)
    assert sorted(shared.corrected) == [-30, -1]
    assert bench.limiter.headroom(limited) == {"requests": 6.0, "tokens": 60.0}
    bench.limiter.close()


def test_ctrl_c_while_waiting_takes_nothing(bench: Bench) -> None:
    """An interrupted wait gives its place up; the slot goes to the next one."""
    limited = target(max_concurrency=1)
    holder = bench.take(limited)
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(KeyboardInterrupt):
            bench.take(limited)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, previous)
    holder.release()
    with bench.take(limited):
        bench.settled()
        assert bench.limiter.headroom(limited) == {"concurrency": 0.0}


def test_a_permit_is_released_once(bench: Bench) -> None:
    """A second release gives nothing back."""
    limited = target(max_concurrency=2)
    permit = bench.take(limited)
    permit.release()
    permit.release()
    bench.settled()
    assert bench.limiter.headroom(limited) == {"concurrency": 2.0}


# -- what vendors say --------------------------------------------------------------------------------


def test_headers_that_say_nothing_is_left_are_believed(bench: Bench) -> None:
    """After "0 remaining, reset in 7 s" the next one goes in seven seconds, limits or not."""
    for limited in (target("a"), target("b", rpm=600)):
        began = bench.clock.monotonic()
        with bench.take(limited) as permit:
            permit.heard({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7s"})
        assert bench.limiter.ready_in(limited) == pytest.approx(7.0)
        assert bench.go(limited) == pytest.approx(began + 7.0, abs=1e-3)
        assert bench.limiter.ready_in(limited) == 0.0
        with bench.take(limited) as permit:
            permit.heard({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7s"})
        assert bench.take(limited, deadline=8.0).waited == pytest.approx(7.0, abs=1e-3)


def test_headers_bound_by_the_deadline(bench: Bench) -> None:
    """Nobody waits for a reset that comes too late."""
    open_one = target()
    bench.limiter.heard(open_one, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7s"})
    with pytest.raises(errors.LimitTimeoutError):
        bench.take(open_one, deadline=5.0)


def test_headers_of_one_model_do_not_close_another(bench: Bench) -> None:
    """What a vendor counts per model is believed per model."""
    bench.limiter.close_for(target("a"), 7.0)
    bench.limiter.close_for(target("a"), 3.0)  # never shortened
    assert bench.limiter.closed_in(target("a")) == pytest.approx(7.0)
    assert bench.limiter.closed_in(target("b")) == 0.0
    bench.limiter.close_for(target("b"), 9e9)
    assert bench.limiter.closed_in(target("b")) == pytest.approx(300.0)


def test_a_rate_limit_holds_up_those_in_line(bench: Bench) -> None:
    """A 429 that names a time is news for everybody who waits for that deployment."""
    limited = target(rpm=600)
    with pytest.raises(errors.RateLimitError), bench.take(limited):
        raise errors.RateLimitError("slow down", retry_after=4.0)
    assert bench.go(limited) == pytest.approx(4.0, abs=1e-3)


# -- foresight ---------------------------------------------------------------------------------------


def test_ready_in_counts_those_who_wait(bench: Bench) -> None:
    """What is predicted is what then happens."""
    limited = target(rpm=60, tpm=6000)
    for _ in range(6):
        bench.go(limited, 90)
    assert bench.limiter.ready_in(limited, 90) == pytest.approx(1.0, abs=0.01)
    assert bench.limiter.ready_in(limited, 360) == pytest.approx(3.0, abs=0.01)
    assert bench.limiter.ready_in(target("free")) == 0.0


def test_waiting_is_told(bench: Bench) -> None:
    """Observers hear of a wait, with its seconds; who does not wait is not mentioned."""
    limited = target(rpm=60)
    for _ in range(7):
        bench.go(limited)
    assert bench.listener.waits == [pytest.approx(1.0, abs=0.01)]


# -- life --------------------------------------------------------------------------------------------


def test_the_thread_ends_with_its_limiter() -> None:
    """A limiter that nobody holds any more takes its thread along."""
    bench = Bench()
    for _ in range(7):
        bench.go(target(rpm=60))
    thread = bench.limiter._loop._thread
    assert thread is not None
    assert thread.is_alive()
    del bench
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_a_closed_limiter_starts_anew(bench: Bench) -> None:
    """Closing forgets; the next attempt just works."""
    limited = target(rpm=60)
    for _ in range(6):
        bench.go(limited)
    bench.limiter.close()
    assert bench.go(limited) == 0.0


def test_a_copy_in_another_process_has_budgets_of_its_own(bench: Bench) -> None:
    """Pickling keeps the settings and nothing else."""
    bench.go(target(rpm=60))
    copied = pickle.loads(pickle.dumps(Limiter(burst=0.3)))  # noqa: S301 - our own bytes
    assert copied.burst == 0.3
    assert not copied._loop.started


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_anew(bench: Bench) -> None:
    """A child of fork has no thread; its first attempt starts one, the parent's goes on."""
    limited = target(rpm=60)
    for _ in range(7):
        bench.go(limited)
    assert bench.limiter._loop.started
    child = os.fork()
    if not child:
        code = 1
        try:
            began = bench.clock.monotonic()
            times = [bench.go(limited) - began for _ in range(7)]
            code = 0 if times[5] == 0.0 and 0.9 < times[6] < 1.1 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert bench.go(limited) == pytest.approx(2.0, abs=0.01)


# -- the whole engine --------------------------------------------------------------------------------


def model_of(server: LoopbackServer, *deployments: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a model in virtual time."""
    return DispatcherChatModel(
        models=deployments,
        clock=FakeClock(),
        rng=random.Random(1),
        env={},
        retry_policy=RetryPolicy(jitter=False, max_retries=0),
        **fields,
    )


def deployment(server: LoopbackServer, name: str, **fields: Any) -> Deployment:
    """Return a deployment on the loopback server."""
    url = server.base_url("openai", name)
    return Deployment("openai:gpt-5.4-mini", name=name, base_url=url, api_key="key", **fields)


def _leave_stream(model: DispatcherChatModel) -> None:
    for _ in model.stream("hi"):
        break


async def _aleave_stream(model: DispatcherChatModel) -> None:
    stream = model.astream("hi")
    async for _ in stream:
        break
    await stream.aclose()


CALLS: dict[str, Any] = {
    "invoke": lambda model: model.invoke("hi"),
    "stream": lambda model: list(model.stream("hi")),
    "leave": _leave_stream,
    "ainvoke": lambda model: asyncio.run(model.ainvoke("hi")),
    "aleave": lambda model: asyncio.run(_aleave_stream(model)),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_way_out_gives_the_slot_back(server: LoopbackServer, call: str) -> None:
    """Success, failure, and a consumer who leaves: one slot serves them all, one after the other."""
    model = model_of(server, deployment(server, "a", max_concurrency=1, tpm=100_000), deadline=5.0)
    for fault in (None, Fault(status=500), None, Fault(status=429), None):
        if fault is not None:
            server.script("openai", [fault], "a")
            with pytest.raises(errors.DispatchError):
                CALLS["ainvoke" if call.startswith("a") else "invoke"](model)
        else:
            CALLS[call](model)
    model._limiter.close()


def test_a_busy_deployment_is_passed_by(server: LoopbackServer) -> None:
    """If another deployment can go sooner, it goes there; nobody waits."""
    model = model_of(server, deployment(server, "a", rpm=10), deployment(server, "b"))
    names = [model.invoke("hi").response_metadata["llmdispatch"]["deployment"] for _ in range(3)]
    assert names == ["a", "b", "b"]
    assert model.clock.monotonic() == 0.0
    model.clock.advance(6.0)
    assert model.invoke("hi").response_metadata["llmdispatch"]["deployment"] == "a"
    model._limiter.close()


def test_waiting_is_in_the_metadata(server: LoopbackServer) -> None:
    """`queue_ms` and the attempt's `wait_ms` hold what the limits cost."""
    model = model_of(server, deployment(server, "a", rpm=10))
    model.invoke("hi")
    facts = model.invoke("hi").response_metadata["llmdispatch"]
    assert facts["queue_ms"] == pytest.approx(6000, abs=5)
    assert facts["attempts"][0]["wait_ms"] == facts["queue_ms"]
    model._limiter.close()


def test_real_usage_settles_reservations(server: LoopbackServer) -> None:
    """After answers the budget holds what they used, not what was reserved."""
    model = model_of(server, deployment(server, "a", tpm=100_000))
    used = sum(model.invoke("hi").usage_metadata["total_tokens"] for _ in range(5))
    done = threading.Event()
    model._limiter._loop.post(done.set)
    assert done.wait(5)
    left = model._limiter.headroom(model.deployments()[0])["tokens"]
    assert left == pytest.approx(10_000 - used)
    model._limiter.close()


def test_models_share_a_limiter_that_they_are_handed(server: LoopbackServer) -> None:
    """Two models with one limiter have one budget."""
    clock = FakeClock()
    limiter = Limiter(clock=clock)
    models = [
        DispatcherChatModel(models=[deployment(server, "a", rpm=10)], limiter=limiter, clock=clock, env={})
        for _ in range(2)
    ]
    waits = [model.invoke("hi").response_metadata["llmdispatch"]["queue_ms"] for model in models]
    assert waits == [0, pytest.approx(6000, abs=5)]
    limiter.close()


@pytest.mark.parametrize(
    ("headers", "believed"),
    [
        ({"x-ratelimit-remaining-requests": "0"}, True),
        ({"X-RateLimit-Remaining-Requests": "0"}, True),
        ({"anthropic-ratelimit-tokens-remaining": "0", "date": "x"}, True),
        ({"ratelimit": '"api";r=0;t=7'}, True),
        ({"x-ratelimit-remaining-requests": "10", "age": "0"}, False),
        ({"x-ratelimit-remaining-requests": "01"}, False),
        ({}, False),
    ],
)
def test_headers_are_looked_at_closely_only_where_nothing_is_left(
    headers: dict[str, str], believed: bool
) -> None:
    """A cheap look decides, whatever the case of the names, on httpx's headers and on any mapping."""
    assert _nothing_left(headers) is believed
    assert _nothing_left(httpx.Headers(headers)) is believed
