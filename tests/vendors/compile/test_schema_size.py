"""Sizes of schemas."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch.vendors.compile.schema_size import exceeds
from langchain_llmdispatch.vendors.rules import SchemaLimits
from tests.cases import each


def _nested(levels: int) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        node = {"type": "object", "properties": {"a": node}, "required": ["a"]}
    return node


_TREE = {
    "type": "object",
    "properties": {"next": {"$ref": "#"}, "kind": {"enum": ["a", "b"]}},
    "required": ["kind"],
}


@each(
    ("schema", "fits", "does_not"),
    [
        (_nested(3), SchemaLimits(depth=3), SchemaLimits(depth=2)),
        (_nested(3), SchemaLimits(properties=3), SchemaLimits(properties=2)),
        (_TREE, SchemaLimits(depth=1), SchemaLimits(depth=0)),
        (_TREE, SchemaLimits(enum_values=2), SchemaLimits(enum_values=1)),
        (_TREE, SchemaLimits(text=10), SchemaLimits(text=9)),
        (_TREE, SchemaLimits(optional=1), SchemaLimits(optional=0)),
        (_TREE, SchemaLimits(long_enum=2, long_enum_text=1), SchemaLimits(long_enum=1, long_enum_text=1)),
        ({"anyOf": [{"type": ["string", "null"]}]}, SchemaLimits(unions=2), SchemaLimits(unions=1)),
        (
            {"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}},
            SchemaLimits(depth=2),
            SchemaLimits(depth=1),
        ),
    ],
)
def test_a_schema_fits_or_does_not(
    schema: dict[str, Any], fits: SchemaLimits, does_not: SchemaLimits
) -> None:
    """Each limit holds exactly; recursion counts once."""
    assert not exceeds(schema, SchemaLimits())
    assert not exceeds(schema, fits)
    assert exceeds(schema, does_not)
