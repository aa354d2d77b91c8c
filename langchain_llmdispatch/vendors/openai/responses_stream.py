"""The decoder of a streamed response of OpenAI's Responses API.

The events are semantic and typed; `response.completed` or `response.incomplete` ends the answer, and there is
no `[DONE]`. Each content block gets the next index when it begins. What no delta held is taken from the event
that completes an item, and what no such event held from the complete response.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from langchain_llmdispatch.errors import MalformedResponseError, TruncatedToolCallError
from langchain_llmdispatch.vendors.answer import CallIds, joined_pieces, text_of
from langchain_llmdispatch.vendors.argument_text import ArgumentText
from langchain_llmdispatch.vendors.base import ErrorBody
from langchain_llmdispatch.vendors.openai import responses_answer as answers
from langchain_llmdispatch.vendors.openai.background import AHEAD
from langchain_llmdispatch.vendors.openai.errors import error_body, error_inside
from langchain_llmdispatch.vendors.openai.responses_items import StreamedItems
from langchain_llmdispatch.vendors.stream import EventDecoder

if TYPE_CHECKING:
    from langchain_llmdispatch.framing import SSEvent
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Event = Mapping[str, Any]
Block = dict[str, Any]
_Pieces = tuple[list[Block], list[ToolCallChunk]]
_Place = tuple[int, str, int]
"""An item, "item" or a kind of part, and the part's number; each place becomes a block."""
_IN_FIRST_PIECES = frozenset({"id", "summary", "reasoning", "extras"})
"""What the first pieces of reasoning have held when its item is done."""


