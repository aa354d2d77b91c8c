"""The journal: who may open it, what it refuses, what a full disk does to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.batch.rows import read_rows
from langchain_llmdispatch.batch.store import BatchStore
from langchain_llmdispatch.errors import ConfigurationError


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second one is an error, at once; afterwards it may."""
    path = tmp_path / "b.sqlite"
    with BatchStore(path):
        with pytest.raises(ConfigurationError, match="another process has this batch open"):
            BatchStore(path)
    BatchStore(path).close()


def test_another_process_may_read_it(tmp_path: Path) -> None:
    """While a run writes."""
    path = tmp_path / "b.sqlite"
    with BatchStore(path) as journal:
        journal.load(read_rows(["a", "b"]))
        other = sqlite3.connect(path)
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM rows").fetchone() == (2,)
        assert journal.start(1)
        other.close()


def test_a_place_where_no_journal_can_be(tmp_path: Path) -> None:
    """A missing folder is not another process."""
    with pytest.raises(ConfigurationError, match="the journal cannot be opened: unable to open"):
        BatchStore(tmp_path / "missing" / "b.sqlite")


def test_a_source_that_has_lost_rows(tmp_path: Path) -> None:
    """It is another source."""
    run_batch(RunnableLambda(str), ["a", "b", "c"], tmp_path / "o.jsonl")
    with pytest.raises(ConfigurationError, match="the source has 2 rows, .*o.jsonl.sqlite has 3"):
        run_batch(RunnableLambda(str), ["a", "b"], tmp_path / "o.jsonl")


def test_large_rows_are_held_one_at_a_time(tmp_path: Path) -> None:
    """Whatever is read ahead is bounded by bytes."""
    read: list[int] = []

    def rows() -> Iterator[str]:
        for number in range(6):
            read.append(number)
            yield f"{number}" + "x" * 6_000_000

    with BatchStore(tmp_path / "b.sqlite") as journal:
        journal.load(read_rows(rows()))
        assert [row.input[:2].rstrip("x") for _, row in journal.waiting()] == [str(n) for n in range(6)]
    assert len(read) == 6


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond a size, as if the disk were full."""
    resource = pytest.importorskip("resource")  # of Unix
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk(tmp_path: Path) -> None:
    """The run ends with an error that names the journal; nothing that it holds is lost, and the next run goes on."""
    sink, seen = tmp_path / "out.jsonl", list[str]()

    def answer(text: str) -> str:
        seen.append(text)
        return text * 2000

    rows = [f"row {n}" for n in range(60)]
    with full_disk(300_000), pytest.raises(OSError, match="sqlite: the journal cannot be written"):
        run_batch(RunnableLambda(answer), rows, sink, max_in_flight=1)
    assert 0 < len(seen) < 60
    assert not list(tmp_path.glob("*.part"))
    assert run_batch(RunnableLambda(answer), rows, sink, max_in_flight=1).done == 60
    assert len(seen) <= 61  # one was under way
