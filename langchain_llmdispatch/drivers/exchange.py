"""One attempt's exchange with a vendor, without the waiting: the compiled request, and the answer's check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration
from pydantic import SecretStr

from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.clock import LONGEST
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.paused import PausedAnswer
from langchain_llmdispatch.dispatch.report import cost_of, gateway, report
from langchain_llmdispatch.dispatch.resume import Splicer, resumed
from langchain_llmdispatch.errors import (
    ConfigurationError,
    DispatchError,
    InvalidRequestError,
    ItemNotFoundError,
    MalformedResponseError,
    UnsupportedFeatureError,
    UnusableDeploymentError,
    VendorError,
)
from langchain_llmdispatch.internal.json_format import UnwritableError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.limits.permit import Permit
from langchain_llmdispatch.transport.body import dated_headers
from langchain_llmdispatch.transport.deadline import ReadDeadline, ReadInterrupt
from langchain_llmdispatch.transport.transport import ASYNC_CLIENT, SYNC_CLIENT
from langchain_llmdispatch.types import Call
from langchain_llmdispatch.vendors.answer_checks import check_answer
from langchain_llmdispatch.vendors.background import BackgroundAnswers
from langchain_llmdispatch.vendors.base import LAZY_URL, StreamDecoder
from langchain_llmdispatch.vendors.compile.argument_names import ArgumentRestorer
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.compile.output_tool import OutputUnwrapper, output_tool
from langchain_llmdispatch.vendors.errors import class_of_status
from langchain_llmdispatch.vendors.refusals import ANSWERED, completed

if TYPE_CHECKING:
    from langchain_llmdispatch.vendors import deep_requests
else:
    deep_requests = LateModule("langchain_llmdispatch.vendors.deep_requests")

_UNBOUNDED = float("inf")
_STREAM_FACTOR = 4


class Exchange:
    """A request compiled for one attempt's target, and the check of its answer. It can take part in a race.

    Args:
        attempt: The attempt.

    Attributes:
        vendor: The vendor of its target.
        call: The compiled request.
        read_deadline: When the wait for the answer ends; set when the request is sent.
        splicer: Joins the answer to what was delivered of a broken stream; None for a new answer.
        parts: The parts of a paused answer that this request continues; None for a new answer.
        headers: Those of the response; empty before it has arrived.
        decoder: The decoder of a streamed answer; None before it begins.
        permit, run: What the limiter granted, and LangChain's run of the call; None without them.

    Raises:
        UnsupportedFeatureError: The request cannot be expressed to the target.
        InvalidRequestError: It is nested too deeply.
    """

    read_deadline: ReadDeadline
    splicer: Splicer | None = None
    parts: PausedAnswer | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    decoder: StreamDecoder | None = None
    permit: Permit | None = None
    run: Run | None = None

    def __init__(self, attempt: Attempt) -> None:
        self.attempt, target = attempt, attempt.target
        self.vendor = target.vendor
        try:
            self.call, attempt.changes = compile_call(
                target.vendor,
                attempt.call.request,
                model=target.model,
                endpoint=target.endpoint,
                defaults=target.deployment.params,
                facts=target.facts,
                deployment="" if attempt.candidate.whole_history else target.name,
            )
        except RecursionError as error:
            raise deep_requests.deep_request(attempt.call.request, error) from None
        if (limit := attempt.call.policy.max_response_bytes) != self.call.max_response_bytes:
            self.call = replace(self.call, max_response_bytes=limit)
        if attempt.call.request.resume_from is not None:
            self.call = replace(self.call, extra={**self.call.extra, "background": True})
            if self.background is None:
                raise UnsupportedFeatureError("its API has no answers in the background")
        if (paused := attempt.call.paused) is not None and paused.target is target:
            self.parts = paused
            self.call = self.vendor.continued(self.call, paused.message) or self.call
        if delivered := attempt.call.delivered:
            self.call, self.splicer = resumed(delivered, self.call, target.facts)

    def rewriters(self) -> Sequence[ArgumentRestorer | OutputUnwrapper]:
        """Return what turns the answer back into the caller's terms, one after the other; mostly nothing."""
        rewriters: list[ArgumentRestorer | OutputUnwrapper] = []
        if self.call.argument_names:
            rewriters.append(ArgumentRestorer(self.call))
        request = self.attempt.call.request
        if request.output is not None and (name := output_tool(request, self.call)) is not None:
            rewriters.append(OutputUnwrapper(name))
        return rewriters

    # -- the request -------------------------------------------------------------------------------

    @property
    def needs_server(self) -> bool:
        """Whether the target is a model on this machine whose server may have to be started."""
        return self.call.endpoint.base_url == LAZY_URL

    def locate(self, url: str) -> None:
        """Set the address of a server on this machine."""
        self.call = replace(self.call, endpoint=replace(self.call.endpoint, base_url=url))

    def seconds_to_prepare(self) -> float:
        """Return the seconds that may pass before the request leaves: of the call, and of one attempt."""
        return min(self.attempt.left(), self.attempt.times.timeout or _UNBOUNDED)

    def authorize(self, token: SecretStr) -> None:
        """Set the token that the deployment's `api_key` function has returned; an echo of it is redacted."""
        self.attempt.token = token
        endpoint = replace(self.call.endpoint, token_provider=token.get_secret_value, api_key=token)
        self.call = replace(self.call, endpoint=endpoint)

    def request(self) -> httpx.Request:
        """Return the HTTP request, and record that it leaves now; see `Attempt.send` for what is raised."""
        encoded = self._encoded()
        self.begin()
        return self._with_client(encoded)

    def _with_client(self, encoded: httpx.Request) -> httpx.Request:
        config = self.attempt.target.config
        encoded.extensions |= {
            "llmdispatch": self.attempt,  # for a `Middleware`
            SYNC_CLIENT: config.http_client,
            ASYNC_CLIENT: config.http_async_client,
        }
        return encoded

    def _encoded(self) -> httpx.Request:
        """Return the HTTP request.

        Raises:
            InvalidRequestError: A part of it has no JSON form.
            UnusableDeploymentError: The deployment's settings make no request.
        """
        failure: Exception
        try:
            taken_up, background = self.attempt.call.request.resume_from, self.background
            if taken_up is not None and background is not None:
                return background.stream(taken_up) if self.call.stream else background.poll(taken_up)
            encoded = self.vendor.encode_request(self.call)
            if self.call.endpoint.query:
                encoded.url = encoded.url.copy_merge_params(self.call.endpoint.query)
        except UnwritableError as error:
            failure = InvalidRequestError(f"the request cannot be written as JSON: {error}")
        except RecursionError as error:
            failure = deep_requests.deep_request(self.attempt.call.request, error)
        except (ConfigurationError, httpx.InvalidURL) as error:
            failure = error if isinstance(error, DispatchError) else UnusableDeploymentError(str(error))
        else:
            return encoded
        # Raised here, without the frames of the codec: their variables may hold a key.
        raise failure

    def begin(self) -> Call:
        """Record that the request leaves now, start its read deadline, and return it."""
        attempt, clock, times = self.attempt, self.attempt.call.clock, self.attempt.times
        attempt.send()
        now = clock.monotonic()
        until, what = now + (_UNBOUNDED if times.timeout is None else times.timeout), "the answer"
        if self.call.stream and times.first_token is not None and now + times.first_token < until:
            until, what = now + times.first_token, "the first token"
        self.read_deadline = ReadDeadline(clock, min(until, attempt.deadline), what)
        if (race := attempt.call.race) is not None:
            self.read_deadline.interrupt = ReadInterrupt()
            if race.is_lost_for(attempt):  # since it was sent, while there was no read to interrupt yet
                self.read_deadline.abandon()
        return self.call

    # -- an answer in the background ---------------------------------------------------------------

    @property
    def background(self) -> BackgroundAnswers | None:
        """How the answer is fetched if its vendor makes it in the background; else None."""
        return self.vendor.background(self.call) if self.call.extra.get("background") is True else None

    def further(self, request: httpx.Request, seconds: float, what: str) -> httpx.Request:
        """Return a further request about an answer that is being made; it is no attempt of its own.

        Args:
            request: The request.
            seconds: How long it may take, within the call's deadline.
            what: What is waited for, for the error's text.
        """
        clock = self.attempt.call.clock
        interrupt = self.read_deadline.interrupt
        self.read_deadline = ReadDeadline(clock, clock.monotonic() + seconds, what)
        if interrupt is not None and not interrupt.over:
            self.read_deadline.interrupt = interrupt
        return self._with_client(request)

    # -- the answer's bounds -----------------------------------------------------------------------

    @property
    def stream_limit(self) -> int:
        """The most bytes of a stream: each piece of a long answer comes in an envelope of its own."""
        return _STREAM_FACTOR * self.call.max_response_bytes

    def paused(self, seconds: float) -> None:
        """Leave out seconds in which the caller, who reads the stream, did not wait for it."""
        self.attempt.pause(seconds)
        self.read_deadline.until += seconds

    def seconds_left(self) -> float | None:
        """Return the seconds left for the answer; None if nothing bounds it."""
        left = self.read_deadline.left()
        return left if left < LONGEST else None

    # -- the answer --------------------------------------------------------------------------------

    def answered(self, response: httpx.Response) -> None:
        """Record the head of the response."""
        self.headers = dated_headers(response, self.attempt.call.clock)
        try:
            request_id = self.vendor.request_id(self.headers)
        except Exception as cause:
            raise self.malformed("the response's headers", cause) from cause
        self.attempt.answered(response.status_code, request_id)

    def decode(self, response: httpx.Response, body: bytes) -> AIMessage:
        """Return the message in a whole response.

        Raises:
            VendorError: It is an error, or not an answer.
        """
        if response.status_code != httpx.codes.OK:
            self.refuse(response, body)
        try:
            return self.vendor.decode_response(self.call, body, self.headers)
        except DispatchError:
            raise
        except Exception as cause:
            raise self.malformed("the answer", cause) from cause

    def refuse(self, response: httpx.Response, body: bytes) -> NoReturn:
        """Raise the error that a response with another status than 200 means."""
        if response.is_redirect:
            text = "redirected; redirects are not followed with credentials"
            raise VendorError(text, status_code=response.status_code)
        try:
            error = self.vendor.decode_error(self.call, response.status_code, self.headers, body)
        except Exception as cause:
            cls = class_of_status(response.status_code)
            raise cls("an error of an unknown shape", status_code=response.status_code) from cause
        self.attempt.outdated = bool(self.call.continues) and isinstance(error, ItemNotFoundError)
        raise error

    def malformed(self, what: str, cause: Exception) -> DispatchError:
        """Return the error of a response that the codec cannot read: the vendor's fault, as far as is known.

        Args:
            what: The part of the response, with its article.
            cause: What the codec raised.
        """
        text = f"{what} has an unknown shape: {type(cause).__name__}"
        return MalformedResponseError(text, status_code=self.attempt.status)

    def accept(self, message: AIMessage) -> list[ChatGeneration]:
        """Check a whole message, and return what the caller gets of it: nothing if a cascade declines it.

        Raises:
            EmptyAnswerError: It is empty.
            TruncatedToolCallError: A tool call in it is cut.
            MalformedResponseError: Its parts are of another kind than a message's.
        """
        try:
            for rewriter in self.rewriters():
                message = rewriter.message(message)
            if message.response_metadata.get("normalized_finish_reason") not in ANSWERED:
                message = completed(message)
            self.used(message.usage_metadata, message.response_metadata)
            if message.usage_metadata is None:
                self.attempt.unseen = (message,)
            if self.parts is not None:
                message = self.parts.joined(message)
            if self.suspends(message, lambda: [self.generation(message)]):
                return []
            if not message.content or not isinstance(message.content, str) or message.invalid_tool_calls:
                check_answer(message)  # a text needs no closer look
        except DispatchError:
            raise
        except Exception as cause:
            raise self.malformed("the answer", cause) from cause
        declined = self.declines(message)
        if declined:
            self.attempt.decline(lambda: [self.generation(message)])
        self.attempt.succeed()
        return [] if declined else [self.generation(message)]

    def suspends(
        self, message: AIMessage, outputs: Callable[[], list[Any]], *, held: Sequence[AIMessageChunk] = ()
    ) -> bool:
        """Return whether another request is to continue an answer that the vendor paused; if so, it ends.

        Args:
            message: The answer so far, all its parts.
            outputs: Builds what the caller gets if it is not continued.
            held: Chunks of this part that were not handed over.
        """
        attempt, before = self.attempt, self.parts
        if message.response_metadata.get("finish_state") != "suspended" or not attempt.may_continue:
            return False
        if self.vendor.continued(self.call, message) is None:
            return False
        costs = [*(before.costs if before is not None else ()), attempt.cost]
        delivered = [*(before.delivered if before is not None else ()), *attempt.chunks]
        target = attempt.target
        attempt.suspend(PausedAnswer(target, message, costs, outputs, delivered=delivered, held=held))
        attempt.succeed()
        return True

    def declines(self, message: AIMessage) -> bool:
        """Return whether the call's cascade, if any, does not accept a whole answer."""
        cascade = self.attempt.call.policy.cascade
        return cascade is not None and cascade.declines(message, self.attempt.call.request)

    def generation(self, message: AIMessage) -> ChatGeneration:
        """Return a message with the facts of the call so far."""
        metadata = message.response_metadata
        metadata["llmdispatch"] = report(self.attempt)
        info = gateway(self.attempt, metadata.get("model_name") or self.call.model)
        return ChatGeneration(message=message, generation_info=info)

    def used(self, usage: UsageMetadata | None, facts: Mapping[str, Any]) -> None:
        """Record the usage that the vendor reports, before the answer is checked: a bad one is billed too.

        What comes after the attempt's end, because another request answered first, is in no books any more.

        Args:
            usage: The usage, or None.
            facts: The answer's `response_metadata`.
        """
        attempt = self.attempt
        if usage is None:
            return
        if not (isinstance(usage["input_tokens"], int) and isinstance(usage["output_tokens"], int)):
            raise MalformedResponseError("the usage in the answer is no number of tokens")
        named = facts.get("model_name")
        model = named if isinstance(named, str) and named else self.call.model
        cost = cost_of(attempt, usage, model, facts)
        with attempt.call.lock:
            if attempt.record is None:
                attempt.usage, attempt.cost = usage, cost

    def settle(self) -> None:
        """Record the usage that a stream's vendor had reported before the stream broke."""
        if self.attempt.record is None and self.attempt.usage is None:
            with suppress(Exception):  # what makes no sense is no usage; the stream's own error is raised
                self.used(getattr(self.decoder, "used", None), {})
            self.attempt.partial = True

    # -- a race ------------------------------------------------------------------------------------

    def lose(self) -> None:
        """End the attempt as lost, and stop waiting for its answer. Any thread may call this."""
        self.settle()
        self.attempt.lose()
        if self.permit is not None:
            self.permit.release()
        self.abandon()

    def abandon(self) -> None:
        """Stop waiting for the answer. Any thread may call this."""
        if "read_deadline" in self.__dict__:
            self.read_deadline.abandon()
