"""The journal of a batch: one SQLite file that a killed process leaves in order.

Each row is in one of three states: waiting, done with its answer, failed with its error. A transaction ends
each change, in write-ahead mode: what was committed survives the process. A file beside it is locked while a
run has it open, so that others can read how far it is; the system releases the lock of a process that died.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Self

from langchain_llmdispatch.batch.answers import ANSWER_TABLE, AnswerTable
from langchain_llmdispatch.batch.jobs import JOB_TABLES, JobTable, VendorJob
from langchain_llmdispatch.batch.report import BatchReport
from langchain_llmdispatch.batch.rows import BatchRow
from langchain_llmdispatch.errors import ConfigurationError

_TABLES = """
CREATE TABLE IF NOT EXISTS rows (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, row TEXT NOT NULL, digest BLOB NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting', starts INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0,
  answer TEXT, error TEXT, cost TEXT NOT NULL DEFAULT '0', unpriced INTEGER NOT NULL DEFAULT 0,
  input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS waiting ON rows (number) WHERE state = 'waiting';
PRAGMA user_version = 1;
"""
_WAITING = """
SELECT number FROM rows WHERE state = 'waiting' AND number > ?
AND NOT EXISTS (SELECT 1 FROM job_rows WHERE row = number AND open = 1) ORDER BY number LIMIT ?
"""
_UNSENT = """
SELECT number FROM rows WHERE state = 'waiting' AND number > ?
AND NOT EXISTS (SELECT 1 FROM job_rows WHERE row = number) ORDER BY number LIMIT ?
"""
_RELEASED = """
SELECT number FROM rows WHERE state = 'waiting' AND number > ?
AND number IN (SELECT row FROM job_rows WHERE open = 0)
AND NOT EXISTS (SELECT 1 FROM job_rows WHERE row = number AND open = 1) ORDER BY number LIMIT ?
"""
_CHUNK, _CHUNK_BYTES = 1000, 16 * 1024 * 1024
_PATIENCE = 30.0  # seconds that another process may read the journal while something is to be written
SUSPECT = 3
"""Times that the process died while a row was under way, after which it is under way alone."""
MOST_STARTS = 10
"""Times that a row may be under way when the process dies, before the row is held responsible."""


@dataclass(frozen=True, slots=True)
class RowResult:
    """How one try of a row ended.

    Attributes:
        number: The row's number in the source, from 1.
        answer: The answer as JSON, or None.
        error: What failed, or None.
        final: Whether a failed row is set aside; else it is tried again.
        cost: US dollars of all requests of the try.
        unpriced: Answers whose cost is unknown.
        input_tokens: Tokens of the prompts.
        output_tokens: Tokens of the answers.
        pending: Whether the answer is made in the background and still to come: the row goes on with it, and
            that is no further try.
    """

    number: int
    answer: str | None = None
    error: str | None = None
    final: bool = True
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    pending: bool = False


class BatchStore:
    """The journal of one batch. Use it as a context manager, from one thread.

    Args:
        path: The file; it is made if it is missing.

    Attributes:
        path: The file.
        jobs: The vendors' jobs that rows are in.

    Raises:
        ConfigurationError: The file is not that of a batch, or another process has it open.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = locked(self.path)
        try:
            self._db = self._opened()
        except BaseException:
            self._lock.close()
            raise
        self.jobs, self.answers = JobTable(self._db), AnswerTable(self._db)

    def _opened(self) -> sqlite3.Connection:
        """Return the journal's file, opened; it is closed again where that fails."""
        database: sqlite3.Connection | None = None
        try:
            database = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level="IMMEDIATE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # a power failure may undo rows, a kill none
            database.executescript(_TABLES + JOB_TABLES + ANSWER_TABLE)
        except sqlite3.DatabaseError as error:
            if database is not None:
                database.close()
            unusable = isinstance(error, sqlite3.OperationalError)
            fault = "cannot be used" if unusable else "is no journal of a batch"
            raise ConfigurationError(f"{self.path}: {fault}: {error}.") from None
        return database

    def __enter__(self) -> Self:
        """Return the journal, which is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()
        self._lock.close()

    # -- rows ------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[BatchRow]) -> None:
        """Add the rows that are not in the journal yet.

        Raises:
            ConfigurationError: A row differs from the one in its place, is missing, or two have one id.
        """
        number = 0
        for chunk in _divided(enumerate(rows, 1)):
            number = chunk[-1][0]
            known = self._digests(chunk[0][0], chunk[-1][0])
            new = []
            for number, row in chunk:
                digest = hashlib.blake2b(row.text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
                if number not in known:
                    new.append((number, row.id, row.text, digest))
                elif known[number] != digest:
                    raise ConfigurationError(
                        f"row {number} is not that of {self.path}: a changed source needs a new store."
                    )
            self._insert(new)
        (most,) = self._db.execute("SELECT max(number) FROM rows").fetchone()
        if most is not None and most > number:
            raise ConfigurationError(
                f"the source has {number} rows, {self.path} has {most}: a changed source needs a new store."
            )

    def _digests(self, first: int, last: int) -> dict[int, bytes]:
        found = self._db.execute(
            "SELECT number, digest FROM rows WHERE number BETWEEN ? AND ?", (first, last)
        )
        return dict(found.fetchall())

    def _insert(self, rows: Sequence[tuple[int, str, str, bytes]]) -> None:
        try:
            with self._db:
                self._db.executemany("INSERT INTO rows (number, id, row, digest) VALUES (?, ?, ?, ?)", rows)
        except sqlite3.IntegrityError:
            names = Counter(row[1] for row in rows)
            names.update(each[0] for each in self._db.execute("SELECT id FROM rows"))
            number, name = next(row[:2] for row in reversed(rows) if names[row[1]] > 1)
            raise ConfigurationError(f"row {number}: another row has the id {name!r}, too.") from None

    def waiting(self) -> Iterator[tuple[int, BatchRow]]:
        """Yield the rows that have no result yet and are in no job, in order, each at most once."""
        return self._chunks(_WAITING)

    def unsent(self) -> Iterator[tuple[int, BatchRow]]:
        """Yield the rows that have no result yet and never were in a job, in order."""
        return self._chunks(_UNSENT)

    def released(self) -> Iterator[tuple[int, BatchRow]]:
        """Yield the rows that have no result although the job that they were in has ended, in order."""
        return self._chunks(_RELEASED)

    def row(self, number: int) -> BatchRow:
        """Return a row."""
        found = self._db.execute("SELECT id, row FROM rows WHERE number = ?", (number,)).fetchone()
        return BatchRow(*found)

    def _chunks(self, query: str) -> Iterator[tuple[int, BatchRow]]:
        last = 0
        while found := self._db.execute(query, (last, _CHUNK)).fetchall():
            for (number,) in found:  # rows may be large: one at a time
                yield number, self.row(number)
            last = found[-1][0]

    def deaths(self, number: int) -> int:
        """Return how often the process died while a row was under way."""
        found = self._db.execute("SELECT starts - tries FROM rows WHERE number = ?", (number,)).fetchone()
        return int(found[0])

    def start(self, number: int) -> bool:
        """Note that a row is under way; return whether it may be.

        A row that was under way `MOST_STARTS` times when the process died is set aside: it may be the cause.
        """
        with self._db:
            self._db.execute("UPDATE rows SET starts = starts + 1 WHERE number = ?", (number,))
            starts, tries = self._db.execute(
                "SELECT starts, tries FROM rows WHERE number = ?", (number,)
            ).fetchone()
            if starts - tries <= MOST_STARTS:
                return True
            died = f"the process ended {MOST_STARTS} times while this row was under way"
            self._db.execute("UPDATE rows SET state = 'failed', error = ? WHERE number = ?", (died, number))
        return False

    def finish(self, result: RowResult, *, max_tries: int) -> bool:
        """Keep a result; a failure that is not final counts as one of `max_tries`.

        Returns:
            Whether the row has ended.
        """
        with self._db:
            tries = self._keep(result, 0 if result.pending else 1)
            if result.pending:
                self._db.execute("UPDATE rows SET starts = starts - 1 WHERE number = ?", (result.number,))
                return False
            self.answers.drop(result.number)
            failed = not result.final and tries >= max_tries
            if failed:
                self._db.execute("UPDATE rows SET state = 'failed' WHERE number = ?", (result.number,))
            return failed or result.final

    def finish_in(self, job: VendorJob, results: Sequence[RowResult]) -> None:
        """Keep results of a vendor's job. A failure that is not final leaves its row to live calls."""
        with self._db:
            for result in results:
                self._keep(result, 0)
            self.jobs.settle(job, [result.number for result in results])

    def _keep(self, result: RowResult, tries: int) -> int:
        """Add a result to its row; return the row's tries."""
        before, cost = self._db.execute(
            "SELECT tries, cost FROM rows WHERE number = ?", (result.number,)
        ).fetchone()
        state = "done" if result.answer is not None else "failed" if result.final else "waiting"
        self._db.execute(
            "UPDATE rows SET state = ?, tries = ?, answer = ?, error = ?, cost = ?, "
            "unpriced = unpriced + ?, input_tokens = input_tokens + ?, "
            "output_tokens = output_tokens + ? WHERE number = ?",
            (
                *(state, before + tries, result.answer, result.error, str(Decimal(cost) + result.cost)),
                *(result.unpriced, result.input_tokens, result.output_tokens, result.number),
            ),
        )
        return int(before) + tries

    def retry_failed(self) -> None:
        """Let the rows that failed wait again, with all their tries."""
        with self._db:
            self._db.execute(
                "UPDATE rows SET state = 'waiting', starts = 0, tries = 0 WHERE state = 'failed'"
            )

    def ended(self) -> Iterator[tuple[BatchRow, str | None, str | None]]:
        """Yield each row that has ended, in order, with its answer as JSON or its error."""
        for name, text, answer, error in self._db.execute(
            "SELECT id, row, answer, error FROM rows WHERE state != 'waiting' ORDER BY number"
        ):
            yield BatchRow(name, text), answer, error

    def report(self) -> BatchReport:
        """Return how many rows are in which state, and what their requests cost."""
        return report_of(self._db)

    def dearest(self) -> Decimal | None:
        """Return the US dollars of the dearest row so far; None if none was answered or cost something."""
        costs = self._db.execute("SELECT DISTINCT cost FROM rows WHERE state = 'done' OR cost != '0'")
        return max((Decimal(usd) for (usd,) in costs), default=None)


def report_of(database: sqlite3.Connection) -> BatchReport:
    """Return how many rows of a journal are in which state, and what their requests cost."""
    states = dict(database.execute("SELECT state, count(*) FROM rows GROUP BY state").fetchall())
    done, failed, waiting = (states.get(state, 0) for state in ("done", "failed", "waiting"))
    unpriced, read, written = database.execute(
        "SELECT total(unpriced), total(input_tokens), total(output_tokens) FROM rows"
    ).fetchone()
    costs = database.execute("SELECT cost, count(*) FROM rows GROUP BY cost")
    cost = sum((Decimal(usd) * number for usd, number in costs), Decimal(0))
    rows = done + failed + waiting
    return BatchReport(rows, done, failed, waiting, cost, int(unpriced), int(read), int(written))


def locked(path: Path) -> sqlite3.Connection:
    """Return a lock on a journal, which holds until it is closed, or its process dies.

    Raises:
        ConfigurationError: Another process has it, or it cannot be made.
    """
    lock: sqlite3.Connection | None = None
    try:
        lock = sqlite3.connect(f"{path}-lock", timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if lock is not None:
            lock.close()
        busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
        kind = "another process has this batch open" if busy else "the journal cannot be opened"
        raise ConfigurationError(f"{path}: {kind}: {error}.") from None
    return lock


def _divided(rows: Iterator[tuple[int, BatchRow]]) -> Iterator[list[tuple[int, BatchRow]]]:
    """Yield rows in parts that are small enough to be held in memory."""
    part: list[tuple[int, BatchRow]] = []
    size = 0
    for number, row in rows:
        part.append((number, row))
        size += len(row.text)
        if len(part) >= _CHUNK or size >= _CHUNK_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
