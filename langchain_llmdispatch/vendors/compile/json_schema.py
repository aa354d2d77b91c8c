"""JSON Schema in a vendor's dialect: what its `SchemaRules` refuse is rewritten or left out.

Nothing is mutated; each alteration is reported once by kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_llmdispatch.types import Change
from langchain_llmdispatch.vendors.rules import SchemaRules

Schema: TypeAlias = dict[str, Any]


def compile_schema(schema: Mapping[str, Any], rules: SchemaRules) -> tuple[Schema, list[Change]]:
    """Return `schema` as the rules allow it, and what was altered.

    Args:
        schema: Any JSON Schema; not mutated.
        rules: What the vendor takes.
    """
    compiler = _SchemaCompiler(rules, {**schema.get("definitions", {}), **schema.get("$defs", {})})
    made = compiler.node(dict(schema), (), 0)
    if not rules.root_unions:
        made = compiler.merged_root(made)
    return made, [Change(kind, _DETAILS[kind], kind in _LOSSY) for kind in compiler.kinds]


_DETAILS = {
    "schema_keywords_dropped": "keywords of a schema that the target refuses were left out",
    "schema_recursion_cut": "a recursive definition became any object",
    "schema_depth_cut": "a deeply nested part became any object",
    "schema_root_merged": "the variants of a root union became one object",
    "schema_optional_nullable": "optional properties became required and nullable",
    "schema_closed": "objects take no further properties",
}
_LOSSY = frozenset(_DETAILS) - {"schema_optional_nullable"}
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_DEFINITIONS = ("$defs", "definitions")
_NULL: Schema = {"type": "null"}


@dataclass(slots=True)
class _SchemaCompiler:
    """Rewrites one schema, node by node.

    Attributes:
        rules: What the vendor takes.
        definitions: The schema's own definitions, by name.
        kinds: Kinds of changes so far, in order (the values mean nothing).
    """

    rules: SchemaRules
    definitions: Mapping[str, Any]
    kinds: dict[str, None] = field(default_factory=dict)

    def node(self, node: Any, path: tuple[str, ...], depth: int) -> Any:
        """Return one node and all below it, rewritten; `path` holds the references that led here."""
        if not isinstance(node, Mapping):
            return node
        made = self.merge_all_of(dict(node))
        if "$ref" in made and self.rules.refs == "inline":
            name = _referenced(made)
            target = self.definitions.get(name)
            if name in path or not isinstance(target, Mapping):
                self.kinds["schema_recursion_cut"] = None
                return {**_described(made), "type": "object"}
            made = {**target, **{key: value for key, value in made.items() if key != "$ref"}}
            path = (*path, name)
            if "$ref" in made or "allOf" in made:
                return self.node(made, path, depth)
        for rewrite in _REWRITES:
            made = rewrite(self, made)
        return self._children(made, path, depth)

    def _children(self, node: Schema, path: tuple[str, ...], depth: int) -> Schema:
        depth += "properties" in node
        if self.rules.max_depth is not None and depth > self.rules.max_depth:
            self.kinds["schema_depth_cut"] = None
            return {**_described(node), "type": "object", "additionalProperties": False, "properties": {}}
        if self.rules.refs == "inline":
            node = {key: value for key, value in node.items() if key not in _DEFINITIONS}
        for key in node.keys() & _CONTAINERS:
            node[key] = self._below(key, node[key], path, depth)
        return self._closed(self._narrowed(node))

    def _below(self, key: str, value: Any, path: tuple[str, ...], depth: int) -> Any:
        if key in _MAPS and isinstance(value, Mapping):
            return {name: self.node(part, path, depth) for name, part in value.items()}
        if key in _LISTS and isinstance(value, list):
            return [self.node(part, path, depth) for part in value]
        return self.node(value, path, depth)

    # -- rewrites of one node, before what is below it ---------------------------------------------

    def merge_all_of(self, node: Schema) -> Schema:
        """Merge the parts of `allOf` where they are one (pydantic) or the vendor has no `allOf`."""
        for _ in range(_MOST_MERGES):
            parts = node.get("allOf")
            if not isinstance(parts, list) or (self.rules.all_of and len(parts) != 1):
                return node
            if any(not isinstance(part, Mapping) for part in parts):
                return node
            made: Schema = {}
            for part in parts:
                _merge_into(made, self._resolved(part) if len(parts) > 1 else part)
            node = _merge_into(made, {key: value for key, value in node.items() if key != "allOf"})
        self.kinds["schema_recursion_cut"] = None
        return {key: value for key, value in node.items() if key != "allOf"}

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        found = self.definitions.get(_referenced(part))
        return found if isinstance(found, Mapping) else part

    def spell_unions(self, node: Schema) -> Schema:
        """Spell `oneOf` and "X or null" as the vendor does."""
        if "oneOf" in node and not self.rules.one_of:
            parts = [*node.get("anyOf", []), *node["oneOf"]]
            node = {key: value for key, value in node.items() if key not in {"oneOf", "discriminator"}}
            node["anyOf"] = parts
        if self.rules.nullable == "list" and isinstance(node.get("anyOf"), list):
            node = _listed(node)
        return node

    def spell_const(self, node: Schema) -> Schema:
        """Make `const` an `enum` of one."""
        if self.rules.const or "const" not in node:
            return node
        value = node["const"]
        made = {key: kept for key, kept in node.items() if key != "const"}
        kind = _TYPES.get(type(value))
        return {**made, "enum": [value], **({"type": kind} if kind and "type" not in made else {})}

    def require(self, node: Schema) -> Schema:
        """Require all properties; those that were optional may be null."""
        properties = node.get("properties")
        if not isinstance(properties, Mapping):
            return node
        if self.rules.require_some and properties and not node.get("required"):
            return {**node, "required": list(properties)}
        if not self.rules.require_all:
            return node
        required = set(node.get("required", ()))
        made = {name: part if name in required else _nullable(part) for name, part in properties.items()}
        if len(required) < len(properties):
            self.kinds["schema_optional_nullable"] = None
        return {**node, "properties": made, "required": list(properties)}

    # -- what is left of one node ------------------------------------------------------------------

    def _narrowed(self, node: Schema) -> Schema:
        rules = self.rules
        refused = [key for key in node if key in rules.dropped]
        if rules.keywords is not None:
            refused += [key for key in node if key not in rules.keywords]
        if "format" in node and rules.formats is not None and node["format"] not in rules.formats:
            refused.append("format")
        if not refused:
            return node
        if any(key not in _HARMLESS for key in refused):
            self.kinds["schema_keywords_dropped"] = None
        return {key: value for key, value in node.items() if key not in refused}

    def _closed(self, node: Schema) -> Schema:
        how = self.rules.additional_properties
        if how == "keep" or not ("properties" in node or _is_object(node)):
            return node
        if node.get("additionalProperties", False) is not False:
            self.kinds["schema_closed"] = None
        if how == "force_false":
            closed: Schema = {**node, "additionalProperties": False}
            closed.setdefault("properties", {})
            return {**closed, "required": list(closed["properties"])} if self.rules.require_all else closed
        return {key: value for key, value in node.items() if key != "additionalProperties"}

    # -- the root ----------------------------------------------------------------------------------

    def merged_root(self, root: Schema) -> Schema:
        """Return the root as an object without unions: all variants' properties, required where all agree."""
        if "$ref" in root and (target := self._definition(root)):
            root = {**target, **{key: value for key, value in root.items() if key != "$ref"}}
        unions = [key for key in ("anyOf", "oneOf", "allOf") if isinstance(root.get(key), list)]
        if not unions:
            return root
        self.kinds["schema_root_merged"] = None
        parts = [self._definition(part) or part for key in unions for part in root[key]]
        made = {key: value for key, value in root.items() if key not in unions and key != "discriminator"}
        made["type"] = "object"
        properties: Schema = {}
        for part in parts:
            for name, value in part.get("properties", {}).items():
                old = properties.get(name, value)
                properties[name] = value if old == value else {"anyOf": [*_variants(old), value]}
        made["properties"] = {**properties, **made.get("properties", {})}
        shared = [set(part.get("required", ())) for part in parts] or [set()]
        needed = set(made.get("required", ())) | set.intersection(*shared)
        made["required"] = [name for name in made["properties"] if name in needed]
        # A property of some variants only may be absent; in strict mode it is null instead.
        return self.require(made) if self.rules.require_all else made

    def _definition(self, node: Mapping[str, Any]) -> Schema | None:
        found = self.definitions.get(_referenced(node))
        return self.node(found, (), 0) if isinstance(found, Mapping) else None


