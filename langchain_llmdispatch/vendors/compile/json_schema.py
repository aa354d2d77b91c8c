"""JSON Schema in a vendor's dialect: what its `SchemaRules` refuse is rewritten or left out.

Nothing is mutated; each alteration is reported once by kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_llmdispatch.internal.json_format import is_finite
from langchain_llmdispatch.types import Change
from langchain_llmdispatch.vendors.compile.references import (
    CONTAINERS,
    DEFINITIONS,
    LISTS,
    MAPS,
    References,
    Schema,
    inlined,
)
from langchain_llmdispatch.vendors.compile.schema_size import exceeds
from langchain_llmdispatch.vendors.compile.unions import (
    are_alike,
    kind_of,
    nullable,
    without_mixed_enum,
    without_nullable_union,
    without_places,
)
from langchain_llmdispatch.vendors.rules import SchemaRules


def compile_schema(schema: Mapping[str, Any], rules: SchemaRules) -> tuple[Schema, list[Change]]:
    """Return `schema` as the rules allow it, and what was altered.

    Args:
        schema: Any JSON Schema; not mutated.
        rules: What the vendor takes.
    """
    root = inlined(schema) if rules.refs == "inline" else dict(schema)
    compiler = _SchemaCompiler(rules, References(root))
    made = compiler.node(root)
    if not rules.root_unions:
        made = compiler.object_root(made)
    if rules.recursion == "optional" and References(made).endless:
        compiler.note("schema_recursion_cut")
    if rules.limits is not None and exceeds(made, rules.limits):
        compiler.note("schema_too_large")
    return made, [Change(kind, _DETAILS[kind], kind in _LOSSY) for kind in compiler.kinds]


_DETAILS = {
    "schema_keywords_dropped": "keywords of a schema that the target refuses were left out",
    "schema_limits_described": "limits that the target does not enforce went into descriptions",
    "schema_recursion_cut": "the target takes no recursive definitions like this one",
    "schema_recursion_optional": "a recursive property need not be there any more",
    "schema_parts_merged": "parts of a schema that differ became one",
    "schema_root_merged": "the variants of a root union became one object",
    "schema_root_refused": "the root is no object, which the target requires",
    "schema_optional_nullable": "optional properties became required and nullable",
    "schema_closed": "objects that take any property take none",
    "schema_untyped": "a part that may be anything states no type, which the target requires",
    "schema_tuples_widened": "the places of an array may hold each other's values",
    "schema_variants_alike": "variants of a union begin with the same property, which the target refuses",
    "schema_too_large": "the schema is larger than the target takes",
}
_LOSSY = frozenset(_DETAILS) - {"schema_optional_nullable", "schema_limits_described"}
INEXPRESSIBLE = frozenset(
    {
        "schema_recursion_cut", "schema_recursion_optional", "schema_parts_merged", "schema_root_refused",
        "schema_closed", "schema_untyped", "schema_tuples_widened", "schema_variants_alike",
        "schema_too_large",
    },
)  # fmt: skip
"""Kinds of changes after which values of the caller's schema are impossible, or the request is refused."""

REFUSED = frozenset({"schema_recursion_cut", "schema_root_refused"})
"""Kinds of changes after which a tool cannot be offered."""


