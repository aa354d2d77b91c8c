"""What a wire format has to do."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

from tests.loopback import errors
from tests.loopback.neutral import (
    JSON,
    Answer,
    Event,
    RejectedError,
    Request,
    Tool,
    Turn,
    VendorRequest,
    compact,
    count,
)
from tests.loopback.rules.base import Rule, enforce

CREATED = 1_795_000_000
BAD_KEY = "bad-key"
IMAGE_TOKENS = 85


class VendorDialect(ABC):
    """One wire format: reads requests, writes answers and streams."""

    rules: ClassVar[Sequence[Rule]] = ()
    stream_type: ClassVar[str] = "text/event-stream; charset=utf-8"
    json_type: ClassVar[str] = "application/json"
    keepalive: ClassVar[bytes] = b": keep-alive\n\n"
    broken: ClassVar[bytes] = b'data: {"id":"broken","choi\n\n'

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor

    def check(self, call: VendorRequest) -> None:
        """Refuse what the vendor refuses."""
        self.authorise(call)
        enforce(self.rules, call)

    def authorise(self, call: VendorRequest) -> None:
        """Any bearer token will do but one."""
        key = bearer(call)
        if not key or key == BAD_KEY:
            raise RejectedError("", kind="auth", rule="auth")

    @abstractmethod
    def read(self, call: VendorRequest) -> Request:
        """The request in neutral words."""

    @abstractmethod
    def body(self, call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""

    @abstractmethod
    def events(self, call: VendorRequest, request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the pieces of a stream."""

    @abstractmethod
    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""

    def streamed_as(self, _call: VendorRequest) -> str:
        """The content type of a stream."""
        return self.stream_type

    def in_band(self, _call: VendorRequest, error: RejectedError, ident: str) -> bytes:
        """An error inside a stream."""
        return sse(errors.body(self.vendor, error, ident))


def bearer(call: VendorRequest) -> str:
    """The bearer token of a request."""
    scheme, _, key = call.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def sse(data: object, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    text = data if isinstance(data, str) else compact(data)
    return f"{name}data: {text}\n\n".encode()


def measured(turns: Iterable[Turn], tools: Iterable[Tool]) -> int:
    """The input tokens of a request."""
    messages = sum(count(turn.text) + 4 + IMAGE_TOKENS * turn.images for turn in turns)
    return messages + sum(count(tool.name + compact(tool.schema)) + 8 for tool in tools)


def function_tools(body: JSON) -> tuple[Tool, ...]:
    """The tools of a request in OpenAI's form."""
    offered = [tool["function"] for tool in body.get("tools") or () if tool.get("type") == "function"]
    return tuple(Tool(tool["name"], tool.get("parameters") or {}) for tool in offered)


def content_of(value: object) -> tuple[str, int]:
    """The text of a message's content, and how many attachments it has."""
    if not isinstance(value, list):
        return (value if isinstance(value, str) else ""), 0
    texts = [part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str)]
    others = sum(1 for part in value if isinstance(part, dict) and part.get("type") in ATTACHMENTS)
    return " ".join(texts), others


ATTACHMENTS = frozenset(
    {"image_url", "input_audio", "file", "image", "document", "input_image", "input_file"}
)
