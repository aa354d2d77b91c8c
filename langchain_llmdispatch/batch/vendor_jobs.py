"""Rows answered by vendors' batch APIs: submitted, polled, collected, whatever the process goes through.

The order of writing and sending is what makes it safe: a job is in the journal before it is created, and
`creating` before its request leaves. No vendor creates a job only once, so a job whose creation was not
confirmed is looked for among the vendor's recent jobs before it is created again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import httpx

from langchain_llmdispatch.batch.calls import BatchCalls, BatchedRow, read
from langchain_llmdispatch.batch.collection import Collection
from langchain_llmdispatch.batch.creation import Creation
from langchain_llmdispatch.batch.funds import JobFunds
from langchain_llmdispatch.batch.interrupt import Interrupt
from langchain_llmdispatch.batch.jobs import VendorJob
from langchain_llmdispatch.batch.store import BatchStore
from langchain_llmdispatch.batch.waits import Waits
from langchain_llmdispatch.budgets.budget import BudgetReservation
from langchain_llmdispatch.callbacks.error_names import error_name
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.errors import BudgetExceededError, ConfigurationError, DispatchError
from langchain_llmdispatch.vendors.batches import BatchApi, BatchJob

logger = logging.getLogger(__name__)
_MOST_OPEN = 50  # jobs at vendors at once
_CONTROL = 60.0  # seconds that a request about a job may take
_YOUNG = 600.0  # seconds in which a job that was just created may be unknown (anthropic-sdk-python#1432)
_CANCELLING = 3600.0  # seconds that a cancelled job may take to end; OpenAI's took 605 to 2,820
_BUSY, _LONGEST_BUSY = 60.0, 1800.0  # seconds before a job is created again that the vendor had no room for
_MOST_BUSY = 20
_TURN = 100
_MOST_HELD = 1000  # rows kept back, after which none is looked at until a job has ended


@dataclass(slots=True)
class _Bundle:
    """Requests that go into one job.

    Attributes:
        target: The deployment.
        category: What they have in common.
        lines: The requests.
        rows: The number of each row, and what it can cost at most.
        held: What each row holds of budgets, by its number.
        size: The bytes of all lines.
        worst: US dollars that they can cost at most.
    """

    target: Target
    category: str
    lines: list[bytes] = field(default_factory=list)
    rows: list[tuple[int, Decimal]] = field(default_factory=list)
    held: dict[int, Sequence[BudgetReservation]] = field(default_factory=dict)
    size: int = 0
    worst: Decimal = Decimal(0)

    def add(self, number: int, row: BatchedRow, worst: Decimal, held: Sequence[BudgetReservation]) -> None:
        """Add a row, what it can cost at most, and what it holds of budgets."""
        self.held[number] = held
        self.lines.append(row.line.text)
        self.rows.append((number, worst))
        self.worst += worst
        self.size += len(row.line.text) + 1

    def give_back(self) -> None:
        """Give back what its rows hold."""
        for reservations in self.held.values():
            for held in reservations:
                held.settle(Decimal(0))


class VendorJobs:
    """The jobs of a batch at vendors.

    Args:
        calls: The calls of the model.
        journal: The journal.
        collection: Settles the rows of a job that has ended.
        affords: Returns the US dollars to reserve for another row, or None if that is too much. It gets what
            the row can cost at most, and what those can that are about to be submitted with it.
        judged: Notified of a row that fits the budgets of the model, or does not, and is set aside.
        funds: What rows hold of budgets.
        interrupt: Ends the wait for jobs.
        clock: The source of time.
        rng: Draws the jitter of waits.
        deadline: Seconds after which a job is cancelled, and what it did not answer is called live; None: the
            vendor's own end.
        submits: Whether new jobs are submitted; else those that are open are collected.
    """

    def __init__(
        self,
        calls: BatchCalls,
        journal: BatchStore,
        collection: Collection,
        affords: Callable[[Decimal | None, Decimal | int], Decimal | None],
        judged: Callable[[int, BudgetExceededError | None], None],
        funds: JobFunds,
        interrupt: Interrupt,
        *,
        clock: Clock,
        rng: Random,
        deadline: float | None,
        submits: bool = True,
    ) -> None:
        self._calls, self._journal, self._collection, self._affords = calls, journal, collection, affords
        self._judged, self._funds, self._interrupt = judged, funds, interrupt
        self._bundles: dict[tuple[str, str], _Bundle] = {}
        self._clock, self._rng, self._deadline, self._submits = clock, rng, deadline, submits
        self._creation = Creation(calls, journal.jobs, clock, rng)
        self._tasks: set[asyncio.Task[None]] = set()
        self._dissolving: list[VendorJob] = []  # of which nothing ran; a live call must not get in between
        self._busy = 0

    async def rounds(self) -> AsyncGenerator[bool]:
        """Submit and collect all there is; yield whenever rows may wait for live calls.

        It yields whether those that never were in a job wait for one: what may be spent does not cover them
        until a job has ended.

        Raises:
            ConfigurationError: The model has no deployment of an open job.
            DispatchError: A job cannot be read: a wrong key. It stays in the journal for a later run.
        """
        try:
            for job in self._journal.jobs.open():
                self._funds.adopt(job)
                self._start(self._resumed(job, self._target_of(job)))
            while not self._interrupt.requested:
                held = await self._submit()
                yield held and bool(self._tasks)
                if not self._tasks:
                    return
                await self._one_ended()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._funds.hand_over()
            for bundle in self._bundles.values():  # of which no job was made
                bundle.give_back()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _one_ended(self) -> None:
        stop = asyncio.ensure_future(self._interrupt.wait())
        ended, _ = await asyncio.wait({*self._tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        self._tasks -= ended
        for task in ended - {stop}:
            task.result()

    def _target_of(self, job: VendorJob) -> Target:
        target = self._calls.find(job.vendor, job.base_url, job.account, job.deployment)
        if target is None:
            raise ConfigurationError(
                f"job {job.handle or job.id} of this batch was submitted by deployment {job.deployment!r} to "
                f"{job.vendor} at {job.base_url}; the model has none with that address and key."
            )
        return target

    # -- submitting --------------------------------------------------------------------------------

    async def _submit(self) -> bool:
        """Submit the rows that were in no job yet, in jobs by deployment and kind.

        Returns:
            Whether some were kept back because of what may be spent.
        """
        for job in self._dissolving:
            self._journal.jobs.dissolve(job)
            self._funds.give_back(job)
        self._dissolving.clear()
        held = 0
        for number, row in self._journal.unsent() if self._submits else ():
            made = self._calls.planned(row.input, row.params, self._journal.jobs.row_id(number))
            if number % _TURN == 0:  # the other tasks have their turn
                await asyncio.sleep(0)
            if self._interrupt.requested:
                break
            if made is not None and not await self._take(number, made):
                held += 1
                if held >= _MOST_HELD:
                    break
        for key in list(self._bundles):
            await self._create(self._bundles.pop(key))
        return held > 0

    async def _take(self, number: int, made: BatchedRow) -> bool:
        """Put a row into a job, or set it aside; return False if it waits, because of what may be spent."""
        usd = self._affords(made.worst, sum(each.worst for each in self._bundles.values()))
        if usd is None:
            return False
        key = (made.target.name, made.line.group)
        bundle = self._bundles.setdefault(key, _Bundle(made.target, made.line.group))
        if self._is_full(bundle, made):
            self._bundles[key] = _Bundle(made.target, made.line.group)
            await self._create(bundle)
            bundle = self._bundles[key]
        try:
            held = () if made.funds is None else await made.funds.hold()
        except BudgetExceededError as error:
            self._judged(number, error)
            return True
        if held is None:
            return False
        self._judged(number, None)
        bundle.add(number, made, usd, held)
        return True

    def _is_full(self, bundle: _Bundle, row: BatchedRow) -> bool:
        api = self._calls.api(bundle.target)
        return bool(bundle.rows) and (
            len(bundle.rows) >= api.most_rows or bundle.size + len(row.line.text) > api.most_bytes
        )

    async def _create(self, bundle: _Bundle) -> None:
        if not bundle.rows:
            return
        target = bundle.target
        try:
            while len(self._tasks) >= _MOST_OPEN and not self._interrupt.requested:
                await self._one_ended()
            holds = self._funds.texts(bundle.held)
            job = self._journal.jobs.plan(target, bundle.category, bundle.rows, self._now(), holds)
        except BaseException:
            bundle.give_back()
            raise
        self._funds.keep(job, bundle.held)
        try:
            job = await self._creation.create(job, target, bundle.lines)
        except DispatchError as error:
            if self._journal.jobs.get(job.id).state == "creating":
                raise  # the vendor may have it, and its list cannot be read: a later run looks again
            reason = f"the batch was not created: {type(error).__name__}: {error}"
            self._collection.release(job, reason, shown=f"it was not created: {error_name(error)}")
            return
        logger.info("%d rows are in %s at %s", job.rows, job.handle, job.deployment)
        self._start(self._watched(job, target))

    async def _resumed(self, job: VendorJob, target: Target) -> None:
        """Go on with a job of an earlier run."""
        if job.state == "creating":
            found = await self._creation.search(job, target)
            if found is None:
                self._dissolving.append(job)
                return
            job = found
        elif job.state == "planned":
            self._dissolving.append(job)
            return
        await self._watched(job, target)

    # -- waiting -----------------------------------------------------------------------------------

    async def _watched(self, job: VendorJob, target: Target) -> None:
        """Wait for a job's end, and settle its rows."""
        while True:
            seen = await self._ended(job, target)
            if seen is None:
                late = "the batch has not ended in time, or is gone"
                self._collection.release(job, late, shown=late)
                return
            seen = replace(seen, reason=self._calls.shown(target, seen.reason))
            if seen.state == "busy":
                await self._made_room(job, seen)
            elif await self._collection.collect(job, target, seen):
                self._busy = 0
                logger.info("%s at %s is collected", job.handle, job.deployment)
            else:  # another job than was looked for: its results have other ids
                job = self._creation.rejected(job)
                found = await self._creation.search(job, target)
                if found is not None:
                    job = found
                    continue
                self._dissolving.append(job)
            return

    async def _made_room(self, job: VendorJob, seen: BatchJob) -> None:
        """Wait until the vendor may have room for a job that it did not accept; its rows go into another."""
        self._busy += 1
        if self._busy > _MOST_BUSY or self._is_late(job):
            self._collection.release(job, seen.reason, shown="the vendor has no room for it")
            return
        logger.warning("%s has no room for a batch of %d rows", job.deployment, job.rows)
        await self._clock.asleep(min(_BUSY * 2 ** (self._busy - 1), _LONGEST_BUSY))
        self._dissolving.append(job)

    async def _ended(self, job: VendorJob, target: Target) -> BatchJob | None:
        """Return a job that has ended; None where it does not end in time, or the vendor has lost it."""
        waits = Waits(self._clock, self._rng, *self._calls.api(target).poll_seconds)
        while True:
            await waits.next()
            if self._is_late(job) and job.cancelled is None:
                # It may be another program's; or the vendor cannot be reached.
                if not job.verified or self._is_late(job, _CANCELLING):
                    return None
                job = await self._cancelled(job, target)
            try:
                reply = await self._calls.send(target, partial(_poll, job.handle), _CONTROL)
                seen = read(self._calls.api(target).job, reply.body)
            except DispatchError as error:
                if not self._may_pass(job, error):
                    return None
                waits.advise(error.retry_after)
                continue
            if seen.state != "running":
                return seen
            if job.cancelled is not None and self._now() - job.cancelled > _CANCELLING:
                return None
            waits.advise(reply.retry_after)

    def _may_pass(self, job: VendorJob, error: DispatchError) -> bool:
        """Return whether an error of a poll may pass; False if the vendor no longer has the job.

        Raises:
            DispatchError: It will not pass: a wrong key.
        """
        over = job.cancelled is not None and self._now() - job.cancelled > _CANCELLING
        if error.status_code == httpx.codes.NOT_FOUND:  # a new job may be unknown for a while
            return self._now() - job.created < _YOUNG
        if error.is_retryable:
            return not over
        raise error

    def _is_late(self, job: VendorJob, by: float = 0.0) -> bool:
        return self._deadline is not None and self._now() - job.created >= self._deadline + by

    async def _cancelled(self, job: VendorJob, target: Target) -> VendorJob:
        """Cancel a job; what it has answered by then is kept."""
        try:
            await self._calls.send(target, lambda api: api.cancel(job.handle), _CONTROL)
        except DispatchError as error:
            if error.is_retryable:
                return job
            logger.info("batch %s cannot be cancelled: %s", job.handle, error_name(error))
        return self._journal.jobs.update(job, cancelled=self._now())

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _poll(handle: str, api: BatchApi) -> httpx.Request:
    return api.poll(handle)
