"""Names of properties that a vendor accepts: in a tool's schema, and turned back in the calls of the tool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_llmdispatch.vendors.compile.references import LISTS, MAPS, ONES, Schema, parts
from langchain_llmdispatch.vendors.compile.tool_names import compile_names
from langchain_llmdispatch.vendors.rules import ToolNameRules

_LISTS_OF_NAMES = frozenset({"required", "propertyOrdering"})


def legal_keys(schema: Mapping[str, Any], rules: ToolNameRules) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return `schema` with legal names of properties, and the new names -> the caller's.

    Args:
        schema: Any JSON Schema; not mutated.
        rules: What the vendor takes.
    """
    names = compile_names(dict.fromkeys(_keys(schema)), rules)
    if not names:
        return schema, {}
    return _renamed(schema, names), {theirs: ours for ours, theirs in names.items()}


def callers_keys(value: Any, names: Mapping[str, str]) -> Any:
    """Return a JSON value with the caller's names of properties, at every depth.

    Args:
        value: A call's arguments; not mutated.
        names: The vendor's names -> the caller's.
    """
    if isinstance(value, list):
        return [callers_keys(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    return {names.get(key, key): callers_keys(part, names) for key, part in value.items()}


def _keys(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        yield from node.get("properties") or ()
        for _, part in parts(node):
            yield from _keys(part)


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(node, Mapping):
        return node
    made: Schema = {}
    for key, value in node.items():
        if key in _LISTS_OF_NAMES and isinstance(value, list):
            made[key] = [names.get(name, name) for name in value]
        elif key == "dependentRequired" and isinstance(value, Mapping):
            made[key] = {names.get(name, name): [names.get(n, n) for n in of] for name, of in value.items()}
        elif key in MAPS and isinstance(value, Mapping):
            of = names if key in {"properties", "dependentSchemas"} else {}
            made[key] = {of.get(name, name): _renamed(part, names) for name, part in value.items()}
        elif key in LISTS and isinstance(value, list):
            made[key] = [_renamed(part, names) for part in value]
        else:
            made[key] = _renamed(value, names) if key in ONES else value
    return made
