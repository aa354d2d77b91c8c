"""Nulls that strict schemas make models write for properties that may be absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.vendors.compile.references import References, Schema

_MOST_STEPS = 16
"""References that lead to references end here."""


def without_forced_nulls(value: Any, schema: Schema) -> Any:
    """Return `value` without the properties that are null, but by `schema` can only be absent.

    Args:
        value: A JSON value; not mutated.
        schema: The caller's schema.
    """
    return _NullFilter(schema).kept(value, schema)


class _NullFilter:
    def __init__(self, root: Schema) -> None:
        self._references = References(root)

    def kept(self, value: Any, schema: Any) -> Any:
        """Return a part of the value without such nulls."""
        if isinstance(value, list):
            items = self._applied(schema, value).get("items")
            return [self.kept(item, items) for item in value]
        if not isinstance(value, dict):
            return value
        node = self._applied(schema, value)
        properties, required = node.get("properties") or {}, node.get("required") or ()
        return {
            key: self.kept(part, properties.get(key))
            for key, part in value.items()
            if part is not None or key in required or self._takes_null(properties.get(key, True))
        }

    def _applied(self, schema: Any, value: Any) -> Mapping[str, Any]:
        """Return the schema of `value`: behind a reference, or the one variant of its kind and keys."""
        for _ in range(_MOST_STEPS):
            if not isinstance(schema, Mapping):
                break
            if "$ref" in schema:
                schema = self._references.target(schema["$ref"])
            elif variants := schema.get("anyOf") or schema.get("oneOf"):
                fitting = [variant for variant in variants if self._may_hold(variant, value)]
                schema = fitting[0] if len(fitting) == 1 else None
            else:
                return schema
        return {}

    def _may_hold(self, variant: Any, value: Any) -> bool:
        node = self._applied(variant, value)
        if isinstance(value, list):
            return node.get("type") == "array"
        return isinstance(properties := node.get("properties"), Mapping) and value.keys() <= properties.keys()

    def _takes_null(self, schema: Any, steps: int = _MOST_STEPS) -> bool:
        if not isinstance(schema, Mapping) or not steps:
            return schema is not False
        if "$ref" in schema:
            return self._takes_null(self._references.target(schema["$ref"]), steps - 1)
        variants = schema.get("anyOf") or schema.get("oneOf")
        kind = schema.get("type", "null")
        return schema.get("nullable") is True or (
            (kind == "null" or "null" in kind)
            and None in schema.get("enum", (None,))
            and schema.get("const") is None
            and (not variants or any(self._takes_null(variant, steps - 1) for variant in variants))
            and all(self._takes_null(part, steps - 1) for part in schema.get("allOf", ()))
        )