_CONTAINERS = frozenset({*_MAPS, *_LISTS, *_ONES})
# Losing these changes nothing of what an answer may be.
_HARMLESS = frozenset(
    {"$schema", "$id", "$comment", "default", "examples", "title", "discriminator", "readOnly"}
)
_MOST_MERGES = 16
"""A definition that is all of itself ends here."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}
_REWRITES: tuple[Callable[[_SchemaCompiler, Schema], Schema], ...] = (
    _SchemaCompiler.spell_unions,
    _SchemaCompiler.spell_const,
    _SchemaCompiler.require,
)


def _referenced(node: Mapping[str, Any]) -> str:
    """Return the name of the definition that a node refers to; empty if it refers to none."""
    return str(node.get("$ref", "")).rpartition("/")[2]


def _described(node: Mapping[str, Any]) -> Schema:
    return {key: node[key] for key in ("title", "description") if key in node}


def _is_object(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _variants(node: Schema) -> list[Schema]:
    return list(node["anyOf"]) if node.keys() == {"anyOf"} else [node]


def _merge_into(made: Schema, part: Mapping[str, Any]) -> Schema:
    for key, value in part.items():
        if key == "required":
            made[key] = list(dict.fromkeys([*made.get(key, ()), *value]))
        elif key in _MAPS and isinstance(value, Mapping):
            made[key] = {**made.get(key, {}), **value}
        else:
            made[key] = value
    return made


def _is_null(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "null"


def _listed(node: Schema) -> Schema:
    """Spell `anyOf: [X, null]` as `type: [X, null]` where X has one type."""
    others = [part for part in node["anyOf"] if not _is_null(part)]
    single = len(others) == 1 and len(node["anyOf"]) > 1 and isinstance(others[0].get("type"), str)
    if not single:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**others[0], **rest, "type": [others[0]["type"], "null"]}


def _nullable(part: Any) -> Any:
    """Return `part`, or null."""
    if not isinstance(part, Mapping):
        return part
    kind, variants = part.get("type"), part.get("anyOf")
    if isinstance(variants, list):
        return part if any(map(_is_null, variants)) else {**part, "anyOf": [*variants, _NULL]}
    if kind == "null" or (isinstance(kind, list) and "null" in kind):
        return part
    if "enum" in part or "const" in part or "$ref" in part or "oneOf" in part or not isinstance(kind, str):
        about = _described(part)
        return {**about, "anyOf": [{k: v for k, v in part.items() if k not in about}, _NULL]}
    return {**part, "type": [kind, "null"]}
