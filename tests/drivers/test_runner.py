"""`Runner`: one request of a race, up to its first piece."""

from __future__ import annotations

import threading
from typing import Any

from langchain_llmdispatch.drivers.runner import Lane, Runner
from langchain_llmdispatch.drivers.sync_driver import _finished


def runner(*pieces: Any, closed: list[str] | None = None) -> Runner:
    """Return the runner of a lane that yields pieces, and raises those that are exceptions."""

    async def lane() -> Lane:
        try:
            for piece in pieces:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            if closed is not None:
                closed.append("closed")

    return Runner(None, lane(), threading.Condition())


async def _all(lane: Lane) -> list[Any]:
    return [piece async for piece in lane]


def test_the_first_piece_and_the_rest() -> None:
    """The first one was read by `run`, the others are read by `rest`."""
    closed: list[str] = []
    one = runner(1, 2, 3, closed=closed)
    assert not one.done
    _finished(one.run)
    assert (one.done, one.error) == (True, None)
    assert _finished(_all, one.rest()) == [1, 2, 3]
    assert closed == ["closed"]


def test_a_lane_without_pieces() -> None:
    """It is done, without an error."""
    one = runner()
    _finished(one.run)
    assert (one.done, one.error, _finished(_all, one.rest())) == (True, None, [])


def test_an_error_is_kept() -> None:
    """Whatever it is: the caller of the race raises it."""
    for error in (ValueError(), KeyboardInterrupt()):
        one = runner(error)
        _finished(one.run)
        assert (one.done, one.error) == (True, error)


def test_leaving_closes_the_lane_once_it_is_done() -> None:
    """At once, or as soon as the first piece has come."""
    closed: list[str] = []
    one = runner(1, 2, closed=closed)
    _finished(one.run)
    assert _finished(one.leave)
    assert closed == ["closed"]
    other = runner(1, 2, closed=closed)
    assert not _finished(other.leave)
    assert closed == ["closed"]
    _finished(other.run)
    assert closed == ["closed"] * 2
