"""Reading LangChain's messages into turns that hold nothing the target's rules forbid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.utils import message_chunk_to_message

from langchain_llmdispatch.vendors.history.answer_blocks import assistant_blocks
from langchain_llmdispatch.vendors.history.blocks import Block, input_blocks
from langchain_llmdispatch.vendors.history.filters import BlockFilter
from langchain_llmdispatch.vendors.history.plain import has_only_text
from langchain_llmdispatch.vendors.history.turns import HistoryTurn, Role

_ROLES: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}


class HistoryReader(BlockFilter):
    """Reads messages into turns, through the filter."""

    def read(self, messages: Sequence[BaseMessage]) -> list[HistoryTurn]:
        """Return the turns of `messages`, in order."""
        return [turn for index, message in enumerate(messages) for turn in self._read(message, index)]

    def _read(self, message: BaseMessage, index: int) -> list[HistoryTurn]:
        if isinstance(message, RemoveMessage):
            raise ValueError(  # noqa: TRY004 - the class is legal, but not here
                f"message {index} is a RemoveMessage: it edits a graph's state and cannot be sent; "
                "apply it with langgraph's add_messages first",
            )
        if type(message) is AIMessage and has_only_text(message):
            name, native = self.named(message.name, index), self.is_native(message.response_metadata)
            return [HistoryTurn("assistant", str(message.content), message, index, name, native=native)]
        plain = message_chunk_to_message(message)
        if isinstance(plain, ToolMessage):
            return [self._tool_turn(plain, message, index)]
        if isinstance(plain, FunctionMessage):
            return [self._result(plain.content, "", plain.name, index)]
        if isinstance(plain, AIMessage):
            return [self._assistant_turn(plain, message, index)]
        if isinstance(plain, ChatMessage):
            return self._chat_turns(plain, index)
        if isinstance(plain, (HumanMessage, SystemMessage)):
            return self._input_turns(plain, message, index)
        raise TypeError(f"message {index} is a {type(message).__name__}, which no vendor has a role for")

    def _chat_turns(self, message: ChatMessage, index: int) -> list[HistoryTurn]:
        role = _ROLES.get(message.role.lower())
        if role == "assistant":
            as_ai = AIMessage(content=message.content, additional_kwargs=message.additional_kwargs)
            return [self._assistant_turn(as_ai, as_ai, index)]
        if role is None:
            self.note("role_changed", "a role that no vendor has became the user's", index, lossy=True)
        cls = SystemMessage if role == "system" else HumanMessage
        as_input = cls(content=message.content, name=message.name)
        return self._input_turns(as_input, as_input, index)

    def _input_turns(self, plain: BaseMessage, source: BaseMessage, index: int) -> list[HistoryTurn]:
        role: Role = "system" if isinstance(plain, SystemMessage) else "user"
        name = self.named(plain.name, index, lossy=role == "user")
        if isinstance(plain.content, str):
            return [HistoryTurn(role, plain.content, source, index, name)]
        blocks = input_blocks(plain.content)
        results = [b for b in blocks if b["type"] == "tool_result"]
        turns = [self._inline_result(block, index) for block in results]
        rest = [b for b in blocks if b["type"] != "tool_result"] if results else blocks
        content = self.filtered(rest, self.user if role == "user" else self.system, index)
        if content or not results:
            turns.append(HistoryTurn(role, content, source, index, name))
        return turns

    def _inline_result(self, block: Block, index: int) -> HistoryTurn:
        # Anthropic's own shape: results as blocks of a user turn.
        status: Literal["success", "error"] = "error" if block.get("is_error") else "success"
        content = block.get("content") or ""
        return self._result(content, str(block.get("tool_use_id") or ""), None, index, status)

    def _result(
        self,
        content: Any,
        call_id: str,
        name: str | None,
        index: int,
        status: Literal["success", "error"] = "success",
    ) -> HistoryTurn:
        kept = content if isinstance(content, (str, list)) else str(content)
        message = ToolMessage(content=kept, tool_call_id=call_id, name=name, status=status)
        return self._tool_turn(message, message, index)

    def _tool_turn(self, plain: ToolMessage, source: BaseMessage, index: int) -> HistoryTurn:
        turn = HistoryTurn(
            "tool", "", source, index, plain.name, call_id=plain.tool_call_id, status=plain.status
        )
        if isinstance(plain.content, str):
            turn.content = "" if plain.content.isspace() else plain.content
        else:
            turn.content = self.filtered(input_blocks(plain.content), partial(self.tool, turn), index) or ""
        return turn

    def _assistant_turn(self, plain: AIMessage, source: BaseMessage, index: int) -> HistoryTurn:
        turn = HistoryTurn("assistant", "", source, index, self.named(plain.name, index))
        turn.native = self.is_native(plain.response_metadata)
        metadata = plain.response_metadata
        turn.trusted = turn.native and self.opaque and self.is_model(metadata) and self.is_origin(metadata)
        turn.verbatim = turn.trusted and self.rules.verbatim
        turn.content = self.assistant(assistant_blocks(plain), turn)
        return turn
