"""Whether a conversation is plain: strings and whole tool loops that every target takes as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.internal.json_format import is_finite
from langchain_llmdispatch.vendors import server_state
from langchain_llmdispatch.vendors.history.threads import folded
from langchain_llmdispatch.vendors.rules import HistoryRules

_BEFORE_FIRST_USER = (None, SystemMessage)
_MAY_END = (HumanMessage, ToolMessage)
_ANSWER_FIELDS = ("refusal", "reasoning_content", "audio", "function_call", server_state.KEY)


class _Plain(NamedTuple):
    """What decides whether messages are plain, after some of them.

    Attributes:
        last: The class of the last one; None before the first.
        open_calls: Calls of the last answer that have no result yet.
        ids: The ids of all calls.
    """

    last: type[BaseMessage] | None
    open_calls: tuple[Any, ...]
    ids: frozenset[str]


_BEGINNING = _Plain(None, (), frozenset())
_NOT_PLAIN = _Plain(BaseMessage, (), frozenset())


def is_plain(messages: Sequence[BaseMessage], rules: HistoryRules) -> bool:
    """Whether compiling would change nothing: strings and whole tool loops, in an order that the rules allow.

    Nearly every history is plain; the check takes about a microsecond per message.
    """
    last, open_calls, _ = folded(_after, messages, rules)
    return not open_calls and (last in _MAY_END or (last is AIMessage and not rules.last_user))


def _after(  # noqa: C901, PLR0912 - one pass, for speed
    state: _Plain | None, messages: Sequence[BaseMessage], rules: HistoryRules
) -> _Plain:
    """Return the state after further messages."""
    if state is _NOT_PLAIN:
        return _NOT_PLAIN
    last, given, ids = state or _BEGINNING
    open_calls, seen = [*given], {*ids}
    for message in messages:
        cls = type(message)
        if cls is ToolMessage:
            if not open_calls or not _answers(message, open_calls.pop(0)):
                return _NOT_PLAIN
        elif open_calls or message.name is not None or not isinstance(message.content, str):
            return _NOT_PLAIN
        elif isinstance(message, AIMessage):
            if cls is not AIMessage or not _is_plain_answer(message, seen, rules):
                return _NOT_PLAIN
            if rules.first_user and last in _BEFORE_FIRST_USER:
                return _NOT_PLAIN
            open_calls = list(message.tool_calls)
        elif not message.content or message.content.isspace():
            return _NOT_PLAIN
        elif cls is SystemMessage:
            if last is not None and rules.system != "anywhere":
                return _NOT_PLAIN
        elif cls is not HumanMessage:
            return _NOT_PLAIN
        if cls is last and rules.alternate and cls is not ToolMessage:
            return _NOT_PLAIN
        last = cls
    return _Plain(last, tuple(open_calls), frozenset(seen))


def _answers(result: Any, call: Mapping[str, Any]) -> bool:
    content = result.content
    return (
        result.tool_call_id == call["id"]
        and result.name == call["name"]
        and isinstance(content, str)
        and not content.isspace()
    )


def _is_plain_answer(message: AIMessage, seen: set[str], rules: HistoryRules) -> bool:
    """Whether an assistant's message can stay as it is; the ids of its calls are added to `seen`."""
    calls = message.tool_calls
    if not calls:
        return has_only_text(message)
    if rules.call_signature is not None:
        return False
    for call in calls:
        id_ = call["id"]
        if not id_ or id_ in seen or (rules.tool_id is not None and not rules.tool_id.fullmatch(id_)):
            return False
        if not isinstance(call["args"], dict) or call.get("extras") or not is_finite(call["args"]):
            return False
        seen.add(id_)
    return has_only_text(message, with_calls=True)


def has_only_text(message: AIMessage, *, with_calls: bool = False) -> bool:
    """Whether an assistant's message is a string that is not blank, and nothing else.

    Args:
        message: The message.
        with_calls: Valid tool calls may stand beside the string; then it may be empty, too.
    """
    content, calls, kwargs = message.content, message.tool_calls, message.additional_kwargs
    if content and not (calls or kwargs or message.invalid_tool_calls):  # by far the most frequent
        return isinstance(content, str) and not content.isspace()
    return (
        isinstance(content, str)
        and (bool(content) or (with_calls and bool(calls)))
        and not content.isspace()
        and (with_calls or not calls)
        and not message.invalid_tool_calls
        and not (kwargs and any(map(kwargs.get, _ANSWER_FIELDS)))
    )
