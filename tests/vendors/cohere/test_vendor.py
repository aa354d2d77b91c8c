"""Cohere's codec: requests as the v2 API reads them, answers that no recording holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, LimitState, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.cohere.vendor import CohereVendor, chat_url

VENDOR = CohereVendor()
KEY = "cohere-test-key-0123456789"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec(name="weather", description="Tells the weather", parameters=SCHEMA)
CLOCK = ToolSpec(name="clock", description="", parameters={"type": "object", "properties": {}})
ASKED = AIMessage(
    "", tool_calls=[{"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}]
)
RESULT = ToolMessage("rain", tool_call_id="c1", name="weather")
USAGE = {
    "billed_units": {"input_tokens": 4, "output_tokens": 3},
    "tokens": {"input_tokens": 70.0, "output_tokens": 30.0, "reasoning_tokens": 9},
    "cached_tokens": 16,
}


def call(**fields: Any) -> Call:
    """Return a call with what a test does not care about filled in."""
    fields = {"model": "command-a-03-2025", "messages": [HumanMessage("hi")], **fields}
    return Call(**{"endpoint": Endpoint("https://api.cohere.com", SecretStr(KEY)), **fields})


def body(**fields: Any) -> dict[str, Any]:
    """Return the JSON body of the request for `call(**fields)`."""
    return dict(json.loads(VENDOR.encode_request(call(**fields)).content))


def turn(message: Any) -> dict[str, Any]:
    """Return one message as the API reads it."""
    return dict(body(messages=[message])["messages"][0])


def answer(finish: str = "COMPLETE", **message: Any) -> dict[str, Any]:
    """Return a whole answer with these message fields."""
    return {"id": "a1", "finish_reason": finish, "message": {"role": "assistant", **message}, "usage": USAGE}


def text(said: str) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": said}


def tool(arguments: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a tool call as Cohere has it."""
    function = {"name": "weather", "arguments": arguments}
    return {"id": f"c{index}", "type": "function", "function": function, **fields}


def decode(said: Any, **fields: Any) -> AIMessage:
    """Return the message in a whole answer."""
    return VENDOR.decode_response(call(**fields), json.dumps(said).encode(), {})


