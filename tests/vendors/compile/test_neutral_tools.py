"""Tools, choices, answer shapes and schemas in neutral form, and in each vendor's dialect."""

from __future__ import annotations

import copy
import re
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.tools import tool
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from langchain_llmdispatch.types import OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.compile.neutral_tools import (
    NAMES,
    SCHEMAS,
    SchemaRules,
    compile_names,
    compile_schema,
    neutral_choice,
    neutral_output,
    neutral_tools,
    schema_rules,
    server_type,
)


class Weather(BaseModel):
    """Get the weather."""

    city: str
    unit: Literal["c", "f"] = "c"


class _Typed(TypedDict):
    """Get the weather."""

    city: str


@tool(extras={"cache_control": {"type": "ephemeral"}})
def look(q: str) -> str:
    """Look it up."""
    return q


def plain(city: str) -> str:
    """Get the weather."""
    return city


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (Weather, "Weather"),
        (_Typed, "_Typed"),
        (plain, "plain"),
        (look, "look"),
        ({"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}, "f"),
        ({"type": "function", "name": "f", "parameters": _SCHEMA, "strict": True}, "f"),
        ({"name": "f", "description": "d", "input_schema": _SCHEMA}, "f"),
        ({"type": "custom", "name": "f", "input_schema": _SCHEMA, "cache_control": {}}, "f"),
        ({"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": _SCHEMA}}}, "f"),
        ({"title": "f", "description": "d", **_SCHEMA}, "f"),
        ({"function_declarations": [{"name": "f", "parameters": _SCHEMA}]}, "f"),
        (ToolSpec("f", "", _SCHEMA), "f"),
    ],
)
def test_every_form_of_a_tool(given: Any, name: str) -> None:
    """Whatever `bind_tools` takes becomes one neutral value."""
    specs, server = neutral_tools([given])
    assert server == ()
    assert specs[0].name == name
    assert specs[0].parameters["type"] == "object"
    assert next(iter(specs[0].parameters["properties"])) in {"city", "q"}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 2}, "web_search_20250305"),
        ({"type": "web_search"}, "web_search"),
        ({"type": "mcp", "server_label": "x"}, "mcp"),
        ({"google_search": {}}, "google_search"),
        ({"code_execution": {}}, "code_execution"),
    ],
)
def test_vendors_own_tools_stay_verbatim(given: dict[str, Any], kind: str) -> None:
    """They are known by type, or by Gemini's only key."""
    specs, server = neutral_tools([given])
    assert (specs, server) == ((), (given,))
    assert server_type(server[0]) == kind


def test_extras_and_strictness_ride_along() -> None:
    """`BaseTool.extras`, keys beside `function`, and `strict` as a default."""
    specs, _ = neutral_tools(
        [look, {"name": "f", "input_schema": _SCHEMA, "defer_loading": True}], strict=True
    )
    assert specs[0].extras == {"cache_control": {"type": "ephemeral"}}
    assert specs[1].extras == {"defer_loading": True}
    assert [spec.strict for spec in specs] == [True, True]


_F = ToolSpec("find_city", "", {})


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ("auto", "auto", None),
        ("none", "none", None),
        ("any", "any", None),
        ("required", "any", None),
        (True, "any", None),
        ("find_city", "tool", "find_city"),
        ({"type": "function", "function": {"name": "find_city"}}, "tool", "find_city"),
        ({"type": "function", "name": "find_city"}, "tool", "find_city"),
        ({"type": "tool", "name": "find_city"}, "tool", "find_city"),
        ({"type": "any"}, "any", None),
        ({"any": {}}, "any", None),
        ({"tool": {"name": "find_city"}}, "tool", "find_city"),
        ({"function_calling_config": {"mode": "ANY"}}, "any", None),
        (
            {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["find_city"]}},
            "tool",
            "find_city",
        ),
        (ToolChoice("any"), "any", None),
    ],
)
def test_every_form_of_a_choice(choice: Any, mode: Any, name: str | None) -> None:
    """Words, names, booleans and four vendors' dicts."""
    assert neutral_choice(choice, [_F]) == ToolChoice(mode, name)


def test_choices_that_are_none_or_wrong() -> None:
    """None and False demand nothing; an unknown name points to the nearest."""
    assert neutral_choice(None, [_F]) is neutral_choice(False, [_F]) is None
    with pytest.raises(ValueError, match="did you mean 'find_city'"):
        neutral_choice("find_citty", [_F])
    with pytest.raises(ValueError, match="not known"):
        neutral_choice({"type": "maybe"}, [_F])
    with pytest.raises(ValueError, match="neither"):
        neutral_choice(3, [_F])


