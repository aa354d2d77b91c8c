"""The results of vendors' jobs, put with their rows."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from langchain_llmdispatch.batch.calls import BatchCalls, RowAnswer, read
from langchain_llmdispatch.batch.funds import JobFunds
from langchain_llmdispatch.batch.jobs import VendorJob
from langchain_llmdispatch.batch.store import BatchStore, RowResult
from langchain_llmdispatch.batch.waits import Waits
from langchain_llmdispatch.callbacks.error_names import error_name
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.errors import DispatchError, MalformedResponseError
from langchain_llmdispatch.vendors.batches import BatchApi, BatchJob, BatchResult

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)
_TRANSFER = 1800.0  # seconds that the results may take
_MOST_TRIES = 6
_FIRST_WAIT, _LONGEST_WAIT = 5.0, 120.0
_AT_ONCE = 100  # results in one transaction


class Collection:
    """Reads the results of jobs, and keeps each with its row.

    Args:
        calls: The calls of the model.
        journal: The journal.
        result_of: Makes a row's result of what its answer comes to.
        keep: Notified of the results that were kept.
        funds: What rows hold of budgets, which is settled.
        clock: The source of time.
        rng: Draws the jitter of waits.
    """

    def __init__(
        self,
        calls: BatchCalls,
        journal: BatchStore,
        result_of: Callable[[int, RowAnswer], Awaitable[RowResult]],
        keep: Callable[[RowResult], None],
        funds: JobFunds,
        *,
        clock: Clock,
        rng: Random,
    ) -> None:
        self._calls, self._journal, self._result_of, self._keep = calls, journal, result_of, keep
        self._clock, self._rng, self._funds = clock, rng, funds

    async def collect(self, job: VendorJob, target: Target, seen: BatchJob) -> bool:
        """Settle the rows of a job that has ended; return whether it is that job, by the ids in its results.

        Every row ends with its answer, or failed, or left to live calls: what failed for the vendor's
        reasons, was not run, or is missing.
        """
        waits = Waits(self._clock, self._rng, _FIRST_WAIT, _LONGEST_WAIT)
        for number in range(1, _MOST_TRIES + 1):
            reading = _Reading(self._journal.jobs.open_rows(job))
            try:
                await self._read(job, target, seen, reading)
            except DispatchError as error:
                if number < _MOST_TRIES:
                    waits.advise(error.retry_after)
                    await waits.next()
                    continue
                reason = f"the results cannot be read: {type(error).__name__}: {error}"
                self.release(job, reason, shown=f"the results cannot be read: {error_name(error)}")
                return True
            if not job.verified and reading.strangers and not reading.found:
                return False
            self._note(job, reading)
            self.release(job, seen.reason or "it has no result", shown="they have no result")
            return True
        return True

    async def _read(self, job: VendorJob, target: Target, seen: BatchJob, reading: _Reading) -> None:
        for source in seen.results:
            kept: list[RowResult] = []
            async with aclosing(self._results(job, target, source)) as results:
                async for result in results:
                    number = self._journal.jobs.number_of(result.row_id)
                    if not reading.take(number, result):
                        continue
                    kept.append(await self._settled(job, target, number or 0, result))
                    if len(kept) >= _AT_ONCE:
                        self._finish(job, kept)
                        kept = []
            self._finish(job, kept)

    async def _results(
        self, job: VendorJob, target: Target, source: str
    ) -> AsyncGenerator[BatchResult, None]:
        api = self._calls.api(target)
        if not api.by_line:
            page = source
            while page:
                reply = await self._calls.send(target, partial(_page, job.handle, page), _TRANSFER)
                for result in read(_decoded, api, reply.body):
                    yield result
                page = read(api.following, reply.body)
            return
        lines = self._calls.lines(target, lambda keyed: keyed.results(job.handle, source), _TRANSFER)
        async with aclosing(lines):
            async for line in lines:
                for result in _readable(api, line):
                    yield result

    async def _settled(self, job: VendorJob, target: Target, number: int, result: BatchResult) -> RowResult:
        if result.status is None:
            reason = self._calls.shown(target, result.reason)
            return RowResult(number, error=f"not run by {job.handle}: {reason}", final=False)
        row = self._journal.row(number)
        answer = self._calls.answer(target, row.input, row.params, result, job.handle)
        return await self._result_of(number, answer)

    def _finish(self, job: VendorJob, results: list[RowResult]) -> None:
        self._journal.finish_in(job, results)
        self._funds.settle(job, results)
        for result in results:
            self._keep(result)

    def release(self, job: VendorJob, reason: str, *, shown: str) -> None:
        """End a job; the rows that it has not settled are left to live calls.

        Args:
            job: The job.
            reason: Why, for the journal.
            shown: Why, for the log: without a vendor's text.
        """
        left = sorted(self._journal.jobs.open_rows(job))
        if left:
            logger.warning(
                "%d of %d rows of a batch at %s go to live calls: %s",
                len(left),
                job.rows,
                job.deployment,
                shown,
            )
        for start in range(0, len(left), _AT_ONCE):
            part = left[start : start + _AT_ONCE]
            self._finish(job, [RowResult(number, error=reason, final=False) for number in part])
        self._journal.jobs.update(job, state="ended")

    def _note(self, job: VendorJob, reading: _Reading) -> None:
        """Warn of results that match no row."""
        if reading.strangers or reading.repeated:
            logger.warning(
                "batch %s of %s has %d results of unknown rows and %d repeated ones; they are not used",
                job.handle, job.deployment, reading.strangers, reading.repeated,
            )  # fmt: skip
        if left := reading.not_run:
            logger.warning("batch %s of %s has not run %d rows", job.handle, job.deployment, left)


class _Reading:
    """What has come of the results of a job.

    Args:
        rows: The numbers of the rows that are not settled.

    Attributes:
        found: Results of rows of the job.
        strangers: Results of other rows, or without an id.
        repeated: Results of rows that have one.
        not_run: How many rows were not run.
    """

    def __init__(self, rows: set[int]) -> None:
        self._rows, self._all = rows, set(rows)
        self.found = self.strangers = self.repeated = 0
        self.not_run = 0

    def take(self, number: int | None, result: BatchResult) -> bool:
        """Return whether a result is the first one of a row that needs one."""
        if number is None:
            self.strangers += 1
            return False
        self.found += 1
        if number not in self._rows:
            self.repeated += number in self._all
            return False
        self._rows.discard(number)
        if result.status is None:
            self.not_run += 1
        return True


def _page(handle: str, source: str, api: BatchApi) -> httpx.Request:
    return api.results(handle, source)


def _decoded(api: BatchApi, data: bytes) -> list[BatchResult]:
    return list(api.decode(data))


def _readable(api: BatchApi, line: bytes) -> Iterator[BatchResult]:
    """Yield the results in a line; a line that makes no sense is left out, and its row has none."""
    try:
        yield from read(_decoded, api, line)
    except MalformedResponseError as error:
        logger.warning("a line of a batch's results is left out: %s", error_name(error))
