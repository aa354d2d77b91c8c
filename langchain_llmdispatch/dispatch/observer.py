"""Observers: whoever wants to know what attempts and calls become, without a say in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from langchain_llmdispatch.dispatch.dispatch import Attempt, Dispatch


class Observer(Protocol):
    """Whoever wants to know what attempts become: health, statistics, callbacks. It must not raise."""

    __slots__ = ()

    def started(self, attempt: Attempt) -> None:
        """A request is about to leave the process."""

    def ended(self, attempt: Attempt) -> None:
        """The attempt is over; its record is complete."""


@runtime_checkable
class CallObserver(Observer, Protocol):
    """An observer that also wants to know what whole calls become."""

    __slots__ = ()

    def finished(self, dispatch: Dispatch, answer: Attempt | None) -> None:
        """The call is over; its `outcome` is known, and `answer` is the attempt that answered. Told once."""


class Observers:
    """Tells several observers, in order; an empty one tells nobody."""

    def __init__(self, *observers: Observer | None) -> None:
        self._observers = tuple(observer for observer in observers if observer is not None)
        # hasattr, because isinstance() with a protocol takes 30 us
        callers = tuple(one for one in self._observers if hasattr(one, "finished"))
        self._callers = cast("tuple[CallObserver, ...]", callers)

    def started(self, attempt: Attempt) -> None:
        """Tell that a request is about to leave."""
        for observer in self._observers:
            observer.started(attempt)

    def ended(self, attempt: Attempt) -> None:
        """Tell that an attempt is over."""
        for observer in self._observers:
            observer.ended(attempt)

    def finished(self, dispatch: Dispatch, answer: Attempt | None) -> None:
        """Tell that a call is over."""
        for observer in self._callers:
            observer.finished(dispatch, answer)
