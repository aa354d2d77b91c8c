"""References within a JSON schema: what they lead to, and definitions in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

from langchain_llmdispatch.internal import forks

Schema: TypeAlias = dict[str, Any]

DEFINITIONS = ("$defs", "definitions")
MAPS = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
"""Keywords with a schema for each name."""
LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
"""Keywords with a list of schemas."""
ONES = frozenset(
    {"items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else"},
)
"""Keywords with one schema."""
CONTAINERS = MAPS | LISTS | ONES
_MOST_INLINED = 500
"""References that are replaced; further ones stay, or a small schema could become a huge one."""


def parts(node: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each schema right below `node`, with the keyword that it stands under."""
    for key in node.keys() & CONTAINERS:
        value = node[key]
        if key in MAPS and isinstance(value, Mapping):
            yield from ((key, part) for part in value.values())
        elif key in LISTS and isinstance(value, list):
            yield from ((key, part) for part in value)
        else:
            yield key, value


class References:
    """The references of one schema.

    Args:
        root: The whole schema; not mutated.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root

    def target(self, reference: Any) -> Mapping[str, Any] | None:
        """Return the schema that a reference within the root leads to; None if there is none."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        place: Any = self.root
        for escaped in reference[1:].split("/")[1:]:
            step = escaped.replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
                place = place[int(step)]
            elif isinstance(place, Mapping):
                place = place.get(step)
            else:
                return None
        if isinstance(place, bool):
            return {} if place else {"not": {}}
        return place if isinstance(place, Mapping) else None

    @cached_property
    def recursive(self) -> frozenset[str]:
        """The references whose targets lead back to themselves."""
        found = {ref: self._within(target) for ref in self.all if (target := self.target(ref)) is not None}
        return frozenset(ref for ref in found if ref in _reached(ref, found))

    @cached_property
    def all(self) -> frozenset[str]:
        """Every reference in the schema."""
        return self._within(self.root, definitions=True)

    @property
    def endless(self) -> bool:
        """Whether a reference leads back to itself through nothing that may be absent."""
        return any(reference in self.forced(self.target(reference)) for reference in self.recursive)

    def forced(self, node: Any) -> frozenset[str]:
        """Return the references that are met within `node` without a property that may be absent."""
        found: set[str] = set()
        todo: list[Any] = [node]
        while todo:
            part = todo.pop()
            if not isinstance(part, Mapping):
                continue
            reference = part.get("$ref")
            if isinstance(reference, str) and reference not in found:
                found.add(reference)
                todo.append(self.target(reference))
            absent = (part.get("properties") or {}).keys() - (part.get("required") or ())
            optional = [id(part["properties"][name]) for name in absent]
            todo += [
                below for key, below in parts(part) if key not in DEFINITIONS and id(below) not in optional
            ]
        return frozenset(found)

    def _within(self, node: Mapping[str, Any], *, definitions: bool = False) -> frozenset[str]:
        found: set[str] = set()
        todo: list[Any] = [node]
        while todo:
            part = todo.pop()
            if isinstance(part, Mapping):
                if isinstance(part.get("$ref"), str):
                    found.add(part["$ref"])
                # What is only defined here is no part of the value.
                todo += [below for key, below in parts(part) if definitions or key not in DEFINITIONS]
        return frozenset(found)


forks.renew_properties(References)


def _reached(start: str, edges: Mapping[str, frozenset[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [*edges.get(start, ())]
    while todo:
        reference = todo.pop()
        if reference not in seen:
            seen.add(reference)
            todo += edges.get(reference, ())
    return seen


def inlined(schema: Mapping[str, Any]) -> Schema:
    """Return `schema` with definitions in place of references; only recursive ones stay defined, in `$defs`.

    Args:
        schema: Any JSON schema; not mutated. A reference that leads nowhere stays.
    """
    return _Inliner(References(schema)).made()


class _Inliner:
    def __init__(self, references: References) -> None:
        self._references = references
        self._names: dict[str, str] = {}
        self._made: dict[str, Any] = {}
        self._left = _MOST_INLINED

    def made(self) -> Schema:
        """Return the schema with the definitions that it still needs; its root is no reference."""
        root = self._references.root
        if (target := self._references.target(root.get("$ref"))) is not None:
            root = {**target, **{key: value for key, value in root.items() if key != "$ref"}}
        root = self._node(root)
        return {**root, "$defs": self._made} if self._made else root

    def _node(self, node: Any) -> Any:
        if not isinstance(node, Mapping):
            return node
        reference = node.get("$ref")
        target = self._references.target(reference) if reference else None
        rest = {key: value for key, value in node.items() if key != "$ref"}
        if target is None:
            return self._below(node)
        if reference in self._references.recursive or self._left <= 0:
            return {"$ref": self._defined(str(reference), target), **self._below(rest)}
        self._left -= 1
        return self._node({**target, **rest})

    def _below(self, node: Mapping[str, Any]) -> Schema:
        made: Schema = {}
        for key, value in node.items():
            if key in DEFINITIONS:
                continue
            if key in MAPS and isinstance(value, Mapping):
                made[key] = {name: self._node(part) for name, part in value.items()}
            elif key in LISTS and isinstance(value, list):
                made[key] = [self._node(part) for part in value]
            else:
                made[key] = self._node(value) if key in ONES else value
        return made

    def _defined(self, reference: str, target: Mapping[str, Any]) -> str:
        name = self._names.get(reference)
        if name is None:
            wish = reference.rpartition("/")[2].strip("#") or str(target.get("title") or "root")
            name = self._names[reference] = _free(wish, self._made)
            self._made[name] = {}  # taken, while what it holds is made
            self._made[name] = self._node(target) if "$ref" in target else self._below(target)
        return f"#/$defs/{name}"


def _free(wish: str, taken: Mapping[str, Any]) -> str:
    names = [wish, *(f"{wish}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def in_lower_case(node: Any) -> Any:
    """Return a schema of Gemini's older kind with the types that JSON Schema has (`STRING` is `string`)."""
    if isinstance(node, list):
        return [in_lower_case(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    made = {key: in_lower_case(value) for key, value in node.items()}
    kind = made.get("type")
    return {**made, "type": kind.lower()} if isinstance(kind, str) and kind.isupper() else made
