"""The root of an answer's schema. Vendors take an object: any other value is wrapped, and unwrapped again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_llmdispatch.chat_model.forced_nulls import without_forced_nulls
from langchain_llmdispatch.vendors.compile.class_schemas import class_schema, is_class
from langchain_llmdispatch.vendors.compile.neutral_tools import neutral_tools
from langchain_llmdispatch.vendors.compile.references import DEFINITIONS, References, Schema, inlined
from langchain_llmdispatch.vendors.compile.schema_shape import well_formed

_KEY = "value"
"""The property that holds an answer which is no object."""
_NOT_PLAIN = frozenset({"anyOf", "oneOf", "allOf", "not", "if", "enum", "const", "$ref"})
_DEFINED = tuple(f"#/{key}/" for key in DEFINITIONS)
_AROUND = frozenset({*DEFINITIONS, "$schema", "$id"})


@dataclass(frozen=True, slots=True)
class AnswerRoot:
    """The schema of an answer.

    Attributes:
        name: Its title.
        schema: The schema as it is bound: an object's.
        wrapped: Whether the caller's value is a property of that object.
    """

    name: str
    schema: Schema
    wrapped: bool

    @classmethod
    def of(cls, given: Any) -> AnswerRoot:
        """Return the root of what `with_structured_output` takes.

        Raises:
            ValueError: It has no name, or is no schema.
        """
        schema = _schema_of(given)
        target = References(schema).target(schema.get("$ref"))
        if target is not None:
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        name = str(schema["title"])
        if _is_object(schema):
            return cls(name, schema, wrapped=False)
        return cls(name, _wrapped(name, schema), wrapped=True)

    @property
    def description(self) -> str:
        """The schema's description, or empty."""
        return str(self.schema.get("description") or "")

    @property
    def parameters(self) -> Schema:
        """The schema as a tool's arguments have it."""
        return {key: value for key, value in self.schema.items() if key not in {"title", "description"}}

    def unwrapped(self, value: Any) -> Any:
        """Return the caller's value in an answer's; a model may also have given it bare.

        Raises:
            ValueError: It is no object, where one is due.
        """
        if not isinstance(value, dict) and not self.wrapped:
            raise ValueError(f"it is a {type(value).__name__} and no object")
        if not self.wrapped or (isinstance(value, dict) and value.keys() == {_KEY}):
            value = without_forced_nulls(value, self.schema)
            return value[_KEY] if self.wrapped else value
        return value

    def part(self, value: Any) -> Any:
        """Return what there is of the caller's value in a part of an answer's; None for nothing."""
        if self.wrapped:
            return value.get(_KEY) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else None


def _schema_of(given: Any) -> Schema:
    if is_class(given):
        return class_schema(given)
    if isinstance(given, Mapping) and "title" in given and not ("parameters" in given or "name" in given):
        return dict(well_formed(given, "schema"))
    (tool,), _ = neutral_tools([given])
    about = {"description": tool.description} if tool.description else {}
    return {"title": tool.name, **about, **tool.parameters}


def _is_object(schema: Schema) -> bool:
    if not _NOT_PLAIN.isdisjoint(schema):
        return False
    return bool(schema.get("type", "array" if "items" in schema else "object") == "object")


def _wrapped(name: str, schema: Schema) -> Schema:
    if any(not reference.startswith(_DEFINED) for reference in References(schema).all):
        schema = inlined(schema)  # a reference to the root would lead to the object around it
    inner = {key: value for key, value in schema.items() if key not in _AROUND}
    definitions = {key: schema[key] for key in DEFINITIONS if key in schema}
    about = {"description": schema["description"]} if schema.get("description") else {}
    return {
        "title": name,
        **about,
        "type": "object",
        "properties": {_KEY: inner},
        "required": [_KEY],
        **definitions,
    }
