"""Anthropic's streamed answers: events in, LangChain chunks out.

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop

`ping` may come anywhere, `error` may take the place of everything. Only `message_stop` ends an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.errors import TruncatedToolCallError
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.answer import (
    CallIds,
    blocks_chunk,
    made_id,
    named_tool,
    text_chunk,
    text_of,
)
from langchain_llmdispatch.vendors.anthropic.answer import (
    PROVIDER,
    clean,
    is_cut,
    later_usage,
    metadata,
    read_input,
    usage_metadata,
)
from langchain_llmdispatch.vendors.anthropic.errors import error_inside
from langchain_llmdispatch.vendors.argument_text import ArgumentText
from langchain_llmdispatch.vendors.stream import EventDecoder
from langchain_llmdispatch.vendors.streamed_blocks import ANY, INPUT, StreamedBlock, StreamedBlocks

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Event = Mapping[str, Any]

_FAMILIES: Mapping[str, str] = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": INPUT,
    "compaction_delta": "compaction",
}
"""Which blocks take a delta; deltas of other kinds are taken by any."""
_PIECES: Mapping[str, tuple[str, ...]] = {
    "thinking_delta": ("thinking",),  # not `estimated_tokens`, the progress of thinking that is not shown
    "signature_delta": ("signature",),
    "compaction_delta": ("content", "encrypted_content"),
}
"""The fields of deltas that are texts of their block."""
_OF_BLOCKS = frozenset({"type", "index", "text", "thinking", "signature", "citations", "input"})
"""What a delta of an unknown kind cannot change."""
_LISTING = ("thinking", "reasoning_effort")
_DOCUMENTS = frozenset({"file", "text-plain", "non_standard", "document", "search_result"})


def may_list(call: Call) -> bool:
    """Return whether the answer to `call` may hold more than text.

    A stream must choose between a string and a list of blocks before the answer is there, since LangChain
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


