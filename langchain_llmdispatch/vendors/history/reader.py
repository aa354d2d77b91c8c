"""Reading LangChain's messages into turns that hold nothing the target's rules forbid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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

from langchain_llmdispatch.vendors.history.blocks import Block, assistant_blocks, input_blocks
from langchain_llmdispatch.vendors.history.filters import Filters
from langchain_llmdispatch.vendors.history.turns import Role, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_ROLES: Mapping[str, Role] = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}


class Reader(Filters):
    """Reads messages into turns, through the filters."""

    def read(self, messages: Sequence[BaseMessage]) -> list[Turn]:
        """Return the turns of `messages`, in order."""
        return [turn for index, message in enumerate(messages) for turn in self._read(message, index)]

    def _read(self, message: BaseMessage, index: int) -> list[Turn]:
        if isinstance(message, RemoveMessage):
            raise ValueError(  # noqa: TRY004 - not the class is wrong, but its being here
                f"message {index} is a RemoveMessage: it edits a graph's state and is nothing to send; "
                "apply it with langgraph's add_messages first",
            )
        if type(message) is AIMessage and says_only_text(message):
            name = self.named(message.name, index)
            return [Turn("assistant", str(message.content), message, index, name)]
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

    def _chat_turns(self, message: ChatMessage, index: int) -> list[Turn]:
        role = _ROLES.get(message.role.lower())
        if role == "assistant":
            as_ai = AIMessage(content=message.content, additional_kwargs=message.additional_kwargs)
            return [self._assistant_turn(as_ai, as_ai, index)]
        if role is None:
            self.note("role_changed", "a role that no vendor has became the user's", index, lossy=True)
        cls = SystemMessage if role == "system" else HumanMessage
        as_input = cls(content=message.content, name=message.name)
        return self._input_turns(as_input, as_input, index)

    def _input_turns(self, plain: BaseMessage, source: BaseMessage, index: int) -> list[Turn]:
        role: Role = "system" if isinstance(plain, SystemMessage) else "user"
        name = self.named(plain.name, index, lossy=role == "user")
        if isinstance(plain.content, str):
            return [Turn(role, plain.content, source, index, name)]
        blocks = input_blocks(plain.content)
        results = [b for b in blocks if b["type"] == "tool_result"]
        turns = [self._inline_result(block, index) for block in results]
        rest = [b for b in blocks if b["type"] != "tool_result"] if results else blocks
        content = self.filtered(rest, self.user if role == "user" else self.system, index)
        if content or not results:
            turns.append(Turn(role, content, source, index, name))
        return turns

    def _inline_result(self, block: Block, index: int) -> Turn:
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
    ) -> Turn:
        kept = content if isinstance(content, (str, list)) else str(content)
        message = ToolMessage(content=kept, tool_call_id=call_id, name=name, status=status)
        return self._tool_turn(message, message, index)

    def _tool_turn(self, plain: ToolMessage, source: BaseMessage, index: int) -> Turn:
        turn = Turn("tool", "", source, index, plain.name, call_id=plain.tool_call_id, status=plain.status)
        if isinstance(plain.content, str):
            turn.content = "" if plain.content.isspace() else plain.content
        else:
            keep: Callable[[Block, int], Block | None] = lambda block, at: self.tool(block, at, turn)  # noqa: E731
            turn.content = self.filtered(input_blocks(plain.content), keep, index) or ""
        return turn

    def _assistant_turn(self, plain: AIMessage, source: BaseMessage, index: int) -> Turn:
        turn = Turn("assistant", "", source, index, self.named(plain.name, index))
        native = self.is_native(plain.response_metadata)
        turn.trusted = native and self.opaque and self.is_model(plain.response_metadata)
        turn.verbatim = turn.trusted and self.rules.verbatim
        turn.content = self.said(assistant_blocks(plain), turn, native=native)
        return turn


def says_only_text(message: AIMessage, *, with_calls: bool = False) -> bool:
    """Whether an assistant's message is a string that says something, and nothing else.

    Args:
        message: The message.
        with_calls: Valid tool calls may stand beside the string; then it may be empty, too.
    """
    content, calls, kwargs = message.content, message.tool_calls, message.additional_kwargs
    return (
        isinstance(content, str)
        and (bool(content) or (with_calls and bool(calls)))
        and not content.isspace()
        and (with_calls or not calls)
        and not message.invalid_tool_calls
        and not (kwargs and any(map(kwargs.get, _SPEAKING)))
    )


_SPEAKING = ("refusal", "reasoning_content", "audio", "function_call")
