"""Vendor-neutral requests and answers, between the wire formats and what makes up answers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

JSON = dict[str, Any]
Role = Literal["system", "user", "assistant", "tool"]
Finish = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call of an answer; `args` may be raw text, to send JSON that is cut or broken."""

    name: str
    args: Mapping[str, Any] | str = field(default_factory=dict)
    id: str | None = None

    @property
    def text(self) -> str:
        """The arguments as JSON text."""
        if isinstance(self.args, str):
            return self.args
        return json.dumps(self.args, ensure_ascii=False, separators=(",", ":"))

    @property
    def mapping(self) -> JSON:
        """The arguments as an object, for the wire formats that carry one."""
        if not isinstance(self.args, str):
            return dict(self.args)
        try:
            value = json.loads(self.args)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of one answer; cache and reasoning tokens are parts of input and output."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of the pretended model; unset parts are filled in."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    finish: Finish | None = None
    stop_sequence: str | None = None
    usage: TokenCounts | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        """Accept any sequence of calls."""
        object.__setattr__(self, "tool_calls", tuple(self.tool_calls))

    def completed(self, usage: TokenCounts, model: str) -> Self:
        """The same answer with a finish reason, a usage and a model."""
        finish = self.finish or ("tool_calls" if self.tool_calls else "stop")
        return replace(self, finish=finish, usage=self.usage or usage, model=self.model or model)

    @property
    def counted(self) -> TokenCounts:
        """The usage of a completed answer."""
        return self.usage or TokenCounts()


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool offered in a request."""

    name: str
    schema: JSON


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a request, reduced to what an answer depends on."""

    role: Role
    text: str
    images: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request in neutral words."""

    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    forced: str | None = None
    """A tool's name, "any", or None when the model may choose."""
    tools_off: bool = False
    parallel: bool = True
    schema: JSON | None = None
    json_mode: bool = False
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    reasoning: bool = False
    usage_wanted: bool = True
    input_tokens: int = 1
    cache_marked: bool = False

    @property
    def prompt(self) -> str:
        """The text of the last user turn."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")


@dataclass(frozen=True, slots=True)
class VendorRequest:
    """A decoded HTTP request, as a dialect reads it."""

    vendor: str
    account: str
    api: str
    path: str
    model: str | None
    stream: bool
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: JSON


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of a stream; a fault may leave out a `part`."""

    data: bytes
    part: Literal["start", "content", "finish", "usage", "done"] = "content"
    usage: TokenCounts | None = None
    """What this piece reports, cumulatively."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer that is not a stream."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: TokenCounts | None = None


class RejectedError(Exception):
    """The request breaks a rule of the vendor."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "invalid_request",
        param: str | None = None,
        code: str | None = None,
        rule: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.rule = rule


def compact(value: object) -> str:
    """JSON without spaces, letters unescaped, as most vendors send it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def pieces(text: str, least: int = 3) -> list[str]:
    """Cut a text into words that carry their leading space, and into at least three parts."""
    if not text:
        return []
    cut: list[str] = []
    start = 0
    for i in range(1, len(text)):
        if text[i] == " " and text[i - 1] != " ":
            cut.append(text[start:i])
            start = i
    cut.append(text[start:])
    if len(cut) >= least or len(text) < least:
        return cut
    size = -(-len(text) // least)
    if -(-len(text) // size) < least:
        size -= 1
    return [text[i : i + size] for i in range(0, len(text), size)]


def count(text: str) -> int:
    """Tokens of a text: about four characters each."""
    return -(-len(text) // 4)
