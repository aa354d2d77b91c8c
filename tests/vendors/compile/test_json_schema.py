"""Schemas in each vendor's dialect."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.json_schema import INEXPRESSIBLE, compile_schema
from langchain_llmdispatch.vendors.compile.references import parts
from langchain_llmdispatch.vendors.rules import ROOT_OBJECT, SchemaRules
from tests.cases import each

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
    """References and `const` go; a recursive definition stays one."""
    made, kinds = _kinds(_Order.model_json_schema(), _DIALECTS["google:tool"])
    assert "$ref" not in str(made)
    assert "$defs" not in made
    assert made["properties"]["item"]["description"] == "what"
    assert made["properties"]["item"]["properties"]["kind"]["enum"] == ["item"]
    assert kinds == ["schema_keywords_dropped"]
    made, kinds = _kinds(_Node.model_json_schema(), _DIALECTS["google:tool"])
    assert made["properties"]["children"]["items"] == {"$ref": "#/$defs/_Node"}
    assert list(made["$defs"]) == ["_Node"]
    assert kinds == []


class _Branch(BaseModel):
    name: str
    inside: list[_Branch] = Field(description="what it holds")
    beside: _Branch | None = None


def test_gemini_gets_recursion_only_where_nothing_is_required() -> None:
    """And nothing beside a reference."""
    made, kinds = _kinds(_Branch.model_json_schema(), _DIALECTS["google:tool"])
    branch = made["$defs"]["_Branch"]
    assert branch["required"] == ["name"]
    assert branch["properties"]["inside"]["description"] == "what it holds"
    assert "schema_recursion_optional" in kinds
    described = {
        "type": "object",
        "properties": {"next": {"$ref": "#", "description": "d"}, "value": {"type": "integer"}},
        "required": ["value"],
    }
    made, kinds = _kinds({"title": "List", **described}, _DIALECTS["google:tool"])
    assert made["properties"]["next"] == {"description": "d", "anyOf": [{"$ref": "#/$defs/List"}]}
    assert kinds == []


def test_recursion_is_refused_where_it_is_not_understood() -> None:
    """Anthropic's grammars take none; its tools without strictness take any schema."""
    _, kinds = _kinds(_Node.model_json_schema(), _DIALECTS["anthropic:output"])
    assert "schema_recursion_cut" in kinds
    made, kinds = _kinds(_Node.model_json_schema(), _DIALECTS["anthropic:tool"])
    assert made["$defs"] == _Node.model_json_schema()["$defs"]
    assert kinds == []
    for dialect in ("openai:strict", "cohere:output", "ollama:output", "huggingface:output"):
        made, kinds = _kinds(_Branch.model_json_schema(), _DIALECTS[dialect])
        assert made["$defs"]["_Branch"]["properties"]["inside"]["items"] == {"$ref": "#/$defs/_Branch"}
        assert "schema_recursion_cut" not in kinds


def test_anthropics_answers_are_closed_and_their_limits_described() -> None:
    """What is not enforced goes into descriptions, as Anthropic's own SDK does it; properties keep their names."""
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "A number."},
            "o": {"$ref": "#/$defs/O"},
            "list": {"type": "array", "items": {"type": "string"}, "minItems": 2, "default": ["a"]},
        },
        "$defs": {"O": {"type": "object", "properties": {"minimum": {"type": "string", "format": "uri"}}}},
    }
    made, kinds = _kinds(schema, _DIALECTS["anthropic:output"])
    assert made == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": "A number. (minimum: 1)"},
            "o": {"$ref": "#/$defs/O"},
            "list": {
                "type": "array",
                "items": {"type": "string"},
                "description": '(minItems: 2, default: ["a"])',
            },
        },
        "$defs": {
            "O": {
                "type": "object",
                "properties": {"minimum": {"type": "string", "format": "uri"}},
                "additionalProperties": False,
            }
        },
        "additionalProperties": False,
    }
    assert kinds == ["schema_limits_described"]


def test_ollama_gets_plain_types() -> None:
    """Its server takes neither definitions nor unions in a tool's arguments."""
    made, _ = _kinds(_Order.model_json_schema(), _DIALECTS["ollama:tool"])
    assert made["properties"]["note"]["type"] == ["string", "null"]
    assert made["properties"]["item"]["type"] == "object"


