"""A world without a network: vendors that answer what they are told, on an event loop whose time is virtual.

The real engine runs in it untouched: routing, health, limits, retries, hedges and drivers. Only the bytes are
not a vendor's, and nobody waits.
"""

from __future__ import annotations

import asyncio
import copy
import json
import selectors
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, cast

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch import errors
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import VendorError
from langchain_llmdispatch.testing.faults.body_streams import pause
from langchain_llmdispatch.testing.middleware import attempt_of
from langchain_llmdispatch.transport.middleware import Sleep
from langchain_llmdispatch.vendors.base import Vendor

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow
    from langchain_llmdispatch.types import Call

# Real seconds until a simulation that waits for something outside it counts as stuck.
_STUCK = 30.0
_OK = 200
_FOREVER = float("inf")


class _Selector(selectors.DefaultSelector):
    """Passes time instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(_STUCK)
            if not ready:
                raise RuntimeError("the simulation waits for something that is not in it")
            return ready
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time: it begins at 0, and moves whenever all tasks wait."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._passing.now

    def run_in_executor(  # type: ignore[override] # one signature more precise than the loop's
        self,
        executor: Executor | None,  # noqa: ARG002
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        """Run a function at once: time would pass by another thread, however little that takes."""
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is whose that waits
            done.set_exception(error)
        return done


class LoopClock(Clock):
    """The clock of a virtual loop.

    Args:
        loop: The loop.
        date: The time of day at its beginning.
    """

    def __init__(self, loop: VirtualLoop, date: datetime) -> None:
        self._loop, self._date = loop, date

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._loop.time()

    def now(self) -> datetime:
        """Return the virtual time of day."""
        return self._date + timedelta(seconds=self._loop.time())

    def sleep(self, seconds: float) -> None:
        """Refuse: one call's waiting would stop all others.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"nothing in a simulation waits {seconds:g} s synchronously")

    async def asleep(self, seconds: float) -> None:
        """Wait on the loop, even while another clock stands in for the real one."""
        await asyncio.sleep(seconds)


class SameLoop:
    """Stands for a limiter's private loop: the virtual one serves all."""

    started = True

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have a function called soon."""
        self._loop.call_soon(function, *args)

    post_if_started = post

    def close(self) -> None:
        """Do nothing: the loop is somebody else's."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a simulated vendor does with one request.

    Attributes:
        latency_s: Seconds until the answer is whole, or until it fails.
        ttft_s: Seconds until the first content of a stream.
        error: The class name of the error, or None.
        status: The HTTP status of the error, or None where no answer comes.
        retry_after_s: Seconds that the vendor asks to wait.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of the answer.
    """

    latency_s: float
    ttft_s: float | None = None
    error: str | None = None
    status: int | None = None
    retry_after_s: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0

    def body(self) -> bytes:
        """Return what the simulated codec reads."""
        usage = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        usage["total_tokens"] = self.input_tokens + self.output_tokens
        return json.dumps({"error": self.error, "usage": usage}).encode() + b"\n"


Oracle = Callable[["Target"], Outcome]
ORACLE: ContextVar[Oracle] = ContextVar("llmdispatch_oracle")
"""What a simulated call's requests meet; set in the task of each call."""


class SimulatedNetwork:
    """A wire on which the oracle's outcomes come true."""

    depth: ClassVar[int] = 0  # above cassettes and faults, which are not for what is only imagined
    replays: ClassVar[bool] = True

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Let the oracle's outcome come true."""
        attempt = attempt_of(request)
        assert attempt is not None  # noqa: S101 - only models send here
        outcome = ORACLE.get()(attempt.target)
        refused = outcome.status not in {None, _OK}
        if outcome.error == "AttemptTimeoutError":
            yield _sleep(read_deadline, _FOREVER)
        elif refused or outcome.error == "ConnectionFailedError" or outcome.ttft_s is None:
            yield _sleep(read_deadline, outcome.latency_s)
        if read_deadline.left() <= 0:
            raise httpx.ReadTimeout("simulated")
        if outcome.error == "ConnectionFailedError":
            raise httpx.ConnectError("simulated")
        return _refusal(outcome) if refused else httpx.Response(_OK, stream=_Body(outcome, read_deadline))


