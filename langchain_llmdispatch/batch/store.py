"""The journal of a batch: one SQLite file that a killed process leaves in order.

Each row is in one of three states: waiting, done with its answer, failed with its error. A transaction ends
each change, in write-ahead mode: what was committed survives the process. The file is locked while a run has
it open, and the system releases the lock of a process that died.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
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
SELECT number, id, row FROM rows WHERE state = 'waiting' AND number > ?
AND NOT EXISTS (SELECT 1 FROM job_rows WHERE row = number AND open = 1) ORDER BY number LIMIT ?
"""
_UNSENT = """
SELECT number, id, row FROM rows WHERE state = 'waiting' AND number > ?
AND NOT EXISTS (SELECT 1 FROM job_rows WHERE row = number) ORDER BY number LIMIT ?
"""
_RELEASED = """
SELECT number, id, row FROM rows WHERE state = 'waiting' AND number > ?
AND number IN (SELECT row FROM job_rows WHERE open = 0)
AND NOT EXISTS (SELECT 1 FROM job_rows WHERE row = number AND open = 1) ORDER BY number LIMIT ?
"""
_CHUNK = 1000
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
        ConfigurationError: The file is none of a batch, or another process has it open.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._db = self._opened()
        self.jobs, self.answers = JobTable(self._db), AnswerTable(self._db)

    def _opened(self) -> sqlite3.Connection:
        """Return the journal's file, opened and locked; it is closed again where that fails."""
        database: sqlite3.Connection | None = None
        try:
            database = sqlite3.connect(self.path, timeout=0, isolation_level="IMMEDIATE")
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")  # a power failure may undo rows, a kill none
            database.executescript(_TABLES + JOB_TABLES + ANSWER_TABLE)
        except sqlite3.DatabaseError as error:
            if database is not None:
                database.close()
            locked = isinstance(error, sqlite3.OperationalError)
            fault = "another process has this batch open" if locked else "is no journal of a batch"
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

    # -- rows ------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[BatchRow]) -> None:
        """Add the rows that are not in the journal yet.

        Raises:
            ConfigurationError: A row differs from the one in its place, or two have one id.
        """
        numbered = enumerate(rows, 1)
        while chunk := list(islice(numbered, _CHUNK)):
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
            for number, name, text in found:
                yield number, BatchRow(name, text)
            last = found[-1][0]

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
        states = dict(self._db.execute("SELECT state, count(*) FROM rows GROUP BY state").fetchall())
        done, failed, waiting = (states.get(state, 0) for state in ("done", "failed", "waiting"))
        unpriced, read, written = self._db.execute(
            "SELECT total(unpriced), total(input_tokens), total(output_tokens) FROM rows"
        ).fetchone()
        costs = self._db.execute("SELECT cost, count(*) FROM rows GROUP BY cost")
        cost = sum((Decimal(usd) * number for usd, number in costs), Decimal(0))
        rows = done + failed + waiting
        return BatchReport(rows, done, failed, waiting, cost, int(unpriced), int(read), int(written))

    def dearest(self) -> Decimal | None:
        """Return the cost of the dearest row that has ended, in US dollars; None if none has."""
        costs = self._db.execute("SELECT DISTINCT cost FROM rows WHERE state != 'waiting'")
        return max((Decimal(usd) for (usd,) in costs), default=None)
