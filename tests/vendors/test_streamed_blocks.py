"""Blocks are distinguished by their start events, whatever their index: the shared part, and Anthropic and Cohere."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, ToolMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.streamed_blocks import ANY, INPUT, StreamedBlocks
from tests.cases import each
from tests.vendors.samples import SAMPLES, sse


def test_the_last_block_of_an_index_takes_its_pieces() -> None:
    """By kind of piece; without an index the last block of the kind."""
    blocks = StreamedBlocks()
    assert not blocks
    thought, text = blocks.begin(0, "thinking"), blocks.begin(0, "text")
    assert blocks.of(0, "thinking") is thought
    assert blocks.of(0, "text") is blocks.of(None, "text") is blocks.of(0, ANY) is text
    assert blocks.of(1, "text") is None
    assert (thought.number, text.number, blocks.is_last(thought), blocks.is_last(text)) == (0, 1, False, True)
    unplaced = blocks.begin(None, "text")
    assert blocks.of(7, "text") is unplaced


def test_arguments_belong_to_one_call() -> None:
    """To the call with their id; else never to one of two that are open at one index."""
    blocks = StreamedBlocks()
    with pytest.raises(errors.MalformedResponseError, match="no call has begun"):
        blocks.of(0, INPUT)
    first = blocks.begin(0, "tool_use", "a")
    second = blocks.begin(0, "tool_use", "b")
    assert (blocks.of(0, INPUT, "a"), blocks.of(5, INPUT, "b")) == (first, second)
    with pytest.raises(errors.MalformedResponseError, match="two calls are open"):
        blocks.of(0, INPUT)


@pytest.mark.parametrize("ended", [True, False])
def test_a_call_follows_another_at_its_index(ended: bool) -> None:
    """After its stop event, or once its arguments are whole."""
    blocks = StreamedBlocks()
    first = blocks.begin(0, "tool_use")
    assert first.args is not None
    if ended:
        blocks.end(0)
    else:
        first.args.add("{}")
    second = blocks.begin(0, "tool_use")
    assert blocks.of(0, INPUT) is second
    assert [block for block, _ in blocks.calls] == [first, second]


# -- the dialects --------------------------------------------------------------------------------------


def summed(name: str, events: list[dict[str, Any]]) -> AIMessageChunk:
    """Return the sum of a stream of a vendor that was given tools and a tool's result."""
    sample = SAMPLES[name]
    call = sample.call(stream=True)
    call.messages.append(ToolMessage("4", tool_call_id="x"))
    decoder = sample.codec.stream_decoder(call, {})
    first, *rest = [chunk for event in events for chunk in decoder.feed(sse(event))] + decoder.close()
    return first.__add__(rest)


def begin(name: str, index: int | None, identity: str, **fields: Any) -> dict[str, Any]:
    """Return the event that begins a call of the tool `f_<identity>`."""
    place = {} if index is None else {"index": index}
    tool = f"f_{identity}"
    if name == "anthropic":
        block = {"type": "tool_use", "id": identity, "name": tool, "input": {}, **fields}
        return {"type": "content_block_start", **place, "content_block": block}
    call = {"id": identity, "type": "function", "function": {"name": tool, "arguments": "", **fields}}
    return {"type": "tool-call-start", **place, "delta": {"message": {"tool_calls": call}}}


def piece(name: str, index: int | None, text: str, **fields: Any) -> dict[str, Any]:
    """Return an event with a piece of a call's arguments."""
    place = {} if index is None else {"index": index}
    if name == "anthropic":
        delta = {"type": "input_json_delta", "partial_json": text}
        return {"type": "content_block_delta", **place, "delta": delta}
    call = {"function": {"arguments": text}, **fields}
    return {"type": "tool-call-delta", **place, "delta": {"message": {"tool_calls": call}}}


def stop(name: str, index: int) -> dict[str, Any]:
    """Return the event that ends a call."""
    return {"type": "content_block_stop" if name == "anthropic" else "tool-call-end", "index": index}


