"""`run_batch`: a batch of any size that a killed process does not lose.

    report = run_batch(model, "prompts.jsonl", "answers.jsonl", store="batch.sqlite", max_cost=20.0)

Every row and its result are in the journal (`store`). The same call goes on where the last one ended, however
that ended; no row with a result is sent again. The results are written when a run ends.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Literal

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config

from langchain_llmdispatch import errors
from langchain_llmdispatch.batch.batched_model import BatchedModel
from langchain_llmdispatch.batch.calls import RowAnswer
from langchain_llmdispatch.batch.collection import Collection
from langchain_llmdispatch.batch.funds import JobFunds
from langchain_llmdispatch.batch.interrupt import Interrupt
from langchain_llmdispatch.batch.limits import RunLimits
from langchain_llmdispatch.batch.live_calls import LiveCalls, is_final, text_of, tried
from langchain_llmdispatch.batch.progress import Progress, counted
from langchain_llmdispatch.batch.report import BatchReport
from langchain_llmdispatch.batch.results import Sink, check_sink, write_results
from langchain_llmdispatch.batch.rows import BatchRow, Source, read_rows
from langchain_llmdispatch.batch.store import SUSPECT, BatchStore, RowResult
from langchain_llmdispatch.batch.vendor_jobs import VendorJobs
from langchain_llmdispatch.batch.window import MAX_IN_FLIGHT, amap_inputs
from langchain_llmdispatch.clock import Clock

_LIVE_FACTOR = 2  # what a live call costs, by the cost of one in a batch
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0  # seconds between two passes over the rows that failed; it doubles


def run_batch(
    model: Runnable[Any, Any],
    source: Source,
    sink: Sink = None,
    *,
    store: str | Path | None = None,
    **options: Any,
) -> BatchReport:
    """Answer every row of a source, and write the results; see `arun_batch` for all arguments.

    Where an event loop runs already (a notebook), it works in a thread; `await arun_batch(...)` can be
    interrupted there.
    """
    work = arun_batch(model, source, sink, store=store, **options)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, "llmdispatch-batch") as pool:
        return pool.submit(_run, work).result()


def _run(work: Coroutine[Any, Any, BatchReport]) -> BatchReport:
    return asyncio.run(work)


async def arun_batch(
    model: Runnable[Any, Any],
    source: Source,
    sink: Sink = None,
    *,
    store: str | Path | None = None,
    max_in_flight: int = MAX_IN_FLIGHT,
    max_tries: int = 3,
    max_cost: float | None = None,
    max_failures: int | None = 100,
    retry_failed: bool = False,
    progress: bool | Callable[..., Any] = False,
    config: RunnableConfig | None = None,
    clock: Clock | None = None,
    via: Literal["live", "batch"] = "live",
    deadline: float | None = 86_400.0,
    rng: Random | None = None,
    interrupt: Interrupt | None = None,
) -> BatchReport:
    """Answer every row of a source, and write the results.

    Args:
        model: A chat model, or what is made of one (a chain, `with_structured_output(...)`).
        source: A `.jsonl` or `.parquet` file, or an iterable; `batch.rows` describes a row.
        sink: A `.jsonl` or `.parquet` file, or a function of each result, called when the run ends.
        store: The journal, a SQLite file; default: the sink's name with `.sqlite`.
        max_in_flight: Rows that are under way at most.
        max_tries: Calls per row; what is not worth another one (an invalid request, a refusal) fails at once.
        max_cost: US dollars that all runs over the journal may cost. A row starts if the dearest one so far
            would fit for it and for each that is under way.
        max_failures: Rows in succession that may fail before the run ends: a key may be wrong. None for any.
        retry_failed: Whether rows that failed in earlier runs are tried again, perhaps by another `model`.
        progress: Whether a bar shows rows, tokens, dollars and the time left; or a tqdm class of one's own.
        config: For each call: tags, metadata, callbacks.
        clock: The source of time.
        via: `batch` sends rows to the vendors' batch APIs, each to the first deployment of its plan whose
            vendor has one; what they do not answer is called live. The model is a chat model, or made of one.
        deadline: Seconds from the creation of a job, or of an answer in the background, after which it is
            cancelled and called live; None waits for the vendor's own end, which Azure does not have.
        rng: Draws the jitter of waits.
        interrupt: Ends the run early once `request()` of it is called: what is under way is finished, jobs at
            vendors are left to a later run.

    Returns:
        The state of the journal.

    Raises:
        ConfigurationError: A file or a row is wrong, the source differs from the journal's, another process
            has it open, `max_cost` meets an unknown price, or the model lacks what `via` or a job needs.
        OSError: The journal or the results cannot be written. What the journal holds is kept.
    """
    check_sink(sink, source)
    limits = RunLimits(max_tries, max_cost, max_failures, max_in_flight, deadline)
    with _opened(_journal(store, sink)) as journal:
        journal.load(read_rows(source))
        if retry_failed:
            journal.retry_failed()
        with _bar(journal, progress) as bar:
            run = _Run(model, journal, limits, config, bar, clock or Clock(), rng or Random())
            return await run.whole(sink, via, interrupt or Interrupt())


@contextmanager
def _opened(path: Path) -> Iterator[BatchStore]:
    """Yield the journal; what SQLite raises is an error of the disk."""
    try:
        with BatchStore(path) as journal:
            yield journal
    except sqlite3.Error as error:
        text = f"{path}: the journal cannot be written: {error}. The same call goes on with what it holds."
        raise OSError(text) from error


def _journal(store: str | Path | None, sink: Sink) -> Path:
    if store is not None:
        return Path(store)
    if isinstance(sink, (str, Path)):
        return Path(f"{sink}.sqlite")
    raise errors.ConfigurationError("store: a batch without a file for its results needs the journal's name.")


def _bar(journal: BatchStore, progress: bool | Callable[..., Any]) -> Any:
    if not progress:
        return nullcontext()
    return Progress(journal.report().waiting, bar=None if progress is True else progress)


class _Run:
    """One run over the rows that wait.

    Attributes:
        stopped: Why it ended early, or None.
    """

    def __init__(
        self,
        model: Runnable[Any, Any],
        journal: BatchStore,
        limits: RunLimits,
        config: RunnableConfig | None,
        bar: Progress | None,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._model, self._journal, self._limits, self._config = model, journal, limits, config
        self._clock, self._rng = clock, rng
        handlers = () if bar is None else (bar.usage,)
        self._live = LiveCalls(
            model, config, journal.answers, clock=clock, deadline=limits.deadline, handlers=handlers
        )
        self._bar, self._spent, self._dearest = bar, journal.report().cost, journal.dearest()
        if self._dearest is not None and journal.jobs.any():
            self._dearest *= _LIVE_FACTOR
        self._under_way = self._failures = self._refusals = 0
        self._to_come = journal.answers.rows()  # rows that are not under way, and whose answers will cost
        self._settled = asyncio.Event()
        self.stopped: Literal["max_cost", "failures", "interrupt"] | None = None

    async def whole(self, sink: Sink, via: str, interrupt: Interrupt) -> BatchReport:
        """Answer all rows, by vendors' batches and by live calls, and write the results."""
        self._interrupt = interrupt
        interrupt.begin()
        try:
            async with aclosing(self.rounds(via)) as rounds:
                async for held in rounds:
                    await self.passes(held=held)
                    if self._is_exhausted and not held:
                        self.stopped = "failures"
                    if self.stopped == "failures":
                        break
        finally:
            write_results(sink, self._journal.ended())
        if interrupt.requested and self.stopped is None:
            self.stopped = "interrupt"
        return replace(self._journal.report(), stopped=self.stopped)

    async def passes(self, *, held: bool) -> None:
        """Go over the rows until none waits; those that failed are tried again after a pause.

        Args:
            held: Whether rows that never were in a vendor's job wait for one.
        """
        held = held or self._is_exhausted
        waiting = self._journal.released if held else self._journal.waiting
        pause = _PAUSE
        if self.stopped == "max_cost":  # jobs that have ended since may have left some of it
            self.stopped = None
        while True:
            results = amap_inputs(
                self._answer, self._rows(waiting()), max_in_flight=self._limits.in_flight, ordered=False
            )
            async with aclosing(results):
                async for _, result in results:
                    self._keep(result)
            if self.stopped or self._interrupt.requested or next(waiting(), None) is None:
                return
            await self._interrupt.sleep(self._clock, pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _rows(self, waiting: Iterator[tuple[int, BatchRow]]) -> AsyncIterator[tuple[int, BatchRow]]:
        for number, row in waiting:
            if not await self._has_room(number):
                if self._to_come:  # rows that have begun go on; they may leave room
                    continue
                self.stopped = "max_cost"
                return
            suspect = self._journal.deaths(number) >= SUSPECT
            if suspect:  # it may be what kills the process: others are not to be held responsible
                await self._idle()
            if self.stopped or self._interrupt.requested:
                return
            if self._journal.start(number):
                self._under_way += 1
                self._to_come.discard(number)
                yield number, row
                if suspect:
                    await self._idle()

    async def _has_room(self, number: int) -> bool:
        """Return whether a row may start within `max_cost`, once those under way have shown their cost."""
        while not self._affords(number):
            if not self._under_way:
                return False
            self._settled.clear()
            await self._settled.wait()
        return True

    async def _idle(self) -> None:
        """Wait until no row is under way."""
        while self._under_way:
            self._settled.clear()
            await self._settled.wait()

    def _affords(self, number: int) -> bool:
        most = self._limits.cost
        if most is None or number in self._to_come:
            return True
        if self._dearest is None:  # the first row shows what one costs
            return not self._under_way
        reserved = self._spent + self._journal.jobs.reserved
        return reserved + (self._under_way + len(self._to_come) + 1) * self._dearest <= most

    async def _answer(self, numbered: tuple[int, BatchRow]) -> RowResult:
        return await self._live.result(*numbered)

    def _keep(self, result: RowResult) -> None:
        ended = self._journal.finish(result, max_tries=self._limits.tries)
        self._under_way -= 1
        if result.pending:
            self._to_come.add(result.number)
        if not result.pending:
            self._failures = 0 if result.error is None else self._failures + 1
        self._settled.set()
        if self._failures == self._limits.failures:
            self.stopped = "failures"
        self._count(result, result.cost)
        if self._bar is not None and ended:
            self._bar.add(failed=result.error is not None)

    def _count(self, result: RowResult, live_cost: Decimal) -> None:
        self._spent += result.cost
        if result.answer is not None or live_cost:  # one that failed may have cost nothing
            self._dearest = max(self._dearest or Decimal(0), live_cost)
        if result.unpriced and self._limits.cost is not None:
            raise errors.ConfigurationError("max_cost cannot be held: the price of an answer is unknown.")

    # -- vendors' batches --------------------------------------------------------------------------

    async def rounds(self, via: str) -> AsyncGenerator[bool]:
        """Yield whenever rows may wait for live calls; see `VendorJobs.rounds`."""
        submits = _checked_via(via) == "batch"
        if not submits and not self._journal.jobs.open():
            yield False
            return
        model = BatchedModel(self._model, self._config)
        funds = JobFunds(model.calls.budgets, self._journal.jobs)
        collection = Collection(
            model.calls,
            self._journal,
            lambda number, answer: self._batched(model, number, answer),
            self._keep_batched,
            funds,
            clock=self._clock,
            rng=self._rng,
        )
        jobs = VendorJobs(
            model.calls,
            self._journal,
            collection,
            self._reserve,
            self._judged,
            funds,
            self._interrupt,
            clock=self._clock,
            rng=self._rng,
            deadline=self._limits.deadline,
            submits=submits,
        )
        async with aclosing(jobs.rounds()) as rounds:
            async for held in rounds:
                yield held

    async def _batched(self, model: BatchedModel, number: int, answer: RowAnswer) -> RowResult:
        """Return the result of a row that a vendor's batch has answered, or failed to."""
        unpriced = int(answer.message is not None and answer.cost is None)
        used = (answer.cost or Decimal(0), unpriced, answer.input_tokens, answer.output_tokens)
        if answer.message is None:
            error = answer.error
            final = not (getattr(error, "falls_back", False) or getattr(error, "is_retryable", False))
            return RowResult(number, None, text_of(error or ValueError("no answer")), final, *used)
        config = ensure_config(self._config)
        given = self._journal.row(number).input
        if self._bar is not None:
            config = counted(config, self._bar.usage)
        made, failed = await tried(model.finished(given, answer.message, answer.attempt, config))
        if failed is not None:
            return RowResult(number, None, text_of(failed), is_final(failed), *used)
        return RowResult(number, made, None, True, *used)

    def _keep_batched(self, result: RowResult) -> None:
        self._count(result, result.cost * _LIVE_FACTOR)
        if self._bar is not None and (result.answer is not None or result.final):
            self._bar.add(failed=result.answer is None)

    @property
    def _is_exhausted(self) -> bool:
        """Whether so many rows in succession did not fit the budgets of the model that no more are taken."""
        return self._refusals == self._limits.failures

    def _judged(self, number: int, error: errors.BudgetExceededError | None) -> None:
        """Set a row aside if it does not fit a budget of the model."""
        if error is None:
            self._refusals = 0
            return
        self._journal.finish(RowResult(number, error=text_of(error)), max_tries=self._limits.tries)
        self._refusals += 1
        if self._bar is not None:
            self._bar.add(failed=True)

    def _reserve(self, worst: Decimal | None, beside: Decimal | int) -> Decimal | None:
        """Return what to reserve for a row: its worst case, or what the dearest row would cost live."""
        if self._is_exhausted:
            return None
        if self._limits.cost is None:
            return Decimal(0)
        if worst is None or (self._dearest is not None and self._dearest < worst):
            worst = self._dearest
        if worst is None:
            raise errors.ConfigurationError("max_cost cannot be held: what a row can cost is unknown.")
        fits = self._spent + self._journal.jobs.reserved + beside + worst <= self._limits.cost
        return worst if fits else None


def _checked_via(via: str) -> str:
    if via not in {"live", "batch"}:
        raise errors.ConfigurationError(f"via={via!r} is not known: 'live' or 'batch'.")
    return via
