"""Schemas from elsewhere: what is certainly meant is put right, anything else is named with its place."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch.errors import InvalidRequestError
from langchain_llmdispatch.types import OutputSchema, ToolSpec
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.compiled_schema import compiled_schema
from langchain_llmdispatch.vendors.compile.neutral_tools import neutral_output, neutral_tools
from langchain_llmdispatch.vendors.compile.schema_shape import well_formed
from tests.cases import each
from tests.vendors.samples import variants

RICH: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "description": "x", "enum": ["p", "q"], "default": "p"},
        "b": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": ["string", "null"]}]},
        "c": {"type": "array", "items": {"$ref": "#/$defs/N"}, "minItems": 1},
        "d": {"oneOf": [{"const": {"k": None}}, {"type": "string", "format": "date", "pattern": "^a"}]},
        "e": {"allOf": [{"$ref": "#/$defs/N"}, {"description": "z"}]},
        "f": {"type": "array", "prefixItems": [{"type": "string"}]},
        "g": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
    "required": ["a", "b"],
    "additionalProperties": False,
    "$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "required": ["n"]}},
}


def test_a_good_schema_is_not_copied() -> None:
    """What is compiled for it stays remembered by its identity."""
    assert well_formed(RICH, "schema") is RICH


@each(
    ("given", "wanted"),
    [
        ({"properties": None, "required": None, "items": None}, {}),  # Go
        ({"properties": []}, {"properties": {}}),  # PHP
        ({"properties": {"a": []}}, {"properties": {"a": {}}}),
        ({"properties": {"a": {"type": "string", "required": True}}}, {"properties": {"a": {"type": "string"}}}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
        ({"maximum": 1, "exclusiveMaximum": False}, {"maximum": 1}),
        ({"items": [{"type": "string"}], "additionalItems": False}, {"prefixItems": [{"type": "string"}], "items": False}),
        ({"items": [], "additionalItems": {}}, {"items": {}}),
        ({"required": ("a",)}, {"required": ["a"]}),
        ({"default": None, "const": None, "enum": [None], "x-own": None}, {"default": None, "const": None, "enum": [None], "x-own": None}),
    ],
)  # fmt: skip
def test_what_is_meant(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Wherever it stands; the caller's schema stays as it is."""
    before = repr(given)
    assert well_formed(given, "schema") == wanted
    assert well_formed({"$defs": {"x": given}}, "schema") == {"$defs": {"x": wanted}}
    assert repr(given) == before


@each(
    ("given", "message"),
    [
        ({"properties": {"a": {"type": 7}}}, r"schema\.properties\.a\.type is 7 and not the name of a type"),
        ({"anyOf": [{"required": "a"}]}, r"schema\.anyOf\[0\]\.required is 'a' and not a list of names"),
        ({"items": {"minItems": "1"}}, r"schema\.items\.minItems is '1' and not a number"),
        ({"properties": {"a": "string"}}, r"schema\.properties\.a is 'string' and not a schema"),
        ({"$defs": [1]}, r"schema\.\$defs is \[1\] and not an object with a schema for each name"),
        ({"description": {"en": "x"}}, r"schema\.description is .* and not a text"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], message: str) -> None:
    """The error names the place and the value: for a tool when it is bound, else before anything is sent."""
    with pytest.raises(ValueError, match=message):
        well_formed(given, "schema")
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", **given}}}
    with pytest.raises(ValueError, match=message.replace("schema", "the arguments of tool 'f'", 1)):
        neutral_tools([tool])
    with pytest.raises(InvalidRequestError, match=message):
        compiled_schema(
            {"type": "object", **given}, builtin_vendors()["openai"].schemas.for_output(strict=True)
        )


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "cohere", "ollama", "compatible"])
def test_schemas_of_another_shape(vendor: str) -> None:
    """Whatever stands where something else is expected compiles, or is an error of ours."""
    dialect = builtin_vendors()[vendor].schemas
    for number, odd in enumerate(variants(RICH)):
        if number % 3:  # each shape at some place
            continue
        for rules, keys in ((dialect.for_tool(strict=True), dialect.keys), (dialect.for_output(None), None)):
            try:
                made = compiled_schema(odd, rules, keys).schema
            except InvalidRequestError:
                continue
            assert well_formed(made, "schema") == made


def test_whole_values() -> None:
    """Tools and answers given as they are pass the same check."""
    (tool,), _ = neutral_tools([{"name": "f", "input_schema": {"type": "object", "properties": []}}])
    assert tool.parameters == {"type": "object", "properties": {}}
    assert isinstance(neutral_output({"title": "T", "properties": None}), OutputSchema)
    assert neutral_tools([ToolSpec("f", "", {"type": "object"})])[0][0].parameters == {"type": "object"}
