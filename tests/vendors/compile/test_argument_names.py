"""Arguments that come back under the caller's names, whole and in pieces."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from langchain_llmdispatch.types import ToolSpec
from langchain_llmdispatch.vendors.compile.argument_names import ArgumentRestorer
from tests.vendors.compile.calls import TOOL as _TOOL
from tests.vendors.compile.calls import compiled as _call

_ODD = ToolSpec("files.search", "", {"type": "object", "properties": {"$top": {"type": "integer"}, "a": {}}})


def _restorer() -> ArgumentRestorer:
    call, kinds = _call("anthropic", tools=[_ODD, _TOOL])
    assert "schema_keys_renamed" in kinds
    assert list(call.tools[0].parameters["properties"]) == ["top", "a"]
    assert call.argument_names == {"files_search": {"top": "$top"}}
    return ArgumentRestorer(call)


def test_only_a_vendor_that_refuses_names_gets_others() -> None:
    """And only for tools that need it."""
    assert _call("openai", tools=[_ODD])[0].argument_names == {}
    assert _call("anthropic", tools=[_TOOL])[0].argument_names == {}


def test_a_whole_answer_has_the_callers_names() -> None:
    """In calls and in the content that repeats them; other tools' arguments stay."""
    theirs, ours = {"top": 1, "a": [{"top": 2}]}, {"$top": 1, "a": [{"$top": 2}]}
    answer = AIMessage(
        [
            {"type": "text", "text": "x"},
            {"type": "tool_use", "id": "1", "name": "files.search", "input": theirs},
        ],
        tool_calls=[
            {"name": "files.search", "args": theirs, "id": "1"},
            {"name": "look", "args": {"top": 3}, "id": "2"},
        ],
    )
    made = _restorer().message(answer)
    assert [call["args"] for call in made.tool_calls] == [ours, {"top": 3}]
    assert made.content[1]["input"] == ours
    assert answer.tool_calls[0]["args"] == theirs
    other = AIMessage("x", tool_calls=[{"name": "look", "args": {"top": 3}, "id": "2"}])
    assert _restorer().message(other) is other


def _chunk(index: int, args: str, name: str | None = None, **more: Any) -> AIMessageChunk:
    block = (
        {"type": "tool_use", "name": name, "input": {}}
        if name
        else {"type": "input_json_delta", "partial_json": args}
    )
    piece = tool_call_chunk(name=name, args=args, id=None, index=index)
    return AIMessageChunk(content=[{**block, "index": index}], tool_call_chunks=[piece], **more)


def test_a_streamed_answer_has_them_at_its_end() -> None:
    """A name can be cut anywhere; calls of other tools pass as they come."""
    restorer = _restorer()
    chunks = [
        _chunk(0, "", "look"),
        _chunk(0, '{"top"'),
        _chunk(0, ":1}"),
        _chunk(1, "", "files.search"),
        _chunk(1, '{"to'),
        _chunk(1, 'p": 2}'),
        AIMessageChunk(
            content=[], chunk_position="last", response_metadata={"normalized_finish_reason": "tool_call"}
        ),
    ]
    made = [restorer.chunk(chunk) for chunk in chunks]
    assert [part.tool_call_chunks[0]["args"] for part in made[:6]] == ["", '{"top"', ":1}", "", "", ""]
    whole = made[0] + made[1:]
    assert [call["args"] for call in whole.tool_calls] == [{"top": 1}, {"$top": 2}]
    assert json.loads(whole.content[1]["partial_json"]) == {"$top": 2}
    assert whole.response_metadata["normalized_finish_reason"] == "tool_call"


def test_an_answer_in_one_chunk() -> None:
    """As of servers that do not stream, and text that needs nothing."""
    restorer = _restorer()
    piece = tool_call_chunk(name="files.search", args='{"top": 2}', id="1", index=0)
    made = restorer.chunk(AIMessageChunk(content="", tool_call_chunks=[piece], chunk_position="last"))
    assert made.tool_calls[0]["args"] == {"$top": 2}
    text = AIMessageChunk(content="x")
    assert _restorer().chunk(text) is text


def test_arguments_that_are_no_json_stay() -> None:
    """They are judged elsewhere."""
    restorer = ArgumentRestorer(replace(_call("anthropic")[0], argument_names={"f": {"a": "b"}}))
    restorer.chunk(_chunk(0, "", "f"))
    restorer.chunk(_chunk(0, '{"a": 1'))
    last = restorer.chunk(AIMessageChunk(content="", chunk_position="last"))
    assert last.tool_call_chunks[0]["args"] == '{"a": 1'
