"""Fields that come in pieces: what is handed out can be added up by LangChain, and means what was sent."""

from __future__ import annotations

from typing import Any

from langchain_core.utils._merge import merge_dicts

from langchain_llmdispatch.vendors.streamed_fields import StreamedFields
from tests.cases import each


def added(fields: StreamedFields, begun: dict[str, Any], *pieces: dict[str, Any]) -> dict[str, Any]:
    """Return what LangChain makes of all that is handed out."""
    return merge_dicts(begun, *map(fields.add, pieces), fields.rest())


CASES: list[tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]] = [
    ({}, [{"a": "x"}, {"a": "y", "b": None}], {"a": "xy"}),
    ({}, [{"n": 50}, {"n": 100}, {"n": None}], {"n": 100}),
    ({}, [{"n": 0.5}, {"n": 0.7}, {"n": True}], {"n": True}),
    ({}, [{"l": [{"index": 0, "url": "a"}]}, {"l": [{"index": 0, "url": "b"}]}],
     {"l": [{"index": 0, "url": "a"}, {"index": 0, "url": "b"}]}),
    ({}, [{"l": [1]}, {"l": 2}], {"l": [1, 2]}),
    ({}, [{"o": {"a": 1, "b": "x"}}, {"o": {"a": 2}}], {"o": {"a": 2, "b": "x"}}),
    ({}, [{"t": "x"}, {"t": 5}, {"t": "y"}], {"t": "xy"}),
    ({}, [{"t": 5}, {"t": "x"}], {"t": "x"}),
    ({"t": "x", "o": {"a": 1}, "n": None}, [{"t": "y", "o": "z", "n": 3}], {"t": "xy", "o": {"a": 1}, "n": 3}),
]  # fmt: skip


@each(("begun", "pieces", "expected"), CASES)
def test_what_is_added_up(
    begun: dict[str, Any], pieces: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    """Text continues text; of other values the latest counts, and lists are joined."""
    assert added(StreamedFields(begun), begun, *pieces) == expected


def test_texts_that_are_no_pieces() -> None:
    """An id or a format that is repeated on each event stands once."""
    fields = StreamedFields({}, ("data",))
    pieces = [{"data": "aG", "format": "wav"}, {"data": "k=", "format": "wav"}]
    assert added(fields, {}, *pieces) == {"data": "aGk=", "format": "wav"}
    assert fields.rest() == {}
