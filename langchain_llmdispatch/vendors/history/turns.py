"""Turns of a conversation while it is compiled, and messages made of them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import message_chunk_to_message

from langchain_llmdispatch.vendors.history.blocks import Block, as_blocks, without
from langchain_llmdispatch.vendors.server_state import KEY

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(slots=True, eq=False)
class HistoryTurn:
    """One turn of a conversation while it is compiled for a target.

    Attributes:
        role: The role of its author.
        content: Text, or v1 blocks; an assistant's tool calls are among them.
        source: The message that it was read from, or None for one that was added.
        index: The message's place in the caller's history.
        name: The message's name, if the target takes one; for tool results the tool's name.
        native: The target's own vendor wrote it.
        trusted: Its opaque parts (reasoning, signatures, item ids) are valid for the target.
        verbatim: The message goes back as it was, if its calls need no change.
        call_id: Tool results: the call they answer.
        status: Tool results: whether the tool worked.
        moved: Media that must go to a user turn after this one.
    """

    role: Role
    content: str | list[Block]
    source: BaseMessage | None = None
    index: int | None = None
    name: str | None = None
    native: bool = False
    trusted: bool = False
    verbatim: bool = False
    call_id: str = ""
    status: Literal["success", "error"] = "success"
    moved: list[Block] = field(default_factory=list)


def calls_of(turn: HistoryTurn) -> list[Block]:
    """Return the tool calls among an assistant's blocks."""
    return [block for block in as_blocks(turn.content) if block["type"] == "tool_call"]


def message_of(turn: HistoryTurn) -> BaseMessage:
    """Return the turn as a message: its source where that is already the same."""
    return _MAKERS[turn.role](turn)


def _input_message(cls: type[BaseMessage], turn: HistoryTurn) -> BaseMessage:
    source = turn.source
    if type(source) is cls:
        if source.content == turn.content and source.name == turn.name:
            return source
        return source.model_copy(update={"content": turn.content, "name": turn.name})
    content: Any = turn.content
    return cls(content=content, name=turn.name)


def _tool_message(turn: HistoryTurn) -> BaseMessage:
    fields: dict[str, Any] = {
        "content": turn.content,
        "name": turn.name,
        "tool_call_id": turn.call_id,
        "status": turn.status,
    }
    source = turn.source
    if type(source) is not ToolMessage:
        return ToolMessage(**fields)
    if all(getattr(source, key) == value for key, value in fields.items()):
        return source
    return source.model_copy(update=fields)


def _assistant_message(turn: HistoryTurn) -> BaseMessage:
    blocks = as_blocks(turn.content)
    calls = [
        {"name": b["name"], "args": b["args"], "id": b["id"], "type": "tool_call"}
        for b in blocks
        if b["type"] == "tool_call"
    ]
    source = turn.source
    if turn.verbatim and isinstance(source, AIMessage) and _has_calls(source, calls):
        return message_chunk_to_message(source)
    text = _text_only(blocks)
    if type(source) is AIMessage and _is_same(source, blocks, text, calls, turn.name):
        return source
    old = source if isinstance(source, AIMessage) else AIMessage(content="")
    metadata = without(old.response_metadata, "output_version")
    if text is None:
        metadata["output_version"] = "v1"
    update = {
        "content": blocks if text is None else text,
        "tool_calls": calls,
        "invalid_tool_calls": [],
        "additional_kwargs": {},
        "response_metadata": metadata,
        "name": turn.name,
    }
    return message_chunk_to_message(old).model_copy(update=update)


def _has_calls(source: AIMessage, calls: list[Block]) -> bool:
    own = [
        {"name": call["name"], "args": call["args"], "id": call["id"], "type": "tool_call"}
        for call in source.tool_calls
    ]
    return own == calls and not source.invalid_tool_calls


def _text_only(blocks: list[Block]) -> str | None:
    """Return the text of a turn that is text and then calls, as a plain string holds it; None for others."""
    text = ""
    for place, block in enumerate(blocks):
        plain_call = block["type"] == "tool_call" and "extras" not in block
        plain_text = block["type"] == "text" and place == 0 and block.keys() == {"type", "text"}
        if not plain_call and not plain_text:
            return None
        text = block["text"] if plain_text else text
    return text


_READ = ("refusal", "reasoning_content", KEY)


def _is_same(
    source: AIMessage, blocks: list[Block], text: str | None, calls: list[Block], name: str | None
) -> bool:
    if source.name != name or source.tool_calls != calls or source.invalid_tool_calls:
        return False
    if isinstance(source.content, str):
        kwargs = source.additional_kwargs
        return source.content == text and not any(kwargs.get(key) for key in _READ)
    return source.response_metadata.get("output_version") == "v1" and source.content == blocks


_MAKERS: Mapping[Role, Callable[[HistoryTurn], BaseMessage]] = {
    "system": lambda turn: _input_message(SystemMessage, turn),
    "user": lambda turn: _input_message(HumanMessage, turn),
    "assistant": _assistant_message,
    "tool": _tool_message,
}
