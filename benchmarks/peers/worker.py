"""A process for each row, driven over a pipe: no row shares heap, collector or patched modules with another."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import resource
import sys
import warnings
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.peers.client import NotOfferedError
from benchmarks.peers.rows import BY_NAME, Row
from benchmarks.peers.scenarios import SCENARIOS, Figures

PATIENCE = 180.0
"""Seconds that one sample may take."""


class RowFailedError(Exception):
    """A row, or one sample of it, failed; the text is the reason."""


def pin(cores: Iterable[int]) -> None:
    """Keep this process on these cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cores))


def allow_connections() -> None:
    """Raise the limit of open files, for this process and those that it starts, as far as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a lower limit than it reports
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _serve(pipe: Connection, name: str, url: str, cores: list[int]) -> None:
    """Run in the row's process: make its client, then samples as they are ordered."""
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # pydantic-ai's sync calls look for one
    try:
        client = BY_NAME[name].made(url)
    except Exception as error:  # noqa: BLE001 - whatever a peer raises, it has no row
        pipe.send(_described(error))
        return
    gc.collect()
    gc.freeze()  # a full collection of all that was imported must not fall on one sample by chance
    pipe.send(None)
    pin(cores)
    while (order := pipe.recv()) is not None:
        scenario, count = order
        try:
            pipe.send(SCENARIOS[scenario].sample(client, count, loop))
        except NotOfferedError:
            pipe.send(None)
        except Exception as error:  # noqa: BLE001 - as above: it has no figure
            pipe.send(_described(error))
    os._exit(0)  # clients' own threads and loops need no farewell


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"


class Worker:
    """The parent's end of a row's process."""

    def __init__(self, row: Row, url: str, cores: list[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self.row = row
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, row.name, url, cores), daemon=True)
        self._process.start()
        other.close()

    def ready(self) -> bool:
        """Wait for the client; print why there is none."""
        try:
            self._received(PATIENCE)
        except RowFailedError as error:
            print(f"no row of {self.row.name}: {error}", file=sys.stderr, flush=True)
            self.stop()
            return False
        return True

    def sample(self, scenario: str, count: int) -> Figures | None:
        """Return the figures, or None where the library has no such call; raise `RowFailedError`."""
        try:
            self._pipe.send((scenario, count))
        except OSError as error:
            raise RowFailedError("its process has ended") from error
        found: Figures | None = self._received(PATIENCE)
        return found

    def _received(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            self._process.kill()
            raise RowFailedError(f"no figure within {seconds:.0f} s")
        try:
            found = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RowFailedError("its process has ended") from error
        if isinstance(found, str):
            raise RowFailedError(found)
        return found

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
