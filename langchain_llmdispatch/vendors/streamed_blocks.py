"""The blocks of a streamed answer whose format announces each one, separated by their start events.

The wire's index is no identity: Anthropic's text after a web search has had the index of the search's result
(anthropics/anthropic-sdk-typescript#879), and gateways begin each block at 0 (icebear0828/codex-proxy#610). A
piece belongs to the block with its id, else to the last block with its index that takes pieces of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.vendors.argument_text import ArgumentText
from langchain_llmdispatch.vendors.streamed_fields import StreamedFields
from langchain_llmdispatch.vendors.usage import count_of

INPUT = "input"
"""The family of blocks that hold a tool's arguments."""
ANY = ""
"""The family of all blocks."""


def _family(kind: str) -> str:
    if kind.endswith("tool_use"):
        return INPUT
    return "thinking" if kind == "redacted_thinking" else kind


class StreamedBlock:
    """One block as its pieces arrive.

    Attributes:
        number: Its number among the blocks.
        kind: Its type.
        place: Its index on the wire, or None.
        open: Whether its stop event has not come.
        shared: Whether its pieces may be those of another call, which is open at the same place.
        args: The arguments of a tool, the vendor's own tools included; None for other blocks.
        begun: The fields that its start event has handed out.
        fields: Those that came later beside its text and its arguments, once any did.
    """

    __slots__ = ("args", "begun", "fields", "kind", "number", "open", "place", "shared")

    def __init__(self, number: int, kind: str, place: int | None) -> None:
        self.number, self.kind, self.place = number, kind, place
        self.open, self.shared = True, False
        self.args = ArgumentText() if _family(kind) == INPUT else None
        self.begun: Mapping[str, Any] = {}
        self.fields: StreamedFields | None = None

    @property
    def is_call(self) -> bool:
        """Whether it is a call of one of the caller's tools."""
        return self.kind == "tool_use"

    def later(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Return the pieces of text among fields that come after its start; see `StreamedFields`."""
        if self.fields is None:
            self.fields = StreamedFields(self.begun)
        return self.fields.add(fields)

    def rest(self) -> dict[str, Any]:
        """Return the fields that are held back, once no more is to come."""
        return {} if self.fields is None else self.fields.rest()


class StreamedBlocks:
    """Blocks in the order in which they begin."""

    __slots__ = ("_all", "_by_id", "_last")

    def __init__(self) -> None:
        self._all: list[StreamedBlock] = []
        self._by_id: dict[Any, StreamedBlock] = {}
        # The last block of each place and family, and of any of either.
        self._last: dict[tuple[int | None, str], StreamedBlock] = {}

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self._all)

    @property
    def calls(self) -> list[tuple[StreamedBlock, ArgumentText]]:
        """The calls of the caller's tools, each with its arguments."""
        return [(block, block.args) for block in self._all if block.is_call and block.args is not None]

    def rests(self) -> list[tuple[StreamedBlock, dict[str, Any]]]:
        """Return the fields that blocks hold back, where the stop event did not come."""
        return [(block, rest) for block in self._all if (rest := block.rest())]

    def is_last(self, block: StreamedBlock) -> bool:
        """Return whether no block has begun since."""
        return block is self._all[-1]

    def begin(self, index: Any, kind: str, identity: Any = None) -> StreamedBlock:
        """Return the block that begins.

        Args:
            index: Its index on the wire.
            kind: Its type.
            identity: Its id, where its pieces may have it too.
        """
        place, family = count_of(index), _family(kind)
        block = StreamedBlock(len(self._all), kind, place)
        before = self._last.get((place, INPUT))
        if block.args is not None and before is not None and before.args is not None:
            block.shared = before.open and not before.args.whole
        self._all.append(block)
        for key in ((place, family), (place, ANY), (None, family), (None, ANY)):
            self._last[key] = block
        if identity:
            self._by_id[identity] = block
        return block

    def end(self, index: Any) -> StreamedBlock | None:
        """Record the stop event of the block at `index`, and return that block."""
        if (block := self._last.get((count_of(index), ANY))) is not None:
            block.open = False
        return block

    def of(self, index: Any, family: str, identity: Any = None) -> StreamedBlock | None:
        """Return the block of a family that a piece belongs to; None if none has begun.

        Raises:
            MalformedResponseError: They are arguments, and it is not certain of which call.
        """
        if identity and (known := self._by_id.get(identity)) is not None:
            return known
        block = self._last.get((count_of(index), family)) or self._without_place(family)
        if family == INPUT and (block is None or block.shared):
            why = "no call has begun at its index" if block is None else "two calls are open at its index"
            raise MalformedResponseError(f"a piece of a tool's arguments belongs to no one call: {why}")
        return block

    def _without_place(self, family: str) -> StreamedBlock | None:
        block = self._last.get((None, family))
        return block if block is not None and block.place is None else None
