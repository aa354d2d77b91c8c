"""Names of properties that a vendor takes."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.vendors.compile.property_keys import callers_keys, legal_keys
from langchain_llmdispatch.vendors.rules import ToolNameRules

_RULES = ToolNameRules(re.compile(r"[a-zA-Z0-9_.-]+"))
_LONG = "settings__" * 8


def test_names_are_legal_in_the_whole_schema() -> None:
    """In properties, what is required, definitions' properties; names of definitions and values stay."""
    schema = {
        "properties": {
            "$top": {"type": "integer"},
            "filter[id]": {"$ref": "#/$defs/Größe"},
            "filter_id": {},
            _LONG: {},
        },
        "required": ["$top", "filter[id]"],
        "dependentRequired": {"$top": ["filter[id]"]},
        "$defs": {"Größe": {"properties": {"m²": {"enum": ["m²"]}}, "required": ["m²"]}},
    }
    made, names = legal_keys(schema, _RULES)
    assert next(iter(made["properties"])) == "top"
    assert all(_RULES.pattern.fullmatch(name) and len(name) <= 64 for name in made["properties"])
    assert made["required"] == list(made["properties"])[:2]
    assert made["dependentRequired"] == {"top": [made["required"][1]]}
    assert made["$defs"]["Größe"]["properties"] == {"m": {"enum": ["m²"]}}
    assert set(names.values()) == {"$top", "filter[id]", _LONG, "m²"}
    assert "filter_id" not in names
    assert next(iter(schema["properties"])) == "$top"


def test_legal_schemas_stay_as_they_are() -> None:
    """The very same object."""
    schema = {"properties": {"a.b-c_1": {}}}
    assert legal_keys(schema, _RULES) == (schema, {})
    assert legal_keys(schema, _RULES)[0] is schema


@given(st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=6), st.integers())
def test_arguments_come_back_under_the_callers_names(keys: list[str], value: int) -> None:
    """At every depth."""
    inner = {"type": "object", "properties": {key: {"type": "integer"} for key in keys}}
    made, names = legal_keys({"properties": {"list": {"items": inner}}}, _RULES)
    theirs = made["properties"]["list"]["items"]["properties"]
    assert callers_keys({"list": [dict.fromkeys(theirs, value)]}, names) == {
        "list": [dict.fromkeys(keys, value)]
    }
