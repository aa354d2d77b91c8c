"""The subsets of JSON Schema that vendors document, judged without the package's own code."""

import re
from collections.abc import Iterator
from typing import Any

from tests.loopback.neutral import JSON

OPENAI = "developers.openai.com/api/docs/guides/structured-outputs"
ANTHROPIC = "platform.claude.com/docs/en/build-with-claude/structured-outputs"
GOOGLE = "ai.google.dev/api/generate-content, responseJsonSchema"
COHERE = "docs.cohere.com/docs/structured-outputs"

TYPES = {"string", "number", "boolean", "integer", "object", "array", "null"}
ABOUT = {"type", "title", "description", "enum", "const", "anyOf", "items", "properties", "required"}
DEFINED = {"$ref", "$defs", "definitions", "additionalProperties"}
OPENAI_WORDS = ABOUT | DEFINED | {
    "pattern", "format", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum",
    "minItems", "maxItems",
}  # fmt: skip
ANTHROPIC_WORDS = ABOUT | DEFINED | {"minItems", "pattern", "format", "default"}
GOOGLE_WORDS = (ABOUT | DEFINED | {
    "$id", "$anchor", "format", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "oneOf",
    "propertyOrdering",
}) - {"const", "definitions"}  # fmt: skip
COHERE_UNKNOWN = {
    "allOf", "oneOf", "not", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "uniqueItems",
}  # fmt: skip
KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")


def below(node: JSON) -> Iterator[tuple[str, Any]]:
    """The schemas right below one, and the word that they stand under."""
    for word in ("properties", "$defs", "definitions"):
        yield from ((word, part) for part in (node.get(word) or {}).values())
    for word in ("anyOf", "oneOf", "prefixItems"):
        yield from ((word, part) for part in node.get(word) or ())
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield word, node[word]


def nodes(schema: Any) -> Iterator[JSON]:
    """Every schema within one."""
    if isinstance(schema, dict):
        yield schema
        for _, part in below(schema):
            yield from nodes(part)


def target(root: JSON, reference: str) -> Any:
    """What a reference leads to."""
    place: Any = root
    for step in reference.lstrip("#").split("/")[1:]:
        place = place.get(step) if isinstance(place, dict) else None
    return place


def openai_strict(schema: JSON) -> str | None:
    """What a strict schema has outside the subset."""
    if schema.get("type") != "object" or "anyOf" in schema:
        return "schema must be a JSON Schema of 'type: \"object\"'"
    if sum(len(node.get("properties") or ()) for node in nodes(schema)) > 5000:
        return "too many properties"
    if sum(len(node.get("enum") or ()) for node in nodes(schema)) > 1000:
        return "Expected at most 1000 enum values in total"
    return next((found for node in nodes(schema) if (found := _openai_part(schema, node))), None)


def _openai_part(root: JSON, node: JSON) -> str | None:
    if "$ref" in node:
        others = node.keys() - {"$ref"}
        return f"$ref cannot have keywords {others}" if others else _dangling(root, node)
    if unknown := node.keys() - OPENAI_WORDS:
        return f"{min(unknown)!r} is not permitted"
    if not node.keys() & {"type", "anyOf"}:
        return "schema must have a 'type' key"
    if node.get("type") == "array" and not isinstance(node.get("items"), dict):
        return "array schema missing items"
    kinds = node["type"] if isinstance(node.get("type"), list) else [node.get("type", "string")]
    if set(kinds) - TYPES:
        return f"{node['type']!r} is not valid"
    if "object" in kinds and (node.get("additionalProperties") is not False or "properties" not in node):
        return "'additionalProperties' is required to be supplied and to be false."
    if set(node.get("properties") or ()) != set(node.get("required") or ()):
        return "'required' is required to be supplied and to be an array including every key in properties."
    return None


def _dangling(root: JSON, node: JSON) -> str | None:
    return None if isinstance(target(root, node["$ref"]), dict) else f"reference {node['$ref']} can't resolve"


def anthropic_output(schema: JSON) -> str | None:
    """What an answer's schema, or that of a strict tool, has outside the subset."""
    for node in nodes(schema):
        if "$ref" in node and node.keys() != {"$ref"}:
            return "$ref: other keywords are not supported"
        if unknown := node.keys() - ANTHROPIC_WORDS:
            return f"property {min(unknown)!r} is not supported"
        if not node.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
            return "a schema must have a type"
        if node.get("type") == "object" and node.get("additionalProperties") is not False:
            return "For 'object' type, 'additionalProperties' must be explicitly set to false"
        if node.get("minItems", 0) > 1:
            return "For 'array' type, 'minItems' values other than 0 or 1 are not supported"
        if "$ref" in node and _comes_back(schema, node["$ref"], forced=False):
            return "Circular reference detected"
    return None


def anthropic_tool(schema: JSON) -> str | None:
    """What a tool's schema has that the API refuses."""
    keys = (key for node in nodes(schema) for key in node.get("properties") or ())
    wrong = next((key for key in keys if not KEY.fullmatch(key)), None)
    return f"Property keys should match pattern '^{KEY.pattern}$'" if wrong is not None else None


def google_json(schema: JSON) -> str | None:
    """What a JSON schema has outside the subset."""
    for node in nodes(schema):
        if unknown := node.keys() - GOOGLE_WORDS:
            return f"{min(unknown)!r} is not supported"
        if "$ref" in node:
            if any(not word.startswith("$") for word in node):
                return "other properties beside $ref"
            if not isinstance(target(schema, node["$ref"]), dict):
                return f"reference to undefined schema at {node['$ref']}"
            if _comes_back(schema, node["$ref"], forced=True):
                return "a cyclic reference in a required property"
        if any(
            not isinstance(value, (str, int, float)) or isinstance(value, bool)
            for value in node.get("enum") or ()
        ):
            return "enum is for strings and numbers"
    return None


def _comes_back(root: JSON, start: str, *, forced: bool) -> bool:
    """Whether a reference leads back to itself; with `forced` through nothing that may be absent."""
    seen: set[str] = set()
    todo = [target(root, start)]
    while todo:
        node = todo.pop()
        if not isinstance(node, dict):
            continue
        reference = node.get("$ref")
        if reference == start:
            return True
        if isinstance(reference, str) and reference not in seen:
            seen.add(reference)
            todo.append(target(root, reference))
        for word, part in below(node):
            absent = (
                word == "properties"
                and forced
                and not any(node["properties"].get(name) is part for name in node.get("required") or ())
            )
            if word not in {"$defs", "definitions"} and not absent:
                todo.append(part)
    return False


def cohere_output(schema: JSON) -> str | None:
    """What an answer's schema has outside the subset."""
    if schema.get("type") != "object":
        return "the top level schema must be an object"
    for node in nodes(schema):
        if unknown := node.keys() & COHERE_UNKNOWN:
            return f"{min(unknown)!r} is not supported"
        if node.get("properties") and not node.get("required"):
            return "every object must have at least one required field"
    return None
