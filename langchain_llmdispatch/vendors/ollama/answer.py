"""What an Ollama server answers: one object, a line at a time, or an error.

Each line of a stream is an answer in small, `{"message": {...}, "done": false}`; the one with `"done": true`
ends it, carries the counters and may hold content. Tool calls come whole, often without an id. The error of
a stream that already began is a line `{"error": "..."}` with status 200.
"""

from __future__ import annotations

from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from langchain_llmdispatch.errors import (
    AuthenticationError,
    ContextOverflowError,
    EmptyAnswerError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RequestTooLargeError,
    ServerError,
    TruncatedStreamError,
    TruncatedToolCallError,
    UnsupportedParameterError,
    VendorError,
)
from langchain_llmdispatch.framing import dump_json, parse_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages import InvalidToolCall, ToolCall, ToolCallChunk

    from langchain_llmdispatch.types import Call, FinishReason
    from langchain_llmdispatch.vendors.base import Vendor

PROVIDER = "ollama"

# Statuses: docs.ollama.com/api/errors, and ollama.com's own (401, 402, 403, 410 of retired models, 413).
_STATUSES: Mapping[int, type[VendorError]] = MappingProxyType(
    {
        401: AuthenticationError,
        402: QuotaExceededError,
        403: PermissionDeniedError,
        404: ModelNotFoundError,
        408: ServerError,
        409: ServerError,
        410: ModelNotFoundError,
        413: RequestTooLargeError,
        429: RateLimitError,
        503: OverloadedError,  # "server busy, please try again. maximum pending requests exceeded"
        529: OverloadedError,
    }
)

# Ollama sends no codes: `{"error": "text"}` is all. Lower case, first match wins, only under these statuses
# (None is an error inside a stream).
_TEXTS: tuple[tuple[str, frozenset[int | None], type[VendorError]], ...] = (
    # "the input length exceeds the context length" (`truncate: false`), the cloud's
    # "prompt too long; exceeded max context length by 1119046 tokens"
    ("context length", frozenset({400, 413, 500, None}), ContextOverflowError),
    ("prompt too long", frozenset({400, 413, 500, None}), ContextOverflowError),
    # "registry.ollama.ai/library/llama3:latest does not support tools" (thinking, chat, image input)
    ("does not support", frozenset({400, 500, None}), UnsupportedParameterError),
    # A level for a model that only knows on and off: 'think value "low" is not supported for this model'
    ("think value", frozenset({400}), UnsupportedParameterError),
    # "you have reached your weekly usage limit, upgrade for higher limits" (session, hourly): no wait helps
    ("usage limit", frozenset({429, None}), QuotaExceededError),
)

_FINISH: Mapping[str, FinishReason] = MappingProxyType({"stop": "stop", "length": "length"})
# The model was loaded or unloaded and nothing was generated.
_NO_GENERATION = frozenset({"load", "unload"})
_KEPT = (
    "created_at", "done_reason", "total_duration", "load_duration", "prompt_eval_count",
    "prompt_eval_duration", "eval_count", "eval_duration",
)  # fmt: skip


# -- errors --------------------------------------------------------------------------------------------


def decode_failure(
    vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes
) -> VendorError:
    """Return the error that a response with an error status means."""
    message = _message(body)
    return vendor_error(
        _error_class(status, message), vendor, call, ErrorBody(message), status=status, headers=headers
    )


