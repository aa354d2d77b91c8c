"""JSON Schema in each vendor's dialect, from data: what a vendor refuses is rewritten or left out.

Nothing is mutated; each alteration is reported once by kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from langchain_llmdispatch.types import Change

Schema: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SchemaRules:
    """What a vendor takes of JSON Schema.

    Attributes:
        refs: `inline`: definitions are put in their place; `keep`: `$ref` and `$defs` are understood.
        additional_properties: `keep`, `drop`, or `force_false` on every object.
        formats: Values of `format` that are taken; None for any.
        keywords: The only keywords that are taken; None for any.
        dropped: Keywords that are refused.
        root_unions: Whether the root may be a union; else its variants are merged into one object.
        one_of: Whether `oneOf` is known; else it becomes `anyOf`.
        all_of: Whether `allOf` is known; else its parts are merged.
        nullable: How "X or null" is spelled: `union` (`anyOf`) or `list` (`type: [X, null]`).
        const: Whether `const` is known; else it becomes an `enum` of one.
        require_all: Every property is required; optional ones become nullable (OpenAI's strict mode).
        require_some: Every object must require something; one that does not requires all.
        max_depth: How deep objects may nest; deeper ones become any object. None for any.
    """

    refs: Literal["keep", "inline"] = "keep"
    additional_properties: Literal["keep", "drop", "force_false"] = "keep"
    formats: frozenset[str] | None = None
    keywords: frozenset[str] | None = None
    dropped: frozenset[str] = frozenset()
    root_unions: bool = True
    one_of: bool = True
    all_of: bool = True
    nullable: Literal["union", "list"] = "union"
    const: bool = True
    require_all: bool = False
    require_some: bool = False
    max_depth: int | None = None


# OpenAI: structured outputs guide, "Supported schemas".
_STRICT = SchemaRules(
    additional_properties="force_false",
    formats=frozenset(
        {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"},
    ),
    dropped=frozenset(
        {
            "default", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "examples",
            "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contains",
            "minContains", "maxContains", "minProperties", "maxProperties", "uniqueItems", "minLength",
            "maxLength",
        },
    ),
    root_unions=False,
    one_of=False,
    all_of=False,
    require_all=True,
    max_depth=10,
)  # fmt: skip
# Gemini: https://ai.google.dev/api/generate-content, responseJsonSchema and parametersJsonSchema.
_GEMINI = SchemaRules(
    refs="inline",
    formats=frozenset({"date-time", "date", "time", "int32", "int64", "float", "double", "enum"}),
    keywords=frozenset(
        {
            "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems", "maxItems",
            "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required",
            "propertyOrdering", "const", "allOf", "$ref", "$defs", "definitions",
        },
    ),
    all_of=False,
    const=False,
)  # fmt: skip
# Cohere: docs.cohere.com/docs/structured-outputs, "Parameter types support".
_COHERE_OUTPUT = SchemaRules(
    dropped=frozenset(
        {
            "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minItems",
            "maxItems", "uniqueItems", "minLength", "maxLength", "minProperties", "maxProperties",
            "default", "not",
        },
    ),
    formats=frozenset({"date-time", "date", "time", "uuid"}),
    root_unions=False,
    one_of=False,
    all_of=False,
    require_some=True,
)  # fmt: skip
_ROOT_OBJECT = SchemaRules(root_unions=False)

SCHEMAS: Mapping[str, SchemaRules] = {
    "default": _ROOT_OBJECT,
    "openai:strict": _STRICT,
    "azure:strict": _STRICT,
    "anthropic:output": replace(_ROOT_OBJECT, one_of=False, all_of=False),
    "anthropic:strict": replace(
        _ROOT_OBJECT, one_of=False, all_of=False, additional_properties="force_false"
    ),
    "google": _GEMINI,
    "cohere:output": _COHERE_OUTPUT,
    "cohere:strict": _COHERE_OUTPUT,
    # The server keeps only what its own structure of a tool has room for: no definitions, no allOf.
    "ollama": SchemaRules(refs="inline", all_of=False, root_unions=False, nullable="list"),
    "ollama:output": SchemaRules(),
}
"""Rules by `vendor`, `vendor:output` (answer shapes) and `vendor:strict` (both, where `strict` is asked)."""


def schema_rules(vendor: str, kind: Literal["tool", "output", "strict"] = "tool") -> SchemaRules:
    """Return the rules for a vendor's tools, answers, or anything strict."""
    return SCHEMAS.get(f"{vendor}:{kind}") or SCHEMAS.get(vendor) or SCHEMAS["default"]


def compile_schema(schema: Mapping[str, Any], rules: SchemaRules) -> tuple[Schema, list[Change]]:
    """Return `schema` as the rules want it, and what was altered.

    Args:
        schema: Any JSON Schema; not mutated.
        rules: What the vendor takes.
    """
    work = _Work(rules, {**schema.get("definitions", {}), **schema.get("$defs", {})})
    made = work.walk(dict(schema), (), 0)
    if not rules.root_unions:
        made = work.rooted(made)
    changes = [Change(kind, _DETAILS[kind], kind in _LOSSY) for kind in work.kinds]
    return made, changes


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
class _Work:
    """One schema's compilation."""

    rules: SchemaRules
    definitions: Mapping[str, Any]
    kinds: dict[str, None] = field(default_factory=dict)

    def walk(self, node: Any, path: tuple[str, ...], depth: int) -> Any:
        """Return one node and all below it; `path` holds the references that led here."""
        if not isinstance(node, Mapping):
            return node
        made = self.merge_all_of(dict(node))
        if "$ref" in made and self.rules.refs == "inline":
            name = str(made["$ref"]).rpartition("/")[2]
            target = self.definitions.get(name)
            if name in path or not isinstance(target, Mapping):
                self.kinds["schema_recursion_cut"] = None
                return {**_described(made), "type": "object"}
            made = {**target, **{key: value for key, value in made.items() if key != "$ref"}}
            path = (*path, name)
            if "$ref" in made or "allOf" in made:
                return self.walk(made, path, depth)
        for rewrite in _REWRITES:
            made = rewrite(self, made)
        return self._inside(made, path, depth)

    def _inside(self, node: Schema, path: tuple[str, ...], depth: int) -> Schema:
        depth += "properties" in node
        if self.rules.max_depth is not None and depth > self.rules.max_depth:
            self.kinds["schema_depth_cut"] = None
            return {**_described(node), "type": "object", "additionalProperties": False, "properties": {}}
        if self.rules.refs == "inline":
            node = {key: value for key, value in node.items() if key not in _DEFINITIONS}
        for key in node.keys() & _CONTAINERS:
            node[key] = self._part(key, node[key], path, depth)
        return self._closed(self._narrowed(node))

    def _part(self, key: str, value: Any, path: tuple[str, ...], depth: int) -> Any:
        if key in _MAPS and isinstance(value, Mapping):
            return {name: self.walk(part, path, depth) for name, part in value.items()}
        if key in _LISTS and isinstance(value, list):
            return [self.walk(part, path, depth) for part in value]
        return self.walk(value, path, depth)

    # -- rewrites of one node, before what is below it ---------------------------------------------

    def merge_all_of(self, node: Schema) -> Schema:
        """Merge the parts of `allOf` where they are one (pydantic) or the vendor knows no `allOf`."""
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
        found = self.definitions.get(str(part.get("$ref", "")).rpartition("/")[2])
        return found if isinstance(found, Mapping) else part

    def spell_unions(self, node: Schema) -> Schema:
        """Spell `oneOf` and "X or null" as the vendor knows them."""
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

    def rooted(self, root: Schema) -> Schema:
        """Return the root as an object without unions: its variants' properties, required where all agree."""
        if "$ref" in root and (target := self._at(root)):
            root = {**target, **{key: value for key, value in root.items() if key != "$ref"}}
        unions = [key for key in ("anyOf", "oneOf", "allOf") if isinstance(root.get(key), list)]
        if not unions:
            return root
        self.kinds["schema_root_merged"] = None
        parts = [self._at(part) or part for key in unions for part in root[key]]
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
        # What only some variants have may be absent; strict mode wants it null instead.
        return self.require(made) if self.rules.require_all else made

    def _at(self, node: Mapping[str, Any]) -> Schema | None:
        found = self.definitions.get(str(node.get("$ref", "")).rpartition("/")[2])
        return self.walk(found, (), 0) if isinstance(found, Mapping) else None


_CONTAINERS = frozenset({*_MAPS, *_LISTS, *_ONES})
# Losing these changes nothing of what an answer may be.
_HARMLESS = frozenset(
    {"$schema", "$id", "$comment", "default", "examples", "title", "discriminator", "readOnly"}
)
_MOST_MERGES = 16
"""A definition that is all of itself ends here."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number"}
_REWRITES: tuple[Callable[[_Work, Schema], Schema], ...] = (
    _Work.spell_unions,
    _Work.spell_const,
    _Work.require,
)


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
