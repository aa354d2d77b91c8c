"""The vendors' jobs of a batch: which rows each has, and how far it is, in the journal.

A job is written down before it is created: `planned` with its rows, `creating` when its request is about to
leave, `running` once the vendor's id is known, `ended` when all its rows are settled. What died `creating` is
looked for at the vendor, by its token, before anything is created again.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from langchain_llmdispatch.deployments.target import Target

JOB_TABLES = """
CREATE TABLE IF NOT EXISTS batch (only INTEGER PRIMARY KEY CHECK (only = 1), token TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, vendor TEXT NOT NULL, base_url TEXT NOT NULL, account TEXT NOT NULL,
  deployment TEXT NOT NULL, category TEXT NOT NULL, rows INTEGER NOT NULL, created REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'planned', file TEXT NOT NULL DEFAULT '', handle TEXT NOT NULL DEFAULT '',
  verified INTEGER NOT NULL DEFAULT 1, rejected TEXT NOT NULL DEFAULT '', cancelled REAL);
CREATE TABLE IF NOT EXISTS job_rows (
  row INTEGER NOT NULL, job INTEGER NOT NULL, reserve TEXT NOT NULL, open INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (row, job)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
  job INTEGER NOT NULL, row INTEGER NOT NULL, held TEXT NOT NULL, PRIMARY KEY (job, row)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_rows ON job_rows (job, row) WHERE open = 1;
"""


@dataclass(frozen=True, slots=True)
class VendorJob:
    """One job at a vendor.

    Attributes:
        id: Its number in the journal.
        vendor: The vendor's name.
        base_url: Where it was submitted.
        account: The identity of vendor, address and key (`Target.account`); holds no part of the key.
        deployment: The deployment's name.
        category: What its requests have in common (`BatchLine.group`).
        rows: How many requests it has.
        created: When it was last about to be created, in seconds since 1970.
        state: How far it is.
        file: The vendor's id of the uploaded file; empty where there is none.
        handle: The vendor's id of the job; empty before it is known.
        verified: Whether the vendor's job is surely this one; else its results show it.
        rejected: Ids of vendor's jobs that were taken for it and are not, separated by spaces.
        cancelled: When it was cancelled, in seconds since 1970; None if it was not.
    """

    id: int
    vendor: str
    base_url: str
    account: str
    deployment: str
    category: str
    rows: int
    created: float
    state: Literal["planned", "creating", "running", "ended"] = "planned"
    file: str = ""
    handle: str = ""
    verified: bool = True
    rejected: str = ""
    cancelled: float | None = None


_JOBS = """
SELECT id, vendor, base_url, account, deployment, category, rows, created,
state, file, handle, verified, rejected, cancelled FROM jobs
"""


_UPDATE = """
UPDATE jobs SET created = ?, state = ?, file = ?, handle = ?, verified = ?, rejected = ?, cancelled = ?
WHERE id = ?
"""


class JobTable:
    """The jobs of a batch, in the journal's file.

    Args:
        database: The journal's connection.

    Attributes:
        token: Of this batch: part of the ids of its jobs and rows at vendors.
        reserved: US dollars that the rows at vendors can cost at most.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO batch VALUES (1, ?)", (secrets.token_hex(8),))
        (self.token,) = self._db.execute("SELECT token FROM batch").fetchone()
        costs = self._db.execute("SELECT reserve FROM job_rows WHERE open = 1")
        self.reserved = sum((Decimal(usd) for (usd,) in costs), Decimal(0))

    # -- names at vendors --------------------------------------------------------------------------

    def token_of(self, job: VendorJob) -> str:
        """Return the token by which a vendor's job is found again."""
        return f"{self.token}-{job.id}"

    def row_id(self, number: int) -> str:
        """Return the id of a row in all its jobs."""
        return f"{self.token}-r{number}"

    def number_of(self, row_id: str) -> int | None:
        """Return the number of the row with an id; None if the id is none of this batch."""
        token, _, number = row_id.partition("-r")
        return int(number) if token == self.token and number.isdecimal() else None

    # -- jobs --------------------------------------------------------------------------------------

    def plan(
        self,
        target: Target,
        category: str,
        rows: Sequence[tuple[int, Decimal]],
        created: float,
        holds: Sequence[tuple[int, str]] = (),
    ) -> VendorJob:
        """Write a new job down, with its rows, what each can cost at most, and what it holds of budgets."""
        identity = (target.vendor.name, target.endpoint.base_url, target.account, target.name, category)
        with self._db:
            number = self._db.execute(
                "INSERT INTO jobs (vendor, base_url, account, deployment, category, rows, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*identity, len(rows), created),
            ).lastrowid
            self._db.executemany(
                "INSERT INTO job_rows (row, job, reserve) VALUES (?, ?, ?)",
                [(row, number, str(usd)) for row, usd in rows],
            )
            self._db.executemany(
                "INSERT INTO holds VALUES (?, ?, ?)", [(number, row, held) for row, held in holds]
            )
        self.reserved += sum((usd for _, usd in rows), Decimal(0))
        return self.get(int(number or 0))

    def get(self, number: int) -> VendorJob:
        """Return a job."""
        (job,) = self._found(_JOBS + "WHERE id = ?", number)
        return job

    def open(self) -> list[VendorJob]:
        """Return the jobs that have not ended."""
        return [job for job in self._found(_JOBS + "ORDER BY id") if job.state != "ended"]

    def any(self) -> bool:
        """Return whether there is or was a job."""
        return self._db.execute("SELECT 1 FROM jobs LIMIT 1").fetchone() is not None

    def _found(self, query: str, *values: Any) -> list[VendorJob]:
        return [VendorJob(*row) for row in self._db.execute(query, values).fetchall()]

    def update(self, job: VendorJob, *, durable: bool = False, **changes: Any) -> VendorJob:
        """Change a job.

        Args:
            job: The job.
            durable: Whether the change must outlive a power failure, and not only this process.
            changes: New values by attribute.
        """
        if durable:
            self._db.execute("PRAGMA synchronous = FULL")
        changed = replace(job, **changes)
        values = (changed.created, changed.state, changed.file, changed.handle)
        more = (changed.verified, changed.rejected, changed.cancelled, job.id)
        with self._db:
            self._db.execute(_UPDATE, (*values, *more))
        if durable:
            self._db.execute("PRAGMA synchronous = NORMAL")
        return changed

    def dissolve(self, job: VendorJob) -> None:
        """Forget a job of which nothing was run; its rows may go into another one."""
        self.reserved -= self._reserve(job)
        with self._db:
            self._db.execute("DELETE FROM job_rows WHERE job = ?", (job.id,))
            self._db.execute("DELETE FROM holds WHERE job = ?", (job.id,))
            self._db.execute("DELETE FROM jobs WHERE id = ?", (job.id,))

    def handles(self) -> set[str]:
        """Return the vendors' ids of all jobs."""
        return {handle for (handle,) in self._db.execute("SELECT handle FROM jobs WHERE handle != ''")}

    # -- their rows --------------------------------------------------------------------------------

    def open_rows(self, job: VendorJob) -> set[int]:
        """Return the numbers of the rows of a job that are not settled."""
        found = self._db.execute("SELECT row FROM job_rows WHERE job = ? AND open = 1", (job.id,))
        return {number for (number,) in found}

    def settle(self, job: VendorJob, numbers: Iterable[int]) -> None:
        """Mark rows of a job as settled; part of a transaction."""
        for number in numbers:
            (usd,) = self._db.execute(
                "SELECT reserve FROM job_rows WHERE job = ? AND row = ?", (job.id, number)
            ).fetchone()
            self.reserved -= Decimal(usd)
            self._db.execute("UPDATE job_rows SET open = 0 WHERE job = ? AND row = ?", (job.id, number))
            self._db.execute("DELETE FROM holds WHERE job = ? AND row = ?", (job.id, number))

    def holds(self, job: VendorJob) -> list[tuple[int, str]]:
        """Return what the open rows of a job hold of budgets, by the row's number."""
        return self._db.execute("SELECT row, held FROM holds WHERE job = ?", (job.id,)).fetchall()

    def _reserve(self, job: VendorJob) -> Decimal:
        costs = self._db.execute("SELECT reserve FROM job_rows WHERE job = ? AND open = 1", (job.id,))
        return sum((Decimal(usd) for (usd,) in costs), Decimal(0))
