"""Buckets in virtual time: pace, bursts, corrections, and the window of the last minute."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.limits.bucket import Window
from tests.limits.bench import Bench, target, usage


def test_a_tenth_is_admitted_at_once_and_the_rest_at_the_limits_pace(bench: Bench) -> None:
    """600 a minute: 60 at once, then ten a second."""
    limited = target(rpm=600)
    times = [bench.go(limited) for _ in range(100)]
    assert times[59] == 0.0
    assert times[60] == pytest.approx(0.1, abs=1e-3)
    assert times[99] == pytest.approx(4.0, abs=1e-2)


def test_burst_is_settable() -> None:
    """A burst of a half admits half of a minute's amount at once."""
    bench = Bench(burst=0.5)
    limited = target(rpm=60)
    times = [bench.go(limited) for _ in range(32)]
    assert times[29] == 0.0
    assert times[31] == pytest.approx(2.0, abs=1e-3)
    bench.limiter.close()


def _worst_minute(went: Sequence[tuple[float, float]]) -> float:
    minute = 60 - 1e-6  # half open, and clocks round
    return max(sum(n for when, n in went if start <= when < start + minute) for start, _ in went)


@given(
    sizes=st.lists(st.floats(1, 900), min_size=1, max_size=60),
    pauses=st.lists(st.floats(0, 30), min_size=60, max_size=60),
)
def test_no_minute_admits_more_than_a_tenth_above_the_limit(sizes: list[float], pauses: list[float]) -> None:
    """Whatever is sent, small or nearly the whole limit at once: no minute admits more than 1.1 limits."""
    bench = Bench()
    limited = target(tpm=1000)
    went = []
    for size, pause in zip(sizes, pauses, strict=False):
        bench.clock.advance(pause if pause > 20 else 0.0)
        went.append((bench.go(limited, size), size))
    bench.limiter.close()
    assert _worst_minute(went) <= 1100 + 1e-3


def test_the_whole_limit_is_used(bench: Bench) -> None:
    """Requests of a quarter of the limit each, far above the burst, are sent at the limit's pace."""
    limited = target(tpm=40_000)
    times = [bench.go(limited, 10_000) for _ in range(21)]
    assert times[-1] == pytest.approx(20 * 15.0, rel=0.05)


def test_a_request_above_the_whole_limit_waits_for_a_full_bucket(bench: Bench) -> None:
    """It is not refused: it is sent when nothing is in use, and owed afterwards."""
    limited = target(tpm=600)
    bench.go(limited, 60)
    assert bench.go(limited, 1200) == pytest.approx(60.0, abs=1.0)  # and the minute before it is over
    assert bench.go(limited, 1) >= 60.0 + 114.0


def test_tokens_that_were_not_used_are_returned(bench: Bench) -> None:
    """A reservation of 600 of which 100 were used leaves 500 of the burst."""
    limited = target(tpm=6000)
    with bench.take(limited, 600) as permit:
        permit._attempt.usage = usage(100)
    bench.settled()
    assert bench.go(limited, 500) == pytest.approx(0.0, abs=1e-6)
    assert bench.go(limited, 100) == pytest.approx(1.0, abs=0.01)


def test_tokens_that_were_used_on_top_are_owed(bench: Bench) -> None:
    """A reservation of 100 that used 1100 holds up the next one for ten seconds more."""
    limited = target(tpm=6000)
    with bench.take(limited, 100) as permit:
        permit._attempt.usage = usage(1100)
    bench.settled()
    assert bench.go(limited, 100) == pytest.approx(6.0, abs=0.01)


def test_a_refund_never_makes_more_than_a_bucket(bench: Bench) -> None:
    """What has leaked out of the bucket meanwhile is not returned a second time."""
    limited = target(tpm=6000)
    permit = bench.take(limited, 600)
    bench.clock.advance(60.0)
    permit._attempt.usage = usage(0)
    permit.release()
    bench.settled()
    bench.go(limited, 600)
    assert bench.go(limited, 600) == pytest.approx(66.0, abs=0.1)


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 50)), min_size=1, max_size=80))
def test_a_window_is_bounded_and_never_forgets_too_early(steps: list[tuple[float, float]]) -> None:
    """A window counts at least what was taken in the last minute, in few slices."""
    window, now, went = Window(100.0), 0.0, []
    for pause, amount in steps:
        now += pause
        now += window.ready_in(amount, now)
        window.add(amount, now)
        went.append((now, amount))
    assert _worst_minute(went) <= 100.0 + 1e-3
    assert len(window._slices) <= 130


def test_a_window_is_corrected_in_the_slice_that_took_it() -> None:
    """What was not used is available at once; a slice never falls below nothing, nor the others with it."""
    window = Window(100.0)
    window.add(60.0, 0.0)
    window.add(40.0, 10.0)
    assert window.ready_in(1.0, 10.0) == 50.0
    window.correct(-20.0, 0.0)
    assert window.ready_in(20.0, 10.0) == 0.0
    assert window.ready_in(21.0, 10.0) == 50.0
    window.correct(-60.0, 10.0)
    assert window.ready_in(60.0, 10.0) == 0.0
    assert window.ready_in(61.0, 10.0) == 50.0
    window.correct(25.0, 10.0)
    assert window.ready_in(35.0, 10.0) == 0.0
    assert window.ready_in(36.0, 10.0) > 0.0


def test_a_correction_of_what_has_left_the_window_changes_nothing() -> None:
    """Its slice is gone."""
    window = Window(100.0)
    window.add(60.0, 0.0)
    window.add(40.0, 61.0)
    window.correct(-40.0, 0.0)
    assert window.ready_in(60.0, 61.0) == 0.0
    assert window.ready_in(61.0, 61.0) > 0.0
