"""The tool calls in the chunks of LangChain models, however a package numbers and repeats them."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.vendors.langchain.streamed_calls import ChunkCalls
from tests.cases import each
from tests.models import ONE_CALL
from tests.vendors.langchain.models import Scripted, answered, router


def piece(args: str | None = None, name: str | None = None, **fields: Any) -> AIMessageChunk:
    """Return a chunk with a piece of a call."""
    return AIMessageChunk("", tool_call_chunks=[tool_call_chunk(name=name, args=args, **fields)])


def summed(*chunks: AIMessageChunk) -> tuple[list[tuple[str, dict[str, Any]]], bool]:
    """Return the calls in a stream's sum, once their ids are known to differ, and whether all are whole."""
    calls = ChunkCalls()
    assert not calls
    first, *rest = [calls.add(chunk) for chunk in chunks]
    total = first.__add__([*rest, AIMessageChunk("", tool_call_chunks=calls.rest())])
    ids = [call["id"] for call in total.tool_calls]
    assert None not in ids
    assert len(set(ids)) == len(ids)
    return [(call["name"], call["args"]) for call in total.tool_calls], calls.whole


BOTH = [("f", {"x": 1}), ("g", {"y": 2})]


def test_good_pieces_stay_as_they_are() -> None:
    """The very chunk goes on."""
    calls, chunk = ChunkCalls(), piece('{"x"', "f", id="a", index=0)
    assert calls.add(chunk) is chunk
    more = piece(":1}", index=0)
    assert calls.add(more) is more
    assert (bool(calls), calls.whole, calls.rest()) == (True, True, [])


@each(
    "chunks",
    [
        # two calls at one index
        [piece('{"x":1}', "f", id="a", index=0), piece("", "g", id="b", index=0), piece('{"y":2}', index=0)],
        # without an index each piece is a call
        [piece('{"x":1}', "f", id="a"), piece('{"y":2}', "g", id="b")],
        # no ids, or one for both
        [piece('{"x":1}', "f", index=0), piece('{"y":2}', "g", index=1)],
        [piece('{"x":1}', "f", id="a", index=0), piece('{"y":2}', "g", id="a", index=1)],
        [piece('{"x":1}', "f"), piece('{"y":2}', "g")],
        # an empty object before the arguments, an id that comes late
        [
            piece("{}", "f", id="a", index=0),
            piece('{"x":1}', index=0),
            piece('{"y":2}', "g", id="b", index=1),
        ],
        [
            piece(None, "f", index=0),
            piece('{"x":1}', id="a", index=0),
            piece('{"y":2}', "g", id="b", index=1),
        ],
    ],
)
def test_calls_are_kept_apart(chunks: list[AIMessageChunk]) -> None:
    """Each has its own arguments and id."""
    assert summed(*chunks) == (BOTH, True)


def test_calls_without_arguments() -> None:
    """An empty object is handed out at the end, or at once where nothing can follow."""
    assert summed(piece("{}", "f", id="a", index=0)) == ([("f", {})], True)
    assert summed(piece("{}", "f", id="a")) == ([("f", {})], True)
    assert summed(piece('{"x"', "f", id="a", index=0))[1] is False


@each("colour", ONE_CALL)
def test_ids_of_their_own(colour: str) -> None:
    """Calls of a model that gives no ids, or one for all, can be answered one by one."""
    calls = [{"name": "f", "args": {"x": n}, "id": identity} for n, identity in enumerate((None, "a", "a"))]
    steps = [AIMessage("", tool_calls=calls, response_metadata={"finish_reason": "tool_calls"})]
    message = answered(colour, router(Scripted(steps=steps)), "Hello")
    assert [call["args"] for call in message.tool_calls] == [{"x": 0}, {"x": 1}, {"x": 2}]
    assert len({call["id"] for call in message.tool_calls} - {None}) == 3