def _message(body: bytes) -> str:
    """Return the text of an error body: `{"error": str}`, or whatever a proxy wrote."""
    try:
        said = parse_json(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()
    said = said.get("error", said) if isinstance(said, dict) else said
    said = said.get("message", said) if isinstance(said, dict) else said
    return said if isinstance(said, str) else dump_json(said).decode()


def _error_class(status: int | None, message: str) -> type[VendorError]:
    text = message.lower()
    for needle, statuses, cls in _TEXTS:
        if needle in text and status in statuses:
            return cls
    if status is None:
        return ServerError
    return _STATUSES.get(status) or (ServerError if status >= 500 else InvalidRequestError)  # noqa: PLR2004


def _raise_inline(vendor: Vendor, call: Call, headers: Mapping[str, str], answer: Mapping[str, Any]) -> None:
    """Raise the error that an answer with status 200 holds, if it holds one."""
    if (said := answer.get("error")) is not None:
        message = said if isinstance(said, str) else dump_json(said).decode()
        raise vendor_error(_error_class(None, message), vendor, call, ErrorBody(message), headers=headers)


# -- one whole answer ----------------------------------------------------------------------------------


def decode_answer(vendor: Vendor, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
    """Return the message in the body of an answer that was not streamed.

    Raises:
        MalformedResponseError: It is no whole answer.
        EmptyAnswerError: The server only loaded or unloaded the model.
        VendorError: It is an error after all.
    """
    answer = _object(vendor, call, headers, body)
    _raise_inline(vendor, call, headers, answer)
    message = answer.get("message")
    if not isinstance(message, dict) or answer.get("done") is not True:
        raise _bad(vendor, call, headers, MalformedResponseError, "no message, or not done")
    calls, invalid = _tool_calls(call, answer, message.get("tool_calls") or ())
    content, thinking = message.get("content") or "", message.get("thinking")
    if not content and not calls:
        _refuse_no_generation(vendor, call, headers, answer)
    return AIMessage(
        content=content,
        additional_kwargs={"reasoning_content": thinking} if thinking else {},
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=_usage(answer),
        response_metadata=_metadata(call, answer, answer.get("logprobs"), called=bool(calls or invalid)),
    )


def _object(vendor: Vendor, call: Call, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    try:
        answer = parse_json(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _bad(vendor, call, headers, MalformedResponseError, "the answer is no JSON object")
    return answer


def _bad(
    vendor: Vendor, call: Call, headers: Mapping[str, str], cls: type[VendorError], message: str
) -> VendorError:
    return vendor_error(cls, vendor, call, ErrorBody(message), headers=headers)


def _refuse_no_generation(
    vendor: Vendor, call: Call, headers: Mapping[str, str], answer: Mapping[str, Any]
) -> None:
    if (reason := answer.get("done_reason")) in _NO_GENERATION:
        raise _bad(vendor, call, headers, EmptyAnswerError, f"nothing was generated (done_reason {reason})")


def _tool_calls(
    call: Call, answer: Mapping[str, Any], said: Sequence[Mapping[str, Any]]
) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for index, item in enumerate(said):
        name, args, id_ = _read_call(call, answer, item, index)
        if isinstance(args, dict):
            calls.append(tool_call(name=name, args=args, id=id_))
        else:
            text = args if isinstance(args, str) else dump_json(args).decode()
            invalid.append(invalid_tool_call(name=name, args=text, id=id_, error="no JSON object"))
    return calls, invalid


def _read_call(
    call: Call, answer: Mapping[str, Any], item: Mapping[str, Any], index: int
) -> tuple[str, Any, str]:
    """Return a call's name, its arguments (a dict if they are an object) and its id."""
    function = item.get("function") or {}
    name = function.get("name") or ""
    args = function.get("arguments")
    if isinstance(args, str):  # proxies in OpenAI's spirit
        try:
            parsed = parse_json(args) if args.strip() else {}
        except ValueError:
            parsed = None
        args = parsed if isinstance(parsed, dict) else args
    args = {} if args is None else args
    return call.tool_names.get(name, name), args, item.get("id") or _made_id(answer, name, args, index)


def _made_id(answer: Mapping[str, Any], name: str, args: Any, index: int) -> str:
    """Return an id for a call without one: the same for the same answer, another in the next turn."""
    seed = dump_json([answer.get("created_at"), answer.get("model"), name, args])
    return f"call_{sha256(seed).hexdigest()[:16]}_{index}"


def _usage(answer: Mapping[str, Any]) -> UsageMetadata | None:
    """Return the usage if both counters came: an absent one may be a cached prompt as well as a zero."""
    taken, given = answer.get("prompt_eval_count"), answer.get("eval_count")
    if taken is None or given is None:
        return None
    return UsageMetadata(input_tokens=int(taken), output_tokens=int(given), total_tokens=int(taken + given))


def _metadata(call: Call, answer: Mapping[str, Any], logprobs: Any, *, called: bool) -> dict[str, Any]:
    finish = _FINISH.get(answer.get("done_reason") or "", "stop")
    said: dict[str, Any] = {
        "model_provider": PROVIDER,
        "model_name": answer.get("model") or call.model,
        # Ollama says "stop" after tool calls too.
        "finish_reason": "tool_calls" if called and finish == "stop" else finish,
    }
    said.update((name, answer[name]) for name in _KEPT if answer.get(name) is not None)
    if logprobs:
        said["logprobs"] = logprobs
    return said


# -- a streamed answer ---------------------------------------------------------------------------------

# LangChain's v1 streams number text and reasoning blocks from 0 and merge blocks of one number, so calls
# are numbered far from them.
_FIRST_CALL = 100


class OllamaStream:
    """Decodes one streamed answer, line by line."""

    __slots__ = (
        "_buffer", "_call", "_calls", "_filled", "_headers", "_held", "_logprobs", "_vendor", "done",
    )  # fmt: skip

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        self._vendor, self._call, self._headers = vendor, call, headers
        self._buffer = b""
        self._calls = 0
        self._filled = False
        self._held: VendorError | None = None
        self._logprobs: list[Any] = []
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether the line with `"done": true` was seen; nothing comes after it."""
        return self.done

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return the chunks that `data` completes; an error after some of them waits for the next call."""
        if self._held:
            raise self._held
        *lines, self._buffer = (self._buffer + data).split(b"\n") if self._buffer else data.split(b"\n")
        return self._decode(lines, MalformedResponseError)

    def close(self) -> list[AIMessageChunk]:
        """Return what the end of input completes, or raise if the answer is not whole."""
        if self._held:
            raise self._held
        rest, self._buffer = self._buffer, b""
        chunks = self._decode([rest], TruncatedStreamError)
        if not self.done and not self._held:
            self._held = self._error(TruncatedStreamError, 'the stream ended without "done": true')
        if self._held:
            raise self._held
        return chunks

    def _decode(self, lines: list[bytes], unreadable: type[VendorError]) -> list[AIMessageChunk]:
        chunks: list[AIMessageChunk] = []
        try:
            for line in lines:
                if self.done:
                    break
                if line.strip() and (chunk := self._take(line, unreadable)):
                    chunks.append(chunk)
        except VendorError as error:
            if not chunks:
                raise
            self._held = error
        return chunks

    def _take(self, line: bytes, unreadable: type[VendorError]) -> AIMessageChunk | None:
        try:
            answer = parse_json(line)
        except ValueError:
            raise self._error(unreadable, "a line is not whole JSON") from None
        if not isinstance(answer, dict):
            raise self._error(MalformedResponseError, "a line is no JSON object")
        _raise_inline(self._vendor, self._call, self._headers, answer)
        message = answer.get("message") or {}
        if answer.get("logprobs"):
            self._logprobs += answer["logprobs"]
        if answer.get("done"):
            return self._last(answer, message)
        return self._chunk(answer, message)

    def _chunk(self, answer: Mapping[str, Any], message: Mapping[str, Any]) -> AIMessageChunk | None:
        text, thinking, calls = message.get("content"), message.get("thinking"), message.get("tool_calls")
        if not (text or thinking or calls):
            return None
        self._filled = self._filled or bool(text or calls)
        fields: dict[str, Any] = {"content": text or "", "response_metadata": {"model_provider": PROVIDER}}
        # Every field given costs a microsecond in the model's validation.
        if thinking:
            fields["additional_kwargs"] = {"reasoning_content": thinking}
        if calls:
            fields["tool_call_chunks"] = self._call_chunks(answer, calls)
        return AIMessageChunk(**fields)

    def _last(self, answer: Mapping[str, Any], message: Mapping[str, Any]) -> AIMessageChunk:
        chunk = self._chunk(answer, message) or AIMessageChunk(content="")
        if not self._filled:
            _refuse_no_generation(self._vendor, self._call, self._headers, answer)
        self.done = True
        chunk.chunk_position = "last"
        chunk.usage_metadata = _usage(answer)
        chunk.response_metadata = _metadata(self._call, answer, self._logprobs, called=self._calls > 0)
        return chunk

    def _call_chunks(
        self, answer: Mapping[str, Any], said: Sequence[Mapping[str, Any]]
    ) -> list[ToolCallChunk]:
        chunks = []
        for item in said:
            name, args, id_ = _read_call(self._call, answer, item, self._calls)
            if not isinstance(args, dict):
                raise self._error(TruncatedToolCallError, f"the arguments of {name!r} are no JSON object")
            text = dump_json(args).decode()
            chunks.append(tool_call_chunk(name=name, args=text, id=id_, index=_FIRST_CALL + self._calls))
            self._calls += 1
        return chunks

    def _error(self, cls: type[VendorError], message: str) -> VendorError:
        return _bad(self._vendor, self._call, self._headers, cls, message)
