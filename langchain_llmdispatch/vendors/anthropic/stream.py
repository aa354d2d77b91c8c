"""Anthropic's streamed answers: events in, LangChain chunks out.

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop

`ping` may come anywhere, `error` may take the place of everything. Only `message_stop` ends an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch.errors import (
    MalformedResponseError,
    TruncatedStreamError,
    TruncatedToolCallError,
    VendorError,
)
from langchain_llmdispatch.framing import SSEDecoder, SSEvent, dump_json, parse_json
from langchain_llmdispatch.vendors.anthropic.answer import (
    CUT,
    PROVIDER,
    call_id,
    clean,
    merge_usage,
    metadata,
    named,
    usage_metadata,
)
from langchain_llmdispatch.vendors.anthropic.errors import make_error, read_error
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error

if TYPE_CHECKING:
    from langchain_core.messages import ToolCallChunk
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Event = Mapping[str, Any]

_LISTING = ("thinking", "reasoning_effort")
_DOCUMENTS = frozenset({"file", "text-plain", "non_standard", "document", "search_result"})


def may_list(call: Call) -> bool:
    """Return whether the answer to `call` may hold more than text.

    A stream must choose between a string and a list of blocks before it knows the answer, since LangChain
    cannot turn the one into the other afterwards.
    """
    return bool(
        call.tools
        or call.server_tools
        or call.extra
        or any(name in call.params for name in _LISTING)
        or any(_has_document(message.content) for message in call.messages)
    )


def _has_document(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") in _DOCUMENTS for block in content
    )


class AnthropicStream:
    """Decodes one streamed answer."""

    __slots__ = (
        "_answer", "_args", "_call", "_emitted", "_headers", "_held", "_last_block", "_listing", "_sse",
        "_types", "_usage", "_vendor", "done",
    )  # fmt: skip

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        self._vendor, self._call = vendor, call
        # The headers of a 200 speak of limits (`retry-after` even), not of an error inside it.
        self._headers = {k: headers[k] for k in ("request-id",) if k in headers}
        self._sse = SSEDecoder()
        self._listing = may_list(call)
        self._emitted = False
        self._held: VendorError | None = None
        self._answer: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._types: dict[int, str] = {}
        self._args: dict[int, list[str]] = {}
        self._last_block = -1
        self.done = False

    @property
    def finished(self) -> bool:
        """Whether `message_stop` was seen; nothing comes after it."""
        return self.done

    @property
    def used(self) -> UsageMetadata | None:
        """What the vendor has said of usage so far: the prompt at the start, the answer at the end."""
        return usage_metadata(self._usage)

    def feed(self, data: bytes) -> list[AIMessageChunk]:
        """Return the chunks that `data` completes; an error after some of them waits for the next call."""
        if self._held:
            raise self._held
        return self._decode(self._sse.feed(data), MalformedResponseError)

    def close(self) -> list[AIMessageChunk]:
        """Return what the end of input completes, or raise if the answer is not whole."""
        if self._held:
            raise self._held
        chunks = self._decode(self._sse.close(), TruncatedStreamError)
        if not self.done and not self._held:
            self._held = self._error(TruncatedStreamError, "the stream ended without message_stop")
        if self._held:
            raise self._held
        return chunks

    def _decode(self, events: list[SSEvent], unreadable: type[VendorError]) -> list[AIMessageChunk]:
        chunks: list[AIMessageChunk] = []
        try:
            for event in events:
                if self.done:
                    break
                chunk = self._take(event, unreadable)
                if chunk is not None:
                    chunks.append(chunk)
        except VendorError as error:
            # Text that came before the error in the same bytes is not lost with it.
            self._held = error
            if not chunks:
                raise
        return chunks

    def _take(self, event: SSEvent, unreadable: type[VendorError]) -> AIMessageChunk | None:
        try:
            data = parse_json(event.data)
            # Gateways send errors of their own with no type at all.
            kind = data.get("type") or event.event or ("error" if "error" in data else "")
            handle = _HANDLERS.get(kind)
            return handle(self, data) if handle else None
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            # A ValueError is broken JSON (or what pydantic refuses); the others are missing or odd fields.
            raise self._error(unreadable, f"unreadable {event.event or 'event'} in the stream") from cause

    def _error(self, cls: type[VendorError], message: str) -> VendorError:
        return vendor_error(cls, self._vendor, self._call, ErrorBody(message), headers=self._headers)

    # -- events ------------------------------------------------------------------------------------

    def _start(self, event: Event) -> None:
        message = event["message"]
        merge_usage(self._usage, message.get("usage"))
        self._answer = {k: v for k, v in message.items() if k not in {"content", "usage"}}

    def _block(self, event: Event) -> AIMessageChunk | None:
        block, index = clean(event["content_block"]), event["index"]
        kind = self._types[index] = block["type"]
        self._last_block = index
        if kind == "text":
            return self._text(index, block.get("text") or "", block.get("citations"))
        self._list()
        if kind == "tool_use":
            return self._tool(index, block)
        if kind == "thinking" and not (block.get("thinking") or block.get("signature")):
            return None
        return self._piece({**block, "index": index})

    def _list(self) -> None:
        # Before the first text nothing is lost by answering in blocks after all.
        self._listing = self._listing or not self._emitted

    def _tool(self, index: int, block: dict[str, Any]) -> AIMessageChunk:
        block = named(self._call, {**block, "id": block.get("id") or call_id(self._answer.get("id"), index)})
        # Most inputs come in pieces; some servers give the whole of it at once.
        whole = block["input"] if block.get("input") else None
        args = dump_json(whole).decode() if whole else ""
        self._args[index] = [args]
        self._emitted = True
        return AIMessageChunk(
            content=[{**block, "index": index}],
            tool_call_chunks=[_call_chunk(index, args, block["id"], block["name"])],
            response_metadata={"model_provider": PROVIDER},
        )

    def _delta(self, event: Event) -> AIMessageChunk | None:
        delta, index = event["delta"], event["index"]
        kind = delta["type"]
        if kind == "text_delta":
            return self._text(index, delta["text"])
        if kind == "input_json_delta":
            return self._input(index, delta["partial_json"])
        if kind == "citations_delta":
            return self._text(index, "", [delta["citation"]])
        # thinking_delta, signature_delta, compaction_delta and what may come: fields of the block begun.
        fields = {name: value for name, value in delta.items() if name != "type" and value is not None}
        if not any(fields.values()):
            return None
        return self._piece({"type": self._types.get(index, kind), **fields, "index": index})

    def _text(self, index: int, text: str, citations: Any = None) -> AIMessageChunk | None:
        if not text and not citations:
            return None
        if citations:
            self._list()
        if not self._listing:
            self._emitted = True
            return _chunk(text)
        block: dict[str, Any] = {"type": "text", "text": text, "index": index}
        if citations:
            block["citations"] = citations
        return self._piece(block)

    def _input(self, index: int, json: str) -> AIMessageChunk | None:
        if not json:
            return None
        block = {"type": "input_json_delta", "partial_json": json, "index": index}
        args = self._args.get(index)
        if args is None:  # a server's tool
            return self._piece(block)
        args.append(json)
        self._emitted = True
        return AIMessageChunk(
            content=[block],
            tool_call_chunks=[_call_chunk(index, json)],
            response_metadata={"model_provider": PROVIDER},
        )

    def _piece(self, block: dict[str, Any]) -> AIMessageChunk:
        self._emitted = True
        return _chunk([block])

    def _update(self, event: Event) -> None:
        merge_usage(self._usage, event.get("usage"))
        self._answer.update((k, v) for k, v in event["delta"].items() if v is not None)
        if event.get("context_management") is not None:
            self._answer["context_management"] = event["context_management"]

    def _stop(self, _: Event) -> AIMessageChunk:
        self._check_calls()
        self.done = True
        answer = {**self._answer, "usage": self._usage} if self._usage else self._answer
        return AIMessageChunk(
            content=[] if self._listing and self._types else "",
            usage_metadata=usage_metadata(self._usage),
            response_metadata=metadata(self._call, answer),
            chunk_position="last",
        )

    def _check_calls(self) -> None:
        cut = self._last_block if self._answer.get("stop_reason") in CUT else None
        for index, pieces in self._args.items():
            if not _is_object("".join(pieces), empty=index != cut):
                raise self._error(TruncatedToolCallError, "the arguments of a tool call are not whole")

    def _fail(self, event: Event) -> None:
        raise make_error(self._vendor, self._call, read_error(event), status=None, headers=self._headers)


_EMPTY = AIMessageChunk(content="", response_metadata={"model_provider": PROVIDER})


def _chunk(content: str | list[str | dict[str, Any]]) -> AIMessageChunk:
    # A copy of a valid chunk costs half of what validating a new one does, and most chunks are these.
    chunk = _EMPTY.__copy__()
    chunk.__dict__.update(
        content=content,
        additional_kwargs={},
        response_metadata={"model_provider": PROVIDER},
        tool_calls=[],
        invalid_tool_calls=[],
        tool_call_chunks=[],
    )
    return chunk


def _call_chunk(index: int, args: str, id_: str | None = None, name: str | None = None) -> ToolCallChunk:
    return {"type": "tool_call_chunk", "index": index, "args": args, "id": id_, "name": name}


def _is_object(text: str, *, empty: bool) -> bool:
    if not text.strip():
        return empty
    try:
        return isinstance(parse_json(text), dict)
    except ValueError:
        return False


_HANDLERS: Mapping[str, Callable[[AnthropicStream, Event], AIMessageChunk | None]] = {
    "message_start": AnthropicStream._start,  # noqa: SLF001 - the table belongs to the class
    "content_block_start": AnthropicStream._block,  # noqa: SLF001
    "content_block_delta": AnthropicStream._delta,  # noqa: SLF001
    "message_delta": AnthropicStream._update,  # noqa: SLF001
    "message_stop": AnthropicStream._stop,  # noqa: SLF001
    "error": AnthropicStream._fail,  # noqa: SLF001
}