def events(*said: dict[str, Any]) -> bytes:
    """Return server-sent events."""
    parts = [f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n" for event in said]
    return "".join(parts).encode()


def delta(kind: str, index: int | None = None, **message: Any) -> dict[str, Any]:
    """Return an event with a message's delta."""
    place = {} if index is None else {"index": index}
    return {"type": kind, **place, "delta": {"message": message}}


START = {"id": "a1", **delta("message-start", role="assistant", content=[], tool_plan="", tool_calls=[])}
DONE = b"data: [DONE]\n\n"


def end(finish: str = "COMPLETE", **fields: Any) -> dict[str, Any]:
    """Return the last event."""
    return {"type": "message-end", "delta": {"finish_reason": finish, "usage": USAGE, **fields}}


def stream(data: bytes, *cuts: int, **fields: Any) -> list[AIMessageChunk]:
    """Return the chunks of a stream, fed in pieces."""
    decoder = VENDOR.stream_decoder(call(**fields), {})
    chunks: list[AIMessageChunk] = []
    for start, stop in zip((0, *cuts), (*cuts, len(data)), strict=True):
        chunks += decoder.feed(data[start:stop])
    return chunks + decoder.close()


def total(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks."""
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


# -- requests ------------------------------------------------------------------------------------------

URLS = [
    "https://api.cohere.com",
    "https://api.cohere.com/",
    "https://api.cohere.com/v1",
    "https://api.cohere.com/v2/",
]


@pytest.mark.parametrize("base", URLS)
def test_url(base: str) -> None:
    """People write the base with and without a version; v2 is spoken in any case."""
    assert chat_url(base) == "https://api.cohere.com/v2/chat"


def test_smallest_request() -> None:
    """Model, messages and whether to stream; the key is a bearer token and nowhere else."""
    request = VENDOR.encode_request(call())
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(request.url)
    wanted = {"model": "command-a-03-2025", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert json.loads(request.content) == wanted
    assert body(stream=True) == {**wanted, "stream": True}


def test_headers() -> None:
    """A fresh token wins over a key, and the user's own header over both."""
    fresh = Endpoint("https://api.cohere.com", SecretStr(KEY), token_provider=lambda: "t")
    assert VENDOR.encode_request(call(endpoint=fresh)).headers["authorization"] == "Bearer t"
    own = Endpoint("https://api.cohere.com", SecretStr(KEY), headers={"Authorization": "Bearer mine"})
    assert VENDOR.encode_request(call(endpoint=own)).headers.get_list("authorization") == ["Bearer mine"]


def test_params() -> None:
    """Neutral names in Cohere's words."""
    params = {
        "max_tokens": 5, "temperature": 0.1, "top_p": 0.9, "top_k": 3, "seed": 1, "stop": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "logprobs": True,
    }  # fmt: skip
    sent = body(params=params)
    assert {name: sent[name] for name in sent if name not in {"model", "messages", "stream"}} == {
        "max_tokens": 5, "temperature": 0.1, "p": 0.9, "k": 3, "seed": 1, "stop_sequences": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "logprobs": True,
    }  # fmt: skip


THINKING = [
    ({"reasoning_effort": "none"}, {"type": "disabled"}),
    ({"reasoning_effort": "low"}, {"type": "enabled", "token_budget": 2048}),
    ({"reasoning_effort": "high"}, {"type": "enabled"}),
    ({"thinking": {"type": "enabled", "token_budget": 7}}, {"type": "enabled", "token_budget": 7}),
    ({"thinking": {"type": "enabled", "budget_tokens": 7}}, {"type": "enabled", "token_budget": 7}),
    ({"thinking": False, "reasoning_effort": "high"}, {"type": "disabled"}),
]


@pytest.mark.parametrize(("params", "wanted"), THINKING)
def test_thinking(params: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Reasoning is a switch with a budget."""
    assert body(params=params)["thinking"] == wanted


CHOICES = [
    (None, ["weather", "clock"], None),
    (ToolChoice("auto"), ["weather", "clock"], None),
    (ToolChoice("any"), ["weather", "clock"], "REQUIRED"),
    (ToolChoice("tool", "clock"), ["clock"], "REQUIRED"),
    (ToolChoice("none"), ["weather", "clock"], "NONE"),
]


@pytest.mark.parametrize(("choice", "names", "word"), CHOICES)
def test_tool_choice(choice: ToolChoice | None, names: list[str], word: str | None) -> None:
    """A named tool is offered alone and required."""
    sent = body(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert [item["function"]["name"] for item in sent["tools"]] == names
    assert sent.get("tool_choice") == word


STRICT = [((None, None), None), ((True, None), True), ((True, False), None), ((False, None), None)]


@pytest.mark.parametrize(("wishes", "strict"), STRICT)
def test_strict_tools(wishes: tuple[bool | None, ...], strict: bool | None) -> None:
    """One switch for all tools: nobody's "no" is overruled."""
    tools = [ToolSpec("t", "", SCHEMA, strict=wish) for wish in wishes]
    assert body(tools=tools).get("strict_tools") is strict


def test_output() -> None:
    """JSON mode, with a schema or without."""
    schema = OutputSchema("c", SCHEMA, method="json_schema")
    assert body(output=schema)["response_format"] == {"type": "json_object", "json_schema": SCHEMA}
    mode = OutputSchema("c", SCHEMA, method="json_mode")
    assert body(output=mode)["response_format"] == {"type": "json_object"}


def test_extra() -> None:
    """Extra fields are merged last, objects one level deep."""
    documents = [{"id": "d1", "data": {"text": "rain"}}]
    extra = {"documents": documents, "thinking": {"token_budget": 9}, "safety_mode": "STRICT"}
    sent = body(params={"reasoning_effort": "high"}, extra=extra)
    assert sent["documents"] == documents
    assert sent["thinking"] == {"type": "enabled", "token_budget": 9}
    assert sent["safety_mode"] == "STRICT"


SENT_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
THOUGHT = {"type": "reasoning", "reasoning": "hm"}
TURNS = [
    (SystemMessage("be brief"), {"role": "system", "content": "be brief"}),
    (SystemMessage([text("be"), text("brief")]), {"role": "system", "content": "be\nbrief"}),
    (
        HumanMessage(
            [
                text("what"),
                {"type": "image", "base64": "iVBORw0KGgo=", "mime_type": "image/jpeg"},
                {"type": "image", "url": "https://example.org/cat.png", "extras": {"detail": "low"}},
                {"type": "text-plain", "text": "notes", "mime_type": "text/plain"},
            ]
        ),
        {
            "role": "user",
            "content": [
                text("what"),
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,iVBORw0KGgo="}},
                {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "detail": "low"}},
                text("notes"),
            ],
        },
    ),
    (AIMessage("yes"), {"role": "assistant", "content": "yes"}),
    (AIMessage([THOUGHT, text("yes")]), {
        "role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, text("yes")]
    }),
    (ASKED, {"role": "assistant", "tool_calls": [SENT_CALL]}),
    (
        AIMessage([THOUGHT, text("I look"), dict(ASKED.tool_calls[0])], tool_calls=ASKED.tool_calls),
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}],
            "tool_plan": "I look",
            "tool_calls": [SENT_CALL],
        },
    ),
    (RESULT, {"role": "tool", "tool_call_id": "c1", "content": "rain"}),
    (
        ToolMessage([text("rain")], tool_call_id="c1", name="weather"),
        {"role": "tool", "tool_call_id": "c1", "content": [text("rain")]},
    ),
    (
        ToolMessage(
            [{"type": "text-plain", "text": "rain", "title": "Sky", "id": "d1", "mime_type": "text/plain"}],
            tool_call_id="c1",
            name="weather",
        ),
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [
                {"type": "document", "document": {"data": {"title": "Sky", "text": "rain"}, "id": "d1"}}
            ],
        },
    ),
    (
        ToolMessage("", tool_call_id="c1", name="weather"),
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"data": {"output": ""}}}],
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "wanted"), TURNS)
def test_turn(message: Any, wanted: dict[str, Any]) -> None:
    """Each kind of message is spelled as the API has it, and left as it was."""
    before = message.model_dump()
    assert turn(message) == wanted
    assert message.model_dump() == before


