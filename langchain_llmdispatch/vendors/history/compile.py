r"""Any LangChain history, made legal for one target; stored messages are never altered, changes are reported.

One rule for each incompatibility that users reported (numbers as in the design's reference, 2.2):

    ==  ==============================  ==============================================================
     #  what differs                    rule
    ==  ==============================  ==============================================================
     1  form of tool-call ids           hash of the id where `tool_id` does not match, call and result
                                        alike; a second use of an id gets a hash of its own; results
                                        without id answer by name, then by order
     2  item ids (`rs_ msg_ fc_ lc_`)   kept only on turns of the very vendor, and never `lc_` ones
     3  encrypted reasoning             kept only for the provider, the vendor (`llmdispatch` metadata)
                                        and, with `same_model`, the model that wrote it
     4  thinking signatures             as 3; a kept block is the object it was, byte for byte
     5  thinking on, history has none   see `compile/call.py`: thinking is switched off for that request
     6  Gemini's call signatures        own ones stay; a turn whose calls have none gets
                                        `call_signature` on its first call
     7  results without a name          the name of the call
     8  text beside tool calls          kept, in order
     9  empty turns                     dropped
    10  blank text                      dropped, unless `blank_text`
    11  system messages                 `leading`: those at the front are folded into one, later ones
                                        become user turns `<system>\\n...\\n</system>`; `placed`: but for
                                        those that may stay where they stand
    12  assistant last                  with `last_user`, a user turn "Continue." follows
    13  `name`                          `slug`: spelled `[a-zA-Z0-9_-]{1,64}`; `drop`: dropped
    14  media formats                   one v1 block for all; `data:` URLs become base64; media in
                                        assistant turns and tool results that are not allowed there move
                                        to a user turn, a placeholder stays; media that the target
                                        cannot take from a user make the history illegal
    15  alternation, first turn         `alternate`: neighbours are merged; `first_user`: "Begin."
    16  messages after tool results     results stand right after their calls, in the calls' order
    17  unanswered calls                an error result "No result: the call was interrupted."
        results without a call          text in a user turn
    18  cache markers                   kept only with `cache_control`
    19  server tools' calls, results    own ones stay; of others the readable text stays
    20  tool names                      mapped by the argument `tool_names`
    21  citations                       kept only on own answers with `citations`
     -  refusals                        text
     -  blocks and file ids of others   make the history illegal, or, with `drop`, are left out; marks and
                                        settings are left out, search results stay as text; blocks that
                                        without owner go only where `any_blocks` (`owners.py`)
     -  opaque state of compatible      kept for the host that made it (`server_state.py`)
        servers
     -  calls whose arguments are       kept with empty arguments if answered, else dropped
        no JSON object
    ==  ==============================  ==============================================================

Compiling twice changes nothing more. Ids are hashes, so the same history always compiles to the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.messages import BaseMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.types import Change
from langchain_llmdispatch.vendors.history.blocks import Block, as_blocks, is_blank, text_block
from langchain_llmdispatch.vendors.history.filters import BlockFilter
from langchain_llmdispatch.vendors.history.plain import is_plain
from langchain_llmdispatch.vendors.history.reader import HistoryReader
from langchain_llmdispatch.vendors.history.tool_results import paired
from langchain_llmdispatch.vendors.history.turns import HistoryTurn, calls_of, message_of
from langchain_llmdispatch.vendors.rules import HistoryRules

FIRST_USER = "Begin."
"""The user turn before an assistant's that would come first."""
LAST_USER = "Continue."
"""The user turn after an assistant's that would come last."""
SYSTEM_OPEN, SYSTEM_CLOSE = "<system>\n", "\n</system>"
"""What wraps a late system message that becomes a user turn."""

