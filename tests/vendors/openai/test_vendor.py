"""OpenAI's chat completions: requests byte for byte, answers whole and streamed, errors, limits."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, LimitState, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.openai.vendor import OpenAIVendor, duration

VENDOR = OpenAIVendor()
KEY = "sk-proj-not-a-real-key"
HI: list[BaseMessage] = [HumanMessage("Hi")]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolSpec("weather", "Tells the weather.", CITY)


def call(messages: list[BaseMessage] | None = None, **fields: Any) -> Call:
    """Return a call of a model that needs no other API."""
    endpoint = fields.pop("endpoint", Endpoint("https://api.openai.com/v1", SecretStr(KEY)))
    return Call(fields.pop("model", "gpt-4.1"), endpoint, messages or HI, **fields)


def body(asked: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `asked`."""
    return json.loads(VENDOR.encode_request(asked).content)


def turn(message: BaseMessage) -> dict[str, Any]:
    """Return one message on the wire."""
    return body(call([message]))["messages"][0]


def reply(choice: dict[str, Any], **fields: Any) -> bytes:
    """Return a chat completion's body."""
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4.1-2025-04-14"}
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return json.dumps({**head, "choices": [{"index": 0, **choice}], "usage": usage, **fields}).encode()


def decoded(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> AIMessage:
    """Return what is decoded from an answer with `message`."""
    answer = reply({"message": {"role": "assistant", **message}, "finish_reason": finish}, **fields)
    return VENDOR.decode_response(call(), answer, {})


def event(delta: dict[str, Any] | None, finish: str | None = None, **fields: Any) -> bytes:
    """Return one event of a stream."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
    chunk = {**head, "model": "gpt-4.1-2025-04-14", "choices": choices, **fields}
    return f"data: {json.dumps(chunk)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
USAGE = event(None, usage={"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8})


def streamed(*pieces: bytes, vendor: Any = VENDOR, **fields: Any) -> list[AIMessageChunk]:
    """Return the chunks of a stream that arrives in `pieces`."""
    decoder = vendor.stream_decoder(call(stream=True, **fields), {})
    chunks = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    return chunks + decoder.close()


def summed(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks, as LangChain makes it."""
    total, *rest = chunks
    return total.__add__(rest) if rest else total  # type: ignore[operator,no-any-return]


def tool_delta(index: int | None, args: str, name: str | None = None, identity: Any = None) -> dict[str, Any]:
    """Return a delta with a piece of a tool call, without the fields that are None."""
    function = {"arguments": args, **({"name": name} if name else {})}
    piece = {"index": index, "id": identity, "type": "function", "function": function}
    return {"tool_calls": [{k: v for k, v in piece.items() if v is not None}]}


# -- requests ------------------------------------------------------------------------------------------


def test_smallest_request() -> None:
    """Model and messages, the key as a bearer, and nothing else."""
    request = VENDOR.encode_request(call())
    assert str(request.url) == "https://api.openai.com/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "model": "gpt-4.1",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_stream_asks_for_usage() -> None:
    """A stream says how much it used only when it is asked."""
    asked = body(call(stream=True))
    assert asked["stream"] is True
    assert asked["stream_options"] == {"include_usage": True}


def test_own_headers_win() -> None:
    """The user's headers replace ours, whatever their case."""
    endpoint = Endpoint("https://gateway.test/v1/", SecretStr(KEY), headers={"Authorization": "Basic x"})
    request = VENDOR.encode_request(call(endpoint=endpoint))
    assert request.headers.get_list("authorization") == ["Basic x"]
    assert str(request.url) == "https://gateway.test/v1/chat/completions"


def test_token_provider_wins_over_key() -> None:
    """A token provider is asked at each request."""
    tokens = iter(["one", "two"])
    endpoint = Endpoint("https://x.test", SecretStr(KEY), token_provider=lambda: next(tokens))
    said = [VENDOR.encode_request(call(endpoint=endpoint)).headers["authorization"] for _ in range(2)]
    assert said == ["Bearer one", "Bearer two"]


def test_no_key_no_header() -> None:
    """A server without keys gets no credentials."""
    request = VENDOR.encode_request(call(endpoint=Endpoint("http://localhost:8000/v1")))
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"params": {"max_tokens": 9}}, {"max_completion_tokens": 9}),
        ({"params": {"max_tokens": 9}, "model": "gpt-oss-20b"}, {"max_tokens": 9}),
        (
            {"params": {"temperature": 0.5, "stop": ["x"], "seed": 1, "user": "u"}},
            {"temperature": 0.5, "stop": ["x"], "seed": 1, "user": "u"},
        ),
        ({"params": {"logprobs": True, "top_logprobs": 2}}, {"logprobs": True, "top_logprobs": 2}),
        ({"params": {"reasoning_effort": "low"}}, {"reasoning_effort": "low"}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"tool_choice": ToolChoice("auto")}, {"tool_choice": "auto"}),
        ({"tool_choice": ToolChoice("none")}, {"tool_choice": "none"}),
        ({"tool_choice": ToolChoice("any")}, {"tool_choice": "required"}),
        (
            {"tool_choice": ToolChoice("tool", "weather")},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        ),
        (
            {"tools": [WEATHER]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "weather",
                            "description": "Tells the weather.",
                            "parameters": CITY,
                        },
                    }
                ]
            },
        ),
        (
            {"tools": [ToolSpec("t", "", {"type": "object"}, strict=True)]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "t", "parameters": {"type": "object"}, "strict": True},
                    }
                ]
            },
        ),
        (
            {"output": OutputSchema("City", CITY, strict=True, method="json_schema")},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "City", "schema": CITY, "strict": True},
                }
            },
        ),
        (
            {"output": OutputSchema("City", {**CITY, "description": "A city."}, method="json_schema")},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {
                        "name": "City",
                        "schema": {**CITY, "description": "A city."},
                        "description": "A city.",
                    },
                }
            },
        ),
        (
            {"output": OutputSchema("City", CITY, method="json_mode")},
            {"response_format": {"type": "json_object"}},
        ),
        ({"extra": {"metadata": {"a": "b"}, "use_responses_api": False}}, {"metadata": {"a": "b"}}),
    ],
)
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each neutral field is spelled in OpenAI's words."""
    asked = body(call(**fields))
    assert {name: asked[name] for name in asked if name not in {"model", "messages"}} == expected


