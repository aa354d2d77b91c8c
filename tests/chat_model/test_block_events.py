"""Content-block events: the message of `stream`, rules of LangChain, pieces in one event each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.messages import AIMessageChunk, HumanMessage, message_chunk_to_message
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, LLMResult
from langchain_core.tracers._streaming import _V2StreamingCallbackHandler

from langchain_llmdispatch import Deployment
from langchain_llmdispatch.chat_model.event_maker import EventMaker
from langchain_llmdispatch.errors import StreamInterruptedError
from langchain_llmdispatch.vendors.answer import text_chunk
from tests.block_events import assert_same, events_of, message_of_chunks, message_of_events
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, ToolCall
from tests.loopback.server import LoopbackServer
from tests.models import VENDORS, deployment, model_of, summed

TOOLS = [{"title": name, "type": "object", "properties": {}} for name in ("f", "g")]
ANSWERS = {
    "text": Answer("Hello there, these are several words."),
    "reasoning": Answer("So it is.", reasoning="Let me think about this for a while."),
    "calls": Answer("I look.", tool_calls=(ToolCall("f", {"a": 1}), ToolCall("g", {"b": [1, {"c": "d"}]}))),
    "calls alone": Answer(tool_calls=(ToolCall("f", {}),)),
}


def streamed(vendor: str, answer: Answer, way: str) -> tuple[Any, list[Any]]:
    """Return the message of one call, and its events; each call is the first of its server."""
    with LoopbackServer() as server, model_of(deployment(server, vendor)) as model:
        bound = model.bind_tools(TOOLS)
        server.script(vendor, [answer])
        if way == "chunks":
            return message_chunk_to_message(summed(list(bound.stream("hello", reasoning_effort="low")))), []
        if way == "events":
            stream = bound.stream_events("hello", version="v3", reasoning_effort="low")
            events = list(stream)
            return stream.output, events

        async def main() -> tuple[Any, list[Any]]:
            stream = await bound.astream_events("hello", version="v3", reasoning_effort="low")
            events = [event async for event in stream]
            message = await stream.output
            await model.aclose()
            return message, events

        return asyncio.run(main())


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("vendor", VENDORS)
def test_events_give_the_message_that_chunks_give(vendor: str, kind: str) -> None:
    """For every vendor and kind of block, in both colours."""
    message, _ = streamed(vendor, ANSWERS[kind], "chunks")
    for way in ("events", "aevents"):
        other, events = streamed(vendor, ANSWERS[kind], way)
        for answer in (message, other):
            for word in ("llmdispatch", "host_digest"):  # the time and the port differ
                answer.response_metadata[word] = bool(answer.response_metadata.get(word))
        assert_same(message, other)
        assert [event["event"] for event in events][:: len(events) - 1] == ["message-start", "message-finish"]


def chunks_of(*parts: Any) -> list[ChatGenerationChunk]:
    """Return chunks with these contents, or these chunks."""
    messages = [
        part
        if isinstance(part, AIMessageChunk)
        else AIMessageChunk(content=part, response_metadata={"model_provider": "anthropic"})
        for part in parts
    ]
    return [ChatGenerationChunk(message=message) for message in messages]


@each(
    "parts",
    [
        ["a", "b", "", "c"],
        [[{"type": "text", "text": "a", "index": 0}], [{"type": "text", "text": "b", "index": 0}]],
        [
            [{"type": "thinking", "thinking": "a", "index": 0}],
            [{"type": "thinking", "thinking": "b", "index": 0}],
            [{"type": "thinking", "signature": "s", "index": 0}],
            [{"type": "text", "text": "c", "index": 1}],
            [{"type": "text", "text": "", "citations": [{"type": "char_location"}], "index": 1}],
            [{"type": "text", "text": "d", "index": 1}],
        ],
        [
            [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}, "index": 0}],
            [{"type": "input_json_delta", "partial_json": '{"q": ', "index": 0}],
            [{"type": "input_json_delta", "partial_json": '"x"}', "index": 0}],
            [{"type": "web_search_tool_result", "tool_use_id": "s", "content": [], "index": 1}],
            [{"type": "text", "text": "c", "index": 2}],
        ],
        [
            [{"type": "redacted_thinking", "data": "x", "index": 0}],
            [{"type": "new_kind", "v": 1, "index": 1}],
        ],
    ],
)
def test_pieces_of_any_block_are_one_message(parts: list[Any]) -> None:
    """As the sum of the chunks, and as the bridge gives them."""
    chunks = chunks_of(*parts)
    given = message_of_events(events_of(chunks))
    assert_same(message_of_chunks(chunks), given)
    assert_same(message_of_events(list(chunks_to_events(iter(chunks)))), given)


def test_a_call_that_is_no_tool_call_among_the_blocks() -> None:
    """The call of a custom tool is kept beside OpenAI's own item: an agent must answer it."""
    item = {"type": "custom_tool_call", "id": "i", "call_id": "c", "name": "sql", "input": "x", "index": 0}
    call = tool_call_chunk(name="sql", args='{"__arg1": "x"}', id="c", index=0)
    words = {"model_provider": "openai"}
    chunks = chunks_of(AIMessageChunk([item], tool_call_chunks=[call], response_metadata=words))
    given = message_of_events(events_of(chunks))
    assert given.tool_calls == message_of_chunks(chunks).tool_calls != []
    assert [block["type"] for block in given.content_blocks] == ["non_standard", "tool_call"]


