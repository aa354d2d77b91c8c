"""How far a batch is, read from its journal while a run may be writing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from langchain_llmdispatch.batch.report import BatchReport
from langchain_llmdispatch.batch.store import locked, report_of
from langchain_llmdispatch.errors import ConfigurationError

_JOBS = """
SELECT deployment, handle, state, cancelled IS NOT NULL, rows, created,
(SELECT count(*) FROM job_rows WHERE job = id AND open = 1) FROM jobs WHERE state != 'ended' ORDER BY id
"""
_ERRORS = """
SELECT substr(error, 1, 300), count(*) FROM rows WHERE state = 'failed'
GROUP BY substr(error, 1, 300) ORDER BY count(*) DESC, min(number) LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job at a vendor that has not been collected.

    Attributes:
        deployment: The deployment that it was submitted by.
        handle: The vendor's id; empty before it is known.
        state: How far it is: `planned`, `creating`, `running`, `cancelled`.
        rows: Its rows.
        open: Those of them that are not settled.
        created: When it was submitted.
    """

    deployment: str
    handle: str
    state: str
    rows: int
    open: int
    created: datetime

    def __str__(self) -> str:
        """Describe it in one line."""
        rows = f"{self.open:,} of {self.rows:,} rows" if self.open != self.rows else f"{self.rows:,} rows"
        since = self.created.isoformat(sep=" ", timespec="minutes")
        return f"{self.deployment}: {self.handle or 'no id yet'}, {self.state}, {rows}, since {since}"


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """How far a batch is.

    Attributes:
        report: Its rows, tokens and dollars.
        is_running: Whether a process works on it now.
        jobs: Its jobs at vendors' batch APIs that are not collected.
        answers: Answers in the background that are still to come.
        errors: The most frequent errors of rows that failed, and how many rows have each.
    """

    report: BatchReport
    is_running: bool
    jobs: Sequence[OpenJob]
    answers: int
    errors: Sequence[tuple[str, int]]

    def __str__(self) -> str:
        """Describe it in some lines."""
        lines = [str(self.report), "a process works on it" if self.is_running else "no process works on it"]
        lines += [f"job at {job}" for job in self.jobs]
        lines += [f"{self.answers:,} answers are made in the background"] if self.answers else []
        return "\n".join([*lines, *self.failures()])

    def failures(self) -> list[str]:
        """Return the most frequent errors, a line each."""
        return [f"{number:,} failed with {error}" for error, number in self.errors]


def status_of(store: str | Path, *, most_errors: int = 3) -> BatchStatus:
    """Return how far a batch is.

    Args:
        store: Its journal.
        most_errors: How many different errors are named.

    Raises:
        ConfigurationError: It is missing, or is not one.
    """
    path = Path(store)
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no journal of a batch.")
    try:
        uri = f"{path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as database:
            report = report_of(database)
            jobs = [_job(*row) for row in database.execute(_JOBS)]
            (answers,) = database.execute("SELECT count(*) FROM answers").fetchone()
            errors = database.execute(_ERRORS, (most_errors,)).fetchall()
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(f"{path}: is no journal of a batch: {error}.") from None
    return BatchStatus(report, _is_running(path), jobs, answers, errors)


def _job(
    deployment: str, handle: str, state: str, cancelled: int, rows: int, created: float, left: int
) -> OpenJob:
    word = "cancelled" if cancelled else state
    return OpenJob(deployment, handle, word, rows, left, datetime.fromtimestamp(created, UTC))


def _is_running(path: Path) -> bool:
    try:
        locked(path).close()
    except ConfigurationError:
        return True
    return False