def test_extra_merges_objects() -> None:
    """The caller's own fields win; objects are merged one level deep."""
    asked = body(call(stream=True, extra={"stream_options": {"include_obfuscation": False}, "model": "m"}))
    assert asked["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert asked["model"] == "m"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (SystemMessage("Be brief."), {"role": "system", "content": "Be brief."}),
        (HumanMessage("Hi", name="bob"), {"role": "user", "content": "Hi", "name": "bob"}),
        (
            HumanMessage([{"type": "text", "text": "a"}, {"type": "text-plain", "text": "b"}]),
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ),
        (AIMessage("Hello"), {"role": "assistant", "content": "Hello"}),
        (
            AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Köln"}, "id": "c1"}]),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Köln"}'},
                    }
                ],
            },
        ),
        (
            AIMessage(
                [
                    {"type": "reasoning", "reasoning": "hm", "id": "rs_1"},
                    {"type": "text", "text": "Let me "},
                    {"type": "text", "text": "see."},
                    {"type": "non_standard", "value": {"type": "compaction"}},
                ]
            ),
            {"role": "assistant", "content": "Let me see."},
        ),
        (
            ToolMessage("21 C", tool_call_id="c1", name="weather"),
            {"role": "tool", "tool_call_id": "c1", "content": "21 C"},
        ),
        (
            ToolMessage([{"type": "text", "text": "21"}, {"type": "text", "text": "C"}], tool_call_id="c1"),
            {"role": "tool", "tool_call_id": "c1", "content": "21\nC"},
        ),
    ],
)
def test_messages(message: BaseMessage, expected: dict[str, Any]) -> None:
    """Each kind of message is spelled in OpenAI's words."""
    assert turn(message) == expected


