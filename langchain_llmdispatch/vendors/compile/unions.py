"""Spellings of "this or null" and of values of several types in JSON Schema."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from langchain_llmdispatch.vendors.compile.references import Schema

_NULL: Schema = {"type": "null"}
_ABOUT = ("title", "description")


def is_null(part: Any) -> bool:
    """Whether a part allows null and nothing else."""
    return isinstance(part, Mapping) and part.get("type") == "null"


def nullable(part: Any, *, union: bool = False) -> Any:
    """Return `part`, or null; with `union` never as a list of types."""
    if not isinstance(part, Mapping) or not part.keys() - set(_ABOUT):
        return part  # anything, null too
    kind, variants = part.get("type"), part.get("anyOf")
    if isinstance(variants, list):
        return part if any(map(is_null, variants)) else {**part, "anyOf": [*variants, _NULL]}
    if kind == "null" or (isinstance(kind, list) and "null" in kind and "enum" not in part):
        return part
    if (
        not union
        and isinstance(kind, str)
        and part.keys().isdisjoint({"enum", "const", "$ref", "oneOf", "allOf"})
    ):
        return {**part, "type": [kind, "null"]}
    about = {key: part[key] for key in _ABOUT if key in part}
    return {**about, "anyOf": [{key: value for key, value in part.items() if key not in about}, _NULL]}


def without_nullable_union(node: Schema) -> Schema:
    """Spell `anyOf: [X, null]` as `type: [X, null]` where X has one type."""
    others = [part for part in node["anyOf"] if not is_null(part)]
    single = len(others) == 1 and len(node["anyOf"]) > 1
    if not single or not isinstance(others[0], Mapping) or not isinstance(others[0].get("type"), str):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**others[0], **rest, "type": [others[0]["type"], "null"]}


def kind_of(value: Any) -> str:
    """Return JSON Schema's word for the type of a JSON value."""
    for word, types in _KINDS.items():
        if isinstance(value, types):
            return word
    return "null" if value is None else "object"


_KINDS: Mapping[str, type] = {
    "boolean": bool,  # before the integers, which Python's booleans are
    "integer": int,
    "number": float,
    "string": str,
    "array": list,
}


def without_mixed_enum(node: Schema, kinds: Collection[str], refuse: Callable[[], None]) -> Schema:
    """Return a node whose enumerated values are of one stated type; several types become a union.

    Args:
        node: A node with an `enum`.
        kinds: The types whose values may be enumerated; others may then have any value.
        refuse: Called where values of other types were enumerated.
    """
    by_kind: dict[str, list[Any]] = {}
    for value in node["enum"]:
        by_kind.setdefault(kind_of(value), []).append(value)
    parts = []
    for kind, values in by_kind.items():
        part: Schema = {"type": kind}
        if kind in kinds:
            part["enum"] = values
        elif kind != "null" and not (kind == "boolean" and {*values} == {True, False}):
            refuse()
        parts.append(part)
    rest = {key: value for key, value in node.items() if key not in {"enum", "type"}}
    if len(parts) == 1:
        return {**parts[0], **rest}
    if "anyOf" in rest:
        refuse()
        return rest
    return {**rest, "anyOf": parts}


def without_places(node: Schema, widen: Callable[[], None]) -> Schema:
    """Return an array whose items may each be what `prefixItems` allows at any place.

    Args:
        node: A node with `prefixItems`.
        widen: Called where the places differ, so that more is allowed than before.
    """
    places, others = node["prefixItems"], node.get("items", True)
    most = node.get("maxItems")
    open_ended = others is not False and (most is None or most > len(places))
    parts = [*places, others] if open_ended else places
    distinct = [part for number, part in enumerate(parts) if part not in parts[:number]]
    rest = {key: value for key, value in node.items() if key not in {"prefixItems", "items"}}
    if len(distinct) > 1:
        widen()
    if not open_ended:
        rest["maxItems"] = min(len(places), most) if most is not None else len(places)
    if True in distinct or not distinct:
        return {**rest, "items": {}}
    return {**rest, "items": {"anyOf": distinct} if len(distinct) > 1 else distinct[0]}


def are_alike(variants: Any, target: Callable[[Any], Mapping[str, Any] | None]) -> bool:
    """Return whether two object variants of a union begin with the same property, of values that overlap.

    Args:
        variants: The value of `anyOf`.
        target: Returns what a reference leads to.
    """
    firsts: dict[str, list[Any]] = {}
    for variant in variants if isinstance(variants, list) else ():
        node = (target(variant.get("$ref")) or variant) if isinstance(variant, Mapping) else {}
        name, part = next(iter((node.get("properties") or {}).items()), ("", None))
        values = _values(part)
        if name in firsts and (values is None or any(value in firsts[name] for value in values)):
            return True
        if name:
            firsts.setdefault(name, []).extend(values if values is not None else ())
    return False


def _values(part: Any) -> list[Any] | None:
    if not isinstance(part, Mapping):
        return None
    return [part["const"]] if "const" in part else part.get("enum")