def test_cohere_gets_no_ranges_and_something_required() -> None:
    """Ranges are refused; every object must require something, which may then be null."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}
    made, kinds = _kinds(schema, _DIALECTS["cohere:output"])
    assert made == {
        "type": "object",
        "properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
        "required": ["n"],
    }
    assert kinds == ["schema_optional_nullable", "schema_keywords_dropped"]
    anchored = {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^a$"}},
        "required": ["a"],
    }
    assert _kinds(anchored, _DIALECTS["cohere:output"])[1] == ["schema_keywords_dropped"]


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


def test_true_among_all_of_adds_nothing() -> None:
    """A vendor without `allOf` gets the other parts, not a schema that accepts anything."""
    city = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    schema = {"type": "object", "properties": {"x": {"allOf": [city, True]}}, "required": ["x"]}
    made, _ = compile_schema(schema, _DIALECTS["google:tool"])
    assert made["properties"]["x"]["properties"].keys() == {"name"}


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


_OPTIONAL = {"type": "object", "properties": {"a": {"type": "string"}}}


@each(
    ("schema", "kind"),
    [
        ({"properties": {"a": {}}, "required": ["a"]}, "schema_untyped"),
        ({"properties": {"a": True}, "required": ["a"]}, "schema_untyped"),
        ({"properties": {"a": {"type": "array"}}, "required": ["a"]}, "schema_untyped"),
        ({"type": "array", "items": {"type": "string"}}, "schema_root_refused"),
        ({"type": ["object", "null"], "properties": {}}, "schema_root_refused"),
        ({"anyOf": [{"type": "object", "properties": {}}, {"type": "string"}]}, "schema_root_refused"),
        (_OPTIONAL, "schema_optional_nullable"),
        ({"properties": {"a": {"type": "object"}}, "required": ["a"]}, "schema_closed"),
        ({"type": "object", "patternProperties": {"^a": {}}}, "schema_closed"),
        (
            {"properties": {"a": {"type": "string", "minLength": 1}}, "required": ["a"]},
            "schema_keywords_dropped",
        ),
        (
            {"properties": {"a": {"type": "string", "pattern": "(?=a)"}}, "required": ["a"]},
            "schema_keywords_dropped",
        ),
        (
            {"properties": {"a": {"$ref": "https://example.org/a"}}, "required": ["a"]},
            "schema_keywords_dropped",
        ),
        (
            {"properties": {"a": {"allOf": [{"type": "integer"}, {"type": "string"}]}}, "required": ["a"]},
            "schema_parts_merged",
        ),
        (
            {"properties": {"a": {"anyOf": [_OPTIONAL, {**_OPTIONAL, "title": "B"}]}}, "required": ["a"]},
            "schema_variants_alike",
        ),
        (
            {
                "properties": {"a": {"type": "string", "enum": [f"v{n}" for n in range(1001)]}},
                "required": ["a"],
            },
            "schema_too_large",
        ),
    ],
)
def test_what_strict_mode_does_not_take_is_reported(schema: dict[str, Any], kind: str) -> None:
    """Each part outside OpenAI's subset is an alteration of its kind, so that nothing is strict by itself."""
    assert kind in _kinds(schema, _DIALECTS["openai:strict"])[1]


def test_equal_spellings_are_no_alterations() -> None:
    """Values by type, equal places of an array, what stands beside a reference, a type that goes without saying."""
    schema = {
        "properties": {
            "size": {"enum": ["all", 1, None]},
            "place": {
                "type": "array",
                "prefixItems": [{"type": "integer"}] * 2,
                "minItems": 2,
                "maxItems": 2,
            },
            "start": {"$ref": "#/$defs/P", "description": "where it begins"},
            "old": {"type": "string", "nullable": True},
        },
        "required": ["size", "place", "start", "old"],
        "$defs": {"P": {"properties": {"x": {"const": 1}}, "required": ["x"]}},
    }
    made, kinds = _kinds(schema, _DIALECTS["openai:strict"])
    assert kinds == []
    assert (made["type"], made["$defs"]["P"]["type"]) == ("object", "object")
    assert made["properties"]["start"] == {"description": "where it begins", "anyOf": [{"$ref": "#/$defs/P"}]}
    assert made["properties"]["place"]["items"] == {"type": "integer"}
    assert made["properties"]["old"] == {"type": ["string", "null"]}
    assert [part["type"] for part in made["properties"]["size"]["anyOf"]] == ["string", "integer", "null"]


def test_nullable_of_open_api_is_null_everywhere() -> None:
    """JSON Schema has no such word."""
    schema = {"type": "object", "properties": {"a": {"type": "string", "nullable": True}}, "required": ["a"]}
    for rules in _DIALECTS.values():
        made, _ = compile_schema(schema, rules)
        assert "null" in str(made["properties"]["a"])
        assert "nullable" not in str(made)