def _sleep(read_deadline: ReadDeadline, seconds: float) -> Sleep:
    """Return a wait, at most as long as the client's."""
    return Sleep(pause(read_deadline, max(0.0, seconds)), read_deadline.clock)


def _refusal(outcome: Outcome) -> httpx.Response:
    headers = {} if outcome.retry_after_s is None else {"retry-after": f"{outcome.retry_after_s:g}"}
    body = httpx.ByteStream(outcome.body())
    return httpx.Response(outcome.status or 500, headers=headers, stream=body)


class _Body(httpx.AsyncByteStream):
    def __init__(self, outcome: Outcome, read_deadline: ReadDeadline) -> None:
        self._outcome, self._patience = outcome, read_deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        outcome = self._outcome
        if outcome.ttft_s is not None:
            await _wait(self._patience, outcome.ttft_s)
            yield b"first\n"
            await _wait(self._patience, outcome.latency_s - outcome.ttft_s)
            if outcome.error == "StreamInterruptedError":
                raise httpx.RemoteProtocolError("simulated")
        yield outcome.body()


async def _wait(read_deadline: ReadDeadline, seconds: float) -> None:
    """Wait, at most as long as the client does."""
    await read_deadline.clock.asleep(_sleep(read_deadline, seconds).seconds)
    if read_deadline.left() <= 0:
        raise httpx.ReadTimeout("simulated")


class _Simulated(Vendor):
    """A vendor in everything but its bytes."""

    def encode_request(self, call: Call) -> httpx.Request:  # noqa: ARG002
        """Return a request that says nothing."""
        return httpx.Request("POST", "https://simulated.invalid/")

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the answer, or raise what went wrong."""
        held = self._read(call, body, headers, None)
        return AIMessage("simulated", usage_metadata=held, response_metadata=self._facts(call))

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> _Decoder:
        """Return a decoder of simulated streams."""
        return _Decoder(lambda body: self._read(call, body, headers, None), self._facts(call))

    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error of that name."""
        try:
            self._read(call, body, headers, status)
        except VendorError as error:
            return error
        raise AssertionError("a refusal has an error")

    def _facts(self, call: Call) -> dict[str, Any]:
        return {
            "model_name": call.model,
            "model_provider": self.provider or self.name,
            "finish_reason": "stop",
        }

    def _read(self, call: Call, body: bytes, headers: Mapping[str, str], status: int | None) -> UsageMetadata:
        held = json.loads(body)
        if held["error"] is None:
            return cast("UsageMetadata", held["usage"])
        kind = getattr(errors, held["error"], errors.ServerError)
        if not (isinstance(kind, type) and issubclass(kind, VendorError)):
            kind = errors.ServerError
        wait = headers.get("retry-after")
        raise kind(
            "simulated",
            vendor=self.name,
            status_code=status,
            code=call.model,
            retry_after=float(wait) if wait is not None else None,
        )


class _Decoder:
    """Reads `first`, then the end."""

    def __init__(self, read: Callable[[bytes], UsageMetadata], facts: dict[str, Any]) -> None:
        self._read, self._facts = read, facts
        self.finished = self.done = False

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return chunks."""
        return list(self._chunks(data))

    def close(self) -> list[AIMessageChunk]:
        """Return nothing: the end has a piece of its own.

        Raises:
            TruncatedStreamError: It has not come.
        """
        if not self.done:
            raise errors.TruncatedStreamError("the simulated stream ended early")
        return []

    def _chunks(self, data: bytes) -> Iterator[AIMessageChunk]:
        for line in data.splitlines():
            if line == b"first":
                yield AIMessageChunk(content="simulated", response_metadata=_provider(self._facts))
            else:
                usage = self._read(line)
                self.finished = self.done = True
                yield AIMessageChunk(
                    content="",
                    usage_metadata=usage,
                    response_metadata=dict(self._facts),
                    chunk_position="last",
                )


def _provider(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"model_provider": facts["model_provider"]}


def simulated(vendor: Vendor) -> Vendor:
    """Return the vendor's twin: the same name, rules, prices and abilities, simulated bytes."""
    twin = copy.copy(vendor)
    own = _Simulated.__dict__
    names = ("encode_request", "decode_response", "stream_decoder", "decode_error", "_facts", "_read")
    members = {name: own[name] for name in names}
    twin.__class__ = type(type(vendor).__name__, (type(vendor),), {**members, "runs": False})
    return twin