class ResponsesStreamDecoder(EventDecoder):
    """Chunks of a response.

    Attributes:
        response_id: The vendor's id of the answer; None before it is there.
        sequence_number: The number of the last event; None where events have none.
    """

    __slots__ = (
        "_answer_id",
        "_args",
        "_begun",
        "_ids",
        "_indices",
        "_items",
        "_logprobs",
        "_named",
        "_notes",
        "response_id",
        "sequence_number",
    )

    end_marker: ClassVar[str] = "response.completed"

    def __init__(self, vendor: Vendor, call: Call, headers: Mapping[str, str]) -> None:
        super().__init__(vendor, call, headers)
        self._items = StreamedItems()
        self._indices: dict[_Place, int] = {}
        self._begun: dict[_Place, None] = {}
        """The blocks that have begun, in order."""
        self._notes: Counter[int] = Counter()
        """How many citations each block has."""
        self._args: defaultdict[int, ArgumentText] = defaultdict(ArgumentText)
        self._ids = CallIds()
        self._answer_id: Any = None
        self.response_id: str | None = None
        self.sequence_number: int | None = None
        self._named: set[int] = set()
        self._logprobs: dict[int, list[Any]] = {}

    def _frame(self, frame: SSEvent) -> AIMessageChunk | None:
        event = self._object(frame.data)
        number = event.get("sequence_number")
        self.sequence_number = number if isinstance(number, int) else self.sequence_number
        return self._handled(event, frame)

    def _whole(self, body: bytes) -> Iterator[AIMessageChunk]:
        for chunk in super()._whole(body):
            if (status := chunk.response_metadata.get("status")) in AHEAD:
                raise self._error(MalformedResponseError, f"the response is not finished: {status}")
            yield chunk

    def _other(self, event: Event) -> None:
        if event.get("error"):
            raise error_inside(self._context, error_body(event))

    # -- blocks ------------------------------------------------------------------------------------

    def _index(self, place: _Place) -> int:
        return self._indices.setdefault(place, len(self._indices))

    def _begins(self, place: _Place) -> bool:
        """Whether this is the first piece of a block, which alone carries ids."""
        if place in self._begun:
            return False
        self._begun[place] = None
        return True

    def _created(self, event: Event) -> None:
        self._answer_id = (event.get("response") or {}).get("id")
        self.response_id = self._answer_id if isinstance(self._answer_id, str) else None

    def _added(self, event: Event) -> AIMessageChunk | None:
        item = event["item"]
        slot = self._items.begin(event, item)
        return _chunk(*self._call_begins(slot, item)) if item.get("type") == "function_call" else None

    def _text(self, event: Event) -> AIMessageChunk | None:
        return self._message_piece(event, "text", event["delta"])

    def _text_done(self, event: Event) -> AIMessageChunk | None:
        place = self._part(event)
        if place not in self._begun:
            return self._message_piece(event, "text", event.get("text"))
        if event.get("logprobs"):
            self._logprobs.setdefault(self._index(place), event["logprobs"])
        return None

    def _refusal(self, event: Event) -> AIMessageChunk | None:
        return self._message_piece(event, "refusal", event["delta"])

    def _message_piece(self, event: Event, kind: str, text: str | None) -> AIMessageChunk | None:
        place = self._part(event)
        if event.get("logprobs"):
            self._logprobs.setdefault(self._index(place), []).extend(event["logprobs"])
        if not text:
            return None
        block: Block = {"type": kind, kind: text_of(text), "index": self._index(place)}
        if self._begins(place):
            block |= answers.message_marks(self._items[place[0]])
        return _chunk([block])

    def _part(self, event: Event) -> _Place:
        return self._items.slot(event, "message"), "part", event.get("content_index", 0)

    def _annotation(self, event: Event) -> AIMessageChunk | None:
        note = answers.annotation_block(event["annotation"])
        index = self._index(self._part(event))
        self._notes[index] += 1
        return _chunk([{"type": "text", "annotations": [note], "index": index}])

    def _arguments(self, event: Event) -> AIMessageChunk | None:
        return _chunk(*self._argument_piece(self._items.slot(event, "function_call"), event["delta"]))

    def _arguments_done(self, event: Event) -> AIMessageChunk | None:
        slot = self._items.slot(event, "function_call")
        if not self._args[slot].empty:
            return None
        return _chunk(*self._argument_piece(slot, event.get("arguments")))

    def _argument_piece(self, slot: int, text: str | None) -> _Pieces:
        return self._arguments_chunk(slot, self._args[slot].add(text or ""))

    def _arguments_chunk(self, slot: int, text: str) -> _Pieces:
        if not text:
            return [], []
        index = self._index((slot, "item", 0))
        block = {"type": "function_call", "arguments": text, "index": index}
        return [block], [tool_call_chunk(index=index, args=text)]

    def _call_begins(self, slot: int, item: Event) -> _Pieces:
        index, text = self._index((slot, "item", 0)), self._args[slot].add(item.get("arguments") or "")
        identity = answers.call_id_of(item, self._ids, self._answer_id, slot)
        self._named.add(slot)
        block = answers.whole_block({**item, "call_id": identity}, self._call.tool_names)
        block |= {"arguments": text, "index": index}
        return [block], [tool_call_chunk(index=index, args=text, name=block.get("name"), id=identity)]

    def _summary(self, event: Event) -> AIMessageChunk | None:
        place = self._items.slot(event, "reasoning"), "item", 0
        text, number = text_of(event["delta"]), event.get("summary_index", 0)
        part = {"type": "summary_text", "text": text, "index": number}
        block: Block = {"type": "reasoning", "summary": [part], "index": self._index(place)}
        if self._begins(place):
            block |= answers.thought_marks(event.get("item_id"))
        return _chunk([block])

    def _reasoning_text(self, event: Event) -> AIMessageChunk | None:
        text = text_of(event["delta"])
        if not text:
            return None
        place = self._items.slot(event, "reasoning"), "raw", event.get("content_index", 0)
        block: Block = {"type": "reasoning", "reasoning": text}
        if self._begins(place):
            block = answers.raw_thought(text, event.get("item_id"))
        return _chunk([{**block, "index": self._index(place)}])

    # -- what came in no piece ---------------------------------------------------------------------

    def _item_done(self, event: Event) -> AIMessageChunk | None:
        return _chunk(*self._rest(self._items.finish(event), event["item"]))

    def _rest(self, slot: int, item: Event) -> _Pieces:
        kind = item.get("type")
        if kind == "message":
            return self._message_rest(slot, item), []
        if kind == "reasoning":
            return self._thought_rest(slot, item), []
        if kind == "function_call":
            return self._call_rest(slot, item)
        custom = kind == "custom_tool_call"
        if custom:
            item = {**item, "call_id": answers.call_id_of(item, self._ids, self._answer_id, slot)}
        block = self._block((slot, "item", 0), answers.whole_block(item, self._call.tool_names))
        if not custom:
            return [block], []
        text = self._args[slot].add(answers.custom_arguments(item))
        self._named.add(slot)
        name = self._call.tool_names.get(item.get("name", ""), item.get("name"))
        return [block], [tool_call_chunk(index=block["index"], args=text, name=name, id=item["call_id"])]

    def _block(self, place: _Place, block: Block) -> Block:
        self._begun[place] = None
        return {**block, "index": self._index(place)}

    def _message_rest(self, slot: int, item: Event) -> list[Block]:
        # Parts are matched by their order: servers count them from 0 or from 1.
        begun = [place for place in self._begun if place[:2] == (slot, "part")]
        rest: list[Block] = []
        for number, block in enumerate(answers.item_blocks(item, self._call.tool_names)):
            if number >= len(begun):
                rest.append(self._block((slot, "part", number), block))
                continue
            index = self._index(begun[number])
            if notes := block.get("annotations", [])[self._notes[index] :]:
                rest.append({"type": "text", "annotations": notes, "index": index})
        return rest

    def _thought_rest(self, slot: int, item: Event) -> list[Block]:
        begun = {place[1]: place for place in reversed(self._begun) if place[0] == slot}
        rest: list[Block] = []
        for number, block in enumerate(answers.thought_blocks(item)):
            kind = "raw" if "reasoning" in block else "item"
            if kind not in begun and (not begun or block.get("summary") != []):
                rest.append(self._block((slot, kind, number), block))
                continue
            # Ciphertext is whole only here; text that came in pieces is not repeated.
            marks = {name: value for name, value in block.items() if name not in _IN_FIRST_PIECES}
            if len(marks) > 1:
                place = begun.get(kind) or next(iter(begun.values()))
                rest.append({**marks, "index": self._index(place)})
        return rest

    def _call_rest(self, slot: int, item: Event) -> _Pieces:
        begun = not self._args[slot].empty
        if slot not in self._named:
            return self._call_begins(slot, {**item, "arguments": ""} if begun else item)
        return ([], []) if begun else self._argument_piece(slot, item.get("arguments"))

    # -- ends --------------------------------------------------------------------------------------

    def _completed(self, event: Event) -> AIMessageChunk:
        reply = event["response"]
        blocks: list[Block] = []
        calls: list[ToolCallChunk] = []
        output = [item for item in reply.get("output") or () if isinstance(item, Mapping)]
        for slot, item in self._items.unfinished(output):
            more, called = self._rest(slot, item)
            blocks += more
            calls += called
        for slot, args in self._args.items():
            more, called = self._arguments_chunk(slot, args.rest())
            blocks += more
            calls += called
        self._check_calls()
        self.finished = self.done = True
        metadata = answers.response_metadata(self._context, reply, calls=bool(self._args))
        if logprobs := [entry for entries in self._logprobs.values() for entry in entries]:
            metadata["logprobs"] = {"content": logprobs}
        return AIMessageChunk(
            content=[*_joined(blocks)],
            tool_call_chunks=joined_pieces(calls),
            usage_metadata=answers.response_usage(reply.get("usage")),
            response_metadata=metadata,
            chunk_position="last",
        )

    def _check_calls(self) -> None:
        for slot, args in self._args.items():
            if slot not in self._named:
                raise self._error(TruncatedToolCallError, "a tool call has no name")
            if args.value is None:
                raise self._error(TruncatedToolCallError, "a tool call's arguments are no whole JSON object")

    def _failed(self, event: Event) -> AIMessageChunk:
        response = event.get("response") or {}
        holder = response if response.get("error") else event
        raise error_inside(self._context, error_body(holder))

    def _cancelled(self, _: Event) -> AIMessageChunk:
        raise self._error(MalformedResponseError, ErrorBody("the response was cancelled", code="cancelled"))

    handlers: ClassVar[Mapping[str, Callable[[Any, Event], AIMessageChunk | None]]] = {
        "response.created": _created,
        "response.output_item.added": _added,
        "response.output_item.done": _item_done,
        "response.output_text.delta": _text,
        "response.output_text.done": _text_done,
        "response.output_text.annotation.added": _annotation,
        "response.refusal.delta": _refusal,
        "response.function_call_arguments.delta": _arguments,
        "response.function_call_arguments.done": _arguments_done,
        "response.reasoning_summary_text.delta": _summary,
        "response.reasoning_text.delta": _reasoning_text,
        "response.completed": _completed,
        "response.incomplete": _completed,
        "response.failed": _failed,
        "response.cancelled": _cancelled,
        "error": _failed,
    }


def _joined(blocks: list[Block]) -> list[Block]:
    """Return the blocks of one chunk, one for each call; see `joined_pieces`."""
    joined: dict[int, Block] = {}
    for block in blocks:
        known = joined.setdefault(block["index"], block)
        if known is not block:
            joined[block["index"]] = {**known, **block, "arguments": known["arguments"] + block["arguments"]}
    return [*joined.values()]


def _chunk(blocks: list[Block], calls: Sequence[ToolCallChunk] = ()) -> AIMessageChunk | None:
    if not blocks:
        return None
    return AIMessageChunk(
        content=[*blocks],
        tool_call_chunks=[*calls],
        response_metadata={"model_provider": "openai"},
    )
