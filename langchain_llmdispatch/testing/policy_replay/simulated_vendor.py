"""Vendors without a network: their bytes and the time that these take are those of a `SimulatedOutcome`.

The real engine runs on them unchanged: routing, health, limits, retries, hedges and drivers.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch import errors
from langchain_llmdispatch.errors import VendorError
from langchain_llmdispatch.framing import LineDecoder
from langchain_llmdispatch.testing.body_streams import Action, Delay, filtered, pause
from langchain_llmdispatch.transport.middleware import Sleep
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.finish_reasons import ending
from langchain_llmdispatch.vendors.stream import FrameDecoder

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow
    from langchain_llmdispatch.types import Call

_OK = 200
_FOREVER = float("inf")
_BEGUN = b'{"begun": true}\n'


@dataclass(frozen=True, slots=True)
class SimulatedOutcome:
    """What a simulated vendor does with one request.

    Attributes:
        latency_s: Seconds until the answer is whole, or until it fails.
        ttft_s: Seconds until the first content of a stream.
        error: The class name of the error, or None.
        status: The HTTP status of the error, or None without a response.
        retry_after_s: Seconds of the Retry-After header.
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


OUTCOMES: ContextVar[Callable[[Target], SimulatedOutcome]] = ContextVar("llmdispatch_simulated_outcomes")
"""The outcome of a call's next request to a target; set in the task of each call."""


class SimulatedNetwork:
    """The middleware that turns outcomes into responses."""

    depth: ClassVar[int] = 0  # above cassettes and faults, which are not for simulated requests
    replays: ClassVar[bool] = True

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Take the time of the outcome, then respond or fail."""
        outcome = OUTCOMES.get()(request.extensions["llmdispatch"].target)
        refused = outcome.status not in {None, _OK}
        seconds = outcome.latency_s if refused or outcome.ttft_s is None else 0.0
        if outcome.error in {"AttemptTimeoutError", "ConnectionFailedError"}:
            seconds = _FOREVER if outcome.error == "AttemptTimeoutError" else outcome.latency_s
        yield Sleep(pause(read_deadline, seconds), read_deadline.clock)
        if read_deadline.left() <= 0:
            raise httpx.ReadTimeout("simulated")
        if outcome.error == "ConnectionFailedError":
            raise httpx.ConnectError("simulated")
        headers = {} if outcome.retry_after_s is None else {"retry-after": f"{outcome.retry_after_s:g}"}
        response = httpx.Response(
            outcome.status or _OK, headers=headers, stream=httpx.ByteStream(outcome.body())
        )
        return response if refused else filtered(response, _Pace(outcome), read_deadline)


class _Pace:
    """A body filter: the beginning of a stream comes after its time to first content, the rest at its end."""

    def __init__(self, outcome: SimulatedOutcome) -> None:
        self._outcome = outcome

    def feed(self, piece: bytes) -> Iterable[Action]:
        """Return the beginning for the first, empty piece, and the rest for the body."""
        outcome = self._outcome
        if outcome.ttft_s is None:
            return [piece]
        if not piece:
            return [Delay(outcome.ttft_s), _BEGUN]
        broken = outcome.error == "StreamInterruptedError"
        end = httpx.RemoteProtocolError("simulated") if broken else piece
        return [Delay(outcome.latency_s - outcome.ttft_s), end]

    def close(self) -> Iterable[Action]:
        """Return nothing."""
        return ()


class _Codec(Vendor):
    """The methods of a simulated vendor."""

    def encode_request(self, call: Call) -> httpx.Request:
        """Return an empty request."""
        return httpx.Request("POST", "https://simulated.invalid/")

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the answer."""
        return AIMessage(
            "simulated",
            usage_metadata=_usage(self, call, body, headers),
            response_metadata=_facts(self, call),
        )

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> _Decoder:
        """Return a decoder of simulated streams."""
        return _Decoder(self, call, headers)

    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the outcome's error."""
        try:
            _usage(self, call, body, headers, status)
        except VendorError as error:
            return error
        raise AssertionError("a refusal has an error")


class _Decoder(FrameDecoder):
    """Reads the line of the first content, then that of the end."""

    __slots__ = ()

    framing = LineDecoder

    def _frame(self, frame: bytes) -> AIMessageChunk:
        facts = _facts(self._context.vendor, self._call)
        if frame == _BEGUN.strip():
            return AIMessageChunk(
                content="simulated", response_metadata={"model_provider": facts["model_provider"]}
            )
        usage = _usage(self._context.vendor, self._call, frame, self._context.headers)
        self.finished = self.done = True
        return AIMessageChunk(
            content="", usage_metadata=usage, response_metadata=facts, chunk_position="last"
        )


def _usage(
    vendor: Vendor, call: Call, body: bytes, headers: Mapping[str, str], status: int | None = None
) -> UsageMetadata:
    """Return the usage in a simulated body.

    Raises:
        VendorError: The outcome was an error.
    """
    fields = json.loads(body)
    if fields["error"] is None:
        return cast("UsageMetadata", fields["usage"])
    kind = getattr(errors, fields["error"], None)
    if not (isinstance(kind, type) and issubclass(kind, VendorError)):
        kind = errors.ServerError
    wait = headers.get("retry-after")
    raise kind(
        "simulated",
        vendor=vendor.name,
        status_code=status,
        code=call.model,
        retry_after=float(wait) if wait is not None else None,
    )


def _facts(vendor: Vendor, call: Call) -> dict[str, Any]:
    return {
        "model_name": call.model,
        "model_provider": vendor.provider or vendor.name,
        **ending("stop"),
    }


def simulated(vendor: Vendor) -> Vendor:
    """Return a vendor of the same name, rules, prices and abilities, with simulated bytes."""
    twin = copy.copy(vendor)
    names = ("encode_request", "decode_response", "stream_decoder", "decode_error")
    members: dict[str, Any] = {name: _Codec.__dict__[name] for name in names}
    twin.__class__ = type(type(vendor).__name__, (type(vendor),), {**members, "runs": False})
    return twin
