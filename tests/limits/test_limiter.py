"""The limiter in virtual time: what limits what, headers and quotas (`limits/quota.py`), predictions, its life."""

from __future__ import annotations

import gc
import os
import pickle
import time
from collections.abc import Mapping, Sequence

import httpx
import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import VendorConfig, errors
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.types import ChatRequest
from tests.calls import dispatch_of
from tests.cases import each
from tests.limits.bench import Bench, target

ZERO = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7s"}


def test_without_limits_there_is_no_permit_and_no_thread(bench: Bench) -> None:
    """Without limits an attempt is sent at once, and no thread is started."""
    assert bench.limiter.acquire(bench.attempt(target())) is None
    assert not bench.limiter._loop.started


def test_an_attempt_that_need_not_wait_starts_no_thread(bench: Bench) -> None:
    """What the limits admit at once is counted in the caller's own thread; only a wait needs the loop."""
    limited = target(rpm=60, tpm=6000, max_concurrency=2)
    for _ in range(6):
        bench.go(limited, 10)
    assert not bench.limiter._loop.started
    bench.go(limited, 10)
    assert bench.limiter._loop.started


@each("burst", [0.0, -1.0, 1.5])
def test_a_burst_out_of_range_is_refused(burst: float) -> None:
    """A share is above 0 and at most 1."""
    with pytest.raises(errors.ConfigurationError, match="burst"):
        Limiter(burst=burst)


def test_requests_and_tokens_both_count(bench: Bench) -> None:
    """The scarcer of the two sets the pace."""
    limited = target(rpm=600, tpm=6000)
    times = [bench.go(limited, 300) for _ in range(12)]
    assert times[-1] == pytest.approx(30.0, abs=0.1)


def test_an_account_has_one_limit_for_all_its_deployments(bench: Bench) -> None:
    """Two deployments with the same key draw from the vendor's limit."""
    vendor = VendorConfig(rpm=60)
    both = [target("a", vendor=vendor), target("b", vendor=vendor)]
    times = [bench.go(both[n % 2]) for n in range(16)]
    assert times[-1] == pytest.approx(10.0, abs=0.01)


def test_limiters_count_apart() -> None:
    """Two limiters share nothing."""
    one, two = Bench(), Bench()
    limited = target(rpm=60)
    assert [one.go(limited) for _ in range(7)][-1] == pytest.approx(1.0, abs=0.01)
    assert [two.go(limited) for _ in range(6)][-1] == 0.0
    one.limiter.close()
    two.limiter.close()


def test_the_real_clock_keeps_the_pace_too() -> None:
    """On the real clock, where time passes between any two lines: a burst of 30, then a thousand a second."""
    limiter, limited, began = Limiter(burst=0.0005), target(rpm=60_000), time.monotonic()
    for _ in range(60):
        attempt = next(dispatch_of([limited], clock=limiter.clock).attempts())
        permit = limiter.acquire(attempt)
        assert permit is not None
        with permit:
            attempt.send()
    assert time.monotonic() - began >= 0.029
    limiter.close()


def test_expected_output_is_learned(bench: Bench) -> None:
    """Reservations follow the real length of answers, and never exceed the request's `max_tokens`."""
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


def test_acquire_reserves_the_tokens_of_a_request(bench: Bench) -> None:
    """Without explicit tokens the request's own expected ones are reserved."""
    limited = target(tpm=60_000)
    request = ChatRequest([HumanMessage("x" * 400)], params={"max_tokens": 50})
    expected = bench.limiter.tokens(limited, request)
    assert 140 < expected < 170
    with bench.limiter.acquire(bench.attempt(limited), request) as permit:
        assert permit is not None
        assert bench.limiter.headroom(limited) == {"tokens": 6000.0 - expected}


# -- headers -----------------------------------------------------------------------------------------


def test_headers_that_report_zero_remaining_are_applied(bench: Bench) -> None:
    """After "0 remaining, reset in 7 s" the next request is sent in seven seconds, limits or not."""
    for limited in (target("a"), target("b", rpm=600)):
        began = bench.clock.monotonic()
        bench.limiter.apply_headers(limited, ZERO)
        assert bench.limiter.ready_in(limited) == pytest.approx(7.0)
        assert bench.go(limited) == pytest.approx(began + 7.0, abs=1e-3)
        assert bench.limiter.ready_in(limited) == 0.0
        bench.limiter.apply_headers(limited, ZERO)
        assert bench.take(limited, deadline=8.0).waited == pytest.approx(7.0, abs=1e-3)


