"""The cascade: an answer that is not accepted sends the call on to the next deployment.

Order the deployments by price (`strategy="lowest_cost"`, or by hand), and name the answers that are not good
enough: most calls then end with a cheap model, and only those that need it reach an expensive one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage

from langchain_llmdispatch.errors import ConfigurationError, ContentFilterError, DispatchError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.finish_reasons import normalized

if TYPE_CHECKING:
    from langchain_llmdispatch.vendors import json_text
else:
    json_text = LateModule("langchain_llmdispatch.vendors.json_text")

AnswerCheck: TypeAlias = Callable[[AIMessage], bool]
"""Returns whether a whole answer is not good enough."""
EscalateWhen: TypeAlias = AnswerCheck | str | Sequence[AnswerCheck | str]


def refused(message: AIMessage, _request: ChatRequest) -> bool:
    """Return whether the model, or its vendor's filter, refused to answer."""
    if normalized(message.response_metadata) in {"content_filter", "refusal"}:
        return True
    blocks = message.content if isinstance(message.content, list) else ()
    kinds = (block.get("type") for block in blocks if isinstance(block, dict))
    return bool(message.additional_kwargs.get("refusal")) or "refusal" in kinds


def cut_short(message: AIMessage, _request: ChatRequest) -> bool:
    """Return whether the answer reached a limit of its length, or is still to be continued."""
    metadata = message.response_metadata
    cut = normalized(metadata) in {"length", "context_exceeded"}
    return cut or metadata.get("finish_state") == "suspended"


def violates_schema(message: AIMessage, request: ChatRequest) -> bool:
    """Return whether the answer, or a tool call in it, does not follow the request's schema."""
    schemas = {tool.name: tool.parameters for tool in request.tools}
    if not all(follows(call["args"], schemas.get(call["name"], True)) for call in message.tool_calls):
        return True
    if request.output is None or message.tool_calls:
        return False
    try:
        value = json_text.whole_value(message.text)
    except ValueError:
        return True
    schema = request.output.schema
    return not (isinstance(value, dict) if schema is None else follows(value, schema))


RULES: dict[str, Callable[[AIMessage, ChatRequest], bool]] = {
    "refusal": refused,
    "length": cut_short,
    "invalid_schema": violates_schema,
}
"""The rules that `escalate_when` names by a word."""


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
    """Which answers send their call on.

    Attributes:
        rules: Words of `RULES`, and functions of the user's.
    """

    rules: Sequence[AnswerCheck | str]

    @classmethod
    def of(cls, escalate_when: Any) -> Cascade | None:
        """Return the cascade of a model's field, or None if every answer is accepted."""
        rules = check_escalation(escalate_when)
        if rules and "invalid_schema" in rules:
            follows(json_text.whole_value("0"), True)  # imports: a tenth of a second, not in a call
        return cls(rules) if rules else None

    def declines(self, message: AIMessage, request: ChatRequest) -> bool:
        """Return whether an answer is not good enough."""
        return any(
            RULES[rule](message, request) if isinstance(rule, str) else rule(message) for rule in self.rules
        )

    def passes_on(self, error: DispatchError) -> bool:
        """Return whether a refusal that came as an error sends the call on, too."""
        return isinstance(error, ContentFilterError) and "refusal" in self.rules


def follows(value: Any, schema: Mapping[str, Any] | bool) -> bool:
    """Return whether a JSON value follows a JSON Schema (draft 2020-12).

    A schema that cannot be evaluated (a remote reference, an unknown type) accepts every value; one
    whose references never end accepts none.
    """
    try:
        return _is_valid()(value, schema)
    except RecursionError:
        return False
    except Exception:  # noqa: BLE001 - whatever a schema that was not checked leads to
        return True


@lru_cache(maxsize=1)
def _is_valid() -> Callable[[Any, Any], bool]:
    """Return the check of a value, by JSON Schema and by what OpenAPI and Gemini write otherwise."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - only cascades need it
    from referencing import Registry  # noqa: PLC0415 - comes with jsonschema

    plain, nothing_remote = Draft202012Validator.VALIDATORS["type"], Registry()

    def check_type(validator: Any, types: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
        if value is not None or schema.get("nullable") is not True:
            names = [types] if isinstance(types, str) else types
            yield from plain(validator, [name.lower() for name in names], value, schema)

    checked = validators.extend(Draft202012Validator, {"type": check_type})
    return lambda value, schema: bool(checked(schema, registry=nothing_remote).is_valid(value))


def _words() -> str:
    return ", ".join(RULES)