def test_first_reasoning_models_take_developer() -> None:
    """The o-series prefers `developer` for instructions."""
    asked = body(call([SystemMessage("s"), *HI], model="o3"))
    assert asked["messages"][0] == {"role": "developer", "content": "s"}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"type": "image", "url": "https://x.test/a.png"},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ),
        (
            {"type": "image", "base64": "QQ==", "mime_type": "image/png", "extras": {"detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "low"}},
        ),
        (
            {"type": "audio", "base64": "QQ==", "mime_type": "audio/mpeg"},
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        ),
        (
            {"type": "file", "base64": "QQ==", "mime_type": "application/pdf"},
            {
                "type": "file",
                "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,QQ=="},
            },
        ),
        (
            {
                "type": "file",
                "base64": "QQ==",
                "mime_type": "application/pdf",
                "extras": {"filename": "a.pdf"},
            },
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
        ),
        ({"type": "file", "file_id": "file-1"}, {"type": "file", "file": {"file_id": "file-1"}}),
        ({"type": "non_standard", "value": {"type": "x"}}, {"type": "x"}),
    ],
)
def test_parts(block: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each block of a user turn is spelled as a part."""
    assert turn(HumanMessage([block]))["content"] == [expected]  # type: ignore[list-item]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "file", "url": "https://x.test/a.pdf"},
        {"type": "audio", "url": "https://x.test/a.mp3"},
        {"type": "image", "file_id": "file-1"},
        {"type": "hologram"},
    ],
)
def test_unspeakable_parts(block: dict[str, Any]) -> None:
    """What chat completions have no words for is refused before it is sent."""
    with pytest.raises(errors.UnsupportedFeatureError):
        turn(HumanMessage([block]))  # type: ignore[list-item]


# -- whole answers -------------------------------------------------------------------------------------


def test_plain_answer() -> None:
    """Text stays a string; facts of the answer are in its metadata."""
    message = decoded({"content": "Hello", "refusal": None}, system_fingerprint="fp", service_tier="flex")
    assert message.content == "Hello"
    assert message.response_metadata == {
        "model_provider": "openai",
        "model_name": "gpt-4.1-2025-04-14",
        "finish_reason": "stop",
        "id": "chatcmpl-1",
        "system_fingerprint": "fp",
        "service_tier": "flex",
    }
    assert message.usage_metadata == {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
    assert message.id is None


def test_refusal_is_kept_aside() -> None:
    """A refusal is no text, and becomes a block of its own."""
    message = decoded({"content": None, "refusal": "No."})
    assert (message.content, message.additional_kwargs) == ("", {"refusal": "No."})
    assert {"type": "refusal", "refusal": "No."} in message.content_blocks


def test_tool_calls() -> None:
    """Arguments are parsed; what is no object is invalid, and keeps its id."""
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"id": "c", "type": "function", "function": {"name": "h", "arguments": "null"}},
        {"id": "d", "type": "function", "function": {"name": "i", "arguments": '{"x":'}},
        {"id": "e", "type": "function", "function": {"name": "j", "arguments": "[1]"}},
        {"id": "f", "type": "custom", "custom": {"name": "k", "input": "free"}},
    ]
    message = decoded({"content": None, "tool_calls": calls}, "tool_calls")
    assert [(c["name"], c["args"], c["id"]) for c in message.tool_calls] == [
        ("f", {"x": 1}, "a"),
        ("g", {}, "b"),
        ("h", {}, "c"),
        ("k", {"__arg1": "free"}, "f"),
    ]
    assert [(c["name"], c["args"], c["id"]) for c in message.invalid_tool_calls] == [
        ("i", '{"x":', "d"),
        ("j", "[1]", "e"),
    ]


@pytest.mark.parametrize(
    ("raw", "calls", "expected"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),
        ("tool_calls", True, "tool_calls"),
        ("length", True, "length"),
        ("content_filter", False, "content_filter"),
        ("something_new", False, "stop"),
        (None, False, "stop"),
    ],
)
def test_finish_reasons(raw: str | None, calls: bool, expected: str) -> None:
    """A forced call ends with `stop` on the wire, and still waits for its result."""
    said = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}] if calls else []
    message = decoded({"content": "x", "tool_calls": said}, raw)
    assert message.response_metadata["finish_reason"] == expected


def test_tool_names_are_mapped_back() -> None:
    """A name that had to be changed for the vendor is the caller's again."""
    said = {"tool_calls": [{"id": "a", "function": {"name": "my_tool", "arguments": "{}"}}]}
    asked = call(tool_names={"my_tool": "my tool"})
    answer = reply({"message": said, "finish_reason": "tool_calls"})
    assert VENDOR.decode_response(asked, answer, {}).tool_calls[0]["name"] == "my tool"


def test_usage_details() -> None:
    """Cache, reasoning and audio are details within the totals, and only where they were sent."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 32, "audio_tokens": None},
    }
    assert decoded({"content": "x"}, usage=usage).usage_metadata == {
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 150,
        "input_token_details": {"audio": 0, "cache_read": 64, "cache_creation": 3},
        "output_token_details": {"reasoning": 32},
    }


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 3}, {"prompt_tokens": None}, "much"])
def test_no_usage_is_invented(usage: Any) -> None:
    """Usage that does not count both sides is unknown."""
    assert decoded({"content": "x"}, usage=usage).usage_metadata is None


def test_audio_and_annotations_ride_along() -> None:
    """What LangChain has no place for in a string answer stays in `additional_kwargs`."""
    said = {"content": "x", "annotations": [{"type": "url_citation"}], "audio": {"id": "audio_1"}}
    assert decoded(said).additional_kwargs == {
        "annotations": [{"type": "url_citation"}],
        "audio": {"id": "audio_1"},
    }


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[null]}'])
def test_nonsense_is_malformed(answer: bytes) -> None:
    """A body that is no answer raises, and is worth another try."""
    with pytest.raises(errors.VendorError) as raised:
        VENDOR.decode_response(call(), answer, {})
    assert raised.value.is_retryable


# -- streams -------------------------------------------------------------------------------------------


def test_stream_of_text() -> None:
    """Facts are in the last chunk and nowhere else; nothing empty is handed out."""
    chunks = streamed(
        event({"role": "assistant", "content": "", "refusal": None}, usage=None),
        event({"content": "Hel"}),
        event({"content": "lo"}),
        event({}, "stop"),
        USAGE,
        DONE,
    )
    assert [chunk.content for chunk in chunks] == ["Hel", "lo", ""]
    assert [chunk.response_metadata for chunk in chunks[:2]] == [{"model_provider": "openai"}] * 2
    assert chunks[2].chunk_position == "last"
    total = summed(chunks)
    whole = decoded({"content": "Hello"})
    assert total.usage_metadata == whole.usage_metadata
    assert total.response_metadata == whole.response_metadata
    assert total.content_blocks == [{"type": "text", "text": "Hello"}]


def test_stream_of_tool_calls() -> None:
    """Pieces of parallel calls find together; the sum is what the whole answer would have been."""
    total = summed(
        streamed(
            event({"role": "assistant", "content": None, **tool_delta(0, "", "f", "a")}),
            event(tool_delta(0, '{"x":')),
            event(tool_delta(0, "1}")),
            event(tool_delta(1, "", "g", "b")),
            event({}, "tool_calls"),
            USAGE,
            DONE,
        )
    )
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]
    whole = decoded({"content": None, "tool_calls": calls}, "tool_calls")
    assert total.tool_calls == whole.tool_calls
    assert total.invalid_tool_calls == []
    assert total.response_metadata == whole.response_metadata
    assert total.content_blocks == whole.content_blocks


def test_refusal_in_pieces() -> None:
    """A streamed refusal adds up to the refusal."""
    total = summed(streamed(event({"refusal": "No"}), event({"refusal": "."}), event({}, "stop"), DONE))
    assert total.additional_kwargs == {"refusal": "No."}


def test_logprobs_are_told_once() -> None:
    """Log probabilities of all pieces are in the last chunk, as a whole answer has them."""

    def piece(text: str) -> bytes:
        said = event({"content": text}).replace(b'"finish_reason"', b'"logprobs": LP, "finish_reason"')
        entry = {"content": [{"token": text, "logprob": -0.1}], "refusal": None}
        return said.replace(b"LP", json.dumps(entry).encode())

    chunks = streamed(piece("a"), piece("b"), event({}, "stop"), DONE)
    said = summed(chunks).response_metadata["logprobs"]
    assert said == {"content": [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.1}]}


def test_finish_reason_ends_the_answer() -> None:
    """Usage and `[DONE]` may stay away after it; then usage is unknown."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    decoder.feed(event({"content": "x"}))
    assert not decoder.finished
    decoder.feed(event({}, "stop"))
    assert decoder.finished
    assert not decoder.done
    (last,) = decoder.close()
    assert last.usage_metadata is None
    assert last.response_metadata["finish_reason"] == "stop"
    assert decoder.done


def test_done_ends_the_stream() -> None:
    """Nothing is read after `[DONE]`, and it comes with the last chunk."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = decoder.feed(event({"content": "x"}, "stop") + USAGE + DONE + event({"content": "y"}))
    assert decoder.done
    assert [chunk.content for chunk in chunks] == ["x", ""]
    assert decoder.close() == []


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [event({"content": "x"})],
        [event({"content": "x"}), DONE],
        [event({"content": "x"}), event({}, "stop")[:-9]],
        [b": keep-alive\n\n"],
    ],
)
def test_truncated_stream(pieces: list[bytes]) -> None:
    """Without a finish reason there is no whole answer."""
    with pytest.raises(errors.TruncatedStreamError):
        streamed(*pieces)


def test_cut_after_the_finish_reason_is_bookkeeping() -> None:
    """A broken usage event after the finish reason costs the usage, not the answer."""
    total = summed(streamed(event({"content": "x"}), event({}, "stop"), USAGE[:-9]))
    assert (total.content, total.usage_metadata) == ("x", None)


@pytest.mark.parametrize("args", ['{"x":', "[1]", '"x"', "nul"])
def test_cut_tool_call_is_no_call(args: str) -> None:
    """Arguments that are no JSON object never become a valid call."""
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(event(tool_delta(0, args, "f", "a")), event({}, "length"), DONE)


def test_error_in_the_stream() -> None:
    """What came before an error is handed out first, however the network cut it."""
    error = b'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n'
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    (chunk,) = decoder.feed(event({"content": "x"}) + error)
    assert chunk.content == "x"
    assert not decoder.finished
    for _ in range(2):
        with pytest.raises(errors.ServerError, match="boom"):
            decoder.close()


@pytest.mark.parametrize("data", [b"data: {oops}\n\n", b"data: 7\n\n"])
def test_nonsense_in_the_stream(data: bytes) -> None:
    """An event that is no JSON object is malformed."""
    with pytest.raises(errors.MalformedResponseError):
        streamed(event({"content": "x"}), data)


def test_n_above_one() -> None:
    """Only the first of several answers is the answer."""
    other = event({"content": "other"}).replace(b'"index": 0', b'"index": 1')
    total = summed(streamed(event({"content": "x"}), other, event({}, "stop"), DONE))
    assert total.content == "x"


def test_plain_json_where_a_stream_was_asked() -> None:
    """A server that does not stream still answers, or says what is wrong."""
    said = [{"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}}]
    answer = reply({"message": {"content": "Hi", "tool_calls": said}, "finish_reason": "tool_calls"})
    (chunk,) = streamed(answer[:20], answer[20:])
    assert chunk.chunk_position == "last"
    assert (chunk.content, chunk.tool_calls[0]["args"]) == ("Hi", {"x": 1})
    assert chunk.usage_metadata is not None
    with pytest.raises(errors.QuotaExceededError):
        streamed(b'{"error":{"message":"pay","code":"insufficient_quota"}}')
    with pytest.raises(errors.TruncatedStreamError):
        streamed(answer[:20])


STREAM = b"".join(
    [
        event({"role": "assistant", "content": ""}),
        event({"content": "Grüße 👋"}),
        event(tool_delta(0, '{"städt', "f", "a")),
        event(tool_delta(0, 'e":["Köln"]}')),
        event({}, "tool_calls"),
        USAGE,
        DONE,
    ]
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_pieces_decide_nothing(cuts: list[int]) -> None:
    """However the network cuts the bytes, the answer is the same."""
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    total, whole = summed(streamed(*pieces)), summed(streamed(STREAM))
    assert total.model_dump(exclude={"id"}) == whole.model_dump(exclude={"id"})


# -- errors --------------------------------------------------------------------------------------------


def error(
    status: int, text: str | dict[str, Any], headers: dict[str, str] | None = None
) -> errors.VendorError:
    """Return the error that a response means."""
    data = text if isinstance(text, str) else json.dumps({"error": text})
    return VENDOR.decode_error(call(), status, headers or {}, data.encode())


@pytest.mark.parametrize(
    ("status", "said", "cls"),
    [
        (400, {"code": "context_length_exceeded"}, errors.ContextOverflowError),
        (400, {"code": "unsupported_value"}, errors.UnsupportedParameterError),
        (400, {"code": "invalid_prompt"}, errors.ContentFilterError),
        (400, {"code": "string_above_max_length", "message": "context window"}, errors.InvalidRequestError),
        (400, {"code": "invalid_encrypted_content"}, errors.ForeignSignatureError),
        (400, {"code": None, "message": "The encrypted content x could not"}, errors.ForeignSignatureError),
        (
            400,
            {
                "code": None,
                "message": "'response_format' of type 'json_schema' is not supported with this model",
            },
            errors.UnsupportedParameterError,
        ),
        (401, {"code": "invalid_api_key"}, errors.AuthenticationError),
        (402, {}, errors.QuotaExceededError),
        (403, {"code": "unsupported_country_region_territory"}, errors.PermissionDeniedError),
        (404, {"code": "model_not_found"}, errors.ModelNotFoundError),
        (409, {}, errors.ServerError),
        (413, "too big", errors.RequestTooLargeError),
        (422, {}, errors.InvalidRequestError),
        (429, {"code": "rate_limit_exceeded", "type": "tokens"}, errors.RateLimitError),
        (429, {"code": "slow_down"}, errors.RateLimitError),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, errors.QuotaExceededError),
        (429, {"type": "insufficient_quota", "code": None}, errors.QuotaExceededError),
        (429, {"code": "project_spend_limit_exceeded"}, errors.QuotaExceededError),
        (
            429,
            {"code": "rate_limit_exceeded", "message": "Request too large for gpt-x on tokens per min"},
            errors.RequestTooLargeError,
        ),
        (500, {"type": "server_error"}, errors.ServerError),
        (502, "<html>Bad gateway</html>", errors.ServerError),
        (503, {"code": "server_is_overloaded"}, errors.OverloadedError),
        (503, "upstream connect error", errors.OverloadedError),
        (504, "", errors.ServerError),
    ],
)
def test_errors(status: int, said: Any, cls: type[errors.VendorError]) -> None:
    """Status and code decide; prose only where there is no code."""
    assert type(error(status, said)) is cls


def test_error_carries_what_was_said() -> None:
    """Wait, code, request id and the vendor's word on retrying, but never the key."""
    headers = {
        "retry-after-ms": "1500",
        "retry-after": "9",
        "x-request-id": "req_1",
        "x-should-retry": "false",
    }
    said = error(429, {"code": "rate_limit_exceeded", "message": f"Slow down, {KEY}"}, headers)
    assert (said.retry_after, said.code, said.request_id) == (1.5, "rate_limit_exceeded", "req_1")
    assert said.is_retryable is False
    assert KEY not in str(said)


# -- limits --------------------------------------------------------------------------------------------


def test_limits() -> None:
    """Both budgets are read; the reset is a duration in words."""
    headers = {
        "x-ratelimit-limit-requests": "200",
        "x-ratelimit-remaining-requests": "196",
        "x-ratelimit-reset-requests": "6m0s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "28ms",
    }
    assert VENDOR.limits(headers) == [
        LimitState("requests", 196, 200, 360.0),
        LimitState("tokens", 0, None, pytest.approx(0.028)),
    ]
    assert VENDOR.limits({}) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("7.66s", 7.66),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("-1", None),
        ("soon", None),
        ("", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """Durations in words and numbers; what is no time is unknown."""
    assert duration(text) == seconds


def test_capabilities_come_from_the_catalog() -> None:
    """A known model has a profile, an unknown one none."""
    assert VENDOR.capabilities("gpt-4.1") is not None
    assert VENDOR.capabilities("no-such-model") is None
