"""A streamed answer between the vendor's decoder and the caller.

`Relay` holds chunks back until the first content commits the answer: before that everything can still be
retried elsewhere, unseen. `BufferedRelay` holds all of them back until a cascade has accepted the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch.dispatch.report import gateway, report
from langchain_llmdispatch.dispatch.resume import Splicer
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    ConnectionFailedError,
    DispatchError,
    EmptyAnswerError,
    TruncatedStreamError,
)
from langchain_llmdispatch.internal.prototypes import Prototype
from langchain_llmdispatch.vendors.answer_checks import has_content, is_empty
from langchain_llmdispatch.vendors.refusals import ANSWERED, completed

T = TypeVar("T")

CONNECTION_ERRORS: tuple[type[DispatchError], ...] = (AttemptTimeoutError, ConnectionFailedError)
"""Errors that do no harm once the answer is whole."""

# Once the answer is whole only bookkeeping may follow; each frame of it is waited for this many seconds.
_GRACE = 2.0
# After the vendor's end marker HTTP's own end follows at once; a connection on which it was read can be used
# again. The caller has the whole answer by then, and waits this many seconds at most.
_LINGER = 0.1
_UNBOUNDED = float("inf")
_FIRST_PART = 1024  # bytes: some five chunks
_CHUNK = Prototype(ChatGenerationChunk(message=AIMessageChunk(content="")))


def relay_of(exchange: Exchange, headers: Mapping[str, str]) -> Relay:
    """Return the relay of an answer that begins; `headers` are its response's."""
    cascades = exchange.attempt.call.policy.cascade is not None
    return (BufferedRelay if cascades else Relay)(exchange, headers)


def parts_of(piece: Any) -> Iterable[Any]:
    """Return a piece of a response in parts, each twice as long as the one before.

    A fast connection has hundreds of chunks in a piece. A caller gets the first ones before the others are
    decoded, and one that leaves has paid for twice what it has taken at most.

    Args:
        piece: Bytes; or what a vendor that runs in process yields, which stays whole.
    """
    return (piece,) if not isinstance(piece, bytes) or len(piece) <= _FIRST_PART else _doubling(piece)


def _doubling(piece: bytes) -> Iterator[bytes]:
    start, size = 0, _FIRST_PART
    while start < len(piece):
        yield piece[start : start + size]
        start, size = start + size, 2 * size