# -- answers -------------------------------------------------------------------------------------------


def test_metadata() -> None:
    """Tokens are usage, whole numbers, cached and reasoning ones in the details."""
    thought = {"type": "thinking", "thinking": "hm"}
    message = decode({**answer(content=[thought, text("hi")]), "logprobs": [{"token_ids": [1]}]})
    assert message.content == "hi"
    assert message.additional_kwargs == {"reasoning_content": "hm"}
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert message.usage_metadata == {
        "input_tokens": 70,
        "output_tokens": 30,
        "total_tokens": 100,
        "input_token_details": {"cache_read": 16},
        "output_token_details": {"reasoning": 9},
    }
    assert message.response_metadata == {
        "model_provider": "cohere", "model_name": "command-a-03-2025", "finish_reason": "stop",
        "stop_reason": "COMPLETE", "id": "a1", "usage": USAGE, "logprobs": [{"token_ids": [1]}],
    }  # fmt: skip


USAGES: list[tuple[Any, tuple[int, int] | None]] = [
    (None, None),
    ({}, None),
    ({"tokens": {}}, None),
    ({"billed_units": {"input_tokens": 4, "output_tokens": 3}}, (4, 3)),
    ({"tokens": {"input_tokens": 4}}, (4, 0)),
]


@pytest.mark.parametrize(("usage", "counts"), USAGES)
def test_usage(usage: Any, counts: tuple[int, int] | None) -> None:
    """No usage is invented."""
    found = decode({**answer(content=[text("hi")]), "usage": usage}).usage_metadata
    assert (found and (found["input_tokens"], found["output_tokens"])) == counts


