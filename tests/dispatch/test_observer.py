"""`Observers`: which of them are notified of what, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.observer import Observers
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.targets import targets

Seen = list[tuple[str, str]]


def observer(name: str, seen: Seen, *methods: str) -> Any:
    """Return an observer with some methods, which note their calls."""

    def noting(method: str) -> Callable[..., None]:
        return lambda *_: seen.append((name, method))

    return type(name, (), {method: staticmethod(noting(method)) for method in methods})()


def test_each_is_notified_of_what_it_has_a_method_for() -> None:
    """In the order of the observers: before a request leaves, at an attempt's end, at the call's end."""
    seen: Seen = []
    both = observer("both", seen, "started", "ended", "finished"), observer("end", seen, "ended")
    attempts = dispatch_of(targets("a"), clock=FakeClock(), observers=both).attempts()
    with next(attempts) as attempt:
        assert seen == []
        attempt.send()
        assert seen == [("both", "started")]
        attempt.succeed()
    assert seen[1:] == [("both", "ended"), ("end", "ended"), ("both", "finished")]
    assert next(attempts, None) is None
    assert len(seen) == 4


def test_repeats_and_failures_have_methods_of_their_own() -> None:
    """`repeated` for all requests but the first, `failed` for a call that raises; both come beside the others."""
    seen: Seen = []
    every = observer("all", seen, "started", "repeated", "ended", "finished", "failed")
    dispatch = dispatch_of(targets("a", "b"), clock=FakeClock(), observers=[every])
    with pytest.raises(errors.AllDeploymentsFailedError):
        for attempt in dispatch.attempts():
            with attempt:
                attempt.send()
                raise errors.AuthenticationError("x")
    assert [method for _, method in seen] == [
        "started",
        "ended",
        "repeated",
        "started",
        "ended",
        "finished",
        "failed",
    ]


def test_more_observers_leave_the_first_ones_unchanged() -> None:
    """`plus` returns new ones, or the same if there is nothing to add."""
    seen: Seen = []
    first = Observers(observer("a", seen, "ended"), None)
    more = first.plus(None, observer("b", seen, "ended", "finished"))
    assert (len(first.ended), len(first.finished)) == (1, 0)
    assert (len(more.ended), len(more.finished)) == (2, 1)
    assert first.plus(None, None) is first
    for ended in more.ended:
        ended(None)
    assert seen == [("a", "ended"), ("b", "ended")]
