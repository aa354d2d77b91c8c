"""The tool that carries an answer, and the way back of what it carries."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.types import ChatRequest, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.compile.output_tool import OutputUnwrapper, output_tool
from tests.vendors.compile.calls import ENDPOINT as _ENDPOINT
from tests.vendors.compile.calls import OUTPUT as _SHAPE
from tests.vendors.compile.calls import PLAIN as _PLAIN
from tests.vendors.compile.calls import SCHEMA as _SCHEMA
from tests.vendors.compile.calls import VENDORS as _VENDORS


def test_the_tool_that_carries_the_answer_is_recognised() -> None:
    """Beside other tools any may be called; its name is the caller's, and no other tool's."""
    facts = ModelFacts(structured_output=False)
    request = ChatRequest(_PLAIN, tools=[ToolSpec("City", "", _SCHEMA)], output=_SHAPE)
    call, _ = compile_call(_VENDORS["openai"], request, model="m", endpoint=_ENDPOINT, facts=facts)
    assert call.tool_choice == ToolChoice("any")
    assert [tool.name for tool in call.tools] == ["City", "City_answer"]
    assert output_tool(request, call) == "City_answer"
    named = ChatRequest(_PLAIN, output=OutputSchema("my city", _SCHEMA))
    call, _ = compile_call(_VENDORS["openai"], named, model="m", endpoint=_ENDPOINT, facts=facts)
    assert (call.tools[0].name, output_tool(named, call)) == ("my_city", "my city")
    native, _ = compile_call(_VENDORS["openai"], request, model="m", endpoint=_ENDPOINT, facts=ModelFacts())
    assert output_tool(request, native) is None


_CALL = {"name": "City", "args": {"a": "x"}, "id": "1", "type": "tool_call"}
_OTHER = {"name": "look", "args": {}, "id": "2", "type": "tool_call"}


def test_a_whole_answer_becomes_text() -> None:
    """The arguments are the text; other calls, usage and metadata stay."""
    answer = AIMessage(
        "",
        tool_calls=[_CALL],
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"normalized_finish_reason": "tool_call", "model_name": "m"},
    )
    made = OutputUnwrapper("City").message(answer)
    assert (json.loads(made.text), made.tool_calls) == ({"a": "x"}, [])
    assert made.response_metadata == {"normalized_finish_reason": "stop", "model_name": "m"}
    assert made.usage_metadata == answer.usage_metadata
    both = OutputUnwrapper("City").message(answer.model_copy(update={"tool_calls": [_CALL, _OTHER]}))
    assert (both.tool_calls, both.response_metadata["normalized_finish_reason"]) == ([_OTHER], "tool_call")


def test_an_answer_without_the_call_stays_as_it_is() -> None:
    """Text, or a call of another tool."""
    for answer in (AIMessage("hi"), AIMessage("", tool_calls=[_OTHER])):
        assert OutputUnwrapper("City").message(answer) is answer


def _piece(index: int, args: str, name: str | None = None, **more: Any) -> AIMessageChunk:
    piece = {"name": name, "args": args, "id": None, "index": index, "type": "tool_call_chunk"}
    return AIMessageChunk(more.pop("content", ""), tool_call_chunks=[piece], **more)


def test_a_streamed_answer_becomes_text_piece_by_piece() -> None:
    """Pieces of the call are text, by its index; those of other calls stay."""
    unwrapper = OutputUnwrapper("City")
    chunks = [
        _piece(0, "", "look"),
        _piece(1, '{"a":', "City"),
        _piece(1, '"x"}', content=[{"type": "input_json_delta", "index": 1}]),
        _piece(0, "{}"),
    ]
    made = [unwrapper.chunk(chunk) for chunk in chunks]
    assert [chunk.text for chunk in made] == ["", '{"a":', '"x"}', ""]
    assert [len(chunk.tool_call_chunks) for chunk in made] == [1, 0, 0, 1]
    last = AIMessageChunk(
        "", chunk_position="last", response_metadata={"normalized_finish_reason": "tool_call"}
    )
    assert unwrapper.chunk(last).response_metadata["normalized_finish_reason"] == "tool_call"


def test_the_finish_of_a_streamed_answer_is_that_of_text() -> None:
    """Where the output tool's call was the only one."""
    unwrapper = OutputUnwrapper("City")
    unwrapper.chunk(_piece(0, "{}", "City"))
    last = AIMessageChunk(
        "", chunk_position="last", response_metadata={"normalized_finish_reason": "tool_call"}
    )
    assert unwrapper.chunk(last).response_metadata["normalized_finish_reason"] == "stop"
    text = AIMessageChunk("hi")
    assert OutputUnwrapper("City").chunk(text) is text