class Relay:
    """Passes a streamed answer on.

    Args:
        exchange: The exchange that it belongs to.
        headers: The headers of its response.
    """

    def __init__(self, exchange: Exchange, headers: Mapping[str, str]) -> None:
        self._exchange, self._attempt = exchange, exchange.attempt
        vendor, call = exchange.vendor, exchange.call
        self._decoder = exchange.decoder = self._guarded(vendor.stream_decoder, call, headers)
        self._rewriters, self._splicer = exchange.rewriters(), exchange.splicer
        self._paused = exchange.parts
        self._rewrites = bool(self._rewriters or self._splicer or self._paused)
        idle = self._attempt.times.stream_idle
        self._idle = _UNBOUNDED if idle is None else idle
        self._held: list[AIMessageChunk] = []
        self._last: AIMessageChunk | None = None
        self._frames = -1  # how many had come when the grace began
        self._begun = False

    @property
    def done(self) -> bool:
        """Whether nothing more needs reading."""
        return self._decoder.done

    def feed(self, data: Any) -> list[ChatGenerationChunk]:
        """Return what can be handed to the caller after a piece of the response."""
        chunks = self._guarded(self._decoder.feed, data)
        out = self._pass_on(chunks) if chunks else []
        # A vendor's own decoder need not count its frames; then the grace begins once.
        if self._decoder.finished and self._frames != (frames := getattr(self._decoder, "frames", 0)):
            self._frames = frames
            self._wait(_GRACE, "the end of the stream")
        return out

    def broken(self, error: DispatchError) -> None:
        """Ignore a connection that ends after the answer is whole; raise `error` otherwise."""
        if not self._decoder.finished:
            raise error

    def close(self) -> list[ChatGenerationChunk]:
        """Return the rest, the last chunk with the facts of the call.

        Raises:
            TruncatedStreamError: The vendor's end marker is missing.
            EmptyAnswerError: The stream ended normally, without content.
        """
        out = self._pass_on(self._guarded(self._decoder.close))
        if self._last is None:
            raise TruncatedStreamError("the stream ended without its end marker")
        if not self._attempt.committed and self._splicer is None:
            self._check_empty(self._last)
        return out + self._end(self._last)

    def linger(self) -> None:
        """Set a short deadline for HTTP's own end after the answer's."""
        self._wait(_LINGER, "the end of the response")

    # -- chunks ------------------------------------------------------------------------------------

    def _guarded(self, decode: Callable[..., T], *args: Any) -> T:
        """Return what a step of the vendor's decoder returns; whatever it raises is a `DispatchError`."""
        try:
            return decode(*args)
        except DispatchError:
            raise
        except Exception as cause:
            raise self._exchange.malformed("the stream", cause) from cause

    def _pass_on(self, chunks: list[AIMessageChunk]) -> list[ChatGenerationChunk]:
        if self._rewrites:
            chunks = self._rewritten(chunks)
        elif len(chunks) == 1 and chunks[0].chunk_position is None:  # by far the most frequent
            return self._take(chunks)
        more = [chunk for chunk in chunks if chunk.chunk_position != "last"]
        out = self._take(more) if more else []
        if len(more) < len(chunks):
            self._last = self._ended(next(chunk for chunk in reversed(chunks) if chunk.chunk_position))
        return out

    def _rewritten(self, chunks: list[AIMessageChunk]) -> list[AIMessageChunk]:
        """Return chunks in the caller's terms, joined to those that the caller has."""
        for rewriter in self._rewriters:
            chunks = [self._guarded(rewriter.chunk, chunk) for chunk in chunks]
        if self._paused is not None:
            chunks = [self._paused.shifted(chunk) for chunk in chunks]
        if self._splicer is not None:
            chunks = self._spliced(self._splicer, chunks)
        return chunks

    def _ended(self, last: AIMessageChunk) -> AIMessageChunk:
        """Return the last chunk with all facts of its end, after recording its usage."""
        metadata = last.response_metadata
        if metadata.get("normalized_finish_reason") not in ANSWERED:
            last = self._guarded(completed, last, [*self._attempt.chunks, *self._held])
        self._guarded(self._exchange.used, last.usage_metadata, metadata)
        if self._paused is not None:
            last = last.model_copy(update={"usage_metadata": self._paused.total(last)})
        return last

    def _take(self, chunks: list[AIMessageChunk]) -> list[ChatGenerationChunk]:
        """Hold chunks back until content has come, which commits the answer; return what is handed over."""
        self._held += chunks
        if not all(map(is_empty, chunks)):
            if not self._attempt.committed:
                self._attempt.claim()
                self._attempt.committed = True
            self._progressed()
        return self._released() if self._attempt.committed else []

    def _released(self) -> list[ChatGenerationChunk]:
        held, self._held = self._held, []
        self._attempt.chunks += held
        return [_generation(chunk) for chunk in held]

    def _spliced(self, splicer: Splicer, chunks: list[AIMessageChunk]) -> list[AIMessageChunk]:
        out = []
        for chunk in chunks:
            if not is_empty(chunk):
                self._progressed()
            if (rest := splicer.join(chunk)) is not None:
                out.append(rest)
        return out

    def _progressed(self) -> None:
        """Record that content has arrived, and restart the wait for more of it."""
        attempt = self._attempt
        if not self._begun:
            self._begun = True
            attempt.content()
        until = attempt.call.clock.monotonic() + self._idle
        self._exchange.read_deadline.extend(min(until, attempt.deadline), "the next piece of the answer")

    def _wait(self, seconds: float, what: str) -> None:
        until = self._attempt.call.clock.monotonic() + seconds
        self._exchange.read_deadline.extend(min(until, self._attempt.deadline), what)

    # -- the end -----------------------------------------------------------------------------------

    def _check_empty(self, last: AIMessageChunk) -> None:
        if has_content(last.response_metadata) and is_empty(last) and all(map(is_empty, self._held)):
            raise EmptyAnswerError("the answer is empty")

    def _end(self, last: AIMessageChunk) -> list[ChatGenerationChunk]:
        """Return what was held back and the last chunk, after recording that the answer is whole."""
        out = self._released()
        if not is_empty(last):
            self._attempt.content()
        if self._suspends(last):
            return out
        self._attempt.succeed()
        return [*out, self._completed(last)]

    def _suspends(self, last: AIMessageChunk) -> bool:
        """Return whether the vendor paused the answer, and another request is to continue it."""
        if last.response_metadata.get("finish_state") != "suspended":
            return False
        before = self._paused.delivered if self._paused is not None else ()
        chunks = [*before, *self._attempt.chunks, *self._held, last]
        whole = chunks[0] + chunks[1:] if chunks[1:] else last
        message = cast("AIMessage", message_chunk_to_message(whole))
        return self._exchange.suspends(
            message, lambda: [*self._released(), self._completed(last)], held=self._held
        )

    def _completed(self, last: AIMessageChunk) -> ChatGenerationChunk:
        """Return the last chunk with the facts of the call."""
        model = last.response_metadata.get("model_name") or self._exchange.call.model
        last.response_metadata["llmdispatch"] = report(self._attempt)
        return ChatGenerationChunk(message=last, generation_info=gateway(self._attempt, model))


def _generation(message: AIMessageChunk) -> ChatGenerationChunk:
    content = message.content
    if content.__class__ is not str:
        return ChatGenerationChunk(message=message)
    return _CHUNK.made(message=message, text=content)


class BufferedRelay(Relay):
    """Passes a streamed answer on once the call's cascade has accepted it as a whole."""

    def __init__(self, exchange: Exchange, headers: Mapping[str, str]) -> None:
        super().__init__(exchange, headers)
        self._held = [*self._paused.held] if self._paused is not None else []

    def _take(self, chunks: list[AIMessageChunk]) -> list[ChatGenerationChunk]:
        if not all(map(is_empty, chunks)):
            self._progressed()
        self._held += chunks
        self._attempt.unseen = self._held
        return []

    def _end(self, last: AIMessageChunk) -> list[ChatGenerationChunk]:
        if self._suspends(last):
            return []
        whole = self._held[0] + [*self._held[1:], last] if self._held else last
        message = cast("AIMessage", message_chunk_to_message(whole))
        if not self._exchange.declines(message):
            return super()._end(last)
        self._attempt.decline(lambda: [*self._released(), self._completed(last)])
        self._attempt.succeed()
        return []
