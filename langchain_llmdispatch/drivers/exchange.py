"""One attempt's exchange with a vendor, without the waiting: what both drivers share.

`Exchange` compiles the request for its target and judges the answer; `Relay` turns a stream's bytes into
chunks, holds back empty heads until content commits the answer, and finishes it with the facts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmdispatch.dispatch.report import cost_of, gateway, report
from langchain_llmdispatch.dispatch.resume import Seam, resumed
from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    ConnectionFailedError,
    DispatchError,
    EmptyAnswerError,
    TruncatedStreamError,
    VendorError,
)
from langchain_llmdispatch.transport.deadline import ReadDeadline, ReadInterrupt
from langchain_llmdispatch.transport.transport import ASYNC_CLIENT, SYNC_CLIENT
from langchain_llmdispatch.vendors.answer_checks import check_answer, is_empty
from langchain_llmdispatch.vendors.base import LAZY_URL
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.compile.output_tool import OutputUnwrapper, output_tool

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.dispatch.attempt import Attempt
    from langchain_llmdispatch.limits.limiter import Limiter
    from langchain_llmdispatch.limits.permit import Permit
    from langchain_llmdispatch.types import Call, ChatRequest
    from langchain_llmdispatch.vendors.base import StreamDecoder


class Exchange:
    """A request compiled for one attempt's target, and the judgement of its answer.

    Raises:
        UnsupportedFeatureError: The request cannot be expressed to the target.
    """

    OK: ClassVar[int] = 200
    read_deadline: ReadDeadline
    decoder: StreamDecoder | None = None
    permit: Permit | None = None
    seam: Seam | None = None

    def __init__(self, attempt: Attempt, request: ChatRequest, limiter: Limiter) -> None:
        self.attempt, self.chat_request, self._limiter = attempt, request, limiter
        target = attempt.target
        self.vendor = target.vendor
        self.call, attempt.changes = compile_call(
            target.vendor,
            request,
            model=target.model,
            endpoint=target.endpoint,
            defaults=target.deployment.params,
            facts=target.facts,
        )
        if delivered := attempt.call.delivered:
            self.call, self.seam = resumed(delivered, self.call, target.facts)

    def unwrapper(self) -> OutputUnwrapper | None:
        """Return what turns the answer back into text where the target gives it as a tool call."""
        if self.chat_request.output is None:
            return None
        name = output_tool(self.chat_request, self.call)
        return OutputUnwrapper(name) if name is not None else None

    @property
    def starts_server(self) -> bool:
        """Whether the target is a model on this machine whose server may have to be started."""
        return self.call.endpoint.base_url == LAZY_URL

    def locate(self, url: str) -> None:
        """Note where a server on this machine listens."""
        self.call = replace(self.call, endpoint=replace(self.call.endpoint, base_url=url))

    def request(self) -> httpx.Request:
        """Return the HTTP request, and note that it leaves now."""
        encoded = self.vendor.encode_request(self.call)
        self.begin()
        config = self.attempt.target.config
        encoded.extensions |= {
            "llmdispatch": self.attempt,  # for a `Middleware`
            SYNC_CLIENT: config.http_client,
            ASYNC_CLIENT: config.http_async_client,
        }
        return encoded

    def begin(self) -> Call:
        """Note that the vendor is asked now, and return what it is asked."""
        attempt, clock = self.attempt, self.attempt.call.clock
        attempt.send()
        until, what = clock.monotonic() + (attempt.times.timeout or float("inf")), "the answer"
        first = attempt.times.first_token if self.call.stream else None
        if first is not None and clock.monotonic() + first < until:
            until, what = clock.monotonic() + first, "the first token"
        self.read_deadline = ReadDeadline(clock, min(until, attempt.deadline), what)
        if (race := attempt.call.race) is not None:
            self.read_deadline.interrupt = ReadInterrupt()
            if race.is_lost_for(attempt):  # since it was sent: nobody had a read_deadline to end yet
                self.read_deadline.abandon()
        return self.call

    def answered(self, response: httpx.Response) -> None:
        """Note the response's head."""
        self.attempt.answered(response.status_code, self.vendor.request_id(response.headers))
        self._limiter.apply_headers(self.attempt.target, response.headers)

    def decode(self, response: httpx.Response, body: bytes) -> ChatGeneration:
        """Return the answer in a whole response.

        Raises:
            VendorError: It is an error, or no answer.
        """
        if response.status_code != self.OK:
            self.refuse(response, body)
        return self.said(self.vendor.decode_response(self.call, body, response.headers))

    def said(self, message: AIMessage) -> ChatGeneration:
        """Return a whole message, judged.

        Raises:
            VendorError: It is no answer.
        """
        unwrapper = self.unwrapper()
        message = unwrapper.message(message) if unwrapper else message
        self.used(message.usage_metadata, message.response_metadata.get("model_name"))
        check_answer(message)
        return self.finished(message)

    def used(self, usage: UsageMetadata | None, model: str | None) -> None:
        """Note what the vendor says it used, before anything is judged: a bad answer is billed too."""
        if usage is not None:
            self.attempt.usage = usage
            self.attempt.cost = cost_of(self.attempt, usage, model or self.call.model)

    def settle(self) -> None:
        """Note what a broken stream's vendor had said of usage before it broke."""
        if self.attempt.record is None and self.attempt.usage is None:
            self.used(getattr(self.decoder, "used", None), None)
            self.attempt.partial = True

    def beside(self, late: Exchange) -> Self:
        """Take part in the race of another request of the call, which is late.

        Raises:
            LostRaceError: It is over already.
        """
        race = late.attempt.call.race
        assert race is not None  # noqa: S101 - it asked for this one
        race.enter(self)
        return self

    def lose(self) -> None:
        """Give up: another request of the call answered first. Any thread may say so."""
        self.settle()
        self.attempt.lose()
        if self.permit is not None:
            self.permit.release()
        self.abandon()

    def abandon(self) -> None:
        """Wait no longer for an answer."""
        if "read_deadline" in self.__dict__:
            self.read_deadline.abandon()

    def finished(self, message: AIMessage) -> ChatGeneration:
        """Return a whole message with the facts of the call, which goes on if a cascade declines it."""
        if self.declines(message):
            self.attempt.decline(lambda: [self.generation(message)])
        self.attempt.succeed()
        return self.generation(message)

    def declines(self, message: AIMessage) -> bool:
        """Return whether the call's cascade, if any, does not accept a whole answer."""
        cascade = self.attempt.call.policy.cascade
        return cascade is not None and cascade.declines(message, self.chat_request)

    def generation(self, message: AIMessage) -> ChatGeneration:
        """Return a message with the facts of the call so far."""
        metadata = message.response_metadata
        model = metadata.get("model_name") or self.call.model
        metadata["llmdispatch"] = report(self.attempt)
        return ChatGeneration(message=message, generation_info=gateway(self.attempt, model))

    def refuse(self, response: httpx.Response, body: bytes) -> NoReturn:
        """Raise the error that a response with another status than 200 means."""
        status = response.status_code
        if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
            raise VendorError("redirected; redirects are not followed with credentials", status_code=status)
        raise self.vendor.decode_error(self.call, status, response.headers, body)

    @staticmethod
    def result(generation: ChatGeneration) -> ChatResult:
        """Return what LangChain expects of `_generate`."""
        return ChatResult(generations=[generation])


