"""Rows whose vendor makes the answer in the background: what takes each answer up, in the journal.

The vendor's id is written down before the answer is waited for, so that a later run goes on with the answer
instead of requesting another one.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from langchain_llmdispatch.callbacks.events import BACKGROUND
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import PendingAnswerError

ANSWER_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
  row INTEGER PRIMARY KEY, id TEXT NOT NULL, deployment TEXT NOT NULL, since REAL NOT NULL);
"""

_KEEP = """
INSERT INTO answers VALUES (?, ?, ?, ?) ON CONFLICT (row) DO UPDATE
SET id = excluded.id, deployment = excluded.deployment, since = excluded.since WHERE id != excluded.id
"""


@dataclass(frozen=True, slots=True)
class PendingAnswer:
    """An answer that is still to come.

    Attributes:
        id: The vendor's id of it.
        deployment: The deployment that has requested it.
        since: When it was requested, in seconds since 1970.
    """

    id: str
    deployment: str
    since: float

    def error(self) -> PendingAnswerError:
        """Return what `resume_from` takes it up by."""
        return PendingAnswerError("still to come", response_id=self.id, deployment=self.deployment)


class AnswerTable:
    """The answers that are still to come, in the journal's file.

    Args:
        database: The journal's connection.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def keep(self, row: int, answer: PendingAnswer) -> None:
        """Write the answer of a row down; one that is taken up was there before."""
        with self._db:
            self._db.execute(_KEEP, (row, answer.id, answer.deployment, answer.since))

    def find(self, row: int) -> PendingAnswer | None:
        """Return the answer that a row goes on with; None if it begins anew."""
        found = self._db.execute("SELECT id, deployment, since FROM answers WHERE row = ?", (row,)).fetchone()
        return None if found is None else PendingAnswer(*found)

    def drop(self, row: int) -> None:
        """Forget the answer of a row; part of a transaction."""
        self._db.execute("DELETE FROM answers WHERE row = ?", (row,))

    def rows(self) -> set[int]:
        """Return the numbers of the rows that have one."""
        return {number for (number,) in self._db.execute("SELECT row FROM answers")}


class AnswerKeeper(BaseCallbackHandler):
    """Writes down the answer in the background that one row's call waits for.

    Args:
        answers: Where.
        row: The row's number.
        clock: The source of time.
    """

    run_inline = True  # the journal belongs to the thread of the event loop
    raise_error = True

    def __init__(self, answers: AnswerTable, row: int, clock: Clock) -> None:
        self._answers, self._row, self._clock = answers, row, clock
        self._run: Any = None

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Note the run of the row's model, which is the first one; later models of a chain have others."""
        self._run = self._run or run_id

    def on_custom_event(self, name: str, data: Any, *, run_id: Any, **kwargs: Any) -> None:
        """Keep the id of an answer."""
        if name == BACKGROUND and run_id == self._run:
            since = self._clock.now().timestamp()
            self._answers.keep(self._row, PendingAnswer(data["response_id"], data["deployment"], since))
