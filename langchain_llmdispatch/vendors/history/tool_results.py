"""Tool calls and their results: legal and unique ids, each call answered, each result in its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from langchain_llmdispatch.vendors.history.blocks import Block, as_blocks, text_block
from langchain_llmdispatch.vendors.history.filters import BlockFilter
from langchain_llmdispatch.vendors.history.turns import HistoryTurn

INTERRUPTED = "No result: the call was interrupted."
"""The result of a call that has none."""
ORPHAN = "[Result of a tool call that is no longer part of the conversation: {name}]"
"""Heads the text of a result whose call is gone."""
MOVED = "[From the result of the tool {name}]"
"""Heads media that a tool result cannot hold."""
SHOWN = "[From the assistant's message]"
"""Heads media that an assistant's turn cannot hold."""

_CALLS = frozenset({"tool_call", "invalid_tool_call"})


@dataclass(slots=True, eq=False)
class _MadeCall:
    """A call in the history, and its result.

    Attributes:
        turn: The assistant's turn that holds it.
        block: The call as the target takes it.
        given_id: Its id in the caller's history.
        valid: Its arguments are a JSON object.
        result: The turn that answers it, if there is one.
    """

    turn: HistoryTurn
    block: Block
    given_id: str
    valid: bool
    result: HistoryTurn | None = None


