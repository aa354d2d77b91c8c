"""The tool calls of streamed chat completions, however a server numbers and repeats them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.openai.streamed_calls import StreamedCalls
from tests.cases import each
from tests.models import summed
from tests.vendors.openai.calls import VENDOR, call, decoded
from tests.vendors.openai.test_chat_stream import DONE, event


def piece(args: Any = None, name: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a piece of a call."""
    function = {"arguments": args, "name": name}
    return {**fields, "function": {key: value for key, value in function.items() if value is not None}}


def streamed(*deltas: list[dict[str, Any]]) -> AIMessageChunk:
    """Return the sum of a stream with these lists of pieces."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    data = b"".join(event({"tool_calls": pieces}) for pieces in deltas) + event({}, "tool_calls") + DONE
    return summed([*decoder.feed(data), *decoder.close()])


def calls(message: AIMessage) -> list[tuple[str, dict[str, Any]]]:
    """Return names and arguments, once all ids are known to differ."""
    assert not message.invalid_tool_calls
    ids = [call["id"] for call in message.tool_calls]
    assert len(set(ids)) == len(ids)
    assert all(ids)
    return [(call["name"], call["args"]) for call in message.tool_calls]


def test_free_text_in_pieces() -> None:
    """The text of a custom tool's call is escaped as a whole; a call with arguments may stand beside it."""
    message = streamed(
        [{"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sql", "input": ""}}],
        [{"index": 0, "custom": {"input": 'SELECT "a'}}, piece('{"q":', "find", index=1, id="c2")],
        [{"index": 1, "function": {"arguments": "1}"}}, {"index": 0, "custom": {"input": '"\n'}}],
    )
    assert calls(message) == [("sql", {"__arg1": 'SELECT "a"\n'}), ("find", {"q": 1})]


ONE, TWO = '{"q":1}', '{"q":2}'
PLACES: list[dict[str, Any]] = [
    {"index": 0, "id": ""},
    {"index": 0},
    {"index": 0, "id": "same"},
    {"index": None, "id": None},
    {},
    {"id": "same"},
    {"id": "null"},
    {"index": "0"},
]


@each("place", PLACES)
@each("apart", [True, False])
@each("names", ["fg", "ff"])
def test_whole_calls_without_places_or_ids(place: dict[str, Any], apart: bool, names: str) -> None:
    """Each entry with a name is a call, in one delta's list or in several, of one tool or of two."""
    first, second = piece(ONE, names[0], **place), piece(TWO, names[1], **place)
    message = streamed([first], [second]) if apart else streamed([first, second])
    assert calls(message) == [(names[0], {"q": 1}), (names[1], {"q": 2})]


@each("place", PLACES)
def test_calls_without_arguments(place: dict[str, Any]) -> None:
    """A call with nothing, or with an empty object, does not take the next one's arguments."""
    for nothing in ("", "{}", "null", None, {}):
        for message in (
            streamed([piece(nothing, "f", **place)], [piece(TWO, "g", **place)]),
            streamed([piece(nothing, "f", **place), piece(TWO, "g", **place)]),
        ):
            assert calls(message) == [("f", {}), ("g", {"q": 2})]


@each("place", [place for place in PLACES if place.get("id") != "same"])
def test_the_same_call_twice(place: dict[str, Any]) -> None:
    """Without ids two equal calls are two; each entry of one list is a call; `{}` goes before arguments."""
    for args, text in (({"q": 1}, ONE), ({}, "{}")):
        first, second = piece(text, "f", **place), piece(text, "f", **place)
        assert calls(streamed([first], [second])) == calls(streamed([first, second])) == [("f", args)] * 2
    assert calls(streamed([piece("", "f", **place), piece("", "f", **place)])) == [("f", {})] * 2
    assert calls(streamed([piece("{}", "f", **place)], [piece(ONE, "f", **place)])) == [("f", {"q": 1})]


@each("place", [{"index": 0}, {}, {"index": 0, "id": "a"}, {"id": "a"}])
@each(
    "texts",
    [
        ["{}", '{"q"', ":1}"],
        ["", "{}", ONE],
        ["{", '"q":1', "}"],
        [ONE, '{"q"', ":1}"],  # whole at the start and again in pieces
        [ONE, ONE],
        [ONE, "", "\n", "{}"],
        ["null", ONE],
        [{}, ONE],
        [{"q": 1}],
    ],
)
def test_arguments_come_once(place: dict[str, Any], texts: list[Any]) -> None:
    """An empty object before the arguments, or the same once more, is no part of them."""
    first, *rest = texts
    deltas = [[piece(first, "f", **place)], *([piece(text, **place)] for text in rest)]
    assert calls(streamed(*deltas)) == [("f", {"q": 1})]
    if place.get("id"):  # and where each piece repeats id and name
        assert calls(streamed(*([piece(text, "f", **place)] for text in texts))) == [("f", {"q": 1})]


def test_only_an_empty_object() -> None:
    """It is handed out at the end."""
    message = streamed([piece("{}", "f", index=0, id="a")])
    assert calls(message) == [("f", {})]
    assert [chunk["args"] for chunk in message.tool_call_chunks] == ["{}"]


