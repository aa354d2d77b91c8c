"""Content-block events of one streamed answer, made from its chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from langchain_core.language_models._compat_bridge import message_to_events
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch.callbacks.events import RunManager, with_generation_info
from langchain_llmdispatch.chat_model.chunk_pieces import ChunkSum, Piece, piece_of

Event: TypeAlias = dict[str, Any]
_FIELDS: Mapping[str, str] = {
    "text": "text", "reasoning": "reasoning", "tool_call": "args", "server_tool_call": "args",
}  # fmt: skip
"""The kinds of blocks that come in pieces, and the field of the pieces."""
_DELTAS: Mapping[str, str] = {
    "text": "text-delta",
    "reasoning": "reasoning-delta",
    "tool_call": "tool-call-delta",
    "server_tool_call": "tool-call-delta",
}
_KINDS: Mapping[str, str] = {
    "tool_call_chunk": "tool_call",
    "invalid_tool_call": "tool_call",
    "server_tool_call_chunk": "server_tool_call",
}
_HEAVY = frozenset({"args", "data", "base64", "output", "transcript", "value"})
"""Fields of whole blocks that come with their finish alone."""


class EventMaker:
    """Makes the events of one answer.

    Args:
        run: The manager of its run; None where there is none.
    """

    def __init__(self, run: RunManager | None = None) -> None:
        self._run = run
        self._blocks: dict[Any, _Block] = {}
        # The block that chunks of a shape add to, once LangChain has translated one.
        self._shapes: dict[Any, _Block] = {}
        self._sum = ChunkSum()
        self._started = False

    def of_chunk(self, chunk: ChatGenerationChunk) -> list[Event]:
        """Return the events of a chunk, whose message is kept for the sum."""
        message = cast("AIMessageChunk", chunk.message)
        if chunk.generation_info and self._run is not None:
            with_generation_info(self._run, chunk.generation_info)
        piece = piece_of(message)
        if piece is not None and (block := self._shapes.get(piece.shape)) is not None:
            self._sum.add_piece(piece)
            return [block.delta(piece.text)] if piece.text else []
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(self._start(message))
        self._sum.add(message)
        self._translate(message, piece, events)
        return events

    def of_end(self) -> list[Event]:
        """Return the events of the end; nothing where no chunk has come."""
        if not self._started:
            return []
        whole = self._sum.message()
        message = cast("AIMessage", message_chunk_to_message(whole))
        replayed = cast("list[Event]", list(message_to_events(message)))
        finished = [event["content"] for event in replayed if event["event"] == "content-block-finish"]
        # Calls of custom tools (Responses) are no tool calls among LangChain's blocks.
        called = {block.get("id") for block in finished if block["type"] == "tool_call"}
        self._pair([*finished, *(dict(call) for call in message.tool_calls if call["id"] not in called)])
        events: list[Event] = []
        for block in self._blocks.values():
            events += block.finish()
        end = replayed[-1]
        if whole.additional_kwargs:
            end["additional_kwargs"] = dict(whole.additional_kwargs)
        return [*events, end]

    def _start(self, message: AIMessageChunk) -> Event:
        identity = "" if self._run is None else f"lc_run--{self._run.run_id}"
        event: Event = {"event": "message-start", "role": "ai", "id": identity}
        names = {"model_provider": "provider", "model_name": "model"}
        known = {names[word]: value for word, value in message.response_metadata.items() if word in names}
        return {**event, "metadata": known} if known else event

    def _translate(self, message: AIMessageChunk, piece: Piece | None, events: list[Event]) -> None:
        """Add the events of a chunk by its standard blocks, and note what chunks of its shape add to."""
        blocks = [self._add(cast("Event", each), events) for each in message.content_blocks]
        if piece is not None and len(blocks) == 1 and (block := blocks[0]) and block.kind in _FIELDS:
            self._shapes[piece.shape] = block

    def _add(self, content: Event, events: list[Event]) -> _Block | None:
        """Add the events of a standard block in a chunk; return the block that it is of, if any."""
        kind = _KINDS.get(content["type"], content["type"])
        found = content.get(_FIELDS.get(kind, "")) or ""
        text, place = (found if isinstance(found, str) else ""), content.get("index")
        if kind not in _FIELDS and place is None:
            place = len(self._blocks)
        block = self._blocks.get((kind, place))
        if block is None and not text and kind in _FIELDS:
            last = next(reversed(self._blocks.values()), None)
            if kind == "tool_call" and not content.get("name"):
                return None
            if kind in {"text", "reasoning"} and last is not None and last.kind == kind:
                return last  # what comes after its text: a signature, encrypted reasoning
        if block is None:
            block = self._blocks[kind, place] = _Block(len(self._blocks), kind, content)
            events.append(block.start())
        if text:
            events.append(block.delta(text))
        return block

    def _pair(self, finished: Sequence[Event]) -> None:
        """Give each finished block to the one that has begun as it; the others are new."""
        waiting = list(self._blocks.values())
        for content in finished:
            kind = _KINDS.get(content["type"], content["type"])
            alike = [block for block in waiting if block.kind == kind]
            same = [block for block in alike if block.content.get("id") == content.get("id")]
            block = next(iter(same or alike), None)
            if block is None:
                block = self._blocks[len(self._blocks)] = _Block(len(self._blocks), kind, content)
                block.is_new = True
            else:
                waiting.remove(block)
            block.final = content


class _Block:
    """A content block while it comes.

    Attributes:
        index: Its place among the events' blocks.
        kind: What it will be when it is finished.
        content: The block as it began.
        final: The block as the whole message has it; None until that is known.
        is_new: Whether it began only when the message was whole.
    """

    __slots__ = ("_parts", "content", "final", "index", "is_new", "kind")

    def __init__(self, index: int, kind: str, content: Event) -> None:
        self.index, self.kind, self.content = index, kind, content
        self.final: Event | None = None
        self.is_new = False
        self._parts: list[str] = []

    def start(self) -> Event:
        """Return the event of its beginning: what identifies it, without what comes later."""
        content = self.content
        if (field := _FIELDS.get(self.kind)) is None:
            shown = {name: value for name, value in content.items() if name not in _HEAVY}
            shown |= {"value": {}} if self.kind == "non_standard" else {}
        else:
            left_out = {field, "annotations", *(("index",) if field != "args" else ())}
            empty: Any = {} if content["type"] == self.kind and field == "args" else ""
            shown = {**{k: v for k, v in content.items() if k not in left_out}, field: empty}
        return {"event": "content-block-start", "index": self.index, "content": shown}

    def delta(self, text: str) -> Event:
        """Return the event of a piece."""
        self._parts.append(text)
        delta = {"type": _DELTAS[self.kind], _FIELDS[self.kind]: text}
        return {"event": "content-block-delta", "index": self.index, "delta": delta}

    def finish(self) -> list[Event]:
        """Return the event of its end, after that of its beginning if it is new."""
        content, came = self.final, "".join(self._parts)
        if content is None:  # the message has it as part of another block
            content = {**self.content, **({_FIELDS[self.kind]: came} if self.kind in _FIELDS else {})}
        elif came and _FIELDS[self.kind] != "args":
            content = {**content, _FIELDS[self.kind]: came}
        end = {"event": "content-block-finish", "index": self.index, "content": content}
        return [self.start(), end] if self.is_new else [end]
