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
from langchain_llmdispatch.json_format import dump_json
from langchain_llmdispatch.vendors.answer import arguments, blocks_chunk, made_id, text_chunk
from langchain_llmdispatch.vendors.anthropic.answer import (
    CUT,
    PROVIDER,
    clean,
    merge_usage,
    metadata,
    named,
    usage_metadata,
)
from langchain_llmdispatch.vendors.anthropic.errors import error_inside
from langchain_llmdispatch.vendors.stream import EventDecoder

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Event = Mapping[str, Any]

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

    __slots__ = ("_answer", "_args", "_emitted", "_last_block", "_listing", "_types", "_usage")

    end_marker: ClassVar[str] = "message_stop"

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        super().__init__(vendor, call, headers)
        self._listing = may_list(call)
        self._emitted = False
        self._answer: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._types: dict[int, str] = {}
        self._args: dict[int, list[str]] = {}
        self._last_block = -1

    @property
    def used(self) -> UsageMetadata | None:
        """The usage that the vendor has reported so far: the prompt at the start, the answer at the end."""
        return usage_metadata(self._usage)

    # -- events ------------------------------------------------------------------------------------

    def _start(self, event: Event) -> None:
        message = event["message"]
        merge_usage(self._usage, message.get("usage"))
        self._answer = {k: v for k, v in message.items() if k not in {"content", "usage"}}

    def _block(self, event: Event) -> AIMessageChunk | None:
        block, index = clean(event["content_block"]), int(event["index"])
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
        block = named(
            self._call.tool_names, {**block, "id": block.get("id") or made_id(self._answer.get("id"), index)}
        )
        # Most inputs come in pieces; some servers give the whole of it at once.
        whole = block["input"] if block.get("input") else None
        args = dump_json(whole).decode() if whole else ""
        self._args[index] = [args]
        self._emitted = True
        return AIMessageChunk(
            content=[{**block, "index": index}],
            tool_call_chunks=[tool_call_chunk(index=index, args=args, id=block["id"], name=block["name"])],
            response_metadata={"model_provider": PROVIDER},
        )

    def _delta(self, event: Event) -> AIMessageChunk | None:
        delta, index = event["delta"], int(event["index"])
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
            return text_chunk(text, PROVIDER)
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
            tool_call_chunks=[tool_call_chunk(index=index, args=json)],
            response_metadata={"model_provider": PROVIDER},
        )

    def _piece(self, block: dict[str, Any]) -> AIMessageChunk:
        self._emitted = True
        return blocks_chunk([block], PROVIDER)

    def _update(self, event: Event) -> None:
        merge_usage(self._usage, event.get("usage"))
        self._answer.update((k, v) for k, v in event["delta"].items() if v is not None)
        if event.get("context_management") is not None:
            self._answer["context_management"] = event["context_management"]

    def _stop(self, _: Event) -> AIMessageChunk:
        self._check_calls()
        self.finished = self.done = True
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
            text = "".join(pieces).strip()
            if arguments(text) is None or text == "null" or (index == cut and not text):
                raise self._error(TruncatedToolCallError, "the arguments of a tool call are not whole")

    def _fail(self, event: Event) -> None:
        raise error_inside(self._context, event)

    def _other(self, event: Event) -> None:
        if not event.get("type") and "error" in event:  # as gateways send their own
            self._fail(event)

    handlers: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], AIMessageChunk | None]]] = {
        "message_start": _start,
        "content_block_start": _block,
        "content_block_delta": _delta,
        "message_delta": _update,
        "message_stop": _stop,
        "error": _fail,
    }