def test_every_form_of_an_answer_shape() -> None:
    """OpenAI's dicts in both spellings, classes, titled schemas."""
    inner = {"name": "n", "schema": _SCHEMA, "strict": True}
    asked = {"type": "json_schema", "json_schema": inner, "method": "json_schema"}
    assert neutral_output(asked) == OutputSchema("n", _SCHEMA, True, "json_schema")
    assert neutral_output({"type": "json_schema", **inner}) == OutputSchema("n", _SCHEMA, True)
    assert neutral_output({"type": "json_object"}) == OutputSchema("answer", None, method="json_mode")
    assert neutral_output({"type": "text"}) is neutral_output(None) is None
    shape = neutral_output(Weather)
    assert shape is not None
    assert (shape.name, shape.schema and shape.schema["required"]) == ("Weather", ["city"])
    assert neutral_output({"title": "T", **_SCHEMA}) is not None
    with pytest.raises(ValueError, match="not known"):
        neutral_output({"type": "grammar"})
    with pytest.raises(ValueError, match="no schema"):
        neutral_output({"type": "json_schema", "json_schema": {"name": "n"}})


# -- names -----------------------------------------------------------------------------------------


@given(st.lists(st.text(min_size=1, max_size=80), max_size=8), st.sampled_from(sorted(NAMES)))
def test_names_become_legal_and_stay_apart(names: list[str], vendor: str) -> None:
    """Reversible, collision-free, stable; legal names are left alone."""
    pattern, longest = NAMES[vendor]
    mapping = compile_names(names, pattern, longest)
    used = [mapping.get(name, name) for name in dict.fromkeys(names)]
    assert len(set(used)) == len(used)
    assert all(pattern.fullmatch(name) and len(name) <= longest for name in used)
    assert mapping == compile_names(names, pattern, longest)
    assert compile_names(used, pattern, longest) == {}


def test_names_are_readable() -> None:
    """What can be kept of a name is kept; clashes get a hash."""
    pattern = re.compile(r"[a-zA-Z0-9_]+")
    mapping = compile_names(["mcp.files/read", "mcp_files_read"], pattern, 64)
    assert re.fullmatch(r"mcp_files_read_[0-9a-f]{8}", mapping["mcp.files/read"])


# -- schemas ---------------------------------------------------------------------------------------


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
    made, kinds = _kinds(_Order.model_json_schema(), schema_rules("openai", "strict"))
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


def test_strict_changes_nothing_of_a_schema_that_says_all() -> None:
    """Then strictness can be had for nothing."""
    _, kinds = _kinds(_SCHEMA, schema_rules("openai", "strict"))
    assert kinds == []


def test_gemini_gets_definitions_inlined() -> None:
    """References and `const` go; a recursive definition is cut, and said so."""
    made, kinds = _kinds(_Order.model_json_schema(), schema_rules("google"))
    assert "$ref" not in str(made)
    assert "$defs" not in made
    assert made["properties"]["item"]["description"] == "what"
    assert made["properties"]["item"]["properties"]["kind"]["enum"] == ["item"]
    assert kinds == ["schema_keywords_dropped"]
    made, kinds = _kinds(_Node.model_json_schema(), schema_rules("google"))
    assert "$ref" not in str(made)
    assert "schema_recursion_cut" in kinds


def test_ollama_gets_plain_types() -> None:
    """Its server knows neither definitions nor unions in a tool's arguments."""
    made, _ = _kinds(_Order.model_json_schema(), schema_rules("ollama"))
    assert made["properties"]["note"]["type"] == ["string", "null"]
    assert made["properties"]["item"]["type"] == "object"


def test_cohere_gets_no_ranges_and_something_required() -> None:
    """Ranges are refused; an object must require something."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}
    made, kinds = _kinds(schema, schema_rules("cohere", "output"))
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
    made, kinds = _kinds(schema, SCHEMAS["default"])
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
    made, _ = _kinds(schema, SCHEMAS["default"])
    assert made["properties"]["a"] == {"$ref": "#/$defs/A", "description": "d"}
    made, _ = _kinds(schema, SCHEMAS["google"])
    assert made["properties"]["a"] == {"type": "string", "description": "d"}


def test_properties_named_like_keywords_survive() -> None:
    """A property may be called `default` or `format`."""
    schema = {
        "type": "object",
        "properties": {"default": {"type": "string"}, "format": {"type": "string"}},
        "required": ["default", "format"],
    }
    for kind in ("tool", "output", "strict"):
        for vendor in ("openai", "google", "cohere", "anthropic", "ollama"):
            made, _ = compile_schema(schema, schema_rules(vendor, kind))  # type: ignore[arg-type]
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


@given(_schemas, st.sampled_from(sorted(SCHEMAS)))
def test_any_schema_compiles_unmutated_and_once(inner: Any, vendor: str) -> None:
    """Compiling what was compiled alters nothing more."""
    schema = {
        "type": "object",
        "properties": {"x": inner},
        "$defs": {"D": {"type": "object", "properties": {"d": {"$ref": "#/$defs/D"}}}},
    }
    made, _ = _kinds(schema, SCHEMAS[vendor])
    again, _ = compile_schema(made, SCHEMAS[vendor])
    assert again == made