FINISHES = [
    ("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("TOOL_CALL", "tool_calls"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "finish"), FINISHES)
def test_finish(said: str, finish: str) -> None:
    """Finish reasons in LangChain's words."""
    assert decode(answer(said, content=[text("hi")])).response_metadata["finish_reason"] == finish
    data = events(START, delta("content-delta", 0, content={"text": "hi"}), end(said)) + DONE
    assert stream(data)[-1].response_metadata["finish_reason"] == finish


FAILURES = [
    ("ERROR", {}, errors.MalformedResponseError),
    ("ERROR", {"error": "something broke", "error_type": "INTERNAL"}, errors.MalformedResponseError),
    ("ERROR", {"error": "too many tokens", "error_type": "TOO_MANY_TOKENS"}, errors.ContextOverflowError),
    ("TIMEOUT", {}, errors.ServerError),
    (None, {"error": "something broke"}, errors.ServerError),
]


@pytest.mark.parametrize(("reason", "fields", "cls"), FAILURES)
def test_failed_answer(reason: str | None, fields: dict[str, Any], cls: type[errors.VendorError]) -> None:
    """A finish reason that means failure is an error, in a 200 too."""
    said = (START, delta("content-delta", 0, content={"text": "hi"}))
    last = {"type": "message-end", "delta": {"finish_reason": reason, "usage": {}, **fields}}
    decoder = VENDOR.stream_decoder(call(), {})
    assert len(decoder.feed(events(*said, last))) == 1
    with pytest.raises(cls) as raised:
        decoder.close()
    assert type(raised.value) is cls
    with pytest.raises(cls):
        decode({"id": "a1", "finish_reason": reason, "message": {"content": []}, **fields})


def test_plan_is_text() -> None:
    """The tool plan is the text beside the calls, and goes back as the plan."""
    message = decode(answer("TOOL_CALL", tool_plan="I look.", tool_calls=[tool('{"city":"Oslo"}')]))
    assert message.content == "I look."
    sent = turn(message)
    assert sent["tool_plan"] == "I look."
    assert sent["tool_calls"] == [tool('{"city":"Oslo"}')]


ARGUMENTS = [("", {}), ("null", {}), ("{}", {}), (' {"a": 1}', {"a": 1})]


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize(("said", "args"), ARGUMENTS)
def test_arguments(said: str, args: dict[str, Any], pieces: int) -> None:
    """A tool without arguments gets `null` or nothing at all; both are none."""
    assert decode(answer("TOOL_CALL", tool_calls=[tool(said)])).tool_calls[0]["args"] == args
    parts = [said] if pieces == 1 else list(said)
    begun = delta("tool-call-start", 0, tool_calls=tool(""))
    deltas = [delta("tool-call-delta", 0, tool_calls={"function": {"arguments": part}}) for part in parts]
    summed = total(
        stream(events(START, begun, *deltas, {"type": "tool-call-end", "index": 0}, end("TOOL_CALL")))
    )
    assert [(item["args"], item["id"]) for item in summed.tool_calls] == [(args, "c0")]
    assert not summed.invalid_tool_calls
    assert [block["type"] for block in summed.content_blocks] == ["tool_call"]


def test_arguments_with_the_start() -> None:
    """Arguments may come with the start of a call."""
    begun = delta("tool-call-start", 0, tool_calls=tool('{"city":"Oslo"}'))
    summed = total(stream(events(START, begun, end("TOOL_CALL"))))
    assert summed.tool_calls[0]["args"] == {"city": "Oslo"}


@pytest.mark.parametrize("said", ['{"city": "Os', "[1]", "nul", "3"])
def test_bad_arguments(said: str) -> None:
    """Arguments that are no object never make a valid call."""
    message = decode(answer("MAX_TOKENS", tool_calls=[tool(said)]))
    assert not message.tool_calls
    assert message.invalid_tool_calls[0]["args"] == said
    begun = delta("tool-call-start", 0, tool_calls=tool(""))
    data = events(START, begun, delta("tool-call-delta", 0, tool_calls={"function": {"arguments": said}}))
    decoder = VENDOR.stream_decoder(call(), {})
    decoder.feed(data)
    with pytest.raises(errors.TruncatedToolCallError):
        decoder.feed(events(end("MAX_TOKENS")))


def test_ids_and_names() -> None:
    """A call without an id gets the answer's; the caller finds the tool under its own name."""
    said = tool("{}", id=None)
    names = {"weather": "weather!"}
    whole = decode(answer("TOOL_CALL", tool_calls=[said]), tool_names=names).tool_calls[0]
    begun = delta("tool-call-start", 0, tool_calls=said)
    streamed = total(stream(events(START, begun, end("TOOL_CALL")), tool_names=names)).tool_calls[0]
    assert whole == streamed
    assert (whole["id"], whole["name"]) == ("a1_call_0", "weather!")


MALFORMED = [b"", b"<html>", b"[]", b'{"message": "internal"}', b'{"id": "a1", "finish_reason": "COMPLETE"}']


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed(data: bytes) -> None:
    """What is no answer is not taken for one."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), data, {})


# -- citations -----------------------------------------------------------------------------------------

SOURCE = {
    "type": "document",
    "id": "d1",
    "document": {"id": "d1", "title": "Sky", "url": "https://x.org", "text": "…"},
}
CITATION = {
    "start": 6,
    "end": 10,
    "text": "rain",
    "sources": [SOURCE],
    "type": "TEXT_CONTENT",
    "content_index": 1,
}
ANNOTATION = {
    "type": "citation", "start_index": 6, "end_index": 10, "title": "Sky", "url": "https://x.org",
    "extras": {"text": "rain", "sources": [SOURCE], "type": "TEXT_CONTENT"},
}  # fmt: skip
DOCUMENTS = {"documents": ["a text"]}


def without_index(content: Any) -> Any:
    """Return list content without the numbers that only streams need."""
    return [{name: block[name] for name in block if name != "index"} for block in content]


def test_citations() -> None:
    """Citations are LangChain's standard annotations, on the text they cite, streamed or not."""
    thought = {"type": "thinking", "thinking": "hm"}
    wanted = [{"type": "text", "text": "Under rain.", "annotations": [ANNOTATION]}]
    whole = decode(answer(content=[thought, text("Under rain.")], citations=[CITATION]))
    assert whole.content == wanted
    assert [block["type"] for block in whole.content_blocks] == ["reasoning", "text"]
    said = [
        START,
        delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
        delta("content-delta", 0, content={"thinking": "hm"}),
        {"type": "content-end", "index": 0},
        delta("content-start", 1, content={"type": "text", "text": ""}),
        delta("content-delta", 1, content={"text": "Under rain"}),
        delta("citation-start", 0, citations={k: v for k, v in CITATION.items() if k != "content_index"}),
        {"type": "citation-end", "index": 0},
        delta("content-delta", 1, content={"text": "."}),
        end(),
    ]
    summed = total(stream(events(*said) + DONE, extra=DOCUMENTS))
    assert without_index(summed.content) == wanted
    assert without_index(summed.content_blocks)[1:] == wanted
    assert summed.text == whole.text == "Under rain."


def test_unforeseen_citation() -> None:
    """A citation that nobody asked for does not spoil the text, and is kept."""
    said = [
        START,
        delta("content-delta", 0, content={"text": "rain"}),
        delta("citation-start", 0, citations=CITATION),
    ]
    summed = total(stream(events(*said, end())))
    assert summed.content == "rain"
    assert summed.additional_kwargs == {"citations": [CITATION]}


def test_plan_citation() -> None:
    """A plan may cite; what cites no text is kept as it came."""
    citation = {**CITATION, "type": "PLAN", "content_index": None}
    stray = {**CITATION, "type": "THINKING_CONTENT", "content_index": 0}
    message = decode(answer(tool_plan="I see rain", tool_calls=[tool("{}")], citations=[citation, stray]))
    assert message.content[0]["annotations"][0]["extras"]["type"] == "PLAN"  # type: ignore[index]
    assert message.additional_kwargs["citations"] == [stray]


MODES = [({}, False), (DOCUMENTS, True), ({**DOCUMENTS, "citation_options": {"mode": "OFF"}}, False)]


@pytest.mark.parametrize(("extra", "listed"), MODES)
def test_content_is_a_list_only_where_citations_may_come(extra: dict[str, Any], listed: bool) -> None:
    """Plain answers stream as strings."""
    data = events(START, delta("content-delta", 0, content={"text": "hi"}), end())
    assert isinstance(total(stream(data, extra=extra)).content, list) is listed
    assert isinstance(total(stream(data, messages=[HumanMessage("hi"), ASKED, RESULT])).content, list)


# -- streams -------------------------------------------------------------------------------------------

PARTS = [
    START,
    delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
    delta("content-delta", 0, content={"thinking": "hm "}),
    delta("content-delta", 0, content={"thinking": "ja"}),
    {"type": "content-end", "index": 0},
    delta("tool-plan-delta", tool_plan="I will "),
    delta("tool-plan-delta", tool_plan="look 🌧."),
    delta("tool-call-start", 0, tool_calls=tool("")),
    delta("tool-call-delta", 0, tool_calls={"function": {"arguments": '{"city":'}}),
    delta("tool-call-delta", 0, tool_calls={"function": {"arguments": ' "Zürich"}'}}),
    {"type": "tool-call-end", "index": 0},
    delta("tool-call-start", 1, tool_calls=tool("", 1)),
    delta("tool-call-delta", 1, tool_calls={"function": {"arguments": "null"}}),
    {"type": "tool-call-end", "index": 1},
    {"type": "debug", "prompt": "of no use"},
    end("TOOL_CALL"),
]
DATA = events(*PARTS) + DONE
WHOLE = answer(
    "TOOL_CALL",
    content=[{"type": "thinking", "thinking": "hm ja"}],
    tool_plan="I will look 🌧.",
    tool_calls=[tool('{"city": "Zürich"}'), tool("null", 1)],
)


@given(st.lists(st.integers(0, len(DATA)), max_size=12))
def test_sum_is_the_whole(cuts: list[int]) -> None:
    """However the bytes arrive, the chunks add up to the answer that was not streamed."""
    chunks = stream(DATA, *sorted(cuts))
    summed, wanted = total(chunks), decode(WHOLE)
    for name in ("content", "tool_calls", "invalid_tool_calls", "usage_metadata", "additional_kwargs"):
        assert getattr(summed, name) == getattr(wanted, name)
    assert summed.response_metadata == wanted.response_metadata
    assert summed.content_blocks == wanted.content_blocks
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert all(chunk.response_metadata == {"model_provider": "cohere"} for chunk in chunks[:-1])


def test_cut_everywhere() -> None:
    """A stream that was cut is never called whole, wherever the cut is."""
    for cut in range(len(events(*PARTS)) - 3):
        decoder = VENDOR.stream_decoder(call(), {})
        chunks = decoder.feed(DATA[:cut])
        with pytest.raises(errors.TruncatedStreamError):
            decoder.close()
        assert not any(chunk.chunk_position for chunk in chunks)
        assert not decoder.finished


def test_done_follows_the_end() -> None:
    """The answer is whole at `message-end`; `[DONE]` only says that nothing follows."""
    decoder = VENDOR.stream_decoder(call(), {})
    decoder.feed(events(*PARTS))
    assert (decoder.finished, decoder.done) == (True, False)
    assert decoder.feed(DONE) == []
    assert decoder.done
    without = VENDOR.stream_decoder(call(), {})
    without.feed(events(*PARTS))
    assert without.close() == []
    early = VENDOR.stream_decoder(call(), {})
    with pytest.raises(errors.TruncatedStreamError):
        early.feed(events(START) + DONE)


BROKEN = [
    b"data: <html>\n\n",
    b"data: 3\n\n",
    events({"type": "content-delta", "index": 0}),
    events(delta("content-delta", 0, content=None)),
    events(delta("tool-call-delta", 4, tool_calls={"function": {"arguments": "{}"}})),
    events({"type": "message-end"}),
]


@pytest.mark.parametrize("data", BROKEN)
def test_broken_event(data: bytes) -> None:
    """An event that makes no sense is an error, after what came before it was handed out."""
    decoder = VENDOR.stream_decoder(call(), {})
    before = events(START, delta("content-delta", 0, content={"text": "hi"}))
    assert [chunk.content for chunk in decoder.feed(before + data)] == ["hi"]
    with pytest.raises(errors.MalformedResponseError):
        decoder.feed(b"\n")


def test_error_event() -> None:
    """An error in the place of an event is that error."""
    with pytest.raises(errors.ContextOverflowError):
        stream(events(START, {"type": "error", "message": "too many tokens: size limit exceeded"}))
    with pytest.raises(errors.ServerError):
        stream(b'data: {"id": "x", "message": "internal server error"}\n\n')


def test_logprobs() -> None:
    """Log probabilities of all deltas arrive once, at the end."""
    item = {"text": "hi", "token_ids": [1], "logprobs": [-0.5]}
    said = [{**delta("content-delta", 0, content={"text": "hi"}), "logprobs": item} for _ in range(2)]
    chunks = stream(events(START, *said, end()))
    assert "logprobs" not in chunks[0].response_metadata
    assert total(chunks).response_metadata["logprobs"] == [item, item]


# -- errors --------------------------------------------------------------------------------------------

TRIAL = "You are using a Trial key, which is limited to"
ERRORS = [
    (400, "too many tokens: size limit exceeded by 5 tokens.", errors.ContextOverflowError, False),
    (400, "too many tokens: max tokens must be less than 4096", errors.UnsupportedParameterError, False),
    (
        400,
        "invalid request: response_format is not supported with RAG.",
        errors.UnsupportedParameterError,
        False,
    ),
    (400, "invalid request: message must be at least 1 token long", errors.InvalidRequestError, False),
    (401, "invalid api token", errors.AuthenticationError, False),
    (402, "add a payment method", errors.QuotaExceededError, False),
    (403, "forbidden", errors.PermissionDeniedError, False),
    (404, "model 'x' was removed", errors.ModelNotFoundError, False),
    (413, "too large", errors.RequestTooLargeError, False),
    (422, "unknown field: parameter name is not a valid field.", errors.UnsupportedParameterError, False),
    (422, "something else", errors.InvalidRequestError, False),
    (429, f"{TRIAL} 20 API calls / minute.", errors.RateLimitError, True),
    (429, f"{TRIAL} 1000 API calls / month.", errors.QuotaExceededError, False),
    (498, "blocked", errors.ContentFilterError, False),
    (499, "cancelled", errors.VendorError, False),
    (500, "internal server error", errors.ServerError, True),
    (501, "not implemented", errors.UnsupportedParameterError, False),
    (503, "overloaded", errors.OverloadedError, True),
    (504, "timeout", errors.ServerError, True),
]


@pytest.mark.parametrize(("status", "said", "cls", "retryable"), ERRORS)
def test_errors(status: int, said: str, cls: type[errors.VendorError], retryable: bool) -> None:
    """Status decides, text only where Cohere has no other way to say it; a body of any kind will do."""
    for data in (json.dumps({"id": "x", "message": said}).encode(), said.encode()):
        error = VENDOR.decode_error(call(), status, {"x-debug-trace-id": "t1"}, data)
        assert type(error) is cls
        assert error.is_retryable is retryable
        assert (error.status_code, error.vendor, error.request_id) == (status, "cohere", "t1")
        assert said in error.message


def test_error_type() -> None:
    """The structured code decides before the text."""
    data = json.dumps({"error_type": "TOO_MANY_TOKENS", "message": "no"}).encode()
    error = VENDOR.decode_error(call(), 400, {}, data)
    assert isinstance(error, errors.ContextOverflowError)
    assert error.code == "TOO_MANY_TOKENS"


def test_no_key_in_errors() -> None:
    """A key that is echoed does not get into the error."""
    error = VENDOR.decode_error(call(), 401, {}, json.dumps({"message": f"bad key {KEY}"}).encode())
    assert KEY not in str(error) + repr(error)


DATE = "Thu, 01 Jan 1970 00:16:40 GMT"  # second 1000


def test_waiting() -> None:
    """`retry-after` wins; else the reset time counts, read against the response's own date."""
    reset = {"x-ratelimit-reset": "1007", "date": DATE}
    assert VENDOR.decode_error(call(), 429, reset, b"{}").retry_after == 7
    assert VENDOR.decode_error(call(), 429, {**reset, "retry-after": "3"}, b"{}").retry_after == 3
    assert VENDOR.decode_error(call(), 429, {"x-ratelimit-reset": "1007"}, b"{}").retry_after is None


def test_limits() -> None:
    """What the headers say is left; a limit alone says nothing of it."""
    said = {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-limit": "500",
        "x-ratelimit-reset": "1007",
        "date": DATE,
    }
    assert VENDOR.limits(said) == [LimitState("requests", 0, 500, 7.0)]
    trial = {"x-trial-endpoint-call-limit": "20", "x-trial-endpoint-call-remaining": "19"}
    assert VENDOR.limits(trial) == [LimitState("requests", 19, 20, None)]
    assert list(VENDOR.limits({"x-trial-endpoint-call-limit": "20"})) == []


def test_capabilities() -> None:
    """The catalog's profile, None for what it does not know."""
    profile = VENDOR.capabilities("command-a-03-2025")
    assert profile is not None
    assert profile["tool_calling"] is True
    assert VENDOR.capabilities("nobody-knows-this") is None
