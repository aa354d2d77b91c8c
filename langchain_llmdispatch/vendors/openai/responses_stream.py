"""The decoder of a streamed response of OpenAI's Responses API.

The events are semantic and typed; `response.completed` or `response.incomplete` ends the answer, and there is
no `[DONE]`. Each content block gets the next index when it begins; items are known by their `output_index`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk

from langchain_llmdispatch.errors import TruncatedToolCallError
from langchain_llmdispatch.vendors.openai import responses_answer as answers
from langchain_llmdispatch.vendors.openai.chat_answer import arguments
from langchain_llmdispatch.vendors.openai.chat_stream import Frames
from langchain_llmdispatch.vendors.openai.errors import error_body, error_inside

if TYPE_CHECKING:
    from langchain_llmdispatch.framing import SSEvent
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Event = Mapping[str, Any]
_HANDLED_IN_PIECES = frozenset({"message", "function_call", "reasoning"})


class ResponsesStreamDecoder(Frames):
    """Chunks of a response."""

    __slots__ = ("_args", "_done", "_indices", "_items", "_logprobs", "_said")

    def __init__(self, vendor: Vendor, call: Call) -> None:
        super().__init__(vendor, call)
        self._done = False
        self._indices: dict[tuple[int, int], int] = {}
        self._items: dict[int, Event] = {}
        self._args: dict[int, list[str]] = {}
        self._said: set[int] = set()
        self._logprobs: list[Any] = []

    @property
    def finished(self) -> bool:
        """Whether the response is complete, or incomplete for good."""
        return self._done

    @property
    def done(self) -> bool:
        """Whether nothing more needs reading."""
        return self._done

    def _event(self, event: SSEvent) -> AIMessageChunk | None:
        if event.data == "[DONE]" or not event.data.strip():
            return None
        said = self._json(event.data)
        handle = _HANDLERS.get(said.get("type", ""))
        if handle is None:
            if said.get("error"):
                raise error_inside(self._vendor, self._call, error_body(said))
            return None
        return handle(self, said)

    def _last(self) -> AIMessageChunk:
        raise self._truncated()

    # -- blocks ------------------------------------------------------------------------------------

    def _index(self, event: Event, part: int = -1) -> int:
        key = (event.get("output_index", 0), part)
        return self._indices.setdefault(key, len(self._indices))

    def _chunk(self, block: dict[str, Any], calls: list[ToolCallChunk] | None = None) -> AIMessageChunk:
        return AIMessageChunk(
            content=[block],
            tool_call_chunks=calls or [],
            response_metadata={"model_provider": "openai"},
        )

    def _begins(self, index: int) -> bool:
        """Whether this is the first piece of a block, which alone carries ids."""
        if index in self._said:
            return False
        self._said.add(index)
        return True

    def _added(self, event: Event) -> AIMessageChunk | None:
        item = event["item"]
        self._items[event.get("output_index", 0)] = item
        if item.get("type") == "reasoning":
            self._index(event)  # its place in the order, though it may say nothing before it is done
        if item.get("type") != "function_call":
            return None
        index = self._index(event)
        text = item.get("arguments") or ""
        self._args[index] = [text]
        block = {**answers.whole_block(item, self._call.tool_names), "arguments": text, "index": index}
        identity = item.get("call_id") or item.get("id")
        return self._chunk(block, [_call_chunk(index, text, name=block.get("name"), identity=identity)])

    def _text(self, event: Event) -> AIMessageChunk | None:
        self._logprobs += event.get("logprobs") or ()
        if not event["delta"]:
            return None
        index = self._index(event, event.get("content_index", 0))
        block: dict[str, Any] = {"type": "text", "text": event["delta"], "index": index}
        if self._begins(index):
            block |= self._marks(event)
        return self._chunk(block)

    def _marks(self, event: Event) -> dict[str, Any]:
        item = self._items.get(event.get("output_index", 0)) or {"id": event.get("item_id")}
        return answers.message_marks(item)

    def _annotation(self, event: Event) -> AIMessageChunk:
        note = answers.annotation_block(event["annotation"])
        index = self._index(event, event.get("content_index", 0))
        return self._chunk({"type": "text", "annotations": [note], "index": index})

    def _refusal(self, event: Event) -> AIMessageChunk:
        index = self._index(event, event.get("content_index", 0))
        block: dict[str, Any] = {"type": "refusal", "refusal": event["delta"], "index": index}
        if self._begins(index):
            block |= self._marks(event)
        return self._chunk(block)

    def _arguments(self, event: Event) -> AIMessageChunk | None:
        text = event["delta"]
        if not text:
            return None
        index = self._index(event)
        self._args.setdefault(index, []).append(text)
        block = {"type": "function_call", "arguments": text, "index": index}
        return self._chunk(block, [_call_chunk(index, text)])

    def _summary(self, event: Event) -> AIMessageChunk:
        part = {"type": "summary_text", "text": event["delta"], "index": event.get("summary_index", 0)}
        return self._thought(event, {"summary": [part]})

    def _reasoning_text(self, event: Event) -> AIMessageChunk:
        part = {"type": "reasoning_text", "text": event["delta"], "index": event.get("content_index", 0)}
        return self._thought(event, {"content": [part]})

    def _thought(self, event: Event, said: dict[str, Any]) -> AIMessageChunk:
        index = self._index(event)
        block: dict[str, Any] = {"type": "reasoning", **said, "index": index}
        if self._begins(index):
            block |= {"id": event["item_id"]} if event.get("item_id") else {}
            block.setdefault("summary", [])
        return self._chunk(block)

    # -- ends --------------------------------------------------------------------------------------

    def _item_done(self, event: Event) -> AIMessageChunk | None:
        item = event["item"]
        kind = item.get("type")
        if kind == "reasoning":
            return self._reasoning_done(event, item)
        if kind == "function_call":
            return self._call_done(event, item)
        if kind in _HANDLED_IN_PIECES:
            return None
        index = self._index(event)
        block = {**answers.whole_block(item, self._call.tool_names), "index": index}
        if kind != "custom_tool_call":
            return self._chunk(block)
        text = answers.custom_arguments(item)
        self._args[index] = [text]
        name = self._call.tool_names.get(item.get("name", ""), item.get("name"))
        return self._chunk(block, [_call_chunk(index, text, name=name, identity=item.get("call_id"))])

    def _reasoning_done(self, event: Event, item: Event) -> AIMessageChunk | None:
        # Ciphertext is whole only here; text that came in pieces is not said again.
        index = self._index(event)
        block = answers.whole_block(item, self._call.tool_names)
        if not self._begins(index):
            block = {name: block[name] for name in ("type", "encrypted_content") if name in block}
        return self._chunk({**block, "index": index}) if len(block) > 1 else None

    def _call_done(self, event: Event, item: Event) -> AIMessageChunk | None:
        # A server may send the arguments in one piece at the end.
        index, text = self._index(event), item.get("arguments") or ""
        if not text or any(self._args.get(index, ())):
            return None
        self._args[index] = [text]
        block = {"type": "function_call", "arguments": text, "index": index}
        return self._chunk(block, [_call_chunk(index, text)])

    def _completed(self, event: Event) -> AIMessageChunk:
        reply = event["response"]
        for pieces in self._args.values():
            if arguments("".join(pieces)) is None:
                raise self._error(TruncatedToolCallError, "a tool call's arguments are no whole JSON object")
        self._done = True
        metadata = answers.response_metadata(reply, self._call.model, calls=bool(self._args))
        if self._logprobs:
            metadata["logprobs"] = {"content": self._logprobs}
        return AIMessageChunk(
            content=[],
            usage_metadata=answers.response_usage(reply.get("usage")),
            response_metadata=metadata,
            chunk_position="last",
        )

    def _failed(self, event: Event) -> AIMessageChunk:
        response = event.get("response") or {}
        said = response if response.get("error") else event
        raise error_inside(self._vendor, self._call, error_body(said))


def _call_chunk(index: int, text: str, name: Any = None, identity: Any = None) -> ToolCallChunk:
    return ToolCallChunk(type="tool_call_chunk", name=name, args=text, id=identity, index=index)


_HANDLERS: dict[str, Callable[[ResponsesStreamDecoder, Event], AIMessageChunk | None]] = {
    "response.output_item.added": ResponsesStreamDecoder._added,  # noqa: SLF001 - its own table
    "response.output_item.done": ResponsesStreamDecoder._item_done,  # noqa: SLF001
    "response.output_text.delta": ResponsesStreamDecoder._text,  # noqa: SLF001
    "response.output_text.annotation.added": ResponsesStreamDecoder._annotation,  # noqa: SLF001
    "response.refusal.delta": ResponsesStreamDecoder._refusal,  # noqa: SLF001
    "response.function_call_arguments.delta": ResponsesStreamDecoder._arguments,  # noqa: SLF001
    "response.reasoning_summary_text.delta": ResponsesStreamDecoder._summary,  # noqa: SLF001
    "response.reasoning_text.delta": ResponsesStreamDecoder._reasoning_text,  # noqa: SLF001
    "response.completed": ResponsesStreamDecoder._completed,  # noqa: SLF001
    "response.incomplete": ResponsesStreamDecoder._completed,  # noqa: SLF001
    "response.failed": ResponsesStreamDecoder._failed,  # noqa: SLF001
    "error": ResponsesStreamDecoder._failed,  # noqa: SLF001
}
