"""Functions that are run in a forked child, bounded in time."""

from __future__ import annotations

import faulthandler
import os
import pickle
import select
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds after which a child counts as hung."""


def in_fork(function: Callable[[], T]) -> T:
    """Return what `function` returns in a forked child; the child is killed and reaped if it hangs.

    Raises:
        RuntimeError: It raised, or it hung.
    """
    return start_fork(function)()


def start_fork(function: Callable[[], T]) -> Callable[[], T]:
    """Fork, and return what waits for the child's result; see `in_fork`."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what is tested
        child = os.fork()
    if not child:
        faulthandler.dump_traceback_later(PATIENCE - 10)  # where it hangs
        try:
            result: tuple[bool, Any] = (True, function())
        except BaseException:  # noqa: BLE001 - the parent raises it
            result = (False, traceback.format_exc())
        os.write(writer, pickle.dumps(result)[:60_000])
        os._exit(0)
    os.close(writer)
    return lambda: _result(child, reader)


def _result(child: int, reader: int) -> Any:
    try:
        ready, _, _ = select.select([reader], [], [], PATIENCE)
        if not ready:
            os.kill(child, signal.SIGKILL)
            raise RuntimeError("the child hung")
        succeeded, value = pickle.loads(os.read(reader, 65_536) or pickle.dumps((False, "the child died")))
    finally:
        os.close(reader)
        os.waitpid(child, 0)
    if not succeeded:
        raise RuntimeError(f"the child raised: {value}")
    return value
