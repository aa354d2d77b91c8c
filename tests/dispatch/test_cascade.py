"""Cascade rules and schemas, without a server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import ValidationError

from langchain_llmdispatch import DispatcherChatModel, DispatcherConfig, errors
from langchain_llmdispatch.dispatch.cascade import Cascade, cut_short, follows, refused, violates_schema
from langchain_llmdispatch.types import ChatRequest, OutputSchema, ToolSpec
from tests.cases import each


@each("wrong", ["refusals", ["length", "long"], 3, [3]])
def test_a_word_that_means_nothing_is_an_error(wrong: Any) -> None:
    """The message names the field and the nearest right word."""
    with pytest.raises((ValidationError, errors.ConfigurationError), match="escalate_when"):
        DispatcherChatModel(models=["openai:gpt-6-luna"], escalate_when=wrong, env={"OPENAI_API_KEY": "k"})
    assert Cascade.of(None) is None
    assert Cascade.of([]) is None


def test_a_configuration_file_can_say_it() -> None:
    """Words need no code."""
    config = DispatcherConfig.load({"models": ["openai:gpt-6-luna"], "escalate_when": ["refusal", "length"]})
    assert config.escalate_when == ("refusal", "length")
    assert DispatcherConfig.load({"escalate_when": "length"}).escalate_when == ("length",)


def test_verdicts_by_themselves() -> None:
    """Each word's rule, without a vendor."""
    plain = ChatRequest([HumanMessage("x")])
    assert refused(AIMessage("", additional_kwargs={"refusal": "no"}), plain)
    assert refused(AIMessage([{"type": "refusal", "refusal": "no"}]), plain)
    assert not refused(AIMessage("no"), plain)
    assert cut_short(AIMessage("", response_metadata={"finish_reason": "length"}), plain)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    shaped = ChatRequest([], output=OutputSchema("n", schema))
    assert not violates_schema(AIMessage('{"n": 1}'), shaped)
    assert violates_schema(AIMessage('{"n": "1"}'), shaped)
    assert violates_schema(AIMessage("one"), shaped)
    assert not violates_schema(AIMessage("{}"), ChatRequest([], output=OutputSchema("any", None)))
    assert violates_schema(AIMessage("[]"), ChatRequest([], output=OutputSchema("any", None)))
    tooled = ChatRequest([], tools=[ToolSpec("f", "", schema)])
    called = AIMessage("", tool_calls=[{"name": "f", "args": {"n": "x"}, "id": "1"}])
    assert violates_schema(called, tooled)
    assert not violates_schema(AIMessage("", tool_calls=[{"name": "f", "args": {"n": 1}, "id": "1"}]), tooled)


SHAPES: list[tuple[Any, Any, bool]] = [
    (1, {"type": "integer"}, True),
    (1.0, {"type": "integer"}, True),
    (True, {"type": "integer"}, False),
    (None, {"type": ["string", "null"]}, True),
    ("a", {"type": "STRING"}, True),
    (None, {"type": "string", "nullable": True}, True),
    ({"a": 1}, {"additionalProperties": False}, False),
    ({"a": 1}, {"properties": {"a": {}}, "additionalProperties": False}, True),
    ({"x1": 1}, {"patternProperties": {"^x": {}}, "additionalProperties": False}, True),
    ([1, "a"], {"items": {"type": "integer"}}, False),
    ([1, "a"], {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, True),
    ("b", {"enum": ["a", "b"]}, True),
    (1, {"const": True}, False),
    (3, {"oneOf": [{"minimum": 1}, {"minimum": 2}]}, False),
    (3, {"anyOf": [{"maximum": 1}, {"minimum": 2}]}, True),
    (3, {"allOf": [{"exclusiveMaximum": 3}]}, False),
    (3, {"not": {"exclusiveMinimum": 2}}, False),
    ("abc", {"pattern": "^a", "minLength": 3, "maxLength": 3}, True),
    ("abc", {"pattern": "(?<bad"}, True),
    ([], {"minItems": 1}, False),
    ({}, {"minProperties": 1}, False),
    ([1, 2], {"maxItems": 1}, False),
    ({"a": 1}, {"maxProperties": 0}, False),
    ({"l": {"l": {}}}, {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"l": {"$ref": "#"}}}}}, True),
    ({"l": 1}, {"$defs": {"n": {"type": "string"}}, "properties": {"l": {"$ref": "#/$defs/n"}}}, False),
    (1, {"$ref": "#"}, False),
    (1, True, True),
    (1, False, False),
]


@each(("value", "schema", "fitting"), SHAPES)
def test_shapes(value: Any, schema: Any, fitting: bool) -> None:
    """One rule per keyword."""
    assert follows(value, schema) is fitting


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_everything_fits_an_empty_schema(value: Any) -> None:
    """A schema without keywords accepts every value."""
    assert follows(value, {})
    assert follows(value, {"const": value})