# -- schemas against their dialects, with values ---------------------------------------------------------

_plain = st.sampled_from(
    [
        ({"type": "string"}, "x"),
        ({"type": "integer", "minimum": 0}, 3),
        ({"type": "number"}, 1.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"enum": ["a", 1, None]}, 1),
        ({"const": "c"}, "c"),
        ({"type": ["string", "null"]}, None),
        ({"type": "string", "format": "date"}, "2026-01-02"),
        ({}, {"any": ["thing"]}),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2},
            ["a", 1],
        ),
        ({"$ref": "#/$defs/Leaf"}, "leaf"),
        ({"$ref": "#/$defs/Tree", "description": "d"}, {"name": "n", "kids": [{"name": "m", "kids": []}]}),
        ({"$ref": "#/$defs/Chain"}, {"next": {"next": {}}}),
    ]
)
_Pair: TypeAlias = tuple[dict[str, Any], Any]


def _object_of(parts: list[tuple[str, _Pair, bool]]) -> _Pair:
    fields = {name: pair for name, pair, _ in parts}
    required = [name for name, _, needed in {part[0]: part for part in parts}.values() if needed]
    value = {name: value for name, (_, value) in fields.items()}
    return {
        "type": "object",
        "properties": {n: s for n, (s, _) in fields.items()},
        "required": required,
    }, value


_pairs = st.recursive(
    _plain,
    lambda inner: st.one_of(
        st.lists(st.tuples(st.sampled_from(["a", "b", "$c"]), inner, st.booleans()), max_size=3).map(
            _object_of
        ),
        inner.map(lambda pair: ({"type": "array", "items": pair[0]}, [pair[1]])),
        st.tuples(inner, inner).map(lambda two: ({"anyOf": [two[0][0], two[1][0]]}, two[1][1])),
        st.tuples(inner, inner).map(lambda two: ({"oneOf": [two[0][0], {"const": "only"}]}, two[0][1])),
    ),
    max_leaves=6,
)
_DEFINITIONS = {
    "Leaf": {"type": "string"},
    "Tree": {
        "type": "object",
        "properties": {
            "name": {"$ref": "#/$defs/Leaf"},
            "kids": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        },
        "required": ["name", "kids"],
    },
    "Chain": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Chain"}}},
}


@given(_pairs, st.sampled_from(sorted(_DIALECTS)))
def test_values_of_a_schema_stay_possible(pair: _Pair, dialect: str) -> None:
    """Unless it is reported: whatever the caller's schema allows, the compiled one allows; it is a schema itself."""
    part, value = pair
    schema = {"type": "object", "properties": {"x": part}, "required": ["x"], "$defs": _DEFINITIONS}
    assume(Draft202012Validator(schema).is_valid({"x": value}))
    rules = _DIALECTS[dialect]
    made, kinds = _kinds(schema, rules)
    Draft202012Validator.check_schema(made)
    if INEXPRESSIBLE.isdisjoint(kinds) and "schema_optional_nullable" not in kinds:
        assert Draft202012Validator(made).is_valid({"x": value})
    if rules.keywords is not None:
        assert set(_keywords(made)) <= rules.keywords
    if not rules.ref_siblings:
        assert all(node.keys() == {"$ref"} for node in _nodes(made) if "$ref" in node)
    if rules.typed and "schema_untyped" not in kinds:
        assert all(not {"type", "anyOf", "$ref"}.isdisjoint(node) for node in _nodes(made))
    if rules.additional_properties == "force_false":
        objects = [node for node in _nodes(made) if node.get("type") in ("object", ["object", "null"])]
        assert all(node["additionalProperties"] is False for node in objects)
    if rules.require_all:
        assert all(
            list(node["properties"]) == node["required"] for node in _nodes(made) if "properties" in node
        )


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for _, part in parts(node):
            yield from _nodes(part)


def _keywords(schema: dict[str, Any]) -> Iterator[str]:
    for node in _nodes(schema):
        yield from node


class _Range(BaseModel):
    least: float = float("-inf")
    most: float = Field(1.0, le=float("inf"))
    parts: list[float] = [1.5, float("nan")]


@each("dialect", _DIALECTS)
def test_numbers_that_json_does_not_have(dialect: str) -> None:
    """Defaults and limits without a form in JSON are left out, and the rest is sent."""
    made, _ = _kinds(_Range.model_json_schema(), _DIALECTS[dialect])
    assert set(made["properties"]) == {"least", "most", "parts"}
    json.dumps(made, allow_nan=False)
