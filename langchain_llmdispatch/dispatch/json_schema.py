"""Whether a JSON value has the shape that a JSON schema asks for.

It knows the keywords that structured answers and tools are described with; others hold for anything. A table
of small rules, one per keyword.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any] | bool
_Check: TypeAlias = Callable[[Any, Schema], bool]

# References that lead from one to the next without an end.
_DEEPEST = 100


def fits(value: Any, schema: Schema) -> bool:
    """Return whether `value` has the shape of `schema`.

    Args:
        value: Parsed JSON.
        schema: A JSON schema; local references (`#/$defs/...`) are followed.
    """
    return _Shape(schema).fits(value, schema)


class _Shape:
    """A schema whose references can be followed."""

    def __init__(self, root: Schema) -> None:
        self._root, self._depth = root, 0

    def fits(self, value: Any, schema: Schema) -> bool:
        """Return whether `value` has the shape of a part of the schema."""
        if isinstance(schema, bool):
            return schema
        if self._depth > _DEEPEST:
            return False
        self._depth += 1
        try:
            if (reference := schema.get("$ref")) is not None and not self._refers(value, reference):
                return False
            if value is None and schema.get("nullable") is True:
                return True
            return all(_RULES[word](value, schema, self.fits) for word in schema if word in _RULES)
        finally:
            self._depth -= 1

    def _refers(self, value: Any, reference: str) -> bool:
        part: Any = self._root
        for name in reference.removeprefix("#").split("/")[1:]:
            part = part.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(part, Mapping) else None
        return part is None or self.fits(value, part)  # an unknown place asks for nothing


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: _is_number(v) and float(v).is_integer(),
    "number": _is_number,
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def _type(value: Any, schema: Mapping[str, Any], check: _Check) -> bool:  # noqa: ARG001 - a rule
    names = schema["type"]
    names = [names] if isinstance(names, str) else names
    # Gemini writes types in capitals.
    return any(_TYPES.get(name.lower(), lambda _: True)(value) for name in names)


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _properties(value: Any, schema: Mapping[str, Any], check: _Check) -> bool:
    parts = schema["properties"]
    held = parts.keys() & value.keys() if isinstance(value, dict) else ()
    return all(check(value[name], parts[name]) for name in held)


def _additional(value: Any, schema: Mapping[str, Any], check: _Check) -> bool:
    if not isinstance(value, dict):
        return True
    known, patterns = schema.get("properties", ()), schema.get("patternProperties", ())
    others = (k for k in value if k not in known and not any(_matches(k, p) for p in patterns))
    return all(check(value[k], schema["additionalProperties"]) for k in others)


def _matches(text: str, pattern: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # another dialect's
        return True


def _items(value: Any, schema: Mapping[str, Any], check: _Check) -> bool:
    first = len(schema.get("prefixItems", ()))
    return not isinstance(value, list) or all(check(item, schema["items"]) for item in value[first:])


def _prefix(value: Any, schema: Mapping[str, Any], check: _Check) -> bool:
    pairs = zip(value, schema["prefixItems"], strict=False) if isinstance(value, list) else ()
    return all(check(item, part) for item, part in pairs)


_Rule: TypeAlias = Callable[[Any, Mapping[str, Any], _Check], bool]


def _of(kind: Callable[[Any], bool], word: str, holds: Callable[[Any, Any], bool]) -> _Rule:
    """Return the rule for a keyword that says something about one kind of value only."""
    return lambda value, schema, _: not kind(value) or holds(value, schema[word])


def _sized(kind: type | tuple[type, ...], word: str, *, least: bool) -> _Rule:
    def holds(value: Sequence[Any], size: int) -> bool:
        return len(value) >= size if least else len(value) <= size

    return _of(lambda v: isinstance(v, kind), word, holds)


_RULES: Mapping[str, _Rule] = {
    "type": _type,
    "enum": lambda v, s, _: any(_same(v, item) for item in s["enum"]),
    "const": lambda v, s, _: _same(v, s["const"]),
    "allOf": lambda v, s, check: all(check(v, part) for part in s["allOf"]),
    "anyOf": lambda v, s, check: any(check(v, part) for part in s["anyOf"]),
    "oneOf": lambda v, s, check: sum(check(v, part) for part in s["oneOf"]) == 1,
    "not": lambda v, s, check: not check(v, s["not"]),
    "required": lambda v, s, _: not isinstance(v, dict) or all(name in v for name in s["required"]),
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix,
    "pattern": _of(lambda v: isinstance(v, str), "pattern", _matches),
    "minimum": _of(_is_number, "minimum", lambda v, least: v >= least),
    "maximum": _of(_is_number, "maximum", lambda v, most: v <= most),
    "exclusiveMinimum": _of(_is_number, "exclusiveMinimum", lambda v, least: v > least),
    "exclusiveMaximum": _of(_is_number, "exclusiveMaximum", lambda v, most: v < most),
    "minLength": _sized(str, "minLength", least=True),
    "maxLength": _sized(str, "maxLength", least=False),
    "minItems": _sized(list, "minItems", least=True),
    "maxItems": _sized(list, "maxItems", least=False),
    "minProperties": _sized(dict, "minProperties", least=True),
    "maxProperties": _sized(dict, "maxProperties", least=False),
}
