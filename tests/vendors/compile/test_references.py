"""References within schemas."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.vendors.compile.references import References, inlined

_TREE = {
    "type": "object",
    "properties": {
        "tree": {"$ref": "#/$defs/Node", "description": "the root"},
        "leaf": {"$ref": "#/$defs/Leaf"},
    },
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/Other"}, "leaf": {"$ref": "#/$defs/Leaf"}},
        },
        "Other": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
        "Leaf": {"type": "string"},
        "Unused": {"type": "array", "items": {"$ref": "#/$defs/Unused"}},
    },
}


def test_targets_are_found_by_json_pointer() -> None:
    """At any place of the schema; none elsewhere."""
    schema = {"a/b": {"x": [{"type": "string"}, 3]}, "c~d": {"type": "null"}}
    references = References(schema)
    assert references.target("#") == schema
    assert references.target("#/a~1b/x/0") == {"type": "string"}
    assert references.target("#/c~0d") == {"type": "null"}
    for other in ("#/a~1b/x/1", "#/a~1b/x/7", "#/none/at/all", "https://example.org/x.json", None, 3):
        assert references.target(other) is None


def test_recursive_references_are_those_that_come_back() -> None:
    """Through others, too."""
    assert References(_TREE).recursive == {"#/$defs/Node", "#/$defs/Other", "#/$defs/Unused"}
    assert References({"items": {"$ref": "#"}}).recursive == {"#"}


def test_definitions_stand_in_place_of_references() -> None:
    """What stands beside a reference wins; recursive definitions stay, and the schema is not mutated."""
    before = copy.deepcopy(_TREE)
    made = inlined(_TREE)
    assert before == _TREE
    assert made["properties"]["leaf"] == {"type": "string"}
    assert made["properties"]["tree"] == {"$ref": "#/$defs/Node", "description": "the root"}
    assert set(made["$defs"]) == {"Node", "Other"}
    assert made["$defs"]["Node"]["properties"]["leaf"] == {"type": "string"}


def test_a_root_that_is_a_reference_becomes_what_it_leads_to() -> None:
    """As of a recursive pydantic class."""
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    made = inlined({"$ref": "#/$defs/Node", "title": "T", "$defs": {"Node": node}})
    assert made == {**node, "title": "T", "$defs": {"Node": node}}


def test_references_to_other_places_become_definitions() -> None:
    """To the root, or into it, if they are recursive; each has a name of its own."""
    made = inlined({"title": "Root", "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/properties/b"}}})
    assert made["properties"] == {"a": {"$ref": "#/$defs/Root"}, "b": {"$ref": "#/$defs/b"}}
    assert made["$defs"]["b"] == {"$ref": "#/$defs/b"}


def test_a_small_schema_does_not_become_a_huge_one() -> None:
    """Each of 30 definitions holds the next one twice."""
    names = [f"D{number}" for number in range(30)]
    definitions: dict[str, Any] = {
        name: {"type": "object", "properties": {side: {"$ref": f"#/$defs/{after}"} for side in "ab"}}
        for name, after in zip(names, [*names[1:], "End"], strict=True)
    }
    made = inlined({"$ref": "#/$defs/D0", "$defs": {**definitions, "End": {"type": "string"}}})
    assert len(str(made)) < 500_000


_nodes = st.recursive(
    st.sampled_from(
        [
            {"type": "string"},
            {"$ref": "#/$defs/A"},
            {"$ref": "#/$defs/B"},
            {"$ref": "#"},
            {"$ref": "#/x"},
            True,
        ]
    ),
    lambda inner: (
        st.dictionaries(st.sampled_from("ab"), inner).map(lambda p: {"type": "object", "properties": p})
        | st.lists(inner, max_size=2).map(lambda p: {"anyOf": p})
        | inner.map(lambda i: {"type": "array", "items": i})
    ),
    max_leaves=6,
)


@given(_nodes, _nodes, _nodes)
def test_any_schema_keeps_its_references_whole(root: Any, one: Any, other: Any) -> None:
    """Every reference that led somewhere still does; what was inlined once stays as it is."""
    schema = {"properties": {"r": root}, "$defs": {"A": one, "B": other}}
    made = inlined(schema)
    references = References(made)
    assert all(references.target(ref) is not None for ref in references.all if ref != "#/x")
    assert inlined(made) == made