class AnthropicStreamDecoder(EventDecoder):
    """Chunks of a message."""

    __slots__ = ("_answer", "_blocks", "_emitted", "_ids", "_listing", "_usage")

    end_marker: ClassVar[str] = "message_stop"

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        super().__init__(vendor, call, headers)
        self._listing = may_list(call)
        self._emitted = False
        self._answer: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks = StreamedBlocks()
        self._ids = CallIds()

    @property
    def used(self) -> UsageMetadata | None:
        """The usage that the vendor has reported so far: the prompt at the start, the answer at the end."""
        return usage_metadata(self._usage)

    # -- events ------------------------------------------------------------------------------------

    def _start(self, event: Event) -> None:
        message = event["message"]
        self._usage = later_usage(self._usage, message.get("usage"))
        self._answer = {k: v for k, v in message.items() if k not in {"content", "usage"}}

    def _block(self, event: Event) -> AIMessageChunk | None:
        content = clean(event["content_block"])
        block = self._blocks.begin(event.get("index"), content["type"])
        if block.kind == "text":
            return self._text(block, content.get("text") or "", content.get("citations"))
        self._list()
        if block.args is not None:
            return self._tool(block, block.args, content)
        if block.kind == "thinking" and not (content.get("thinking") or content.get("signature")):
            return None
        block.begun = content
        return self._piece({**content, "index": block.number})

    def _list(self) -> None:
        # Before the first text nothing is lost by answering in blocks after all.
        self._listing = self._listing or not self._emitted

    def _tool(self, block: StreamedBlock, args: ArgumentText, content: dict[str, Any]) -> AIMessageChunk:
        # Most inputs come in pieces; some servers give the whole of it at once, or both.
        whole = read_input(content["input"]) if content.get("input") else None
        text = args.add(dump_json(whole).decode()) if whole else ""
        content |= {"index": block.number, "input": whole if isinstance(whole, dict) else {}}
        if not block.is_call:
            return self._piece(content)
        identity = self._ids.own(content.get("id") or made_id(self._answer.get("id"), block.number))
        name = named_tool(content.get("name"), self._call.tool_names)
        return self._call_piece({**content, "id": identity, "name": name}, args=text, id=identity, name=name)

    def _delta(self, event: Event) -> AIMessageChunk | None:
        delta = event["delta"]
        kind = delta["type"]
        family, place = _FAMILIES.get(kind, ANY), event.get("index")
        block = self._blocks.of(place, family) or self._blocks.begin(place, family or kind)
        if kind == "text_delta":
            return self._text(block, delta["text"])
        if kind == "input_json_delta":
            return self._input(block, delta["partial_json"])
        if kind == "citations_delta":
            return self._text(block, "", [delta["citation"]])
        if names := _PIECES.get(kind):
            fields = {name: text_of(delta[name]) for name in names if delta.get(name)}
        else:
            fields = block.later({name: value for name, value in delta.items() if name not in _OF_BLOCKS})
        return self._fields(block, fields)

    def _fields(self, block: StreamedBlock, fields: dict[str, Any]) -> AIMessageChunk | None:
        """Return what fields add to a block; an answer that is a string has no place for them."""
        is_text = block.kind == "text"
        if not any(fields.values()) or (is_text and not self._listing):
            return None
        text = {"text": ""} if is_text else {}  # LangChain's translator takes it for granted
        return self._piece({"type": block.kind, **text, **fields, "index": block.number})

    def _text(self, block: StreamedBlock, text: str, citations: Any = None) -> AIMessageChunk | None:
        if not text and not citations:
            return None
        if citations:
            self._list()
        if not self._listing:
            self._emitted = True
            return text_chunk(text, PROVIDER)
        content: dict[str, Any] = {"type": "text", "text": text, "index": block.number}
        if citations:
            content["citations"] = citations
        return self._piece(content)

    def _input(self, block: StreamedBlock, json: str) -> AIMessageChunk | None:
        text = block.args.add(json) if block.args is not None else json
        if not text:
            return None
        piece = {"type": "input_json_delta", "partial_json": text, "index": block.number}
        return self._call_piece(piece, args=text) if block.is_call else self._piece(piece)

    def _call_piece(self, content: dict[str, Any], **fields: str) -> AIMessageChunk:
        self._emitted = True
        return AIMessageChunk(
            content=[content],
            tool_call_chunks=[tool_call_chunk(index=content["index"], **fields)],
            response_metadata={"model_provider": PROVIDER},
        )

    def _piece(self, block: dict[str, Any]) -> AIMessageChunk:
        self._emitted = True
        return blocks_chunk([block], PROVIDER)

    def _update(self, event: Event) -> None:
        self._usage = later_usage(self._usage, event.get("usage"))
        self._answer.update((k, v) for k, v in (event.get("delta") or {}).items() if v is not None)
        if event.get("context_management") is not None:
            self._answer["context_management"] = event["context_management"]

    def _stop(self, _: Event) -> AIMessageChunk:
        self._check_calls()
        self.finished = self.done = True
        answer = {**self._answer, "usage": self._usage} if self._usage else self._answer
        return AIMessageChunk(
            content=self._rest(),
            usage_metadata=usage_metadata(self._usage),
            response_metadata=metadata(self._call, answer),
            chunk_position="last",
        )

    def _rest(self) -> str | list[Any]:
        """Return the fields of blocks whose stop event did not come, as the last chunk's content."""
        chunks = (self._fields(block, fields) for block, fields in self._blocks.rests())
        rest = [piece for chunk in chunks if chunk is not None for piece in chunk.content]
        return rest if rest or (self._listing and self._blocks) else ""

    def _check_calls(self) -> None:
        cut = is_cut(self._answer)
        for block, args in self._blocks.calls:
            nothing = cut and self._blocks.is_last(block) and args.empty and not args.whole
            if nothing or args.is_null or args.value is None:
                raise self._error(TruncatedToolCallError, "the arguments of a tool call are not whole")

    def _ended(self, event: Event) -> AIMessageChunk | None:
        block = self._blocks.end(event.get("index"))
        return None if block is None else self._fields(block, block.rest())

    def _fail(self, event: Event) -> None:
        raise error_inside(self._context, event)

    def _other(self, event: Event) -> None:
        if not event.get("type") and "error" in event:  # as gateways send their own
            self._fail(event)

    handlers: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], AIMessageChunk | None]]] = {
        "message_start": _start,
        "content_block_start": _block,
        "content_block_delta": _delta,
        "content_block_stop": _ended,
        "message_delta": _update,
        "message_stop": _stop,
        "error": _fail,
    }
