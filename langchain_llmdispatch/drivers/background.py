"""An answer that its vendor makes in the background: polled, streamed again where it broke off, cancelled.

It was accepted once; nothing here sends its request again. What reads it is no attempt of the call: it is
bounded by the deadline, and by a number of failures in a row. The work is cancelled when the caller leaves;
at the deadline it goes on, unless the call sets otherwise, and the error takes it up again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import httpx
from langchain_core.messages import AIMessage

from langchain_llmdispatch.dispatch.attempt import NEVER_ARRIVED
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.drivers.relay import CONNECTION_ERRORS, relay_of
from langchain_llmdispatch.drivers.runner import Lane
from langchain_llmdispatch.drivers.verbs import Verbs
from langchain_llmdispatch.errors import (
    DispatchError,
    EmptyAnswerError,
    MalformedResponseError,
    PendingAnswerError,
    TruncatedStreamError,
)
from langchain_llmdispatch.errors.call import UNCONFIRMED
from langchain_llmdispatch.vendors.background import BackgroundAnswers

_T = TypeVar("_T")

# Seconds between two polls: OpenAI's examples have two, and long answers take minutes.
_FIRST_WAIT, _GROWTH, _LONGEST_WAIT = 1.0, 1.5, 10.0
_REQUEST = 30.0  # seconds that one poll may take
_CANCEL = 5.0  # seconds that the cancellation may take
_LEAST = 0.25  # seconds before the deadline in which no poll is begun
_CANCELLED = "cancelled"
_GATEWAYS = {408, 502, 504, 520, 524}  # statuses of those that did not wait for the vendor's own response
_UNKNOWN = (
    "; whether the answer is made in the background all the same is not known, so it is not requested again"
)
_TOLERATED = 5  # failures in a row; a response just created may be unknown for a moment, too


class Job:
    """The work on one answer.

    Args:
        verbs: Whatever may wait.
        exchange: The exchange that the answer belongs to.
        background: How its vendor's answers in the background are fetched.

    Attributes:
        response_id: The vendor's id of the answer; None before it is known.
        over: Whether the answer is whole.
    """

    over = False

    def __init__(self, verbs: Verbs, exchange: Exchange, background: BackgroundAnswers) -> None:
        self._verbs, self._exchange, self.background = verbs, exchange, background
        self.response_id = exchange.attempt.call.request.resume_from
        self._wait, self._failures = _FIRST_WAIT, 0

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Cancel the work if the caller leaves, or the call's deadline passes and the call sets that."""
        try:
            yield
        except PendingAnswerError:
            if self._exchange.attempt.call.request.cancel_at_deadline:
                await self._verbs.detached(self._cancel())
            raise
        except DispatchError as error:
            if error.code == _CANCELLED:  # elsewhere: it is not made anew
                error.is_retryable = error.falls_back = False
            raise
        except BaseException:  # a cancelled task, a closed stream, Ctrl-C, a lost race
            await self._verbs.detached(self._cancel())
            raise

    async def announce(self) -> None:
        """Notify the handlers of the run of the answer's id, which takes it up in another process, too."""
        run = self._exchange.run
        if run is not None and run.observer is not None:
            await self._verbs.pending(run, self._exchange.attempt, self._id())

    async def _cancel(self) -> None:
        if self.response_id is None or self.over:
            return
        with suppress(Exception):  # the caller has left: nothing is reported any more
            request = self.background.cancel(self.response_id)
            response = await self._verbs.send(
                self._exchange.further(request, _CANCEL, "the cancellation"), self._exchange.read_deadline
            )
            await self._verbs.close(response)

    async def polled(self) -> tuple[AIMessage, bytes]:
        """Return the finished answer, and its body.

        Raises:
            PendingAnswerError: It is still to come at the deadline, or cannot be read.
            VendorError: The vendor has failed to make it, or it was cancelled.
        """
        while True:
            await self.pause()
            try:
                response, body = await self._read()
            except DispatchError as error:
                self.missed(error)
                continue
            try:
                message = self._exchange.decode(response, body)
            except MalformedResponseError as error:
                if error.code == _CANCELLED or isinstance(error, EmptyAnswerError):
                    raise
                self.missed(error)
                continue
            self._failures = 0
            if self.background.pending(message) is None:
                return message, body

    async def _read(self) -> tuple[httpx.Response, bytes]:
        """Return the response to one poll, and its body; an error's status is raised."""
        verbs, exchange = self._verbs, self._exchange
        response = await self.open(self.background.poll(self._id()))
        try:
            body = await verbs.body(exchange, response)
        finally:
            await verbs.close(response)
        if response.status_code != httpx.codes.OK:
            exchange.refuse(response, body)
        return response, body

    async def open(self, request: httpx.Request) -> httpx.Response:
        """Return the response to a request that reads the answer, its own body unread."""
        exchange = self._exchange
        seconds = min(_REQUEST, exchange.attempt.left())
        return await self._verbs.send(
            exchange.further(request, seconds, "the answer in the background"), exchange.read_deadline
        )

    async def pause(self) -> None:
        """Wait before the next request.

        Raises:
            PendingAnswerError: There is no time left for another one.
        """
        left = self._exchange.attempt.left()
        if left < _LEAST:
            raise self.pending_error("the call's deadline has passed")
        await self._verbs.sleep(self._exchange.attempt.call.clock, min(self._wait, 0.9 * left))
        self._wait = min(self._wait * _GROWTH, _LONGEST_WAIT)

    def missed(self, error: DispatchError) -> None:
        """Take note of a request that has not read the answer; return if another one may follow.

        Raises:
            PendingAnswerError: There have been too many in a row.
        """
        self._failures += 1
        if self._failures > _TOLERATED:
            raise self.pending_error(f"it cannot be read: {error.message}") from error
        self._wait = max(self._wait, error.retry_after or 0.0)

    def pending_error(self, why: str) -> PendingAnswerError:
        """Return the error of an answer that is still to come."""
        answer = self._id()
        text = f"the answer {answer} is still to come ({why}); resume_from={answer!r} takes it up again"
        return PendingAnswerError(text, response_id=answer)

    def readable(self, read: Callable[[], _T]) -> _T:
        """Return what `read` makes of a piece of the stream.

        Raises:
            PendingAnswerError: It cannot be read; the answer is made all the same.
            VendorError: The vendor has failed to make it, or it was cancelled.
        """
        try:
            return read()
        except MalformedResponseError as error:
            if error.code == _CANCELLED or self.response_id is None:
                raise
            raise self.pending_error(f"its stream cannot be read: {error.message}") from error

    def progressed(self) -> None:
        """Take note that something of the answer has arrived."""
        self._wait, self._failures = _FIRST_WAIT, 0

    def _id(self) -> str:
        return self.response_id or ""


