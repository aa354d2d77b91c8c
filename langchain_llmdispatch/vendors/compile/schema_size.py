"""How large a schema is, against what a vendor takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_llmdispatch.vendors.compile.references import DEFINITIONS, References, parts
from langchain_llmdispatch.vendors.rules import SchemaLimits


def exceeds(schema: Mapping[str, Any], limits: SchemaLimits) -> bool:
    """Return whether `schema` is larger than `limits` in any way."""
    size = _Size(References(schema), limits)
    size.add(schema)
    return (
        size.long_enum
        or size.properties > limits.properties
        or size.enum_values > limits.enum_values
        or size.text > limits.text
        or size.optional > limits.optional
        or size.unions > limits.unions
        or size.depth(schema, limits.depth + 1, ("#",)) > limits.depth
    )


@dataclass(slots=True)
class _Size:
    references: References
    limits: SchemaLimits
    properties: int = 0
    enum_values: int = 0
    text: int = 0
    optional: int = 0
    unions: int = 0
    long_enum: bool = False

    def add(self, node: Any) -> None:
        """Count a node and all below it; definitions once."""
        if not isinstance(node, Mapping):
            return
        names = list(node.get("properties") or ())
        self.properties += len(names)
        self.optional += len(set(names) - {*node.get("required", ())})
        self.unions += isinstance(node.get("type"), list) or "anyOf" in node
        values = [value for value in node.get("enum", ()) if isinstance(value, str)]
        length = sum(map(len, values))
        self.enum_values += len(node.get("enum", ()))
        self.long_enum |= len(values) > self.limits.long_enum and length > self.limits.long_enum_text
        self.text += length + len(str(node.get("const", ""))) + sum(map(len, names))
        self.text += sum(len(name) for key in DEFINITIONS for name in node.get(key) or ())
        for _, below in parts(node):
            self.add(below)

    def depth(self, node: Any, most: int, path: tuple[str, ...]) -> int:
        """Return how deep objects and arrays nest, up to `most`; a recursive reference ends a path."""
        if not isinstance(node, Mapping) or most <= 0:
            return 0
        reference = node.get("$ref")
        if isinstance(reference, str):
            if reference in path:
                return 0
            return self.depth(self.references.target(reference), most, (*path, reference))
        own = int("properties" in node or "items" in node)
        below = (part for key, part in parts(node) if key not in DEFINITIONS)
        return own + max((self.depth(part, most - own, path) for part in below), default=0)
