"""The shape of JSON schemas that come from elsewhere: tools of MCP servers, generators, other languages.

Vendors refuse a schema whose keywords have values of another kind. What is certainly meant is put right: null
for an absent keyword (Go), an empty list for an empty object (PHP), draft 4's boolean limits, `required` in a
property, and lists under `items`. Anything else is an error that names the place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_llmdispatch.vendors.compile.references import LISTS, MAPS, ONES, Schema

_NUMBERS = frozenset(
    {
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
        "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains",
    }
)  # fmt: skip
_TEXTS = frozenset({"$ref", "$schema", "$id", "title", "description", "format", "pattern"})
_NAMES = frozenset({"required"})
_KEYWORDS = MAPS | LISTS | ONES | _NUMBERS | _TEXTS | _NAMES | {"type", "enum"}
_LIMITS = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))


def well_formed(schema: Any, place: str) -> Any:
    """Return a schema whose keywords have values of their kind; the very same one if it is so already.

    Args:
        schema: A schema of the caller's, which stays as it is.
        place: Where it stands, for the message of the error.

    Raises:
        ValueError: A keyword has a value of another kind; the message names its place.
    """
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, Mapping):
        if schema == []:
            return {}
        raise _wrong(place, schema, "a schema: an object, true or false")
    made: Schema = {}
    for key, value in schema.items():
        made[key] = _value(key, value, f"{place}.{key}") if key in _KEYWORDS else value
        if made[key] is _ABSENT:
            del made[key]
    made = _modern(made)
    alike = made.keys() == schema.keys() and all(made[key] is schema[key] for key in made)
    return schema if alike else made


_ABSENT = object()


def _value(key: str, value: Any, place: str) -> Any:
    if value is None:
        return _ABSENT
    if key in MAPS:
        return _map(value, place)
    if key in LISTS:
        return _list(value, place, well_formed, "a list of schemas")
    if key in ONES:
        tuple_of_items = key == "items" and isinstance(value, list)
        return _list(value, place, well_formed, "") if tuple_of_items else well_formed(value, place)
    if key == "required":
        return _ABSENT if isinstance(value, bool) else _list(value, place, _text, "a list of names")
    if key == "type" and not isinstance(value, str):
        return _list(value, place, _text, "the name of a type, or a list of them")
    if key == "enum":
        return _list(value, place, lambda each, _: each, "a list of values")
    return _text(value, place) if key in _TEXTS or key == "type" else _number(key, value, place)


def _map(value: Any, place: str) -> Any:
    if value == []:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(place, value, "an object with a schema for each name")
    made = {name: well_formed(part, f"{place}.{name}") for name, part in value.items()}
    return value if all(made[name] is part for name, part in value.items()) else made


def _list(value: Any, place: str, check: Callable[[Any, str], Any], kind: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(place, value, kind)
    made = [check(part, f"{place}[{number}]") for number, part in enumerate(value)]
    same = isinstance(value, list) and all(new is old for new, old in zip(made, value, strict=True))
    return value if same else made


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _wrong(place, value, "a text")
    return value


def _number(key: str, value: Any, place: str) -> Any:
    if isinstance(value, bool) and key.startswith("exclusive"):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(place, value, "a number")
    return value


def _modern(node: Schema) -> Schema:
    """Return a node with the words of today's drafts for those of older ones."""
    for limit, exclusive in _LIMITS:
        if isinstance(strict := node.get(exclusive), bool):
            node = {key: value for key, value in node.items() if key != exclusive}
            if strict and limit in node:
                node[exclusive] = node.pop(limit)
    if isinstance(places := node.get("items"), list):
        rest = {"items": more} if (more := node.get("additionalItems")) is not None else {}
        node = {key: value for key, value in node.items() if key not in {"items", "additionalItems"}}
        node |= {"prefixItems": places, **rest} if places else rest
    return node


def _wrong(place: str, value: Any, kind: str) -> ValueError:
    return ValueError(f"{place} is {value!r:.80} and not {kind}")