def test_interleaved_pieces() -> None:
    """By place, or by id where all have one place; pieces may have another id each and no name."""
    by_place = streamed(
        [piece("", "f", index=0, id="a"), piece("", "g", index=1, id="b")],
        [piece('{"q"', index=1)],
        [piece('{"q":1}', index=0, id="other", name="")],
        [piece(":2}", index=1)],
    )
    by_id = streamed(
        [piece("", "f", index=0, id="a"), piece("", "g", index=0, id="b")],
        [piece('{"q"', index=0, id="a")],
        [piece('{"q":2}', index=0, id="b")],
        [piece(":1}", index=0, id="a")],
    )
    moving = streamed([piece('{"q"', "f", index=0, id="a")], [piece(":1}", index=1, id="a")])
    assert calls(by_place) == calls(by_id) == [("f", {"q": 1}), ("g", {"q": 2})]
    assert calls(moving) == [("f", {"q": 1})]


def test_an_id_that_comes_late() -> None:
    """A first piece without an id and a second with one are one call."""
    assert calls(streamed([piece("", "f", index=0)], [piece(ONE, "f", index=0, id="a")])) == [("f", {"q": 1})]


@each(
    "deltas",
    [
        [[piece("", "f", index=0), piece("", "g", index=0)], [piece(ONE, index=0), piece(TWO, index=0)]],
        [[piece('{"q"', "f")], [piece(TWO, "g")], [piece(":1}")]],
        [[piece(ONE, "f", index=0)], [piece(TWO, index=0)]],
        [[piece(ONE, index=0, id="a")]],
        [[piece('{"q"', "f", index=0, id="a")]],
    ],
)
def test_what_belongs_to_no_one_call_is_an_error(deltas: list[list[dict[str, Any]]]) -> None:
    """No tool gets arguments that may be another's, and no call has half of its own."""
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(*deltas)


def test_whole_answers_have_ids_of_their_own() -> None:
    """Calls without ids, or with one id for all, can be answered one by one."""
    for place in PLACES:
        raw = [piece(ONE, "f", **place), piece("{}" + TWO, "f", **place), piece("", "g", **place)]
        message = decoded({"tool_calls": raw}, "tool_calls")
        assert calls(message) == [("f", {"q": 1}), ("f", {"q": 2}), ("g", {})]
    ids = [call["id"] for call in decoded({"tool_calls": [piece(ONE, "f"), piece(TWO, "f")]}).tool_calls]
    assert ids == [call["id"] for call in streamed([piece(ONE, "f"), piece(TWO, "f")]).tool_calls]


def test_names_are_the_callers() -> None:
    """The assembler turns them back; it is empty before the first piece."""
    assembler = StreamedCalls({"vendor_f": "f"})
    assert not assembler
    (chunk,) = assembler.add([piece("{}", "vendor_f")], "seed")
    assert (chunk["name"], chunk["args"]) == ("f", None)
    assert json.loads(assembler.rest()[0]["args"] or "") == {}
    assert assembler.problem() is None


def test_entries_of_one_list_are_calls() -> None:
    """Though they share an id."""
    place = {"index": 0, "id": "s"}
    assert calls(streamed([piece(ONE, "f", **place), piece("{}", "f", **place)])) == [
        ("f", {"q": 1}),
        ("f", {}),
    ]
    assert calls(streamed([piece(ONE, "f", **place), piece(ONE, "f", **place)])) == [("f", {"q": 1})] * 2


def test_pieces_of_one_call_in_one_delta() -> None:
    """LangChain joins pieces of different chunks only, so a chunk has one piece for each call."""
    pieces = [piece("", "f", index=0, id="a"), piece("", "g", index=1, id="b")]
    pieces += [piece('{"q"', index=0), piece("{}", index=1), piece(":1}", "f", index=0)]
    assert calls(streamed(pieces)) == [("f", {"q": 1}), ("g", {})]
    assert calls(streamed(pieces[:3], pieces[3:])) == [("f", {"q": 1}), ("g", {})]


def test_names_that_come_again_where_calls_are_numbered() -> None:
    """Two indices seen, an index is the call's; whatever follows whole arguments there is no other call."""
    begun = [piece("{}", "f", index=0), piece("{}", "f", index=1)]
    assert calls(streamed(begun, [piece(TWO, "f", index=1)], [piece(ONE, "f", index=0)])) == [
        ("f", {"q": 1}),
        ("f", {"q": 2}),
    ]
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(begun, [piece(TWO, "f", index=1)], [piece(ONE, "f", index=1)])


def test_arguments_that_may_be_another_calls() -> None:
    """A second object after the arguments of a call that began at the place of an empty one is no repetition."""
    begun = [[piece("{}", "f", index=0, id="a")], [piece("{}", "g", index=0, id="b")]]
    assert calls(streamed(*begun, [piece(TWO, index=0)])) == [("f", {}), ("g", {"q": 2})]
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(*begun, [piece(TWO, index=0)], [piece(TWO, index=0)])
