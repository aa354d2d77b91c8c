"""Responses without a network, for tests of what the drivers do with them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
from langchain_core.messages import HumanMessage

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Flow
from langchain_llmdispatch.transport.transport import Transport
from langchain_llmdispatch.types import ChatRequest
from tests.calls import dispatch_of
from tests.targets import targets

STREAMED = ChatRequest([HumanMessage("hello")], stream=True)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A response's body in pieces; an exception among them is raised.

    Attributes:
        read: How many pieces were read.
        closed: Whether it was closed.
    """

    def __init__(self, *pieces: bytes | BaseException) -> None:
        self._pieces, self.read, self.closed = pieces, 0, False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.read += 1
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        """Record it."""
        self.closed = True

    async def aclose(self) -> None:
        """Record it."""
        self.closed = True


class Script:
    """A middleware that answers each request with the next response.

    Attributes:
        requests: The requests, in order.
    """

    depth = 0
    replays = True

    def __init__(self, *responses: httpx.Response | Exception) -> None:
        self._responses, self.requests = list(responses), []

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Return the next response, or raise the next exception."""
        self.requests.append(request)
        response = self._responses.pop(0)
        if isinstance(response, Exception):
            raise response
        return response
        yield  # a flow without steps

    @property
    def transport(self) -> Transport:
        """A transport whose requests end here."""
        return Transport([self])


def whole(text: str = "Hello there") -> Body:
    """Return the body of a whole answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = {
        "id": "c",
        "object": "chat.completion",
        "model": "gpt-5.4-mini",
        "usage": USAGE,
        "choices": [choice],
    }
    return Body(json.dumps(body).encode())


def events(*texts: str, end: bool = True) -> list[bytes]:
    """Return the pieces of a streamed answer, one event each: a head, texts, the finish reason, the end."""
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": text}, None) for text in texts]
    deltas += [({}, "stop")] if end else []
    pieces = []
    for delta, finish in deltas:
        choice = {"index": 0, "finish_reason": finish, "delta": delta}
        chunk = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-5.4-mini", "choices": [choice]}
        pieces.append(f"data: {json.dumps(chunk)}\n\n".encode())
    return [*pieces, b"data: [DONE]\n\n"] if end else pieces


def answered(body: Body) -> httpx.Response:
    """Return a response of status 200."""
    return httpx.Response(200, headers={"x-request-id": "req-1"}, stream=body)


def failed(status: int) -> httpx.Response:
    """Return a response of an error."""
    return httpx.Response(status, stream=Body(b'{"error": {"message": "no", "code": "c"}}'))


def call(
    names: str = "ab",
    policy: CallPolicy | None = None,
    *,
    stream: bool = False,
    clock: Clock | None = None,
    fleet: Sequence[Target] = (),
    **fields: Any,
) -> Dispatch:
    """Return the attempts of a call on deployments of OpenAI."""
    request = STREAMED if stream else ChatRequest([HumanMessage("hello")])
    return dispatch_of(
        fleet or targets(*names), policy, clock=clock or FakeClock(), request=request, **fields
    )


def exchange_of(dispatch: Dispatch) -> Exchange:
    """Return the exchange of a call's first attempt."""
    return Exchange(next(dispatch.attempts()))
