"""Schemas compiled once for each vendor's rules: a bound tool is sent often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from langchain_llmdispatch.errors import InvalidRequestError
from langchain_llmdispatch.types import Change
from langchain_llmdispatch.vendors.compile.json_schema import compile_schema
from langchain_llmdispatch.vendors.compile.property_keys import legal_keys
from langchain_llmdispatch.vendors.compile.references import Schema
from langchain_llmdispatch.vendors.compile.schema_shape import well_formed
from langchain_llmdispatch.vendors.rules import SchemaRules, ToolNameRules

_MOST_REMEMBERED = 512
_REMEMBERED: dict[tuple[int, int, int], tuple[Any, ...]] = {}
"""Pure results by the identity of values, which are held beside them: no state of any model."""


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A schema as a target takes it.

    Attributes:
        schema: The schema.
        changes: What was altered.
        keys: The target's names of properties -> the caller's, where they differ.
    """

    schema: Schema
    changes: Sequence[Change]
    keys: Mapping[str, str]


def compiled_schema(
    schema: Mapping[str, Any], rules: SchemaRules, keys: ToolNameRules | None = None
) -> CompiledSchema:
    """Return `schema` in a vendor's dialect.

    Args:
        schema: A schema of the caller's, which stays as it is.
        rules: What the vendor takes.
        keys: What the names of properties must match; None for any.

    Raises:
        InvalidRequestError: It is no JSON schema; the message names the place.
    """
    key = (id(schema), id(rules), id(keys))
    known = _REMEMBERED.get(key)
    if known is not None:
        return cast("CompiledSchema", known[0])
    shaped = _shaped(schema)
    legal, names = legal_keys(shaped, keys) if keys else (shaped, {})
    made, changes = compile_schema(legal, rules)
    if names:
        detail = "names of a tool's arguments are spelled as the target requires"
        changes.append(Change("schema_keys_renamed", detail))
    compiled = CompiledSchema(made, changes, names)
    if len(_REMEMBERED) >= _MOST_REMEMBERED:
        _REMEMBERED.clear()
    # While these are held here, no other object can have their ids.
    _REMEMBERED[key] = (compiled, schema, rules, keys)
    return compiled


def _shaped(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return cast("Mapping[str, Any]", well_formed(schema, "the schema"))
    except ValueError as error:
        raise InvalidRequestError(str(error)) from None
