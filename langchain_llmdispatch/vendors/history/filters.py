"""What a target's rules allow of each block, and the record of what was altered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, ClassVar

from langchain_llmdispatch.types import Change
from langchain_llmdispatch.vendors.history.answer_blocks import arguments
from langchain_llmdispatch.vendors.history.block_faults import MALFORMED
from langchain_llmdispatch.vendors.history.blocks import (
    Block,
    is_blank,
    media_kinds,
    readable_text,
    text_block,
    without,
    without_made_up_id,
)
from langchain_llmdispatch.vendors.history.media_types import MEDIA
from langchain_llmdispatch.vendors.history.owners import (
    ASIDES,
    OPENAI_ITEMS,
    TOOL_CHANGES,
    file_owner,
    kind_of,
    may_read,
    owner_of,
)
from langchain_llmdispatch.vendors.history.turns import HistoryTurn
from langchain_llmdispatch.vendors.rules import HistoryRules
from langchain_llmdispatch.vendors.server_state import HOST, KEY, digest, is_for

_SLUG = re.compile(r"[^a-zA-Z0-9_-]+")
_NAME_LENGTH = 64
_SNAPSHOT = re.compile(r"(?:-latest|[-@]\d{8}|-\d{4}-\d{2}-\d{2}|-\d{3})$")


@lru_cache(maxsize=1024)
def family(model: str) -> str:
    """Return a model's name without vendor prefix and snapshot date, so that aliases compare equal."""
    return _SNAPSHOT.sub("", model.rpartition("/")[2].lower())


