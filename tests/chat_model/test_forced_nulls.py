"""Nulls of strict schemas."""

from __future__ import annotations

from langchain_llmdispatch.chat_model.forced_nulls import without_forced_nulls

_SCHEMA = {
    "type": "object",
    "properties": {
        "must": {"type": ["string", "null"]},
        "may": {"type": "string"},
        "null": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "old": {"type": "string", "nullable": True},
        "any": {},
        "below": {"$ref": "#/$defs/Below"},
        "list": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/Below"}, {"type": "null"}]}},
    },
    "required": ["must"],
    "$defs": {
        "Below": {
            "type": "object",
            "properties": {"may": {"type": "integer"}, "more": {"$ref": "#/$defs/Below"}},
        },
    },
}


def test_only_nulls_that_the_schema_forbids_go() -> None:
    """At every depth, behind references and in unions with one fitting variant."""
    value = {
        "must": None, "may": None, "null": None, "old": None, "any": None, "other": None,
        "below": {"may": None, "more": {"may": 1, "more": None}},
        "list": [{"may": None}, None],
    }  # fmt: skip
    before = repr(value)
    assert without_forced_nulls(value, _SCHEMA) == {
        "must": None, "null": None, "old": None, "any": None, "other": None,
        "below": {"more": {"may": 1}},
        "list": [{}, None],
    }  # fmt: skip
    assert repr(value) == before


def test_where_the_variant_is_not_clear_nothing_goes() -> None:
    """Two variants have the same keys."""
    part = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert without_forced_nulls({"a": None}, {"anyOf": [part, {**part, "title": "B"}]}) == {"a": None}
