"""Tool calls and their results: legal and unique ids, each call answered, each result in its place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_llmdispatch.vendors.history.blocks import Block, as_blocks, text_block
from langchain_llmdispatch.vendors.history.turns import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_llmdispatch.vendors.history.filters import Filters

INTERRUPTED = "No result: the call was interrupted."
"""The result of a call that nobody answered."""
ORPHAN = "[Result of a tool call that is no longer part of the conversation: {name}]"
"""Heads the text of a result whose call is gone."""
MOVED = "[From the result of the tool {name}]"
"""Heads media that a tool result may not hold."""
SHOWN = "[From the assistant's message]"
"""Heads media that an assistant's turn may not hold."""

_CALLS = frozenset({"tool_call", "invalid_tool_call"})


@dataclass(slots=True, eq=False)
class _Slot:
    """A call and what answered it."""

    turn: Turn
    block: Block
    asked: str
    valid: bool
    result: Turn | None = None


@dataclass(slots=True)
class _Book:
    """Every call made so far, by the id that its results name."""

    filters: Filters
    names: Mapping[str, str]
    slots: list[_Slot] = field(default_factory=list)
    by_id: dict[str, list[_Slot]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def enter(self, turn: Turn) -> None:
        """Take the calls of an assistant's turn, and give each a legal id and the target's name."""
        if not isinstance(turn.content, list):
            return
        for place, block in enumerate(turn.content):
            if block["type"] in _CALLS:
                turn.content[place] = self._entered(block, turn)

    def _entered(self, block: Block, turn: Turn) -> Block:
        asked = str(block.get("id") or "")
        made: Block = {
            **block,
            "type": "tool_call",
            "id": self._legal(asked, str(block["name"]), turn.index),
            "name": self.names.get(block["name"], block["name"]),
        }
        slot = _Slot(turn, made, asked, valid=block["type"] == "tool_call")
        self.slots.append(slot)
        self.by_id.setdefault(asked, []).append(slot)
        return made

    def _legal(self, asked: str, name: str, index: int | None) -> str:
        pattern = self.filters.rules.tool_id
        legal = bool(asked) and asked not in self.used and (pattern is None or bool(pattern.fullmatch(asked)))
        found = asked if legal else next(self._candidates(asked, name))
        if not legal:
            why = "already used" if asked in self.used else "not of the target's form" if asked else "missing"
            self.filters.note("tool_id_rewritten", f"the id of a call was {why}", index)
        self.used.update((asked, found))
        return found

    def _candidates(self, asked: str, name: str) -> Iterator[str]:
        pattern = self.filters.rules.tool_id
        times = len(self.by_id.get(asked, ())) if asked else len(self.slots)
        while True:
            # The first use of an id always becomes the same: prompt caches and later turns rely on it.
            seed = f"{asked or name}#{times}" if times or not asked else asked
            digest = hashlib.sha256(seed.encode()).hexdigest()
            forms = (f"call_{digest[:24]}", digest[:24], digest[:9])
            fitting = [form for form in forms if pattern is None or pattern.fullmatch(form)]
            yield from (form for form in fitting or forms[:1] if form not in self.used)
            times += 1

    def answer(self, turn: Turn) -> bool:
        """Enter a result; False if no call waits for it."""
        slot = self._waiting(turn)
        if slot is None:
            return False
        slot.result = turn
        turn.call_id = slot.block["id"]
        if turn.name != slot.block["name"]:
            if not turn.name:
                self.filters.note("result_named", "a result got the name of its call", turn.index)
            turn.name = slot.block["name"]
        return True

    def _waiting(self, turn: Turn) -> _Slot | None:
        known = self.by_id.get(turn.call_id, []) if turn.call_id else self.slots
        waiting = [slot for slot in known if slot.result is None]
        if not waiting:
            return None
        latest = [slot for slot in waiting if slot.turn is waiting[-1].turn]
        if turn.call_id:
            return latest[0]
        # Results without an id answer by name, else in order.
        mapped = self.names.get(turn.name or "", turn.name)
        return next((s for s in latest if s.block["name"] == mapped), None if turn.name else latest[0])


def paired(turns: list[Turn], filters: Filters, names: Mapping[str, str]) -> list[Turn]:
    """Return `turns` with every call answered right after it, in order, and no result without a call.

    Args:
        turns: Turns in the caller's order; their calls may have any id.
        filters: Notes the changes.
        names: The caller's tool names -> the target's.
    """
    if not any(t.moved or t.role == "tool" or (t.role == "assistant" and _has_calls(t)) for t in turns):
        return turns
    book = _Book(filters, names)
    orphans: set[int] = set()
    for turn in turns:
        if turn.role == "assistant":
            book.enter(turn)
        elif turn.role == "tool" and not book.answer(turn):
            orphans.add(id(turn))
    made = list(_arranged(turns, book, orphans))
    real = [turn for turn in turns if turn.role == "tool" and id(turn) not in orphans]
    placed = [turn for turn in made if turn.role == "tool" and turn.source is not None]
    if real != placed or _is_apart(turns, book):
        filters.note("results_moved", "tool results went to right after their calls", None)
    return made


def _has_calls(turn: Turn) -> bool:
    return any(block["type"] in _CALLS for block in as_blocks(turn.content))


def _is_apart(turns: list[Turn], book: _Book) -> bool:
    """Whether a result did not follow its call, or another result, directly."""
    answered = {id(slot.result): slot.turn for slot in book.slots if slot.result is not None}
    last: Turn | None = None
    for turn in turns:
        if id(turn) in answered and answered[id(turn)] is not last:
            return True
        last = turn if turn.role != "tool" else last
    return False


def _arranged(turns: list[Turn], book: _Book, orphans: set[int]) -> Iterator[Turn]:
    slots: dict[int, list[_Slot]] = {}
    for slot in book.slots:
        slots.setdefault(id(slot.turn), []).append(slot)
    final = turns[-1]
    for turn in turns:
        if turn.role == "assistant":
            mine = _kept(turn, slots.get(id(turn), []), book.filters)
            yield turn
            results = [slot.result or _interrupted(slot, book.filters) for slot in mine]
            yield from results
            for result in results:
                yield from _moved(result, MOVED.format(name=result.name))
            if turn is not final or results:
                yield from _moved(turn, SHOWN)
        elif id(turn) in orphans:
            yield _as_user(turn, book.filters)
        elif turn.role != "tool":
            yield turn


def _kept(turn: Turn, slots: list[_Slot], filters: Filters) -> list[_Slot]:
    """Return the calls that stay; one whose arguments are no object only if it was answered."""
    gone = [slot for slot in slots if not slot.valid and slot.result is None]
    if gone:
        filters.note("invalid_call_dropped", "its arguments are no JSON object", turn.index, lossy=True)
        dead = {id(slot.block) for slot in gone}
        turn.content = [block for block in as_blocks(turn.content) if id(block) not in dead]
    for slot in slots:
        if not slot.valid and slot.result is not None:
            filters.note("invalid_call_emptied", "its arguments are no JSON object", turn.index, lossy=True)
    return [slot for slot in slots if slot not in gone]


def _interrupted(slot: _Slot, filters: Filters) -> Turn:
    filters.note("result_synthesised", "a call had no result", slot.turn.index)
    return Turn(
        "tool",
        INTERRUPTED,
        index=slot.turn.index,
        name=slot.block["name"],
        call_id=slot.block["id"],
        status="error",
    )


def _moved(turn: Turn, head: str) -> Iterator[Turn]:
    if turn.moved:
        yield Turn("user", [text_block(head), *turn.moved], index=turn.index)


def _as_user(turn: Turn, filters: Filters) -> Turn:
    filters.note("orphan_to_text", "a tool result without its call became text", turn.index)
    head = text_block(ORPHAN.format(name=turn.name or "unknown"))
    if isinstance(turn.content, str) and not turn.moved:
        return Turn("user", f"{head['text']}\n{turn.content}", index=turn.index)
    return Turn("user", [head, *as_blocks(turn.content), *turn.moved], index=turn.index)
