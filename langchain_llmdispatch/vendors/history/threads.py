"""What is known of a conversation from the call before, so that a long one costs what its new messages cost.

A call's messages are compared with those of earlier calls, by value: messages can be changed in place at any
time. What a call makes of its messages is a fold: a step takes the state after some messages and further
messages, and returns the state after those. The state after the messages that were there before is known, so
the step sees the new ones only:

    state = folded(step, messages, *config)      step(None, messages, *config) where nothing is known

A step gets copies that hold the compared fields and nothing else, made when they were compared. So it cannot
read what was not compared, and what a caller changes meanwhile changes no state. Why this is safe, what it
saves, and what was rejected: docs/decisions/thread_cache.md.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

SHORTEST = 32
"""Messages of the shortest conversation that is kept."""
MOST_THREADS = 32
"""Conversations that are kept of one model."""
MOST_CHARACTERS = 8_000_000
"""Characters of text that are kept of one model; a longer conversation is not kept at all."""
KEPT = 600.0
"""Seconds after its last call that a conversation is kept; the next call of the model drops older ones."""

State = TypeVar("State")
Step = Callable[..., State]
"""Takes a state (None for none), messages and the configuration that it depends on; returns another state."""

_content = attrgetter("content")
_fields = attrgetter("__class__", "content", "name", "additional_kwargs")
_calls = attrgetter("tool_calls", "invalid_tool_calls")
_result = attrgetter("tool_call_id", "status")
_EMPTY: Mapping[type[BaseMessage], Mapping[str, Any]] = {
    HumanMessage: vars(HumanMessage("")),
    SystemMessage: vars(SystemMessage("")),
    AIMessage: vars(AIMessage("")),
    ToolMessage: vars(ToolMessage("", tool_call_id="")),
}
_LEAVES = frozenset({str, int, float, bool, type(None)})


class Thread(list[BaseMessage]):
    """The messages of a call, of which something may be known; the content of each is a string.

    Args:
        messages: The messages.
        known: What was kept of them.
    """

    __slots__ = ("known",)

    def __init__(self, messages: Sequence[BaseMessage], known: KnownMessages) -> None:
        super().__init__(messages)
        self.known = known

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the messages alone."""
        return list, (list(self),)


@dataclass(slots=True, eq=False)
class KnownMessages:
    """Messages as they were in a call, and what was made of them.

    Attributes:
        copies: Copies of the messages, with the fields that are compared.
        fields: Those fields, but for those of calls and results.
        calls_at: The places of the assistant's messages.
        calls: The calls of tools in them. 1, 1.0 and True are equal, and are different JSON: bytes tell these
            apart, and the order of keys.
        results_at: The places of tools' results.
        results: The fields that only these have.
        characters: How long the texts are together.
        before: How many of the messages were known, and what was made of those.
        states: What was made of all, by step and configuration.
        used: When a call last had them, in the clock's monotonic seconds.
    """

    copies: Sequence[BaseMessage] = ()
    fields: Sequence[Any] = ()
    calls_at: Sequence[int] = ()
    calls: bytes = b""
    results_at: Sequence[int] = ()
    results: Sequence[Any] = ()
    characters: int = 0
    before: tuple[int, Mapping[Any, Any]] = (0, MappingProxyType({}))
    states: dict[Any, Any] = field(default_factory=dict)
    used: float = 0.0

    def begins(self, messages: Sequence[BaseMessage], fields: Sequence[Any]) -> bool:
        """Return whether these messages are, by value, the first of others whose fields are given, too."""
        return (
            self.fields == fields[: len(self.copies)]
            and self.calls == _calls_of(messages, self.calls_at)
            and self.results == _results_of(messages, self.results_at)
        )

    def extended(self, messages: Sequence[BaseMessage]) -> KnownMessages:
        """Return these messages and those that follow them in a conversation.

        Raises:
            TypeError, ValueError: One of them is of another kind than those that are kept.
        """
        count = len(self.copies)
        new = [*map(_copy, messages[count:])]
        calls_at = [place for place, each in enumerate(new) if type(each) is AIMessage]
        results_at = [place for place, each in enumerate(new) if type(each) is ToolMessage]
        calls = _calls_of(new, calls_at)
        return KnownMessages(
            [*self.copies, *new],
            [*self.fields, *map(_fields, new)],
            [*self.calls_at, *[count + place for place in calls_at]],
            self.calls + calls,
            [*self.results_at, *[count + place for place in results_at]],
            [*self.results, *_results_of(new, results_at)],
            self.characters + sum(map(len, map(_content, new))) + len(calls),
            (count, self.states),
        )

    def folded(self, step: Step[State], config: tuple[Any, ...]) -> State:
        """Return the state after all messages; see `folded`."""
        key = (step, *config)
        state: State | None = self.states.get(key)
        if state is None:
            count, known = self.before
            start = known.get(key)
            new = self.copies if start is None else self.copies[count:]
            state = self.states[key] = step(start, new, *config)
        return state


