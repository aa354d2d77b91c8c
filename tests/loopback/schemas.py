"""Values made from a JSON schema, steered by the words of the prompt."""

import re
from collections.abc import Mapping
from typing import Any

DEPTH = 6
KINDS = frozenset({"object", "array", "integer", "number", "boolean", "null", "string"})
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
QUOTED = re.compile(r"'([^'\n]+)'|\"([^\"\n]+)\"|「([^」]+)」|“([^”]+)”")
PLACE = r"[A-Z][\w.-]*(?: [A-Z][\w.-]*)*"
PLACES = re.compile(rf"\b(?:in|for|at) ({PLACE}(?:(?:, | and |, and )(?:in )?{PLACE})*)")
STATE = re.compile(r", ?[A-Z]{2}\b")
PLACE_NAMES = frozenset({"city", "location", "place", "town"})
FORMATS = {
    "date": "2026-11-24",
    "date-time": "2026-11-24T12:00:00Z",
    "time": "12:00:00",
    "email": "someone@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def places(prompt: str) -> list[str]:
    """The cities a prompt names, in order."""
    found = PLACES.search(STATE.sub("", prompt))
    return re.split(r", and |, | and ", found[1].replace(" in ", " ")) if found else []


def quoted(prompt: str) -> str | None:
    """The first quoted text of a prompt."""
    found = QUOTED.search(prompt)
    return next(group for group in found.groups() if group) if found else None


class Synthesis:
    """Makes a value for a schema; `index` makes parallel calls differ."""

    def __init__(self, root: Mapping[str, Any], prompt: str, index: int = 0) -> None:
        self.root = root
        self.prompt = prompt
        self.index = index

    def value(self) -> Any:
        """The value for the whole schema."""
        return self._make(self.root, "", 0)

    def _make(self, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choice(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if schema.get(word):
                return self._make(self._branch(schema[word], depth), name, depth)
        match self._kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "string":
                return self._string(schema, name)
            case kind:
                return {"integer": int(self._number()), "number": self._number(), "boolean": True}.get(kind)

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            target: Any = self.root
            for step in str(schema["$ref"]).lstrip("#/").split("/"):
                target = target[step] if step else target
            schema = target
        merged = dict(schema)
        for part in schema.get("allOf", ()):
            merged = {**merged, **self._resolved(part)}
        return merged

    @staticmethod
    def _kind(schema: Mapping[str, Any]) -> str:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next((word for word in kind if word != "null"), "null")
        return str(kind).lower() if str(kind).lower() in KINDS else "string"

    def _branch(self, branches: list[Mapping[str, Any]], depth: int) -> Mapping[str, Any]:
        solid = [branch for branch in branches if branch.get("type") not in {"null", "NULL"}]
        return (solid or branches)[0] if depth < DEPTH else branches[-1]

    def _choice(self, values: list[Any]) -> Any:
        named = [value for value in values if str(value).lower() in self.prompt.lower()]
        return (named or values)[0]

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        needed = schema.get("required") or ()
        chosen = properties if depth < DEPTH else {key: properties[key] for key in needed}
        return {key: self._make(part, key, depth + 1) for key, part in chosen.items()}

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        if schema.get("prefixItems"):
            return [self._make(part, name, depth + 1) for part in schema["prefixItems"]]
        least = int(schema.get("minItems", 1))
        if depth >= DEPTH:
            return []
        return [self._make(schema.get("items") or {}, name, depth + 1) for _ in range(max(least, 1))]

    def _number(self) -> float:
        found = NUMBER.findall(self.prompt)
        return float(found[min(self.index, len(found) - 1)]) if found else 1.0

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        if schema.get("format") in FORMATS:
            return FORMATS[schema["format"]]
        towns = places(self.prompt)
        if towns and (name in PLACE_NAMES or self.index):
            return towns[min(self.index, len(towns) - 1)]
        return quoted(self.prompt) or (towns[0] if towns else f"some {name or 'text'}")