def test_a_piece_is_one_event() -> None:
    """The first chunk of a shape is translated; each further one is one delta."""
    maker = EventMaker()
    chunks = [ChatGenerationChunk(message=text_chunk(text, "openai")) for text in ("a", "b", "c")]
    counts = [[event["event"] for event in maker.of_chunk(chunk)] for chunk in chunks]
    assert counts == [
        ["message-start", "content-block-start", "content-block-delta"],
        ["content-block-delta"],
        ["content-block-delta"],
    ]
    assert [event["event"] for event in maker.of_end()] == ["content-block-finish", "message-finish"]
    assert EventMaker().of_end() == []


def test_an_interrupted_stream_of_events_fails(server: LoopbackServer) -> None:
    """With the error that `stream` raises."""
    server.script("openai", [(Fault.cut(after_events=9), Answer("so many words " * 20))], "")
    with model_of(deployment(server, "openai"), max_attempts=1) as model:
        stream = model.stream_events("hello", version="v3")
        with pytest.raises(StreamInterruptedError):
            list(stream)


def test_a_run_chooses_for_events_too(server: LoopbackServer) -> None:
    """`configurable` counts as for `stream`."""
    two = [deployment(server, "openai"), deployment(server, "anthropic")]
    with model_of(*two) as model:
        config = {"configurable": {"allowed_vendors": ["anthropic"]}}
        message = model.stream_events("hello", config, version="v3").output
    assert message.response_metadata["llmdispatch"]["vendor"] == "anthropic"


class Ends(BaseCallbackHandler):
    """Notes what tracers get at the end of runs."""

    def __init__(self) -> None:
        self.info: list[Any] = []

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        """Note the generation's info."""
        self.info.append(response.generations[0][0].generation_info)


class EndsOfEvents(Ends, _V2StreamingCallbackHandler):
    """Makes `invoke` stream events underneath."""


@pytest.mark.parametrize("kind", [Ends, EndsOfEvents])
def test_tracers_see_who_answered(server: LoopbackServer, kind: type[Ends]) -> None:
    """Also where the answer was streamed as events."""
    handler = kind()
    with model_of(deployment(server, "openai")) as model:
        if kind is Ends:
            list(model.stream_events("hello", {"callbacks": [handler]}, version="v3"))
        else:
            assert model.invoke("hello", {"callbacks": [handler]}).text
    expected = {"lc_gateway_metadata": {"provider": "openai", "model": "gpt-5.4-mini"}}
    assert [info and {k: info[k] for k in expected} for info in handler.info] == [expected]


def test_models_in_process_give_events_too() -> None:
    """Another package's model as a deployment."""
    inner = FakeListChatModel(responses=["So be it."])
    with model_of(Deployment(inner)) as model:
        stream = model.stream_events([HumanMessage("hello")], version="v3")
        events = list(stream)
    assert stream.output.text == "So be it."
    assert events[-1]["event"] == "message-finish"