@dataclass(slots=True)
class _SchemaCompiler:
    """Rewrites one schema, node by node.

    Attributes:
        rules: What the vendor takes.
        references: The schema's references.
        kinds: Kinds of changes so far, in order (the values mean nothing).
    """

    rules: SchemaRules
    references: References
    kinds: dict[str, None] = field(default_factory=dict)

    def note(self, kind: str) -> None:
        """Record one kind of change."""
        self.kinds[kind] = None

    def node(self, node: Any) -> Any:
        """Return one node and all below it, rewritten."""
        if isinstance(node, bool):  # legal, but not everywhere, Ollama's structures among them
            node = {} if node else {"not": {}}
        if not isinstance(node, Mapping):
            return node
        made = self._referring(self._merged_all_of(dict(node)))
        if "$ref" in made and not self.rules.ref_siblings:
            return made
        for rewrite in _REWRITES:
            made = rewrite(self, made)
        for key in made.keys() & CONTAINERS:
            made[key] = self._below(key, made[key])
        return self._closed(self._narrowed(made))

    def _below(self, key: str, value: Any) -> Any:
        if key in MAPS and isinstance(value, Mapping):
            return {name: self.node(part) for name, part in value.items()}
        if key in LISTS and isinstance(value, list):
            return [self.node(part) for part in value]
        return value if isinstance(value, bool) else self.node(value)

    # -- references --------------------------------------------------------------------------------

    def _referring(self, node: Schema) -> Schema:
        """Return a node whose reference, if it has one, is as the vendor takes it."""
        reference = node.get("$ref")
        if reference is None:
            return node
        rest = {key: value for key, value in node.items() if key != "$ref"}
        target = self.references.target(reference)
        if target is None:  # it leads out of the schema, or nowhere
            self.note("schema_keywords_dropped")
            return rest
        if self.rules.recursion == "refuse" and reference in self.references.recursive:
            self.note("schema_recursion_cut")
            return {**_described(node), "type": "object"}
        if self.rules.ref_types and "type" not in node and isinstance(target.get("type"), str):
            return {**node, "type": target["type"]}
        if not rest.keys() - DEFINITIONS or self.rules.ref_siblings:
            return node
        # What stands beside a reference would be refused, or ignored.
        if "anyOf" in rest:
            self.note("schema_parts_merged")
        return {**rest, "anyOf": [{"$ref": reference}, *rest.get("anyOf", ())]}

    # -- rewrites of one node, before what is below it ---------------------------------------------

    def _merged_all_of(self, node: Schema) -> Schema:
        """Merge the parts of `allOf` where they are one (pydantic) or the vendor has no `allOf`."""
        for _ in range(_MOST_STEPS):
            parts = node.get("allOf")
            if not isinstance(parts, list) or (self.rules.all_of and len(parts) != 1):
                return node
            parts = [({} if part else {"not": {}}) if isinstance(part, bool) else part for part in parts]
            if any(not isinstance(part, Mapping) for part in parts):
                return node
            made: Schema = {}
            for part in parts:
                self._merge_into(made, self._resolved(part) if len(parts) > 1 else part)
            rest = {key: value for key, value in node.items() if key != "allOf"}
            node = self._merge_into(made, rest)
        self.note("schema_recursion_cut")
        return {key: value for key, value in node.items() if key != "allOf"}

    def _resolved(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        target = self.references.target(part.get("$ref"))
        return part if target is None else {**target, **{k: v for k, v in part.items() if k != "$ref"}}

    def _merge_into(self, made: Schema, part: Mapping[str, Any]) -> Schema:
        for key, value in part.items():
            old = made.get(key, value)
            if key == "required":
                made[key] = list(dict.fromkeys([*old, *value]))
                continue
            if key in MAPS and isinstance(value, Mapping) and isinstance(old, Mapping):
                differ = any(name in old and old[name] != below for name, below in value.items())
                made[key] = {**old, **value}
            else:
                differ = old != value and key not in _ANNOTATIONS
                made[key] = value
            if differ:
                self.note("schema_parts_merged")
        return made

    def spell_unions(self, node: Schema) -> Schema:
        """Spell `oneOf`, `nullable` and "X or null" as the vendor does."""
        if node.get("nullable") is True:
            node = nullable({key: value for key, value in node.items() if key != "nullable"})
        if "oneOf" in node and not self.rules.one_of:
            rest = {key: value for key, value in node.items() if key not in {"oneOf", "discriminator"}}
            if "anyOf" in rest:
                self.note("schema_parts_merged")
            node = {**rest, "anyOf": [*rest.get("anyOf", []), *node["oneOf"]]}
        if self.rules.nullable == "list" and isinstance(node.get("anyOf"), list):
            node = without_nullable_union(node)
        return node

    def spell_values(self, node: Schema) -> Schema:
        """Spell `const` and `enum` as the vendor does."""
        if "const" in node and not self.rules.const:
            node = {"enum": [node["const"]], **{key: value for key, value in node.items() if key != "const"}}
        elif self.rules.typed and "const" in node and not {"enum", "anyOf"} & node.keys():
            node = {"type": kind_of(node["const"]), **node}
        if not self.rules.tuples and isinstance(node.get("prefixItems"), list):
            node = without_places(node, lambda: self.note("schema_tuples_widened"))
        kinds = self.rules.enum_kinds
        if kinds is None or not isinstance(node.get("enum"), list):
            return node
        return without_mixed_enum(node, kinds, lambda: self.note("schema_keywords_dropped"))

    def require(self, node: Schema) -> Schema:
        """Require all properties; those that were optional may be null."""
        properties, required = node.get("properties"), node.get("required") or ()
        if not isinstance(properties, Mapping):
            return node
        if not self.rules.require_all and not (self.rules.require_some and properties and not required):
            return node
        union = self.rules.require_some
        made = {n: part if n in required else nullable(part, union=union) for n, part in properties.items()}
        if len(set(required)) < len(properties):
            self.note("schema_optional_nullable")
        return {**node, "properties": made, "required": list(properties)}

    def relax(self, node: Schema) -> Schema:
        """Do not require properties that refer back to what holds them, where the vendor refuses that."""
        required, properties = node.get("required"), node.get("properties")
        if self.rules.recursion != "optional" or not required or not isinstance(properties, Mapping):
            return node
        kept = [name for name in required if not self._is_recursive(properties.get(name), node)]
        if len(kept) == len(required):
            return node
        self.note("schema_recursion_optional")
        return {**node, "required": kept}

    def _is_recursive(self, part: Any, holder: Schema) -> bool:
        targets = map(self.references.target, self.references.forced(part))
        return any(
            target is not None and target.get("properties") is holder["properties"] for target in targets
        )

    def state_type(self, node: Schema) -> Schema:
        """State the type of objects and arrays where the vendor requires it; note what states none."""
        if not self.rules.typed:
            return node
        if "type" not in node and not _is_typed(node) and ("properties" in node or "items" in node):
            node = {"type": "object" if "properties" in node else "array", **node}
        if not _is_typed(node) or (
            node.get("type") == "array" and not isinstance(node.get("items"), Mapping)
        ):
            self.note("schema_untyped")
        if self.rules.distinct_variants and are_alike(node.get("anyOf"), self.references.target):
            self.note("schema_variants_alike")
        return node

    # -- what is left of one node ------------------------------------------------------------------

    def _narrowed(self, node: Schema) -> Schema:
        refused = [key for key in node if self._refuses(key, node[key])]
        if "patternProperties" in refused and self.rules.additional_properties == "force_false":
            self.note("schema_closed")
        if not refused:
            return node
        kept = {key: value for key, value in node.items() if key not in refused}
        if self.rules.describes:
            described = [key for key in refused if key not in _HARMLESS or key == "default"]
            if described:
                self.note("schema_limits_described")
                limits = ", ".join(f"{key}: {_spelled(node[key])}" for key in described)
                kept["description"] = f"{node.get('description', '')} ({limits})".strip()
        elif any(key not in _HARMLESS for key in refused):
            self.note("schema_keywords_dropped")
        return kept

    def _refuses(self, key: str, value: Any) -> bool:
        rules = self.rules
        if key in rules.dropped or (rules.keywords is not None and key not in rules.keywords):
            return True
        if not is_finite(value):  # `float("inf")` as a default or a limit has no form in JSON
            return True
        if key == "format":
            return rules.formats is not None and value not in rules.formats
        if key == "pattern":
            return rules.refused_patterns is not None and bool(rules.refused_patterns.search(str(value)))
        return key == "minItems" and rules.most_min_items is not None and value > rules.most_min_items

    def _closed(self, node: Schema) -> Schema:
        how = self.rules.additional_properties
        if how == "keep" or not ("properties" in node or _is_object(node)):
            return node
        if node.get("additionalProperties", "properties" not in node) is not False:
            self.note("schema_closed")
        if how == "force_false":
            closed: Schema = {**node, "additionalProperties": False}
            closed.setdefault("properties", {})
            return {**closed, "required": list(closed["properties"])} if self.rules.require_all else closed
        return {key: value for key, value in node.items() if key != "additionalProperties"}

    # -- the root ----------------------------------------------------------------------------------

    def object_root(self, root: Schema) -> Schema:
        """Return the root as an object; a union's has all properties, required where all variants agree."""
        if (target := self.references.target(root.get("$ref"))) is not None:
            root = {**self.node(target), **{key: value for key, value in root.items() if key != "$ref"}}
        unions = [key for key in ("anyOf", "oneOf", "allOf") if isinstance(root.get(key), list)]
        if not unions:
            if root.get("type", "object") != "object" or ("items" in root and "type" not in root):
                self.note("schema_root_refused")
            return root
        self.note("schema_root_merged")
        parts = [self._variant(part) for key in unions for part in root[key]]
        if any(not ("properties" in part or _is_object(part)) for part in parts):
            self.note("schema_root_refused")
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

    def _variant(self, part: Any) -> Schema:
        target = self.references.target(part.get("$ref")) if isinstance(part, Mapping) else None
        found = self.node(target) if target is not None else part
        return dict(found) if isinstance(found, Mapping) else {}


# Losing these changes nothing of what an answer may be.
_HARMLESS = frozenset(
    {"$schema", "$id", "$comment", "default", "examples", "title", "discriminator", "readOnly", *DEFINITIONS}
)
_ANNOTATIONS = _HARMLESS | {"description"}
_MOST_STEPS = 16
"""A definition that is all of itself ends here."""
_REWRITES: tuple[Callable[[_SchemaCompiler, Schema], Schema], ...] = (
    _SchemaCompiler.spell_unions,
    _SchemaCompiler.spell_values,
    _SchemaCompiler.require,
    _SchemaCompiler.relax,
    _SchemaCompiler.state_type,
)


def _described(node: Mapping[str, Any]) -> Schema:
    return {key: node[key] for key in ("title", "description") if key in node}


def _is_object(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_typed(node: Mapping[str, Any]) -> bool:
    return not {"type", "anyOf", "oneOf", "allOf", "enum", "const", "$ref"}.isdisjoint(node)


def _variants(node: Schema) -> list[Schema]:
    return list(node["anyOf"]) if node.keys() == {"anyOf"} else [node]


def _spelled(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
