"""Descriptions of fields from the docstrings of settings, and JSON schemas with them, for editors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticOmit, core_schema

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
"""A `${VARIABLE}` of a file, which may stand for a number or a switch, too."""


def field_docs(cls: type) -> Mapping[str, str]:
    """Return the `Attributes:` of a class's own docstring, by name, each on one line.

    Written without `inspect.cleandoc`, which takes ten times as long: it runs when the package is imported.
    """
    _, _, section = (cls.__dict__.get("__doc__") or "").partition("Attributes:\n")
    docs: dict[str, str] = {}
    name, margin = "", len(section) - len(section.lstrip(" "))
    for line in section.splitlines():
        text = line.lstrip(" ")
        depth = len(line) - len(text)
        if text and depth < margin:  # the next section
            break
        if text and depth == margin:
            name, _, text = text.partition(": ")
            docs[name] = text
        elif text and name:
            docs[name] += f" {text}"
    return docs


def describe_fields(model: type[BaseModel]) -> None:
    """Give the fields of a model the descriptions in its docstring: `model_fields[name].description`."""
    for name, text in field_docs(model).items():
        field = model.model_fields.get(name)
        if field is not None and field.description is None:
            field.description = text


def with_descriptions(model: type[BaseModel], schema: dict[str, Any]) -> None:
    """Add to a model's JSON schema what its fields mean, and of its docstring the first paragraph only."""
    for name, value in schema.get("properties", {}).items():
        if (text := model.model_fields[name].description) is not None:
            value["description"] = text
            value.pop("title", None)
    schema["description"] = " ".join(inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0].split())


class ConfigSchema(GenerateJsonSchema):
    """JSON schemas without what no file can hold (functions, clients), and with `${VARIABLE}` for numbers."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """Leave out what has no form in JSON: one of several types, or a field."""
        raise PydanticOmit

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """Return the schema of a number, or of a variable."""
        return {"anyOf": [super().float_schema(schema), _REFERENCE]}

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        """Return the schema of a whole number, or of a variable."""
        return {"anyOf": [super().int_schema(schema), _REFERENCE]}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        """Return the schema of a switch, or of a variable."""
        return {"anyOf": [super().bool_schema(schema), _REFERENCE]}