def mark_final(exchange: Exchange, error: DispatchError) -> None:
    """Mark an error after which the request of an answer in the background is not sent again.

    The vendor's API makes no answer only once, and has no list of them: where it is not known whether a
    request was accepted, its answer may be under way, and be billed. An answer that was taken up and has
    failed is not read again.
    """
    if exchange.background is None or isinstance(error, PendingAnswerError):
        return
    attempt = exchange.attempt
    if attempt.call.request.resume_from is not None:
        if attempt.status == httpx.codes.OK and not isinstance(error, CONNECTION_ERRORS):
            error.is_retryable = error.falls_back = False
    elif attempt.sent and _is_unconfirmed(error):
        error.is_retryable = error.falls_back = False
        error.code = UNCONFIRMED
        error.message += _UNKNOWN


def _is_unconfirmed(error: DispatchError) -> bool:
    """Return whether a failed creation may have been accepted: a connection or a gateway gave up on it."""
    if isinstance(error, CONNECTION_ERRORS):
        return error.code not in NEVER_ARRIVED
    broken = type(error) in (MalformedResponseError, TruncatedStreamError) and not error.code
    return broken or error.status_code in _GATEWAYS


async def whole_answer(verbs: Verbs, exchange: Exchange, first: AIMessage) -> AIMessage:
    """Return the answer that `first` announces, or `first` if it is the answer.

    Raises:
        PendingAnswerError: It is still to come at the deadline, or cannot be read.
        VendorError: The vendor has failed to make it.
    """
    background = exchange.background
    if background is None or (response_id := background.pending(first)) is None:
        return first
    job = Job(verbs, exchange, background)
    job.response_id = response_id
    async with job.watched():
        await job.announce()
        message, _ = await job.polled()
    return message


