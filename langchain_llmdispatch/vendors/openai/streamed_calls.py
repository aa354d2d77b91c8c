"""The tool calls of a streamed chat completion, though servers omit or repeat places, ids and names.

A piece belongs to the call with its place and id; without an id to the last call at its place; without a
place to the last call of all. A piece with a name begins a new call where it cannot belong to that one: its
id or its name is another one, or the arguments so far are whole and others follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from langchain_llmdispatch.vendors.answer import CallIds, arguments, joined_pieces
from langchain_llmdispatch.vendors.argument_text import ArgumentText
from langchain_llmdispatch.vendors.openai.chat_answer import call_id, call_parts, free_arguments, given_id
from langchain_llmdispatch.vendors.server_state import call_state, joined_state
from langchain_llmdispatch.vendors.usage import count_of

_ANYWHERE = -1
"""Stands for a place that does not matter."""


class StreamedCall:
    """One call as its pieces arrive.

    Attributes:
        index: Its number in the answer.
        name: The tool, as the server names it.
        raw_id: The server's id for it, which others may have too; None if it has none.
        args: Its arguments.
        id: Its id in the answer.
        state: The opaque state that the server needs back with it.
        free: The free text of a custom tool's call, in pieces; None for a call with arguments.
    """

    __slots__ = ("args", "free", "id", "index", "name", "raw_id", "state")

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = self.id = ""
        self.state: dict[str, Any] = {}
        self.raw_id: str | None = None
        self.args = ArgumentText()
        self.free: list[str] | None = None

    def add(self, text: str, free: str | None) -> str:
        """Return what can be handed out now of a piece's arguments; free text is held and escaped whole."""
        if free is None:
            return self.args.add(text)
        self.free = [*(self.free or ()), free]
        return ""

    def rest(self) -> str:
        """Return what is held back, once no more is to come."""
        return self.args.rest() if self.free is None else free_arguments("".join(self.free))

    def differs(self, name: str, raw_id: str | None) -> bool:
        """Return whether a piece with a name is another call's by its name or id."""
        return bool((self.name and name != self.name) or (raw_id and self.raw_id and raw_id != self.raw_id))

    def ends_before(self, text: str, raw_id: str | None) -> bool:
        """Return whether a piece that repeats the name begins another call: its arguments follow others."""
        if not (self.args.whole and text.lstrip().startswith("{")):
            return False
        others = arguments(text)
        if self.args.empty:  # arguments follow an empty object, but a second one is another call's
            return others == {} and raw_id is None
        # Of the same id: the same ones once more, or a piece of them.
        return raw_id is None or (bool(others) and others != self.args.value)


class StreamedCalls:
    """The calls of one answer.

    Args:
        names: The caller's names of tools by the vendor's.
    """

    __slots__ = ("_calls", "_ids", "_last", "_names", "_places")

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._ids = CallIds()
        self._calls: list[StreamedCall] = []
        self._places: set[int | None] = set()
        # The last call of each place, and of each place and id; None is the place of pieces without one.
        self._last: dict[tuple[int | None, str | None], StreamedCall] = {}

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self._calls)

    def add(self, pieces: list[Mapping[str, Any]], seed: str) -> list[ToolCallChunk]:
        """Return chunks for the pieces of one delta; id and name appear once per call."""
        named: list[StreamedCall] = []  # in this delta, where each one without an id is a call
        return joined_pieces([self._add(piece, seed, named) for piece in pieces])

    def rest(self) -> list[ToolCallChunk]:
        """Return what is held back, once no more is to come: empty objects, and the texts of custom tools."""
        held = ((call.index, call.rest()) for call in self._calls)
        return [tool_call_chunk(index=index, args=text) for index, text in held if text]

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the opaque state of the calls, by their ids."""
        return {call.id: call.state for call in self._calls if call.state}

    def problem(self) -> str | None:
        """Return what is wrong with the calls, or None if all are whole."""
        for call in self._calls:
            if not call.name:
                return "a tool call has no name"
            if call.args.value is None:
                return "the arguments of a tool call are no whole JSON object"
        return None

    def _add(self, piece: Mapping[str, Any], seed: str, named: list[StreamedCall]) -> ToolCallChunk:
        name, text, free = call_parts(piece)
        place, raw_id = count_of(piece.get("index")), given_id(piece.get("id"))
        self._places |= {place} - {None}
        known = self._known(place, raw_id, name)
        if known is None or self._begins(known, place, raw_id, name, text, named):
            call = self._begin(known, raw_id, seed)
        else:
            call = known
        chunk = tool_call_chunk(
            index=call.index, args=call.add(text, free) or None, id=None if call is known else call.id
        )
        call.raw_id = call.raw_id or raw_id
        if name and not call.name:
            call.name = name
            chunk["name"] = self._names.get(name, name)
        if name:
            named.append(call)
        if state := call_state(piece):
            call.state = joined_state(call.state, state)
        self._last |= dict.fromkeys(((place, raw_id), (place, None), (None, None), (_ANYWHERE, raw_id)), call)
        return chunk

    def _known(self, place: int | None, raw_id: str | None, name: Any) -> StreamedCall | None:
        """Return the call that a piece may belong to."""
        call = self._last.get((place, raw_id)) or self._last.get((place, None))
        # A piece without a name begins no call, wherever it stands.
        return self._last.get((_ANYWHERE, raw_id)) if call is None and raw_id and not name else call

    def _begins(
        self,
        known: StreamedCall,
        place: int | None,
        raw_id: str | None,
        name: Any,
        text: str,
        named: list[StreamedCall],
    ) -> bool:
        """Return whether a piece begins another call than the known one."""
        if not name or known.differs(name, raw_id):
            return bool(name)
        if place is not None and len(self._places) > 1:
            return False  # the server numbers its calls: a name that comes again is that of the same call
        of_its_id = raw_id is not None and raw_id == known.raw_id
        again = known in named and (known.args.whole or not of_its_id)
        return again or known.ends_before(text, raw_id)

    def _begin(self, before: StreamedCall | None, raw_id: str | None, seed: str) -> StreamedCall:
        call = StreamedCall(len(self._calls))
        call.id = self._ids.own(call_id(raw_id, seed, call.index))
        # Where calls share a place, what seems to be a repetition may be another's arguments.
        call.args.repeats = before is None or not before.args.empty
        self._calls.append(call)
        return call
