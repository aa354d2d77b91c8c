"""What a forked child renews: methods of living objects, locks, randomness."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import random
import threading
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pytest

from langchain_llmdispatch import Budget, DispatcherChatModel, Health, Limiter
from langchain_llmdispatch.dispatch.retry_quota import RetryBalance, RetryQuota
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.routing.affinity import Affinity
from tests.processes import in_fork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


class _Owner:
    renewed = 0

    def renew(self) -> None:
        self.renewed += 1


def test_methods_are_called_in_the_child_alone() -> None:
    """Once per fork, in the child."""
    owner = _Owner()
    forks.in_child(owner.renew)
    assert in_fork(lambda: owner.renewed) == 1
    assert owner.renewed == 0


def test_objects_are_held_weakly() -> None:
    """What is registered dies as before, and leaves nothing behind."""
    gc.collect()
    before = len(forks._renewals)
    owners = [_Owner() for _ in range(100)]
    for owner in owners:
        forks.in_child(owner.renew)
    assert len(forks._renewals) > before
    del owners, owner
    gc.collect()
    assert len(forks._renewals) <= before


@pytest.mark.parametrize(
    "make", [Health, Limiter, Affinity, lambda: RetryBalance(RetryQuota()), lambda: Budget(1)]
)
def test_locks_that_are_held_while_forking_are_renewed(make: Callable[[], object]) -> None:
    """A child waits for no thread of its parent."""
    owner: Any = make()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with owner._lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    try:
        assert in_fork(lambda: owner._lock.acquire(timeout=1))
    finally:
        done.set()
        thread.join()


def test_a_fork_waits_for_undivided_work() -> None:
    """What another thread has begun is done in the child, whose own work then waits for nothing."""
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        with forks.undivided():
            begun.set()
            threading.Event().wait(0.05)
            done.set()

    def child() -> bool:
        with forks.undivided():
            return done.is_set()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(10)
    assert in_fork(child)
    thread.join()


def test_undivided_work_may_fork() -> None:
    """The thread that is in it does not wait for itself, nor does its child."""
    with forks.undivided():
        assert in_fork(lambda: True)
    assert in_fork(lambda: True)


def test_cached_properties_hold_no_lock_of_the_parent() -> None:
    """Before Python 3.12 all instances of a class share one."""

    class Slow:
        held, done = threading.Event(), threading.Event()

        def __init__(self, *, waits: bool) -> None:
            self.waits = waits

        @cached_property
        def value(self) -> int:
            if self.waits:
                self.held.set()
                self.done.wait(60)
            return 1

    forks.renew_properties(Slow)
    thread = threading.Thread(target=lambda: Slow(waits=True).value)
    thread.start()
    Slow.held.wait(60)
    try:
        assert in_fork(lambda: Slow(waits=False).value) == 1
    finally:
        Slow.done.set()
        thread.join()


def _model(**fields: object) -> DispatcherChatModel:
    return DispatcherChatModel(models=["ollama:x"], env={}, **fields)


def test_each_process_draws_its_own_random_numbers() -> None:
    """Else retries of all workers would come at the same moments."""
    model, health = _model(), Health()
    sources = (lambda: model.rng.random(), lambda: health._rng.random())
    for draw in sources:
        assert len({in_fork(draw) for _ in range(4)} | {draw()}) == 5
    again = [pickle.loads(pickle.dumps(model.rng)), copy.deepcopy(model.rng), copy.copy(model.rng)]
    assert len({each.random() for each in (*again, model.rng)}) == 4


def test_a_seeded_source_of_randomness_is_left_as_it_is() -> None:
    """What was handed in draws what it was seeded to draw."""
    model = _model(rng=random.Random(7))
    assert in_fork(lambda: model.rng.random()) == random.Random(7).random()
