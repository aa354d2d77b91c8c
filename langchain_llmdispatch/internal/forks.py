"""What `fork` copies though it is of one process: locks, connections, randomness. A forked child renews it.

A lock that another thread held at the moment of the fork is never released in the child, a socket is one
connection with two owners, and a generator of random numbers draws the same numbers in every child. What owns
such a thing registers a method that renews it; one hook runs them all, in the child, before anything else.
"""

from __future__ import annotations

import os
import random
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from itertools import count
from types import MethodType
from typing import Any, TypeAlias

LONGEST_WAIT = 10.0
"""Seconds that a fork waits for `undivided` work at most: it must not hang where that work waits for it."""
_Renewal: TypeAlias = Callable[[], object]
# By order of registration. Owners of methods are held weakly, functions of modules for good.
_renewals: dict[int, Callable[[], _Renewal | None]] = {}
_numbers = count()
_parents: list[object] = []


def in_child(renew: _Renewal) -> None:
    """Call `renew` in each forked child of this process.

    Args:
        renew: A method, which is forgotten with its object, or a function that lives as long as the process.
            It must wait for nothing and take no lock: other threads do not exist in the child.
    """
    number = next(_numbers)
    if not isinstance(renew, MethodType):
        _renewals[number] = lambda: renew
        return
    held, method = _renewals, renew.__func__
    owner = weakref.ref(renew.__self__, lambda _: held.pop(number, None))

    def found() -> _Renewal | None:
        alive = owner()
        return None if alive is None else MethodType(method, alive)

    _renewals[number] = found


@contextmanager
def undivided() -> Iterator[None]:
    """Let no fork of any thread come in between: for short work that is done once, such as an import."""
    with _Undivided.lock:
        yield


class _Undivided:
    """The lock of `undivided`, and whether the thread that forks holds it."""

    lock = threading.RLock()
    forking = threading.local()

    @classmethod
    def before(cls) -> None:
        cls.forking.holds = cls.lock.acquire(timeout=LONGEST_WAIT)

    @classmethod
    def after(cls) -> None:
        if cls.forking.holds:
            cls.lock.release()

    @classmethod
    def after_in_child(cls) -> None:
        if not cls.forking.holds:  # another thread of the parent does
            cls.lock = threading.RLock()
        cls.after()


def keep_for_ever(thing: object) -> None:
    """Keep what belongs to the parent: its finalizers would reach into event loops that both share."""
    _parents.append(thing)


def renew_properties(owner: type) -> None:
    """Renew the locks that `cached_property` has before Python 3.12, those of a class and its bases."""
    held = [each for base in owner.__mro__ for each in vars(base).values()]
    locked = [each for each in held if isinstance(each, cached_property) and hasattr(each, "lock")]

    def renew() -> None:
        for each in locked:
            vars(each)["lock"] = threading.RLock()

    if locked:
        in_child(renew)


class OwnRandom(random.Random):
    """Random numbers of one process: a forked child and the reader of a pickle draw others."""

    def __init__(self) -> None:
        super().__init__()
        in_child(self.seed)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it as a new one."""
        return (type(self), ())


def _renew_all() -> None:
    for held in list(_renewals.values()):
        renew = held()
        if renew is not None:
            renew()


if hasattr(os, "register_at_fork"):
    # Hooks run in reverse order. The locks that these modules take for a fork must be taken after ours, since
    # the thread that holds ours imports modules, and they log.
    for _name in ("logging", "concurrent.futures.thread"):
        import_module(_name)
    os.register_at_fork(
        before=_Undivided.before, after_in_parent=_Undivided.after, after_in_child=_Undivided.after_in_child
    )
    os.register_at_fork(after_in_child=_renew_all)