class BlockFilter:
    """Keeps of each block what one target's rules allow, and notes each change.

    Attributes:
        rules: The target's rules.
        changes: What was altered, in order.
        reasons: Why the history cannot be sent at all, if it cannot.
    """

    def __init__(
        self, rules: HistoryRules, model: str, vendor: str, host: str | None = None, *, drop: bool = False
    ) -> None:
        self.rules, self._drop_foreign = rules, drop
        self.changes: list[Change] = []
        self.reasons: list[str] = []
        self._model = family(model)
        self._full_model, self._host = model, host
        self._vendor = vendor
        self.opaque = rules.reasoning == "signed"

    def note(self, kind: str, detail: str, index: int | None, *, lossy: bool = False) -> None:
        """Record one change."""
        self.changes.append(Change(kind, detail, lossy, index))

    def is_native(self, metadata: Mapping[str, Any]) -> bool:
        """Whether the target's own vendor wrote the message."""
        provider = str(metadata.get("model_provider") or "")
        ours = metadata.get("llmdispatch")
        # OpenAI and Azure share a provider name and block types, but not each other's ciphertext.
        vendor = ours.get("vendor") if isinstance(ours, dict) else None
        same_vendor = not (vendor and self._vendor) or vendor == self._vendor
        return bool(provider) and same_vendor and provider in {self.rules.provider, *self.rules.shared_with}

    def is_origin(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a native message's opaque parts were made where the target is."""
        if metadata.get("model_provider") != self.rules.provider:
            return False  # the same format, and other keys
        if not self.rules.only_recorded or not self._vendor:
            return True
        ours = metadata.get("llmdispatch")
        host, own = metadata.get(HOST), None if self._host is None else digest(self._host)
        return (
            isinstance(ours, dict) and ours.get("vendor") == self._vendor and (not own or host in {None, own})
        )

    def is_model(self, metadata: Mapping[str, Any]) -> bool:
        """Whether the target's own model wrote it, where that matters."""
        name = metadata.get("model_name") or metadata.get("model")
        return not self.rules.same_model or (isinstance(name, str) and family(name) == self._model)

    def named(self, name: str | None, index: int, *, lossy: bool = False) -> str | None:
        """Return the message's name as the target takes it."""
        if name is None:
            return None
        slug = _SLUG.sub("_", name).strip("_")[:_NAME_LENGTH] if self.rules.names == "slug" else ""
        if not slug:
            self.note("name_dropped", "the target takes no such message name", index, lossy=lossy)
        elif slug != name:
            self.note("name_changed", "spelled as the target requires", index)
        return slug or None

    # -- filters of input blocks -------------------------------------------------------------------

    def filtered(
        self, blocks: list[Block], keep: Callable[[Block, int], Block | None], index: int
    ) -> list[Block]:
        """Return what `keep` allows of input blocks, without cache markers where they are unknown.

        A block with a fault makes the history illegal.
        """
        faults = [block["fault"] for block in blocks if block["type"] == MALFORMED]
        self.reasons += [f"message {index}, {fault}" for fault in faults]
        kept = (keep(block, index) for block in blocks if block["type"] != MALFORMED)
        return [self._uncached(block, index) for block in kept if block is not None]

    def user(self, block: Block, index: int) -> Block | None:
        """Return what stays of a user's block; a block that cannot stay makes the history illegal."""
        kind = block["type"]
        if kind == "text":
            return self._text(block, index)
        if kind in MEDIA:
            if not may_read(self.rules.provider, block):
                owner = file_owner(block) or "another vendor"
                self._refuse(f"a file of {owner}'s, which the target cannot read", index)
                return None
            if not self._takes(block, self.rules.user_media):
                self.reasons.append(f"message {index} holds {_label(block)}, which the target does not take")
            return block
        if kind == "non_standard":
            return self._vendor_block(block, index)
        if kind != "text-plain":
            self.reasons.append(f"message {index} holds {_label(block)}, which only an answer may hold")
        return block

    def without_tool_changes(self, turn: HistoryTurn) -> None:
        """Drop changes of tools from a system message that cannot stay where it is."""
        if isinstance(turn.content, list):
            kept = [block for block in turn.content if not _changes_tools(block)]
            if len(kept) < len(turn.content):
                self.note("block_dropped", "a change of tools out of its place", turn.index, lossy=True)
                turn.content = kept

    def system(self, block: Block, index: int) -> Block | None:
        """Return what may stay of a system message's block."""
        if block["type"] == "text":
            return self._text(block, index)
        if block["type"] == "text-plain":
            return text_block(block["text"])
        if block["type"] == "non_standard" and self._is_item(block["value"]):
            return block
        if _changes_tools(block):
            if self.rules.tool_changes:
                return block
            self._refuse("a change of tools, which the target does not take within a conversation", index)
            return None
        self.note("block_dropped", f"{_label(block)} in a system message", index, lossy=True)
        return None

    def tool(self, turn: HistoryTurn, block: Block, index: int) -> Block | None:
        """Return what may stay of a tool result's block; media may move to `turn.moved`."""
        kind = block["type"]
        if kind == "text":
            return self._text(block, index)
        if kind == "text-plain":
            return text_block(block["text"])
        if kind == "non_standard":
            return self._vendor_block(block, index)
        if kind not in MEDIA:
            return None
        if self._takes(block, self.rules.tool_media):
            return block
        return self._move(block, turn, "the target takes none in tool results")

    def _move(self, block: Block, turn: HistoryTurn, why: str) -> Block:
        word = block["type"]
        if self._takes(block, self.rules.user_media):
            turn.moved.append(block)
            self.note("media_moved", f"{_label(block)} went to a user turn: {why}", turn.index)
            return text_block(f"[{word}: see the next user message]")
        self.note("media_dropped", f"{_label(block)} was left out: {why}", turn.index, lossy=True)
        return text_block(f"[{word} left out]")

    def _takes(self, block: Block, allowed: frozenset[str]) -> bool:
        return may_read(self.rules.provider, block) and any(kind in allowed for kind in media_kinds(block))

    def _text(self, block: Block, index: int) -> Block | None:
        if is_blank(block["text"]) and not self.rules.blank_text:
            self.note("blank_text_dropped", "a text block without text", index)
            return None
        if "citations" in block or "annotations" in block:
            self.note("citations_dropped", "citations are only for answers", index)
            return without(block, "citations", "annotations")
        return block

    def _vendor_block(self, block: Block, index: int) -> Block | None:
        """Return a block of one vendor's own if the target takes it, else its text, if that is all it was.

        `{"type": "non_standard", "value": {...}, "vendor": NAME}` names the vendor whose it is.
        """
        value = block.get("value")
        value = value if isinstance(value, dict) else {"text": str(value)}
        kind, owner = kind_of(value), str(block.get("vendor") or owner_of(value))
        if owner in {self.rules.provider, self._vendor} or (not owner and self.rules.any_blocks):
            return without(block, "vendor")
        if kind not in ASIDES:
            whose = f"{owner}'s own" if owner else "which it does not know"
            self._refuse(f"a block of type {kind!r}, {whose}", index)
            return None
        self.note("block_dropped", f"{kind} blocks are {owner}'s own", index, lossy=kind != "cachePoint")
        text = readable_text(value)
        return text_block(text) if text else None

    def _is_item(self, value: Mapping[str, Any]) -> bool:
        return self.rules.provider == "openai" and kind_of(value) in OPENAI_ITEMS

    def _refuse(self, what: str, index: int) -> None:
        """Leave out what only another vendor has, or note that the history cannot go to this one."""
        if self._drop_foreign:
            self.note("block_dropped", what, index, lossy=True)
        else:
            self.reasons.append(f"message {index} holds {what}")

    def _uncached(self, block: Block, index: int | None) -> Block:
        extras = block.get("extras")
        inside = isinstance(extras, dict) and "cache_control" in extras
        if self.rules.cache_control or not (inside or "cache_control" in block):
            return block
        self.note("cache_control_dropped", "the target has no cache markers", index)
        block = without(block, "cache_control")
        if inside:
            block["extras"] = without(extras or {}, "cache_control")
        return block if block.get("extras") else without(block, "extras")

    # -- filters of an assistant's blocks ----------------------------------------------------------

    def assistant(self, blocks: list[Block], turn: HistoryTurn) -> list[Block]:
        """Return what may go back of an assistant's blocks."""
        kept = (self._kinds.get(block["type"], BlockFilter._drop)(self, block, turn) for block in blocks)
        return [block for block in kept if block is not None]

    def _answer_text(self, block: Block, turn: HistoryTurn) -> Block | None:
        kept = text_block(str(block.get("text") or ""))
        if turn.trusted:
            kept = _without_marks(block, "annotations", "cache_control")
        if notes := block.get("annotations"):
            if turn.native and self.rules.citations:
                kept["annotations"] = notes
            else:
                self.note("citations_dropped", "the target does not take them back", turn.index)
        if self.rules.cache_control and "cache_control" in block:
            kept["cache_control"] = block["cache_control"]
        # A signature is worth sending back even without text (Gemini).
        signed = "signature" in (kept.get("extras") or ())
        if is_blank(kept["text"]) and not signed and (not kept["text"] or not self.rules.blank_text):
            return None
        return block if kept == block else kept

    def _reasoning(self, block: Block, turn: HistoryTurn) -> Block | None:
        if self.rules.reasoning == "text" and turn.native and block.get("reasoning"):
            return {"type": "reasoning", "reasoning": block["reasoning"]}
        if turn.trusted and _is_signed(block):
            return _without_marks(block)
        detail = "its own, which it does not take back" if turn.native else "another model's"
        self.note("reasoning_dropped", detail, turn.index, lossy=not turn.native)
        return None

    def _call(self, block: Block, turn: HistoryTurn) -> Block | None:
        args = arguments(block.get("args"))
        valid = args is not None and block["type"] != "invalid_tool_call"
        if isinstance(block.get("args"), dict) and args is not block["args"]:
            self.note("numbers_in_words", "JSON has neither NaN nor infinities", turn.index)
        kept: Block = {
            # The pairing of calls and results keeps an invalid call only if it was answered.
            "type": "tool_call" if valid else "invalid_tool_call",
            "id": block.get("id"),
            "name": block.get("name") or "",
            "args": args or {},
        }
        extras = dict(block.get("extras") or {})
        state = extras.pop(KEY, None)
        if not turn.trusted:
            marked = extras.get("signature") == self.rules.call_signature is not None
            extras = {"signature": extras["signature"]} if marked else {}
        if state and self._takes_state(state, turn):
            extras[KEY] = state
        if extras:
            kept["extras"] = extras
        return kept

    def _takes_state(self, state: Any, turn: HistoryTurn) -> bool:
        """Whether a server's opaque state goes back: to the host that made it."""
        if turn.native and is_for(state, self._host, self._full_model):
            return True
        change = Change("server_state_dropped", "it belongs to another server", lossy=True, index=turn.index)
        if change not in self.changes:
            self.changes.append(change)
        return False

    def _server(self, block: Block, turn: HistoryTurn) -> Block | None:
        if turn.trusted:
            return without(block, "index")
        self.note("server_tool_dropped", "another vendor ran it", turn.index, lossy=True)
        text = readable_text(block.get("output")) if block["type"] == "server_tool_result" else ""
        return text_block(f"[Result of a tool]\n{text}") if text else None

    def _refusal(self, block: Block, turn: HistoryTurn) -> Block | None:
        text = block.get("refusal")
        if is_blank(text):
            return None
        self.note("refusal_to_text", "a refusal goes on as text", turn.index)
        return text_block(str(text))

    def _media(self, block: Block, turn: HistoryTurn) -> Block | None:
        return self._move(without(block, "index"), turn, "an assistant's turn may not hold it")

    def _plain(self, block: Block, turn: HistoryTurn) -> Block | None:
        return self._answer_text({"type": "text", "text": block.get("text")}, turn)

    def _native_only(self, block: Block, turn: HistoryTurn) -> Block | None:
        value = block.get("value")
        if isinstance(value, dict) and value.get("type") == KEY:
            return without(block, "index") if self._takes_state(value, turn) else None
        if isinstance(value, dict) and value.get("type") == "redacted_thinking":
            signed = {**block, "extras": {"signature": True}}
            return without(block, "index") if self._reasoning(signed, turn) else None
        if turn.trusted:
            return without(block, "index")
        return self._drop(block, turn)

    def _unread(self, block: Block, turn: HistoryTurn) -> None:
        turn.verbatim = False
        self.note("block_dropped", block["fault"], turn.index, lossy=True)

    def _drop(self, block: Block, turn: HistoryTurn) -> Block | None:
        self.note("block_dropped", "another vendor's own block", turn.index, lossy=True)
        text = readable_text(block.get("value"))
        return text_block(text) if text else None

    _kinds: ClassVar[Mapping[str, Callable[[BlockFilter, Block, HistoryTurn], Block | None]]] = {
        "text": _answer_text,
        "text-plain": _plain,
        "reasoning": _reasoning,
        "refusal": _refusal,
        "tool_call": _call,
        "tool_call_chunk": _call,
        "invalid_tool_call": _call,
        "server_tool_call": _server,
        "server_tool_result": _server,
        "non_standard": _native_only,
        MALFORMED: _unread,
        **dict.fromkeys(MEDIA, _media),
    }


def _is_signed(block: Block) -> bool:
    extras = block.get("extras") or {}
    opaque = any(extras.get(key) for key in ("signature", "encrypted_content", "redacted_content", "data"))
    return opaque or bool(block.get("encrypted_content")) or str(block.get("id", "")).startswith("rs_")


def _without_marks(block: Block, *keys: str) -> Block:
    """Return a native block without a stream's numbers and LangChain's own ids."""
    return without_made_up_id(without(block, "index", *keys))


def _label(block: Block) -> str:
    """Return a readable label of a media block."""
    if block["type"] not in MEDIA:
        return f"a block of type {block['type']}"
    kind = media_kinds(block)[0]
    where = " given by URL" if block.get("url") else ""
    return f"{kind.removesuffix('_url')} input{where}"


def _changes_tools(block: Block) -> bool:
    value = block.get("value") if block["type"] == "non_standard" else block
    return isinstance(value, dict) and value.get("type") in TOOL_CHANGES