Verdict: TypeAlias = Literal["legal", "lossy", "illegal"]
_NO_NAMES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Compatibility:
    """Whether something can go to a target, and what would be altered.

    Attributes:
        verdict: `legal`: everything arrives; `lossy`: a part that the caller gave does not; `illegal`: it
            cannot be sent.
        reasons: Why it is illegal.
        changes: What would be altered.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    @classmethod
    def of(cls, reasons: Sequence[str], changes: Sequence[Change]) -> Compatibility:
        """Return the verdict that follows from reasons and changes."""
        if not reasons and not changes:
            return COMPATIBLE
        lossy: Verdict = "lossy" if any(change.lossy for change in changes) else "legal"
        return cls("illegal" if reasons else lossy, tuple(reasons), tuple(changes))


COMPATIBLE = Compatibility("legal")
"""Nothing would be altered."""


def compile_messages(
    messages: Sequence[BaseMessage],
    rules: HistoryRules,
    *,
    model: str,
    tool_names: Mapping[str, str] = _NO_NAMES,
    vendor: str = "",
    host: str | None = None,
    drop: bool = False,
) -> tuple[list[BaseMessage], list[Change]]:
    """Return `messages` as the target takes them, and what was altered.

    Args:
        messages: The conversation; messages that need no change are passed on, none is mutated.
        rules: What the target accepts.
        model: The target's model, for reasoning that only its own model can read.
        tool_names: The caller's tool names -> the target's, where they differ.
        vendor: The target's name, for ciphertext that only one vendor of a provider can read.
        host: The target's host, for state that only one server can read; None if it is not known.
        drop: Whether blocks and files that only another vendor has are left out, instead of making the
            history illegal.

    Raises:
        UnsupportedFeatureError: The target cannot take it: media, or nothing is left to send.
        ValueError: A `RemoveMessage`, which cannot be sent.
        TypeError: A message of a class that no vendor has a role for.
    """
    if not tool_names and is_plain(messages, rules):
        return list(messages), []
    reader = HistoryReader(rules, model, vendor, host, drop=drop)
    turns = _compile(messages, reader, tool_names)
    if reader.reasons:
        raise UnsupportedFeatureError("; ".join(reader.reasons), vendor=vendor or None)
    return [message_of(turn) for turn in turns], reader.changes


def check_messages(
    messages: Sequence[BaseMessage],
    rules: HistoryRules,
    *,
    model: str,
    tool_names: Mapping[str, str] = _NO_NAMES,
    vendor: str = "",
    drop: bool = False,
) -> Compatibility:
    """Return whether `messages` can go to the target; arguments as `compile_messages`."""
    if is_plain(messages, rules):
        return COMPATIBLE
    reader = HistoryReader(rules, model, vendor, drop=drop)
    _compile(messages, reader, tool_names)
    return Compatibility.of(reader.reasons, reader.changes)


def _compile(
    messages: Sequence[BaseMessage], reader: HistoryReader, tool_names: Mapping[str, str]
) -> list[HistoryTurn]:
    rules = reader.rules
    turns = paired(reader.read(messages), reader, tool_names)
    turns = _without_empty(turns, reader)
    if rules.system != "anywhere":
        turns = _system_first(turns, reader)
    if rules.alternate:
        turns = _merged(turns, reader)
    _add_user_turns(turns, reader)
    if rules.call_signature is not None:
        for turn in turns:
            _sign(turn, rules.call_signature, reader)
    return turns


# -- empty turns -----------------------------------------------------------------------------------


def _without_empty(turns: list[HistoryTurn], filters: BlockFilter) -> list[HistoryTurn]:
    kept: list[HistoryTurn] = []
    for turn in turns:
        if not _is_empty(turn, filters.rules):
            kept.append(turn)
        else:
            filters.note("empty_turn_dropped", f"a turn of the {turn.role}'s without content", turn.index)
    return kept


def _is_empty(turn: HistoryTurn, rules: HistoryRules) -> bool:
    content = turn.content
    if turn.role == "tool" or (isinstance(content, str) and content and not content.isspace()):
        return False
    if isinstance(content, str):
        return turn.role != "user" or not rules.blank_text
    return not content


# -- system messages -------------------------------------------------------------------------------


def _system_first(turns: list[HistoryTurn], filters: BlockFilter) -> list[HistoryTurn]:
    """Fold the system messages at the front into one; make later ones tagged user turns."""
    front = 0
    while front < len(turns) and turns[front].role == "system":
        front += 1
    head = turns[:front]
    if front > 1:
        filters.note("system_folded", f"{front} system messages became one", head[0].index)
        head = [HistoryTurn("system", _joined([turn.content for turn in head]), index=head[0].index)]
    placed = _placed(turns) if filters.rules.system == "placed" else frozenset()
    return head + [
        turn if number in placed else _as_user(turn, filters)
        for number, turn in enumerate(turns)
        if number >= front
    ]


def _placed(turns: list[HistoryTurn]) -> frozenset[int]:
    """Return the places of the system messages that may stay where they are.

    Those that follow a turn of the user's or a tool's result, and that the model answers next, or is to
    answer now.
    """
    kept: set[int] = set()
    number = 0
    while number < len(turns):
        end = number
        while end < len(turns) and turns[end].role == "system":
            end += 1
        answered = end == len(turns) or turns[end].role == "assistant"
        if end > number > 0 and turns[number - 1].role in {"user", "tool"} and answered:
            kept.update(range(number, end))
        number = max(end, number + 1)
    return frozenset(kept)


def _as_user(turn: HistoryTurn, filters: BlockFilter) -> HistoryTurn:
    if turn.role != "system":
        return turn
    filters.note("system_to_user", "a later system message became a tagged user turn", turn.index)
    content: str | list[Block]
    filters.without_tool_changes(turn)
    if isinstance(turn.content, str):
        content = f"{SYSTEM_OPEN}{turn.content}{SYSTEM_CLOSE}"
    else:
        content = [text_block(SYSTEM_OPEN.strip()), *turn.content, text_block(SYSTEM_CLOSE.strip())]
    return HistoryTurn("user", content, index=turn.index)


# -- order -----------------------------------------------------------------------------------------


def _joined(contents: list[str | list[Block]]) -> str | list[Block]:
    texts = [content for content in contents if isinstance(content, str)]
    if len(texts) == len(contents):
        return "\n\n".join(text for text in texts if not is_blank(text))
    return [block for content in contents for block in as_blocks(content)]


def _merged(turns: list[HistoryTurn], filters: BlockFilter) -> list[HistoryTurn]:
    """Merge neighbouring turns of one role, but for results of tools."""
    out: list[HistoryTurn] = []
    for turn in turns:
        if out and out[-1].role == turn.role != "tool":
            filters.note("turns_merged", f"two turns of the {turn.role}'s became one", turn.index)
            out[-1] = _merged_turn(out[-1], turn)
        else:
            out.append(turn)
    return out


def _merged_turn(first: HistoryTurn, second: HistoryTurn) -> HistoryTurn:
    # Parts of either that are trusted or native need the metadata that mark them so.
    second_wins = (second.trusted, second.native) > (first.trusted, first.native)
    return HistoryTurn(
        first.role,
        _joined([first.content, second.content]),
        second.source if second_wins else first.source,
        first.index,
        first.name if first.name == second.name else None,
        native=first.native or second.native,
        trusted=first.trusted or second.trusted,
    )


def _add_user_turns(turns: list[HistoryTurn], filters: BlockFilter) -> None:
    """Add a user turn before the first and after the last turn where the target requires one."""
    rules = filters.rules
    start = next((n for n, turn in enumerate(turns) if turn.role != "system"), len(turns))
    if not turns:
        filters.reasons.append("nothing is left to send")
        return
    alone = start == len(turns)
    if (alone and rules.system != "anywhere") or (
        not alone and rules.first_user and turns[start].role == "assistant"
    ):
        turns.insert(start, HistoryTurn("user", FIRST_USER))
        filters.note("first_user_added", f'the user begins with "{FIRST_USER}"', None)
    if rules.last_user and turns[-1].role == "assistant":
        turns.append(HistoryTurn("user", LAST_USER))
        filters.note("last_user_added", f'the user ends with "{LAST_USER}"', turns[-2].index)


# -- signatures ------------------------------------------------------------------------------------


def _sign(turn: HistoryTurn, signature: str, filters: BlockFilter) -> None:
    if turn.role != "assistant":
        return
    calls = calls_of(turn)
    if not calls or any((call.get("extras") or {}).get("signature") for call in calls):
        return
    blocks = as_blocks(turn.content)
    place = blocks.index(calls[0])
    extras: dict[str, Any] = {**(calls[0].get("extras") or {}), "signature": signature}
    turn.content = [*blocks[:place], {**calls[0], "extras": extras}, *blocks[place + 1 :]]
    filters.note("signature_added", "a call from elsewhere got the documented placeholder", turn.index)
