"""Roots of answer schemas."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from langchain_llmdispatch.chat_model.answer_root import AnswerRoot
from tests.cases import each


class Folder(BaseModel):
    """A folder."""

    name: str
    inside: list[Folder]


class _Cat(BaseModel):
    lives: int


class _Pet(RootModel[Folder | _Cat]):
    """A folder or a cat."""


def test_an_object_is_bound_as_it_is() -> None:
    """A recursive one keeps its references; a dict is the caller's."""
    root = AnswerRoot.of(Folder)
    assert (root.name, root.wrapped, root.description) == ("Folder", False, "A folder.")
    assert root.schema["type"] == "object"
    assert root.schema["properties"]["inside"]["items"] == {"$ref": "#/$defs/Folder"}
    assert "title" not in root.parameters
    given = {"title": "T", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    assert AnswerRoot.of(given).schema == given


@each(
    ("given", "inner"),
    [
        ({"title": "T", "type": "array", "items": {"type": "string"}}, {"items": {"type": "string"}}),
        ({"title": "T", "type": "string", "enum": ["a"]}, {"enum": ["a"]}),
        ({"title": "T", "type": ["object", "null"], "properties": {}}, {"type": ["object", "null"]}),
        (
            {
                "title": "T",
                "anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}],
                "$defs": {"A": {"type": "object"}},
            },
            {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]},
        ),
    ],
)
def test_any_other_root_is_a_property(given: dict[str, Any], inner: dict[str, Any]) -> None:
    """Definitions stay at the root, where references lead."""
    root = AnswerRoot.of(given)
    assert (root.wrapped, root.schema["type"], root.schema["required"]) == (True, "object", ["value"])
    assert inner.items() <= root.schema["properties"]["value"].items()
    assert root.schema.get("$defs") == given.get("$defs")


def test_a_root_that_refers_to_itself_is_defined_apart() -> None:
    """`#` would lead to the object around it."""
    root = AnswerRoot.of({"title": "Tree", "type": "array", "items": {"$ref": "#"}})
    assert root.schema["properties"]["value"]["items"] == {"$ref": "#/$defs/Tree"}
    assert root.schema["$defs"]["Tree"]["items"] == {"$ref": "#/$defs/Tree"}


def test_a_union_of_classes_keeps_its_variants() -> None:
    """Each with what it requires."""
    root = AnswerRoot.of(_Pet)
    folder, cat = root.schema["properties"]["value"]["anyOf"]
    assert folder == {"$ref": "#/$defs/Folder"}
    assert cat["required"] == ["lives"]


def test_tools_dicts_name_answers_too() -> None:
    """As LangChain's `with_structured_output` takes them."""
    for given in (
        {"name": "f", "parameters": {"type": "object"}},
        {"name": "f", "input_schema": {"type": "object"}},
    ):
        assert AnswerRoot.of(given).schema == {"title": "f", "type": "object"}
    with pytest.raises(ValueError, match="title"):
        AnswerRoot.of({"type": "object", "properties": {}})


def test_parts_of_streamed_values() -> None:
    """Of a wrapped value what is within; nothing of what is none."""
    wrapped, plain = AnswerRoot.of({"title": "T", "type": "array"}), AnswerRoot.of(Folder)
    assert wrapped.part({"value": ["a"]}) == ["a"]
    assert wrapped.part({}) is wrapped.part(None) is plain.part(None) is plain.part(["a"]) is None
    assert plain.part({"name": "x"}) == {"name": "x"}
