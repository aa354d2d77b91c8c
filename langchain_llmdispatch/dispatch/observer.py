"""Observers: notified of the attempts and the end of calls; they cannot change the outcome.

An observer has one or more of five methods; those that it has are called, in the order of the observers.
They must not raise. They take the attempt as `Any` here, because attempts are built on this module.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias


class StartObserver(Protocol):
    """Notified right before a request leaves the process."""

    def started(self, attempt: Any) -> None:
        """Handle an attempt (`Attempt`) whose request is about to be sent."""


class RepeatObserver(Protocol):
    """Notified right before a retry, a fallback or a hedge leaves the process; never of a first request."""

    def repeated(self, attempt: Any) -> None:
        """Handle an attempt (`Attempt`) whose request is about to be sent."""


class EndObserver(Protocol):
    """Notified when an attempt is over, sent or not."""

    def ended(self, attempt: Any) -> None:
        """Handle an attempt (`Attempt`) whose record is complete."""


class CallObserver(Protocol):
    """Notified once when a call is over."""

    def finished(self, call: Any, answer: Any) -> None:
        """Handle a call (`CallState`) whose outcome is set, and the attempt that answered it, or None."""


class FailureObserver(Protocol):
    """Notified once of a call that raises."""

    def failed(self, call: Any) -> None:
        """Handle a call (`CallState`) whose failure is set."""


Observer: TypeAlias = StartObserver | RepeatObserver | EndObserver | CallObserver | FailureObserver


class Observers:
    """The observers of a call, sorted by what they are notified of.

    Args:
        observers: Any number; None is skipped.

    Attributes:
        started: Called with each attempt that is about to be sent.
        repeated: Called with each of them except the first, before `started`.
        ended: Called with each attempt that is over.
        finished: Called with the call and the attempt that answered it, or None.
        failed: Called with a call that raises, after `finished`.
    """

    __slots__ = ("ended", "failed", "finished", "repeated", "started")

    def __init__(self, *observers: Observer | None) -> None:
        given = [one for one in observers if one is not None]
        self.started = [one.started for one in given if hasattr(one, "started")]
        self.repeated = [one.repeated for one in given if hasattr(one, "repeated")]
        self.ended = [one.ended for one in given if hasattr(one, "ended")]
        self.finished = [one.finished for one in given if hasattr(one, "finished")]
        self.failed = [one.failed for one in given if hasattr(one, "failed")]

    def plus(self, *observers: Observer | None) -> Observers:
        """Return these observers and more; these themselves if all the others are None."""
        if observers.count(None) == len(observers):
            return self
        more, out = Observers(*observers), Observers()
        for name in self.__slots__:
            setattr(out, name, getattr(self, name) + getattr(more, name))
        return out
