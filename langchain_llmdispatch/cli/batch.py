"""The command `batch`: every row of a file, answered once."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from langchain_llmdispatch.batch.interrupt import Interrupt
from langchain_llmdispatch.batch.run import run_batch
from langchain_llmdispatch.batch.status import status_of
from langchain_llmdispatch.cli.answer import model_of
from langchain_llmdispatch.cli.progress_line import ProgressLine

if TYPE_CHECKING:
    from langchain_llmdispatch.batch.report import BatchReport
    from langchain_llmdispatch.cli.terminal import Terminal

_LOGGER = logging.getLogger("langchain_llmdispatch.batch")
_INTERRUPTED = 128  # and the number of the signal
_STOPPING = "no further row is taken, what is under way ends (interrupt again to stop at once)"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Run the batch, and print its report; 1 if a row failed or waits, 130 after an interrupt.

    Raises:
        ConfigurationError: A file, a row or an option is wrong.
    """
    store = options.store or f"{options.sink}.sqlite"
    if options.status:
        status = status_of(store)
        terminal.write(str(status))
        return _code(status.report)
    shown = options.progress if options.progress is not None else terminal.is_interactive
    with model_of(options) as model, _messages(terminal, shown=shown), _interruptible(terminal) as interrupt:
        report = run_batch(
            model,
            options.source,
            options.sink,
            store=store,
            max_in_flight=options.max_in_flight,
            max_tries=options.max_tries,
            max_cost=options.max_cost,
            max_failures=options.max_failures,
            retry_failed=options.retry_failed,
            progress=partial(ProgressLine, terminal.errors) if shown else False,
            via=options.via,
            deadline=options.deadline * 3600,
            interrupt=interrupt,
        )
    terminal.write(str(report))
    for line in status_of(store).failures() if report.failed else ():
        terminal.fail(line, 1)
    if report.stopped == "interrupt":
        terminal.fail("interrupted; the same command goes on, and collects what vendors work on", 1)
        return _INTERRUPTED + interrupt.signal
    return _code(report)


def _code(report: BatchReport) -> int:
    return 1 if report.failed or report.waiting else 0


class _Signalled(Interrupt):
    """An interrupt by a signal.

    Attributes:
        signal: Its number.
    """

    signal: int = signal.SIGINT


@contextmanager
def _interruptible(terminal: Terminal) -> Iterator[_Signalled]:
    """Yield what the first Ctrl-C, or SIGTERM, ends the run by; the second one stops it at once."""
    interrupt = _Signalled()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return

    def handle(number: int, _: object) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.signal = number
        interrupt.request()
        with suppress(RuntimeError):  # it was about to write there
            terminal.fail(_STOPPING, 1)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _messages(terminal: Terminal, *, shown: bool) -> Iterator[None]:
    """Write what happens to jobs at vendors to standard error; without progress only what is amiss."""
    if terminal.errors is None:
        yield
        return
    handler, level = logging.StreamHandler(terminal.errors), _LOGGER.level
    handler.setFormatter(logging.Formatter("llmdispatch: %(message)s"))
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO if shown else logging.WARNING)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
