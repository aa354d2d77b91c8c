"""Races and hedges in virtual time."""

from __future__ import annotations

import threading

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.hedging import LostRaceError
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import dispatch_of
from tests.targets import targets


def test_content_ends_the_wait() -> None:
    """Once content has come, no second deployment is tried, however slow the rest is."""
    dispatch = dispatch_of(targets("a", "b"), CallPolicy(hedge_after=0), clock=FakeClock())
    first = next(dispatch.attempts())
    first.send()
    first.content()
    assert dispatch.hedge(first) is None


def test_only_one_can_win() -> None:
    """However many threads claim at once, one wins, and each other attempt is recorded as lost once."""
    for _ in range(20):
        dispatch = dispatch_of(targets("a", "b"), CallPolicy(hedge_after=0), clock=Clock())
        first = next(dispatch.attempts())
        first.send()
        second = dispatch.hedge(first)
        assert second is not None
        second.send()
        race = dispatch.begin_race(_Racer(first))
        race.enter(_Racer(second))
        won: list[Attempt] = []
        gate = threading.Barrier(2)

        def run(attempt: Attempt, gate: threading.Barrier = gate, won: list[Attempt] = won) -> None:
            gate.wait()
            try:
                attempt.succeed()
            except LostRaceError:
                return
            won.append(attempt)

        threads = [threading.Thread(target=run, args=(attempt,)) for attempt in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [race.winner]
        assert sorted(record.error or "" for record in dispatch.call.records) == ["", "LostRaceError"]
        assert dispatch.call.outcome == "answered"


class _Racer:
    """A request of a race."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def lose(self) -> None:
        """End the attempt as lost."""
        self.attempt.lose()

    def abandon(self) -> None:
        """Do nothing: it waits for nothing."""


def test_a_hedge_is_one_of_the_calls_attempts() -> None:
    """The late request counts, sent or not: with two attempts there is one hedge, with one there is none."""
    for most, sent, hedged in [(1, False, False), (1, True, False), (2, False, True), (2, True, True)]:
        policy = CallPolicy(hedge_after=0, max_attempts=most)
        dispatch = dispatch_of(targets("a", "b"), policy, clock=FakeClock())
        first = next(dispatch.attempts())
        if sent:
            first.send()
        second = dispatch.hedge(first)
        assert (second is not None) is hedged
        assert second is None or (second.hedge, second.fallback, second.retry) == (True, False, None)


def test_nothing_is_hedged_at_the_deadline() -> None:
    """A request that would be sent as the call ends is spared."""
    clock = FakeClock()
    policy = CallPolicy(hedge_after=0, times=TimeLimits(deadline=10.0))
    dispatch = dispatch_of(targets("a", "b"), policy, clock=clock)
    first = next(dispatch.attempts())
    clock.advance(10.0)
    assert dispatch.hedge(first) is None


def test_a_hedge_goes_to_the_preferred_one_that_need_not_wait() -> None:
    """By rank, but past those that cool down or whose queue is full."""
    queued = {"a": 0.0, "b": 0.0, "c": 3.0, "d": 0.0, "e": 0.0}
    dispatch = dispatch_of(
        targets(*queued),
        CallPolicy(hedge_after=0),
        clock=FakeClock(),
        waits=(0.0, 5.0, 0.0, 0.0, 0.0),
        queue_wait=lambda target: queued[target.name],
    )
    second = dispatch.hedge(next(dispatch.attempts()))
    assert second is not None
    assert second.target.name == "d"
