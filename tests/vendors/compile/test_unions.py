"""Unions, null and values of several types."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch.vendors.compile.unions import (
    are_alike,
    is_null,
    nullable,
    without_mixed_enum,
    without_nullable_union,
    without_places,
)
from tests.cases import each

_NULL = {"type": "null"}


@each(
    ("part", "made"),
    [
        ({"type": "string"}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        (_NULL, _NULL),
        ({}, {}),
        (True, True),
        ({"title": "Any"}, {"title": "Any"}),
        ({"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}, _NULL]}),
        ({"anyOf": [{"type": "string"}, _NULL]}, {"anyOf": [{"type": "string"}, _NULL]}),
        ({"enum": ["a"], "title": "T"}, {"title": "T", "anyOf": [{"enum": ["a"]}, _NULL]}),
        (
            {"type": ["string", "null"], "enum": ["a"]},
            {"anyOf": [{"type": ["string", "null"], "enum": ["a"]}, _NULL]},
        ),
        (
            {"$ref": "#/$defs/A", "description": "d"},
            {"description": "d", "anyOf": [{"$ref": "#/$defs/A"}, _NULL]},
        ),
    ],
)
def test_anything_can_be_null(part: Any, made: Any) -> None:
    """Without a change to what else it may be."""
    assert nullable(part) == made


def test_null_as_a_list_of_types() -> None:
    """And back as a union."""
    assert nullable({"type": "string"}, union=True) == {"anyOf": [{"type": "string"}, _NULL]}
    union = {"anyOf": [{"type": "string", "format": "date"}, _NULL], "title": "T"}
    assert without_nullable_union(union) == {"type": ["string", "null"], "format": "date", "title": "T"}
    for other in ({"anyOf": [{"$ref": "#"}, _NULL]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}):
        assert without_nullable_union(other) == other
    assert is_null(_NULL)
    assert not is_null({"type": ["null", "string"]})


_PLAIN = frozenset({"string", "integer", "number", "boolean", "null"})
_TEXTS = frozenset({"string", "integer", "number"})


@each(
    ("values", "kinds", "made", "refused"),
    [
        (["a", "b"], _PLAIN, {"type": "string", "enum": ["a", "b"]}, False),
        (
            ["a", 1],
            _PLAIN,
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}]},
            False,
        ),
        (["a", None], _TEXTS, {"anyOf": [{"type": "string", "enum": ["a"]}, _NULL]}, False),
        ([True, False], _TEXTS, {"type": "boolean"}, False),
        ([True], _TEXTS, {"type": "boolean"}, True),
        ([True], _PLAIN, {"type": "boolean", "enum": [True]}, False),
        ([{"a": 1}], _PLAIN, {"type": "object"}, True),
    ],
)
def test_enumerated_values_by_type(
    values: list[Any], kinds: frozenset[str], made: Any, refused: bool
) -> None:
    """Each type apart; values of a type that may not be enumerated are any of it, which is reported."""
    calls: list[int] = []
    assert without_mixed_enum({"enum": values, "title": "T"}, kinds, lambda: calls.append(1)) == {
        **made,
        "title": "T",
    }
    assert bool(calls) is refused


@each(
    ("node", "made", "widened"),
    [
        (
            {"type": "array", "prefixItems": [{"type": "integer"}] * 2, "minItems": 2, "maxItems": 2},
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
            False,
        ),
        (
            {
                "type": "array",
                "prefixItems": [{"type": "integer"}, {"type": "string"}],
                "minItems": 2,
                "items": False,
            },
            {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "minItems": 2,
                "maxItems": 2,
            },
            True,
        ),
        ({"type": "array", "prefixItems": [{"type": "integer"}]}, {"type": "array", "items": {}}, True),
    ],
)
def test_places_of_an_array(node: Any, made: Any, widened: bool) -> None:
    """Equal places are plain items; different ones may then hold each other's values, which is reported."""
    calls: list[int] = []
    assert without_places(node, lambda: calls.append(1)) == made
    assert bool(calls) is widened


def test_variants_that_begin_alike() -> None:
    """Unless they differ in the values of the first property."""
    one = {"properties": {"kind": {"const": "a"}, "x": {}}}
    other = {"properties": {"kind": {"enum": ["b"]}}}
    lookup = {"#/o": other}.get
    assert not are_alike([one, {"$ref": "#/o"}, {"type": "null"}], lookup)
    assert are_alike([one, other, {"properties": {"kind": {"const": "b"}}}], lookup)
    assert are_alike([one, {"properties": {"kind": {"type": "string"}}}], lookup)
    assert not are_alike(None, lookup)