_NOTHING = KnownMessages()
_HEAD = 5  # bytes of marshal's list before its items: the type and the number of them


def _calls_of(messages: Sequence[BaseMessage], places: Sequence[int]) -> bytes:
    # Version 2 refers to no other part, so that the bytes of two lists are those of their sum.
    return marshal.dumps([*map(_calls, map(messages.__getitem__, places))], 2)[_HEAD:]


def _results_of(messages: Sequence[BaseMessage], places: Sequence[int]) -> list[Any]:
    return [*map(_result, map(messages.__getitem__, places))]


def folded(step: Step[State], messages: Sequence[BaseMessage], *config: Any) -> State:
    """Return what a step makes of messages; of those that are known, nothing is made again.

    Args:
        step: A function that depends on its arguments alone, and changes none of them; no state is None.
        messages: The messages.
        config: What the state depends on besides; hashable, and equal only where the states are.
    """
    if messages.__class__ is not Thread:
        return step(None, messages, *config)
    return messages.known.folded(step, config)


def is_ours(vendor: object) -> bool:
    """Return whether a vendor is one of this package's, whose codecs do not change what `folded` returns."""
    return type(vendor).__module__.partition(".")[0] == __name__.partition(".")[0]


class ThreadCache:
    """The conversations of a model's last calls.

    Its tuple of conversations is replaced, never changed, so that threads need no lock: where two calls end
    at once, one conversation may be lost, and is compiled anew.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: tuple[KnownMessages, ...] = ()

    def known(self, messages: Sequence[BaseMessage], now: float) -> Sequence[BaseMessage]:
        """Return messages with what is known of them; as they are if they are not of the kind that is kept.

        That are texts of the user's, the system's and the assistant's, tool calls and their results.

        Args:
            messages: The messages of a call.
            now: The clock's monotonic seconds.
        """
        first = _fields(messages[0])
        alike = [each for each in self._kept if each.fields[0] == first]
        fields = [*map(_fields, messages)] if alike else []
        try:
            before = next((each for each in alike if each.begins(messages, fields)), _NOTHING)
            known = len(before.copies) == len(messages)
            found = before if known else before.extended(messages)
        except (AttributeError, IndexError, TypeError, ValueError):  # of another kind: compiled as they are
            return messages
        if found.characters > MOST_CHARACTERS:
            return messages
        found.used = now
        self._keep(found, before, now)
        return Thread(messages, found)

    def clear(self) -> None:
        """Keep nothing."""
        self._kept = ()

    def _keep(self, found: KnownMessages, before: KnownMessages, now: float) -> None:
        """Keep a conversation in place of its own beginning, and the last ones of the others."""
        others = [each for each in self._kept if each not in (found, before) and now - each.used < KEPT]
        kept = [found, *others[: MOST_THREADS - 1]]
        sums = accumulate(each.characters for each in kept)
        self._kept = tuple(each for each, total in zip(kept, sums, strict=True) if total <= MOST_CHARACTERS)


def _copy(message: BaseMessage) -> BaseMessage:
    """Return a copy with the fields that are compared, for steps alone: it is no whole pydantic model.

    Raises:
        TypeError: The message holds something else that may count.
    """
    cls, kwargs = type(message), message.additional_kwargs
    if cls not in _EMPTY or type(message.content) is not str:
        raise TypeError
    fields = {**_EMPTY[cls], "content": message.content, "name": message.name}
    if kwargs:
        if not all(each is None or type(each) is str for each in kwargs.values()):
            raise TypeError
        fields["additional_kwargs"] = {**kwargs}
    if isinstance(message, AIMessage):
        if message.invalid_tool_calls:
            raise TypeError
        if message.tool_calls:
            fields["tool_calls"] = _plain_copy(message.tool_calls)
    elif isinstance(message, ToolMessage):
        fields |= {"tool_call_id": message.tool_call_id, "status": message.status}
    copied = cls.__new__(cls)
    object.__setattr__(copied, "__dict__", fields)
    return copied


def _plain_copy(value: Any) -> Any:
    """Return a copy of plain data.

    Raises:
        TypeError: It is something else.
    """
    if type(value) is dict:
        return {key: _plain_copy(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_plain_copy(inner) for inner in value]
    if type(value) not in _LEAVES:
        raise TypeError
    return value
