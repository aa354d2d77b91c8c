"""The creation of a vendor's job, exactly once, although no vendor offers that."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from langchain_llmdispatch.batch.calls import BatchCalls, read
from langchain_llmdispatch.batch.jobs import JobTable, VendorJob
from langchain_llmdispatch.batch.waits import Waits
from langchain_llmdispatch.callbacks.error_names import error_name
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import NEVER_ARRIVED
from langchain_llmdispatch.errors import DispatchError, UnusableDeploymentError
from langchain_llmdispatch.vendors.batches import BatchApi, BatchJob

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)
_CONTROL, _TRANSFER = 60.0, 1800.0  # seconds that a small request, and that an upload may take
_MOST_TRIES = 8
_FIRST_WAIT, _LONGEST_WAIT = 2.0, 300.0
_LOOKS = 6  # times that a job is looked for: a list may lag behind, a request may still be under way
_FIRST_LOOK, _LONGEST_LOOK = 5.0, 60.0
_RECENT = 300.0  # seconds in which a creation that was not confirmed may be under way
_SKEW = 3600.0  # seconds that the vendor's clock may be behind ours, where only the time distinguishes jobs
_LONG_AGO = 86_400.0  # seconds after which a list is not read on
_MOST_PAGES = 50
_SERVER_ERRORS = 500


class Creation:
    """Creates jobs, and finds those again whose creation was not confirmed.

    Args:
        calls: The calls of the model.
        jobs: The jobs in the journal.
        clock: The source of time.
        rng: Draws the jitter of waits.
    """

    def __init__(self, calls: BatchCalls, jobs: JobTable, clock: Clock, rng: Random) -> None:
        self._calls, self._jobs, self._clock, self._rng = calls, jobs, clock, rng

    async def create(self, job: VendorJob, target: Target, lines: Sequence[bytes]) -> VendorJob:
        """Return the job, once the vendor has it.

        Raises:
            DispatchError: The vendor does not take it; nothing of it runs.
        """
        waits = self._waits()
        for number in range(1, _MOST_TRIES + 1):
            try:
                file = await self._file(job, target, lines)
                return await self._created(job, target, lines, file)
            except DispatchError as error:
                if (found := await self._although(job, target, error)) is not None:
                    return found
                if not error.is_retryable or number == _MOST_TRIES:
                    raise
                waits.advise(error.retry_after)
            job = self._jobs.get(job.id)
            await waits.next()
        raise RuntimeError("unreachable")

    async def _although(self, job: VendorJob, target: Target, error: DispatchError) -> VendorJob | None:
        """Return the job if the vendor has it although its creation failed for us."""
        if self._jobs.get(job.id).state != "creating" or _is_refusal(error):
            self._jobs.update(job, state="planned")
            return None
        logger.warning("the creation of a batch at %s was not confirmed: %s", target.name, error_name(error))
        found = await self.search(self._jobs.get(job.id), target)
        if found is None:
            self._jobs.update(job, state="planned")
        return found

    async def _file(self, job: VendorJob, target: Target, lines: Sequence[bytes]) -> str:
        """Return the id of the file with the job's requests, once it can be used; empty without one."""
        api, token = self._calls.api(target), self._jobs.token_of(job)
        if job.file:
            return job.file
        if api.upload((), token) is None:
            return ""
        reply = await self._calls.send(target, lambda keyed: _upload(keyed, lines, token), _TRANSFER)
        name, ready = read(api.uploaded, reply.body)
        waits = self._waits()
        while not ready:
            await waits.next()
            reply = await self._calls.send(target, partial(_check, name), _CONTROL)
            name, ready = read(api.uploaded, reply.body)
        self._jobs.update(job, file=name)
        return name

    async def _created(self, job: VendorJob, target: Target, lines: Sequence[bytes], file: str) -> VendorJob:
        now = self._clock.now().timestamp()
        job = self._jobs.update(job, durable=True, state="creating", created=now)
        token = self._jobs.token_of(job)
        reply = await self._calls.send(
            target, lambda api: api.create(job.category, token, lines, file), _TRANSFER
        )
        seen = read(self._calls.api(target).job, reply.body)
        return self._jobs.update(job, durable=True, state="running", handle=seen.id, verified=True)

    # -- looking for one ---------------------------------------------------------------------------

    async def search(self, job: VendorJob, target: Target) -> VendorJob | None:
        """Return the job if the vendor has it; None if it was not created.

        Where the vendor keeps no token, a job of the same size and age that is none of our others is taken
        for it, until its results show otherwise.

        Raises:
            DispatchError: The vendor's list cannot be read.
        """
        waits = Waits(self._clock, self._rng, _FIRST_LOOK, _LONGEST_LOOK)
        since = self._clock.now().timestamp() - job.created
        for look in range(_LOOKS if since < _RECENT else 1):
            if look:
                await waits.next()
            if (seen := await self._look(job, target)) is not None:
                verified = self._calls.api(target).keeps_token
                return self._jobs.update(
                    job, durable=True, state="running", handle=seen.id, verified=verified
                )
        return None

    async def _look(self, job: VendorJob, target: Target) -> BatchJob | None:
        api, cursor = self._calls.api(target), ""
        found: BatchJob | None = None
        for _ in range(_MOST_PAGES):
            reply = await self._page(target, cursor)
            page, cursor = read(api.jobs, reply, cursor)
            for seen in page:
                if self._is_it(job, seen, keeps_token=api.keeps_token):
                    found = seen  # the oldest one
            since = job.created - (_LONG_AGO if api.keeps_token else _SKEW)
            old = [seen for seen in page if (seen.created_at or since) < since]
            if (found is not None and api.keeps_token) or old or not cursor:
                break
        return found

    async def _page(self, target: Target, cursor: str) -> bytes:
        waits = self._waits()
        for number in range(1, _MOST_TRIES + 1):
            try:
                return (await self._calls.send(target, lambda api: api.recent(cursor), _CONTROL)).body
            except DispatchError as error:
                if not error.is_retryable or number == _MOST_TRIES:
                    raise
                waits.advise(error.retry_after)
            await waits.next()
        raise RuntimeError("unreachable")

    def _is_it(self, job: VendorJob, seen: BatchJob, *, keeps_token: bool) -> bool:
        if keeps_token:
            return seen.token == self._jobs.token_of(job)
        if seen.id in self._jobs.handles() or seen.id in job.rejected.split():
            return False
        recent = seen.created_at is None or seen.created_at >= job.created - _SKEW
        return recent and seen.rows in {None, job.rows}

    def rejected(self, job: VendorJob) -> VendorJob:
        """Return a job that is looked for again: the vendor's one was another."""
        rejected = f"{job.rejected} {job.handle}".strip()
        return self._jobs.update(job, state="creating", handle="", rejected=rejected)

    def _waits(self) -> Waits:
        return Waits(self._clock, self._rng, _FIRST_WAIT, _LONGEST_WAIT)


def _is_refusal(error: DispatchError) -> bool:
    """Return whether the vendor surely made no job: the request did not arrive, or was refused."""
    if error.code in NEVER_ARRIVED or isinstance(error, UnusableDeploymentError):
        return True
    return error.status_code is not None and error.status_code < _SERVER_ERRORS


def _check(file: str, api: BatchApi) -> httpx.Request:
    return api.check_file(file)


def _upload(api: BatchApi, lines: Sequence[bytes], token: str) -> httpx.Request:
    request = api.upload(lines, token)
    if request is None:
        raise RuntimeError("this API takes no files")
    return request
