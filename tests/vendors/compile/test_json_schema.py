"""Schemas in each vendor's dialect."""

from __future__ import annotations

import copy
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.json_schema import compile_schema
from langchain_llmdispatch.vendors.rules import ROOT_OBJECT, SchemaRules

_VENDORS = builtin_vendors()
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_DIALECTS: dict[str, SchemaRules] = {
    f"{name}:{kind}": rules
    for name, vendor in _VENDORS.items()
    for kind, rules in (
        ("tool", vendor.schemas.for_tool(strict=False)),
        ("output", vendor.schemas.for_output(strict=False)),
        ("strict", vendor.schemas.for_output(strict=True)),
    )
}


class _Node(BaseModel):
    name: str
    children: list[_Node] = []


class _Item(BaseModel):
    """An item."""

    kind: Literal["item"] = "item"
    size: int = Field(ge=0)


class _Order(BaseModel):
    item: _Item = Field(description="what")
    note: str | None = None
    when: str = Field(json_schema_extra={"format": "date-time"})
    link: str = Field(json_schema_extra={"format": "uri"})
    tags: dict[str, str] = {}


def _kinds(schema: Any, rules: SchemaRules) -> tuple[dict[str, Any], list[str]]:
    before = copy.deepcopy(schema)
    made, changes = compile_schema(schema, rules)
    assert schema == before
    return made, [change.kind for change in changes]


def test_strict_schemas_require_everything() -> None:
    """OpenAI's strict mode: closed objects, optional properties nullable, no defaults."""
    made, kinds = _kinds(_Order.model_json_schema(), _DIALECTS["openai:strict"])
    assert made["required"] == ["item", "note", "when", "link", "tags"]
    assert made["additionalProperties"] is False
    assert made["properties"]["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Note"}
    assert made["properties"]["when"]["format"] == "date-time"
    assert "format" not in made["properties"]["link"]
    assert made["properties"]["tags"]["type"] == ["object", "null"]
    item = made["$defs"]["_Item"]
    assert item["properties"]["kind"]["anyOf"][1] == {"type": "null"}
    assert item["required"] == ["kind", "size"]
    assert "default" not in str(made)
    assert set(kinds) == {"schema_optional_nullable", "schema_keywords_dropped", "schema_closed"}


def test_strict_changes_nothing_of_a_schema_that_has_all() -> None:
    """Then strictness can be had for nothing."""
    _, kinds = _kinds(_SCHEMA, _DIALECTS["openai:strict"])
    assert kinds == []


def test_gemini_gets_definitions_inlined() -> None:
    """References and `const` go; a recursive definition is cut, and reported."""
    made, kinds = _kinds(_Order.model_json_schema(), _DIALECTS["google:tool"])
    assert "$ref" not in str(made)
    assert "$defs" not in made
    assert made["properties"]["item"]["description"] == "what"
    assert made["properties"]["item"]["properties"]["kind"]["enum"] == ["item"]
    assert kinds == ["schema_keywords_dropped"]
    made, kinds = _kinds(_Node.model_json_schema(), _DIALECTS["google:tool"])
    assert "$ref" not in str(made)
    assert "schema_recursion_cut" in kinds


def test_ollama_gets_plain_types() -> None:
    """Its server knows neither definitions nor unions in a tool's arguments."""
    made, _ = _kinds(_Order.model_json_schema(), _DIALECTS["ollama:tool"])
    assert made["properties"]["note"]["type"] == ["string", "null"]
    assert made["properties"]["item"]["type"] == "object"


def test_cohere_gets_no_ranges_and_something_required() -> None:
    """Ranges are refused; every object must require something."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}
    made, kinds = _kinds(schema, _DIALECTS["cohere:output"])
    assert made == {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert kinds == ["schema_keywords_dropped"]


def test_root_unions_become_one_object() -> None:
    """Properties of all variants; required is what all require."""
    schema = {
        "anyOf": [
            {"$ref": "#/$defs/A"},
            {
                "type": "object",
                "properties": {"b": {"type": "string"}, "k": {"type": "string"}},
                "required": ["b", "k"],
            },
        ],
        "$defs": {"A": {"type": "object", "properties": {"k": {"type": "integer"}}, "required": ["k"]}},
    }
    made, kinds = _kinds(schema, ROOT_OBJECT)
    assert made["type"] == "object"
    assert made["required"] == ["k"]
    assert made["properties"]["k"] == {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert kinds == ["schema_root_merged"]


def test_all_of_one_is_that_one() -> None:
    """Older pydantic wraps a described reference so."""
    schema = {
        "type": "object",
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/A"}], "description": "d"}},
        "$defs": {"A": {"type": "string"}},
    }
    made, _ = _kinds(schema, ROOT_OBJECT)
    assert made["properties"]["a"] == {"$ref": "#/$defs/A", "description": "d"}
    made, _ = _kinds(schema, _DIALECTS["google:tool"])
    assert made["properties"]["a"] == {"type": "string", "description": "d"}


def test_properties_named_like_keywords_survive() -> None:
    """A property may be called `default` or `format`."""
    schema = {
        "type": "object",
        "properties": {"default": {"type": "string"}, "format": {"type": "string"}},
        "required": ["default", "format"],
    }
    for rules in _DIALECTS.values():
        made, _ = compile_schema(schema, rules)
        assert list(made["properties"]) == ["default", "format"]


_leaf = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer", "minimum": 1},
        {"const": 3},
        {"$ref": "#/$defs/D"},
        {"enum": ["a", 1]},
        True,
    ]
)
_schemas = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
            lambda p: {"type": "object", "properties": p}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda p: {"anyOf": p}),
        st.lists(inner, min_size=1, max_size=2).map(lambda p: {"oneOf": p}),
        st.lists(inner, min_size=1, max_size=2).map(lambda p: {"allOf": p}),
        inner.map(lambda i: {"type": "array", "items": i}),
    ),
    max_leaves=8,
)


@given(_schemas, st.sampled_from(sorted(_DIALECTS)))
def test_any_schema_compiles_unmutated_and_once(inner: Any, dialect: str) -> None:
    """Compiling what was compiled alters nothing more."""
    schema = {
        "type": "object",
        "properties": {"x": inner},
        "$defs": {"D": {"type": "object", "properties": {"d": {"$ref": "#/$defs/D"}}}},
    }
    made, _ = _kinds(schema, _DIALECTS[dialect])
    again, _ = compile_schema(made, _DIALECTS[dialect])
    assert again == made


def test_a_dialect_falls_back_to_the_rules_for_tools() -> None:
    """What a vendor does not state for answers or strict schemas is as for tools."""
    google, ollama, openai = (_VENDORS[name].schemas for name in ("google", "ollama", "openai"))
    assert (
        google.for_output(strict=True)
        is google.for_output(None)
        is google.for_tool(strict=True)
        is google.tool
    )
    assert ollama.for_output(strict=True) is ollama.tool
    assert ollama.for_output(strict=False) is ollama.output
    assert openai.for_tool(strict=True) is openai.for_output(strict=True) is openai.strict
    assert openai.for_tool(None) is openai.tool