async def streamed_answer(
    verbs: Verbs,
    exchange: Exchange,
    response: httpx.Response,
    answered: Callable[[Exchange, httpx.Response], None],
) -> Lane:
    """Yield the chunks of an answer whose stream begins with `response`; see `whole_answer` for errors."""
    attempt, background = exchange.attempt, exchange.background
    if background is None:
        raise RuntimeError("the answer is not made in the background")
    job = Job(verbs, exchange, background)
    pieces = _Pieces(verbs, exchange, job)
    try:
        await pieces.open(response)
        answered(exchange, response)
        relay = relay_of(exchange, exchange.headers)
        async with job.watched():
            while not relay.done and (piece := await pieces.next()) is not None:
                chunks = job.readable(lambda: relay.feed(piece))
                if pieces.learn():
                    await job.announce()
                handed_over = attempt.call.clock.monotonic()
                yield chunks
                exchange.paused(attempt.call.clock.monotonic() - handed_over)
            yield relay.close()
    finally:
        exchange.settle()
        await pieces.close()


class _Pieces:
    """The pieces of a stream, over as many connections as it takes."""

    def __init__(self, verbs: Verbs, exchange: Exchange, job: Job) -> None:
        self._verbs, self._exchange, self._job = verbs, exchange, job
        self._opened: list[Any] = []
        self._ended = False
        self._number: int | None = None

    @property
    def _decoder(self) -> Any:
        return self._exchange.decoder

    async def open(self, response: httpx.Response) -> None:
        """Read on from a response.

        Raises:
            VendorError: It is an error; but not where an answer is taken up that cannot be streamed again.
        """
        self._opened = [response]
        if response.status_code != httpx.codes.OK:
            body = await self._verbs.body(self._exchange, response)
            self._ended = (
                response.status_code == httpx.codes.BAD_REQUEST and self._job.response_id is not None
            )
            if not self._ended:
                self._exchange.refuse(response, body)
        else:
            self._opened.insert(0, self._verbs.pieces(self._exchange, response))

    async def next(self) -> Any:
        """Return the next piece; None where the stream has ended, or never began.

        Raises:
            PendingAnswerError: The deadline has passed, or the answer cannot be read.
        """
        while not self._ended:
            error: DispatchError | None = None
            piece = None
            try:
                if self._opened:
                    piece = await self._verbs.next_piece(self._exchange, self._opened[0])
            except CONNECTION_ERRORS as broken:
                error = broken
            if piece is not None or self._decoder.finished:
                return piece
            if self._job.response_id is None:
                if error is not None:
                    raise error
                return None
            await self._again()
        return await self._rest()

    def learn(self) -> bool:
        """Take note of the answer's id, its last event, and its end; return whether the id is new."""
        decoder, job, before = self._decoder, self._job, self._job.response_id
        job.response_id = decoder.response_id or before
        if decoder.sequence_number != self._number:
            self._number = decoder.sequence_number
            job.progressed()
        job.over = decoder.finished
        return before is None and job.response_id is not None

    async def _again(self) -> None:
        """Stream on after the last event, over another connection."""
        job = self._job
        await self.close()
        await job.pause()
        try:
            await self.open(await job.open(job.background.stream(job.response_id or "", self._number)))
        except DispatchError as error:
            await self.close()
            job.missed(error)
        else:
            self._decoder.restart()

    async def _rest(self) -> bytes | None:
        """Return the event that ends an answer which cannot be streamed any more, once it is whole."""
        if self._decoder.finished:
            return None
        if self._exchange.attempt.begun:
            raise self._job.pending_error("its stream cannot be taken up any more")
        _, body = await self._job.polled()
        return self._job.background.ending_event(body)

    async def close(self) -> None:
        """Close the connection."""
        opened, self._opened = self._opened, []
        for one in opened:
            await self._verbs.close(one)