@dataclass(slots=True)
class _CallRegister:
    """Every call so far, by the id that its results name."""

    filters: BlockFilter
    names: Mapping[str, str]
    calls: list[_MadeCall] = field(default_factory=list)
    by_id: dict[str, list[_MadeCall]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def add(self, turn: HistoryTurn) -> None:
        """Register the calls of an assistant's turn; each gets a legal id and the target's name."""
        if not isinstance(turn.content, list):
            return
        for place, block in enumerate(turn.content):
            if block["type"] in _CALLS:
                turn.content[place] = self._added(block, turn)

    def _added(self, block: Block, turn: HistoryTurn) -> Block:
        given_id = str(block.get("id") or "")
        made: Block = {
            **block,
            "type": "tool_call",
            "id": self._legal(given_id, str(block["name"]), turn.index),
            "name": self.names.get(block["name"], block["name"]),
        }
        call = _MadeCall(turn, made, given_id, valid=block["type"] == "tool_call")
        self.calls.append(call)
        self.by_id.setdefault(given_id, []).append(call)
        return made

    def _legal(self, given_id: str, name: str, index: int | None) -> str:
        pattern = self.filters.rules.tool_id
        legal = (
            bool(given_id)
            and given_id not in self.used
            and (pattern is None or bool(pattern.fullmatch(given_id)))
        )
        found = given_id if legal else next(self._candidates(given_id, name))
        if not legal:
            why = (
                "already used"
                if given_id in self.used
                else "not of the target's form"
                if given_id
                else "missing"
            )
            self.filters.note("tool_id_rewritten", f"the id of a call was {why}", index)
        self.used.update((given_id, found))
        return found

    def _candidates(self, given_id: str, name: str) -> Iterator[str]:
        pattern = self.filters.rules.tool_id
        times = len(self.by_id.get(given_id, ())) if given_id else len(self.calls)
        while True:
            # The first use of an id always becomes the same: prompt caches and later turns rely on it.
            seed = f"{given_id or name}#{times}" if times or not given_id else given_id
            digest = hashlib.sha256(seed.encode(errors="surrogatepass")).hexdigest()
            forms = (f"call_{digest[:24]}", digest[:24], digest[:9])
            fitting = [form for form in forms if pattern is None or pattern.fullmatch(form)]
            yield from (form for form in fitting or forms[:1] if form not in self.used)
            times += 1

    def answer(self, turn: HistoryTurn) -> bool:
        """Register a result; return False if there is no open call for it."""
        call = self._open_call(turn)
        if call is None:
            return False
        call.result = turn
        turn.call_id = call.block["id"]
        if turn.name != call.block["name"]:
            if not turn.name:
                self.filters.note("result_named", "a result got the name of its call", turn.index)
            turn.name = call.block["name"]
        return True

    def _open_call(self, turn: HistoryTurn) -> _MadeCall | None:
        known = self.by_id.get(turn.call_id, []) if turn.call_id else self.calls
        open_calls = [call for call in known if call.result is None]
        if not open_calls:
            return None
        latest = [call for call in open_calls if call.turn is open_calls[-1].turn]
        if turn.call_id:
            return latest[0]
        # Results without an id answer by name, else in order.
        mapped = self.names.get(turn.name or "", turn.name)
        return next((s for s in latest if s.block["name"] == mapped), None if turn.name else latest[0])


def paired(turns: list[HistoryTurn], filters: BlockFilter, names: Mapping[str, str]) -> list[HistoryTurn]:
    """Return `turns` with every call answered right after it, in order, and no result without a call.

    Args:
        turns: Turns in the caller's order; their calls may have any id.
        filters: Notes the changes.
        names: The caller's tool names -> the target's.
    """
    if not any(t.moved or t.role == "tool" or (t.role == "assistant" and _has_calls(t)) for t in turns):
        return turns
    register = _CallRegister(filters, names)
    orphans: set[int] = set()
    for turn in turns:
        if turn.role == "assistant":
            register.add(turn)
        elif turn.role == "tool" and not register.answer(turn):
            orphans.add(id(turn))
    made = list(_arranged(turns, register, orphans))
    places = {id(turn): place for place, turn in enumerate(turns)}
    order = [places[id(turn)] for turn in made if id(turn) in places]
    if order != sorted(order):
        filters.note("results_moved", "tool results went to right after their calls", None)
    return made


def _has_calls(turn: HistoryTurn) -> bool:
    return any(block["type"] in _CALLS for block in as_blocks(turn.content))


def _arranged(turns: list[HistoryTurn], register: _CallRegister, orphans: set[int]) -> Iterator[HistoryTurn]:
    calls: dict[int, list[_MadeCall]] = {}
    for call in register.calls:
        calls.setdefault(id(call.turn), []).append(call)
    final = turns[-1]
    for turn in turns:
        if turn.role == "assistant":
            mine = _kept(turn, calls.get(id(turn), []), register.filters)
            yield turn
            results = [call.result or _interrupted(call, register.filters) for call in mine]
            yield from results
            for result in results:
                yield from _moved(result, MOVED.format(name=result.name))
            if turn is not final or results:
                yield from _moved(turn, SHOWN)
        elif id(turn) in orphans:
            yield _as_user(turn, register.filters)
        elif turn.role != "tool":
            yield turn


def _kept(turn: HistoryTurn, calls: list[_MadeCall], filters: BlockFilter) -> list[_MadeCall]:
    """Return the calls that stay; one whose arguments are no object only if it was answered."""
    gone = [call for call in calls if not call.valid and call.result is None]
    if gone:
        filters.note("invalid_call_dropped", "its arguments are no JSON object", turn.index, lossy=True)
        dead = {id(call.block) for call in gone}
        turn.content = [block for block in as_blocks(turn.content) if id(block) not in dead]
    for call in calls:
        if not call.valid and call.result is not None:
            filters.note("invalid_call_emptied", "its arguments are no JSON object", turn.index, lossy=True)
    return [call for call in calls if call not in gone]


def _interrupted(call: _MadeCall, filters: BlockFilter) -> HistoryTurn:
    filters.note("result_synthesised", "a call had no result", call.turn.index)
    return HistoryTurn(
        "tool",
        INTERRUPTED,
        index=call.turn.index,
        name=call.block["name"],
        call_id=call.block["id"],
        status="error",
    )


def _moved(turn: HistoryTurn, head: str) -> Iterator[HistoryTurn]:
    if turn.moved:
        yield HistoryTurn("user", [text_block(head), *turn.moved], index=turn.index)


def _as_user(turn: HistoryTurn, filters: BlockFilter) -> HistoryTurn:
    filters.note("orphan_to_text", "a tool result without its call became text", turn.index)
    head = text_block(ORPHAN.format(name=turn.name or "unknown"))
    if isinstance(turn.content, str) and not turn.moved:
        return HistoryTurn("user", f"{head['text']}\n{turn.content}", index=turn.index)
    return HistoryTurn("user", [head, *as_blocks(turn.content), *turn.moved], index=turn.index)
