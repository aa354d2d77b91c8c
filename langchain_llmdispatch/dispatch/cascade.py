"""The cascade: an answer that is not good enough sends the call on to the next deployment.

Order the deployments by what they cost (`strategy="lowest_cost"`, or by hand), and say when an answer does
not do: most calls then end with a cheap model, and only those that need it reach a dear one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage

from langchain_llmdispatch.dispatch.json_schema import fits
from langchain_llmdispatch.errors import ConfigurationError, ContentFilterError, DispatchError
from langchain_llmdispatch.settings import nearest

if TYPE_CHECKING:
    from langchain_llmdispatch.types import ChatRequest

Verdict: TypeAlias = Callable[[AIMessage], bool]
"""Says of a whole answer whether it is not good enough."""
EscalateWhen: TypeAlias = Verdict | str | Sequence[Verdict | str]


def refused(message: AIMessage, request: ChatRequest) -> bool:  # noqa: ARG001 - a rule
    """Return whether the model, or its vendor's filter, would not answer."""
    if message.response_metadata.get("finish_reason") == "content_filter":
        return True
    blocks = message.content if isinstance(message.content, list) else ()
    kinds = (block.get("type") for block in blocks if isinstance(block, dict))
    return bool(message.additional_kwargs.get("refusal")) or "refusal" in kinds


def cut_short(message: AIMessage, request: ChatRequest) -> bool:  # noqa: ARG001 - a rule
    """Return whether the answer reached the limit of its length."""
    return message.response_metadata.get("finish_reason") == "length"


def misshapen(message: AIMessage, request: ChatRequest) -> bool:
    """Return whether the answer, or a tool call in it, has not the shape that was asked for."""
    shapes = {tool.name: tool.parameters for tool in request.tools}
    if not all(fits(call["args"], shapes.get(call["name"], True)) for call in message.tool_calls):
        return True
    if request.output is None or message.tool_calls:
        return False
    try:
        value = json.loads(message.text)
    except ValueError:
        return True
    schema = request.output.schema
    return not (isinstance(value, dict) if schema is None else fits(value, schema))


RULES: dict[str, Callable[[AIMessage, ChatRequest], bool]] = {
    "refusal": refused,
    "length": cut_short,
    "invalid_schema": misshapen,
}
"""What `escalate_when` understands by a word."""


def check_escalation(value: Any) -> Any:
    """Return `escalate_when` as a sequence, or None.

    Raises:
        ConfigurationError: A word is unknown, or a part is neither a word nor a function.
    """
    if value is None:
        return None
    parts = [value] if isinstance(value, str) or callable(value) else value
    if not isinstance(parts, Sequence):
        raise ConfigurationError(f"escalate_when={value!r} is neither a function nor one of {_words()}.")
    for part in parts:
        if isinstance(part, str) and part not in RULES:
            raise ConfigurationError(f"escalate_when={part!r} is not known.{nearest(part, RULES)}")
        if not isinstance(part, str) and not callable(part):
            raise ConfigurationError(f"escalate_when={part!r} is neither a function nor one of {_words()}.")
    return tuple(parts) or None


@dataclass(frozen=True, slots=True)
class Cascade:
    """When an answer sends its call on.

    Attributes:
        rules: Words of `RULES`, and functions of the user's.
    """

    rules: Sequence[Verdict | str]

    @classmethod
    def of(cls, escalate_when: Any) -> Cascade | None:
        """Return the cascade of a model's field, or None if every answer is good enough."""
        rules = check_escalation(escalate_when)
        return cls(rules) if rules else None

    def declines(self, message: AIMessage, request: ChatRequest) -> bool:
        """Return whether an answer is not good enough."""
        return any(
            RULES[rule](message, request) if isinstance(rule, str) else rule(message) for rule in self.rules
        )

    def passes_on(self, error: DispatchError) -> bool:
        """Return whether a refusal that came as an error sends the call on, too."""
        return isinstance(error, ContentFilterError) and "refusal" in self.rules


def _words() -> str:
    return ", ".join(RULES)