class Relay:
    """The way of a stream's bytes to the caller.

    Chunks without content are held until the first content commits the answer: before that everything can
    still be retried elsewhere, unseen.
    """

    # After the vendor's finish reason only bookkeeping may follow; it is waited for this many seconds.
    GRACE: ClassVar[float] = 2.0
    # After the vendor's end marker HTTP's own end follows at once; a connection on which it was seen can be
    # used again. The caller has the whole answer by then, and waits so many seconds at most.
    LINGER: ClassVar[float] = 0.1
    HARMLESS: ClassVar[tuple[type[DispatchError], ...]] = (AttemptTimeoutError, ConnectionFailedError)

    def __init__(self, exchange: Exchange, headers: Mapping[str, str]) -> None:
        self._exchange, self._attempt = exchange, exchange.attempt
        self._decoder = exchange.decoder = exchange.vendor.stream_decoder(exchange.call, headers)
        self._held: list[AIMessageChunk] = []
        self._last: AIMessageChunk | None = None
        self._settled = False
        self._buffers = exchange.attempt.call.policy.cascade is not None
        self._unwrapper, self._seam = exchange.unwrapper(), exchange.seam

    @property
    def done(self) -> bool:
        """Whether nothing more needs reading."""
        return self._decoder.done

    def feed(self, data: Any) -> list[ChatGenerationChunk]:
        """Return what may be handed to the caller now."""
        out = self._pass_on(self._decoder.feed(data))
        if self._decoder.finished and not self._settled:
            self._settled = True
            self._wait(self.GRACE, "the end of the stream")
        return out

    def broken(self, error: DispatchError) -> None:
        """Ignore a connection that ends after the answer is whole; raise `error` otherwise."""
        if not self._decoder.finished:
            raise error

    def close(self) -> list[ChatGenerationChunk]:
        """Return the rest, the last chunk with the facts of the call.

        Raises:
            TruncatedStreamError: The vendor's end marker never came.
            EmptyAnswerError: The stream ended normally and held nothing.
        """
        out = self._pass_on(self._decoder.close())
        if self._last is None:
            raise TruncatedStreamError("the stream ended without its end marker")
        if not self._attempt.committed:
            if self._seam is None:
                self._check_empty(self._last)
            if self._buffers and self._declined(self._last):
                return []
            out += [self._hand_over(chunk) for chunk in self._held]
        return [*out, self._finish(self._last)]

    def _declined(self, last: AIMessageChunk) -> bool:
        """Whether a buffered answer is not good enough; then it is kept, in case there is no better one."""
        whole = self._held[0] + [*self._held[1:], last] if self._held else last
        message = message_chunk_to_message(whole)
        assert isinstance(message, AIMessage)  # noqa: S101 - chunks of one make one
        if not self._exchange.declines(message):
            return False
        self._attempt.decline(lambda: [*map(self._hand_over, self._held), self._told(last)])
        self._attempt.succeed()
        return True

    def _pass_on(self, chunks: list[AIMessageChunk]) -> list[ChatGenerationChunk]:
        out: list[ChatGenerationChunk] = []
        if self._unwrapper is not None:
            chunks = [self._unwrapper.chunk(chunk) for chunk in chunks]
        if self._seam is not None:
            chunks = [new for chunk in chunks if (new := self._joined(chunk, self._seam)) is not None]
        for chunk in chunks:
            if chunk.chunk_position == "last":
                self._last = chunk
                self._exchange.used(chunk.usage_metadata, chunk.response_metadata.get("model_name"))
            elif not is_empty(chunk) and not self._buffers:
                out += self._commit(chunk)
            elif self._attempt.committed:
                out.append(self._hand_over(chunk))
            else:
                self._hold(chunk)
        return out

    def _hold(self, chunk: AIMessageChunk) -> None:
        self._held.append(chunk)
        if self._buffers and not is_empty(chunk):
            self._progressed()

    def _progressed(self) -> None:
        """Note that content has arrived, and wait for more of it."""
        self._attempt.content()
        if self._attempt.times.stream_idle is not None:
            self._wait(self._attempt.times.stream_idle, "the next piece of the answer")

    def _commit(self, chunk: AIMessageChunk) -> list[ChatGenerationChunk]:
        attempt = self._attempt
        out: list[ChatGenerationChunk] = []
        if not attempt.committed:
            attempt.claim()
            attempt.committed = True
            held, self._held = self._held, []
            out = [self._hand_over(head) for head in held]
        self._progressed()
        out.append(self._hand_over(chunk))
        return out

    def _joined(self, chunk: AIMessageChunk, seam: Seam) -> AIMessageChunk | None:
        if not is_empty(chunk):
            self._progressed()
        return seam.join(chunk)

    def _hand_over(self, chunk: AIMessageChunk) -> ChatGenerationChunk:
        self._attempt.chunks.append(chunk)
        return ChatGenerationChunk(message=chunk)

    def linger(self) -> None:
        """Wait a moment for what HTTP has to say after the answer's end."""
        self._wait(self.LINGER, "the end of the response")

    def _wait(self, seconds: float, what: str) -> None:
        until = self._attempt.call.clock.monotonic() + seconds
        self._exchange.read_deadline.extend(min(until, self._attempt.deadline), what)

    def _check_empty(self, last: AIMessageChunk) -> None:
        ended = last.response_metadata.get("finish_reason") in {"stop", "tool_calls"}
        if ended and is_empty(last) and all(map(is_empty, self._held)):
            raise EmptyAnswerError("the answer is empty")

    def _finish(self, last: AIMessageChunk) -> ChatGenerationChunk:
        if not is_empty(last):
            self._attempt.content()
        self._attempt.succeed()
        return self._told(last)

    def _told(self, last: AIMessageChunk) -> ChatGenerationChunk:
        exchange = self._exchange
        model = last.response_metadata.get("model_name") or exchange.call.model
        facts = report(self._attempt)
        last.response_metadata["llmdispatch"] = facts
        return ChatGenerationChunk(message=last, generation_info=gateway(self._attempt, model))