def around(name: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a stream with these events in it."""
    if name == "anthropic":
        update = {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use"},
            "usage": {"output_tokens": 4},
        }
        return [{"type": "message_start", "message": {"id": "m"}}, *events, update, {"type": "message_stop"}]
    end = {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": None}}
    return [{"type": "message-start", "id": "m"}, *events, end]


def calls(message: AIMessageChunk) -> list[tuple[str, dict[str, Any], str | None]]:
    """Return the calls of a message."""
    assert not message.invalid_tool_calls
    return [(call["name"], call["args"], call["id"]) for call in message.tool_calls]


BOTH = [("f_a", {"x": 1}, "a"), ("f_b", {"y": 2}, "b")]


@each("name", ["anthropic", "cohere"])
@each("index", [0, 3, None])
def test_calls_one_after_the_other_at_one_index(name: str, index: int | None) -> None:
    """Each call has its own arguments, with stop events or without."""
    first = [begin(name, index, "a"), piece(name, index, '{"x"'), piece(name, index, ":1}")]
    second = [begin(name, index, "b"), piece(name, index, '{"y":2}')]
    between = [stop(name, index)] if index is not None else []
    for middle in (between, []):
        assert calls(summed(name, around(name, *first, *middle, *second))) == BOTH


@pytest.mark.parametrize("name", ["anthropic", "cohere"])
def test_interleaved_calls(name: str) -> None:
    """With indices of their own they are kept apart; with one index for both they are an error."""
    apart = [begin(name, 0, "a"), begin(name, 1, "b"), piece(name, 1, '{"y":2}'), piece(name, 0, '{"x":1}')]
    assert calls(summed(name, around(name, *apart))) == BOTH
    for text in ('{"x":1}', "{}"):
        mixed = [begin(name, 0, "a"), begin(name, 0, "b"), piece(name, 0, text), stop(name, 0)]
        with pytest.raises(errors.MalformedResponseError):
            summed(name, around(name, *mixed))


def test_interleaved_calls_with_ids() -> None:
    """Pieces with an id are their call's, at any index."""
    events = [
        begin("cohere", 0, "a"),
        begin("cohere", 0, "b"),
        piece("cohere", 0, '{"y":', id="b"),
        piece("cohere", 0, '{"x":1}', id="a"),
        piece("cohere", 0, "2}", id="b"),
    ]
    assert calls(summed("cohere", around("cohere", *events))) == BOTH


@pytest.mark.parametrize("name", ["anthropic", "cohere"])
def test_calls_with_one_id(name: str) -> None:
    """Two results could not be distinguished, so the second call gets an id of its own."""
    events = [begin(name, 0, "a"), stop(name, 0), begin(name, 1, "a"), piece(name, 1, '{"y":2}')]
    (_, _, first), (_, args, second) = calls(summed(name, around(name, *events)))
    assert (first, args) == ("a", {"y": 2})
    assert second not in {"a", None, ""}


@pytest.mark.parametrize("name", ["anthropic", "cohere"])
def test_a_call_without_a_name_is_none(name: str) -> None:
    """In streams as in whole answers."""
    event = begin(name, 0, "a")
    inner = (
        event["content_block"] if name == "anthropic" else event["delta"]["message"]["tool_calls"]["function"]
    )
    inner["name"] = ""
    with pytest.raises(errors.TruncatedToolCallError):
        summed(name, around(name, event))


@pytest.mark.parametrize("name", ["anthropic", "cohere"])
def test_arguments_before_arguments(name: str) -> None:
    """An empty object before them, or the whole of them at the start and again in pieces: once."""
    key = "input" if name == "anthropic" else "arguments"
    whole: Any = {"x": 1} if name == "anthropic" else '{"x": 1}'
    pieces = [piece(name, 0, '{"x"'), piece(name, 0, ":1}")]
    for events in (
        [begin(name, 0, "a"), piece(name, 0, "{}"), *pieces],
        [begin(name, 0, "a", **{key: whole}), *pieces],
        [begin(name, 0, "a", **{key: whole})],
    ):
        assert calls(summed(name, around(name, *events, stop(name, 0)))) == BOTH[:1]
    assert calls(summed(name, around(name, begin(name, 0, "a"), piece(name, 0, "{}")))) == [("f_a", {}, "a")]
    other = [begin(name, 0, "a", **{key: whole}), piece(name, 0, '{"x":2}')]
    with pytest.raises(errors.TruncatedToolCallError):
        summed(name, around(name, *other))


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of an Anthropic block without its stop event."""
    events = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [{"type": "content_block_start", "index": index, "content_block": content}, *events]


THOUGHT = block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "Hm"})
HIT = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]}
SEARCH = [
    *block(0, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
           {"type": "input_json_delta", "partial_json": '{"query":"q"}'}),
    *block(1, HIT),
]  # fmt: skip


@each(("before", "index"), [(THOUGHT, 0), (SEARCH, 1), (SEARCH, 0), ([*THOUGHT, *SEARCH], 1)])
def test_text_at_the_index_of_another_block(before: list[dict[str, Any]], index: int) -> None:
    """Anthropic's text after a search has had the index of the search's result."""
    text = {"type": "text_delta", "text": "49 million."}
    for after in (block(index, {"type": "text", "text": ""}, text), block(index, {}, text)[1:]):
        message = summed("anthropic", around("anthropic", *before, *after))
        assert message.text == "49 million."
        assert message.content[-1]["type"] == "text"


def test_a_signature_comes_after_the_next_block_began() -> None:
    """A delta goes to the block of its kind, though another one has begun at the index."""
    text = block(0, {"type": "text", "text": "So."})
    late = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "S"}}
    ]
    message = summed("anthropic", around("anthropic", *THOUGHT, *text, *late))
    assert [(part["type"], part.get("signature")) for part in message.content] == [
        ("thinking", "S"),
        ("text", None),
    ]


def test_texts_of_cohere_at_one_index() -> None:
    """A citation is that of the last text at its index."""

    def text(kind: str, raw: str) -> dict[str, Any]:
        content = {"type": "text", "text": raw}
        return {"type": kind, "index": 0, "delta": {"message": {"content": content}}}

    cited = {"start": 0, "end": 2, "content_index": 0, "sources": []}
    note = {"type": "citation-start", "index": 0, "delta": {"message": {"citations": cited}}}
    events = [text("content-start", ""), text("content-delta", "A. "), text("content-start", "B."), note]
    message = summed("cohere", around("cohere", *events))
    assert message.text == "A. B."
    assert ["annotations" in part for part in message.content] == [False, True]