def test_a_reset_after_the_deadline_is_refused(bench: Bench) -> None:
    """An attempt does not wait for a reset that comes too late."""
    free = target()
    bench.limiter.apply_headers(free, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7s"})
    with pytest.raises(errors.LimitTimeoutError):
        bench.take(free, deadline=5.0)


def test_headers_of_one_model_do_not_close_another(bench: Bench) -> None:
    """What a vendor counts per model is applied per model; a longer wait is kept; 300 s is the most."""
    bench.limiter.close_for(target("a"), 7.0)
    bench.limiter.close_for(target("a"), 3.0)
    assert bench.limiter.closed_in(target("a")) == pytest.approx(7.0)
    assert bench.limiter.closed_in(target("b")) == 0.0
    bench.limiter.close_for(target("b"), 9e9)
    assert bench.limiter.closed_in(target("b")) == pytest.approx(300.0)


class CountingVendor:
    """A vendor that counts how often its headers are parsed."""

    parsed = 0

    def limits(self, headers: Mapping[str, str]) -> Sequence[object]:
        """Count the call."""
        self.parsed += 1
        return ()


class Answered:
    """A target of that vendor."""

    def __init__(self) -> None:
        self.vendor = CountingVendor()


@each(
    ("headers", "parsed"),
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
@each("kind", [dict, httpx.Headers])
def test_headers_are_parsed_only_where_one_may_report_zero_remaining(
    headers: dict[str, str], parsed: bool, kind: type
) -> None:
    """A cheap look decides, whatever the case of the names, on httpx's headers and on any mapping."""
    answered = Answered()
    Limiter().apply_headers(answered, kind(headers))
    assert answered.vendor.parsed == parsed


# -- predictions -------------------------------------------------------------------------------------


def test_ready_in_counts_the_requests_that_wait(bench: Bench) -> None:
    """What is predicted is what then happens."""
    limited = target(rpm=60, tpm=6000)
    for _ in range(6):
        bench.go(limited, 90)
    assert bench.limiter.ready_in(limited, 90) == pytest.approx(1.0, abs=0.01)
    assert bench.limiter.ready_in(limited, 360) == pytest.approx(3.0, abs=0.01)
    assert bench.limiter.ready_in(target("free")) == 0.0


def test_a_permit_holds_the_seconds_of_its_wait(bench: Bench) -> None:
    """`waited` is 0 for those that are admitted at once."""
    limited = target(rpm=60)
    waits = [bench.take(limited).waited for _ in range(7)]
    assert waits == [0.0] * 6 + [pytest.approx(1.0, abs=0.01)]


# -- life --------------------------------------------------------------------------------------------


def test_the_thread_ends_with_its_limiter() -> None:
    """A limiter without references ends its thread."""
    bench = Bench()
    for _ in range(7):
        bench.go(target(rpm=60))
    thread = bench.limiter._loop._thread
    assert thread is not None
    assert thread.is_alive()
    del bench
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_a_closed_limiter_starts_anew(bench: Bench) -> None:
    """Closing forgets; the next attempt just works."""
    limited = target(rpm=60)
    for _ in range(6):
        bench.go(limited)
    bench.limiter.close()
    assert bench.go(limited) == 0.0


def test_a_copy_in_another_process_counts_by_itself(bench: Bench) -> None:
    """Pickling keeps the settings and nothing else."""
    bench.go(target(rpm=60))
    copied = pickle.loads(pickle.dumps(Limiter(burst=0.3)))
    assert copied.burst == 0.3
    assert not copied._loop.started


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_keeps_the_level(bench: Bench) -> None:
    """A child of fork has no thread, but what was used is used; its first attempt starts one, the parent's goes on."""
    limited = target(rpm=60)
    for _ in range(7):
        bench.go(limited)
    assert bench.limiter._loop.started
    child = os.fork()
    if not child:
        code = 1
        try:
            began = bench.clock.monotonic()
            times = [bench.go(limited) - began for _ in range(3)]
            code = 0 if times == [pytest.approx(n, abs=0.1) for n in (1, 2, 3)] else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert bench.go(limited) == pytest.approx(2.0, abs=0.01)
