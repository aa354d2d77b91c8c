"""Servers with OpenAI's chat completions, each with its variations; the local model's vendor too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor
from langchain_llmdispatch.vendors.openai.local import LocalVendor
from tests.cases import each

VENDOR = CompatibleVendor()
LLAMA = "http://127.0.0.1:8080/v1"


def call(base_url: str = LLAMA, messages: list[BaseMessage] | None = None, **fields: Any) -> Call:
    """Return a call of some server."""
    return Call("m", Endpoint(base_url), messages or [HumanMessage("Hi")], **fields)


def body(compiled: Call) -> dict[str, Any]:
    """Return the JSON body of the request for `compiled`."""
    return json.loads(VENDOR.encode_request(compiled).content)


def event(delta: dict[str, Any], finish: str | None = None, **fields: Any) -> bytes:
    """Return one event of a stream."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({'id': 'g1', 'model': 'm', 'choices': choices, **fields})}\n\n".encode()


def streamed(*pieces: bytes) -> AIMessageChunk:
    """Return the sum of a stream's chunks."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    first, *rest = [chunk for piece in pieces for chunk in decoder.feed(piece)] + decoder.close()
    return first.__add__(rest) if rest else first


def decoded(message: dict[str, Any], **fields: Any) -> AIMessage:
    """Return what is decoded from an answer with `message`."""
    answer = {"id": "g1", "choices": [{"message": message, "finish_reason": "stop"}], **fields}
    return VENDOR.decode_response(call(), json.dumps(answer).encode(), {})


def test_plain_request() -> None:
    """No key is needed; the fields are those that every server takes; text goes as a string."""
    parts: list[Any] = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = VENDOR.encode_request(
        call(messages=[HumanMessage(parts)], params={"max_tokens": 5, "top_k": 3})
    )
    assert str(request.url) == f"{LLAMA}/chat/completions"
    assert "authorization" not in request.headers
    assert json.loads(request.content) == {
        "model": "m",
        "messages": [{"role": "user", "content": "a\n\nb"}],
        "max_tokens": 5,
        "top_k": 3,
    }


@each(
    ("base_url", "params", "sent"),
    [
        (LLAMA, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"reasoning_effort": "low"}),
        (LLAMA, {"thinking": {"type": "disabled"}}, {"reasoning_effort": "none"}),
        (LLAMA, {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        ("https://api.z.ai/v4", {"thinking": {"type": "enabled"}}, {"thinking": {"type": "enabled"}}),
    ],
)
def test_thinking_is_an_effort_but_for_those_with_a_switch(
    base_url: str, params: dict[str, Any], sent: dict[str, Any]
) -> None:
    """A server without `thinking` would answer 400 to Anthropic's field."""
    made = body(call(base_url, params=params))
    assert {key: made[key] for key in ("thinking", "reasoning_effort") if key in made} == sent


def test_media_go_as_parts() -> None:
    """Images and video need a list of parts everywhere."""
    blocks: list[Any] = [{"type": "text", "text": "a"}, {"type": "video", "url": "https://x.test/v.mp4"}]
    (turn,) = body(call(messages=[HumanMessage(blocks)]))["messages"]
    assert turn["content"] == [
        {"type": "text", "text": "a"},
        {"type": "video_url", "video_url": {"url": "https://x.test/v.mp4"}},
    ]


@pytest.mark.parametrize(("host", "requested"), [("api.groq.com/openai", True), ("api.mistral.ai", False)])
def test_usage_is_requested_where_it_may_be(host: str, requested: bool) -> None:
    """Mistral refuses the option and sends usage unasked."""
    assert ("stream_options" in body(call(f"https://{host}/v1", stream=True))) is requested


TURNS: list[BaseMessage] = [
    HumanMessage("Hi"),
    AIMessage(
        [{"type": "reasoning", "reasoning": "I need the time."}],
        tool_calls=[{"name": "t", "args": {}, "id": "call_abcdef"}],
    ),
    ToolMessage("noon", tool_call_id="call_abcdef", name="t"),
    AIMessage([{"type": "reasoning", "reasoning": "done"}, {"type": "text", "text": "Noon."}]),
]


@each(
    ("base_url", "field"),
    [
        ("https://api.deepseek.com", "reasoning_content"),
        ("https://openrouter.ai/api/v1", "reasoning"),
        (LLAMA, None),
    ],
)
def test_reasoning_goes_back_where_it_is_needed(base_url: str, field: str | None) -> None:
    """Only inside a tool loop, only on hosts that need it; others refuse the field."""
    turns = body(call(base_url, TURNS))["messages"]
    found = {name for turn in turns for name in turn if name.startswith("reasoning")}
    assert found == ({field} if field else set())
    if field:
        assert turns[1][field] == "I need the time."
    assert turns[3] == {"role": "assistant", "content": "Noon."}


def test_mistrals_ids() -> None:
    """Mistral takes ids of nine letters and digits only; call and result change alike."""
    turns = body(call("https://api.mistral.ai/v1", TURNS))["messages"]
    identity = turns[1]["tool_calls"][0]["id"]
    assert len(identity) == 9
    assert turns[2]["tool_call_id"] == identity


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_read(field: str) -> None:
    """Both words for reasoning text lead to a reasoning block, whole or streamed."""
    message = decoded({"content": "x", field: "hm"})
    assert message.content_blocks[0] == {"type": "reasoning", "reasoning": "hm"}
    total = streamed(event({field: "h"}), event({field: "m"}), event({"content": "x"}), event({}, "stop"))
    assert total.content_blocks == message.content_blocks
    assert total.response_metadata["model_provider"] == "compatible"


def test_same_reasoning_in_both_fields_comes_once() -> None:
    """The old and the new word come side by side from vLLM."""
    message = decoded({"content": "x", "reasoning": "hm", "reasoning_content": "hm"})
    assert message.additional_kwargs == {"reasoning_content": "hm"}


def test_content_as_parts() -> None:
    """Mistral's content is a list where the model thinks."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "x"},
    ]
    message = decoded({"content": parts})
    assert (message.content, message.additional_kwargs) == ("x", {"reasoning_content": "hm"})
    assert streamed(event({"content": parts}), event({}, "stop")).content_blocks == message.content_blocks


def test_keep_alives_are_no_content() -> None:
    """OpenRouter's comments give no chunks, before or between events."""
    comment = b": OPENROUTER PROCESSING\n\n"
    assert streamed(comment, comment, event({"content": "x"}), comment, event({}, "stop")).content == "x"


def test_crlf_without_done() -> None:
    """Perplexity ends lines with CRLF and the stream without a marker."""
    data = event({"content": "x"}) + event({}, "stop", citations=["https://x.test"])
    total = streamed(data.replace(b"\n", b"\r\n"))
    assert total.response_metadata["citations"] == ["https://x.test"]


@each(
    ("data", "cls"),
    [
        (
            b'event: error\ndata: {"error":{"message":"x","code":"tool_use_failed","status_code":400}}\n\n',
            errors.MalformedResponseError,
        ),
        (b'event: error\ndata: {"message":"busy","type":"overloaded_error"}\n\n', errors.OverloadedError),
        (b'data: {"object":"error","message":"x","type":"internal_server_error"}\n\n', errors.ServerError),
        (b'data: {"error":{"code":429,"message":"Rate limited upstream"}}\n\n', errors.RateLimitError),
        (b'data: {"error":{"code":502,"message":"Provider died"}}\n\n', errors.ServerError),
        (b'data: {"error":{"code":400,"message":"Token limit reached"}}\n\n', errors.ServerError),
    ],
)
def test_errors_inside_a_200(data: bytes, cls: type[errors.VendorError]) -> None:
    """An error event raises; an unspecific "bad request" after the 200 is the server's failure."""
    with pytest.raises(errors.VendorError) as raised:
        streamed(event({"content": "x"}), data, b"data: [DONE]\n\n")
    assert type(raised.value) is cls


@each(
    ("code", "cls"),
    [
        (1002, errors.RateLimitError),
        (1008, errors.QuotaExceededError),
        (1013, errors.ServerError),
        (1026, errors.ContentFilterError),
        (2013, errors.UnsupportedParameterError),
        (2049, errors.AuthenticationError),
    ],
)
def test_minimax_keeps_its_status_inside_a_200(code: int, cls: type[errors.VendorError]) -> None:
    """`base_resp` with a code other than 0 is an error, whole and streamed; with 0 it is none."""
    body = b'{"choices":null,"base_resp":{"status_code":%d,"status_msg":"no"}}' % code
    for decode in (
        lambda: VENDOR.decode_response(call(), body, {}),
        lambda: streamed(b"data: %s\n\n" % body),
    ):
        with pytest.raises(cls, match="no"):
            decode()
    choice = b'{"message":{"content":"hi"},"finish_reason":"stop"}'
    fine = b'{"choices":[%s],"base_resp":{"status_code":0,"status_msg":""}}' % choice
    assert VENDOR.decode_response(call(), fine, {}).text == "hi"


def test_failed_answer() -> None:
    """The finish reason "error" is no end."""
    with pytest.raises(errors.MalformedResponseError):
        streamed(event({"content": "x"}), event({}, "error"))
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), b'{"choices":[{"message":{},"finish_reason":"error"}]}', {})


def piece(args: str, **fields: Any) -> dict[str, Any]:
    """Return a piece of a tool call."""
    function = {"arguments": args, **({"name": fields.pop("name")} if "name" in fields else {})}
    return {**fields, "function": function}


@each(
    "deltas",
    [
        # no index, whole calls in one delta
        [[piece('{"x":1}', id="a", name="f"), piece("{}", id="b", name="g")]],
        # no index, in pieces
        [[piece("", id="a", name="f")], [piece('{"x":')], [piece("1}")], [piece("{}", id="b", name="g")]],
        # every call has index 0
        [[piece('{"x":1}', index=0, id="a", name="f")], [piece("{}", index=0, id="b", name="g")]],
        # id and name in every piece
        [
            [piece('{"x":', index=0, id="a", name="f")],
            [piece("1}", index=0, id="a", name="f")],
            [piece("", index=1, id="b", name="g")],
        ],
        # a sparse index, null for "nothing new"
        [
            [piece('{"x":', index=0, id="a", name="f")],
            [{"index": 0, "id": None, "function": {"name": None, "arguments": "1}"}}],
            [piece("null", index=7, id="b", name="g")],
        ],
    ],
)
def test_tool_calls_in_odd_pieces(deltas: list[list[dict[str, Any]]]) -> None:
    """Two calls stay two calls, however a server numbers them."""
    total = streamed(*(event({"tool_calls": pieces}) for pieces in deltas), event({}, "tool_calls"))
    found = [(c["name"], c["args"], c["id"]) for c in total.tool_calls]
    assert found == [("f", {"x": 1}, "a"), ("g", {}, "b")]
    assert [chunk["index"] for chunk in total.tool_call_chunks] == [0, 1]


def test_tool_call_without_id_or_name() -> None:
    """An id is made, the same at each reading; a call without a name is no call."""
    ids = {streamed(event({"tool_calls": [piece("{}", index=0, name="f")]}, "stop")).tool_calls[0]["id"]}
    ids.add(decoded({"tool_calls": [piece("{}", name="f")]}).tool_calls[0]["id"])
    assert len(ids) == 1
    with pytest.raises(errors.TruncatedToolCallError):
        streamed(event({"tool_calls": [piece("{}", index=0, id="a")]}, "stop"))


def test_usage_in_odd_places() -> None:
    """On the finish chunk, aside (Groq), or with reasoning beside the completion (xAI)."""
    usage = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    counted = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
    assert streamed(event({"content": "x"}, "stop", usage=usage)).usage_metadata == counted
    assert streamed(event({"content": "x"}, "stop", x_groq={"usage": usage})).usage_metadata == counted
    beside = {**usage, "total_tokens": 16, "completion_tokens_details": {"reasoning_tokens": 10}}
    assert decoded({"content": "x"}, usage=beside).usage_metadata == {
        "input_tokens": 4,
        "output_tokens": 12,
        "total_tokens": 16,
        "output_token_details": {"reasoning": 10},
    }


@each(
    ("status", "raw", "cls"),
    [
        (
            400,
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
            errors.AuthenticationError,
        ),
        (
            400,
            {
                "code": "Client specified an invalid argument",
                "error": "Argument not supported on this model: stop",
            },
            errors.UnsupportedParameterError,
        ),
        (
            400,
            {"object": "error", "message": "bad", "type": "invalid_model", "code": "1500"},
            errors.ModelNotFoundError,
        ),
        (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "request exceeds the context size",
                    "type": "exceed_context_size_error",
                }
            },
            errors.ContextOverflowError,
        ),
        (
            400,
            {"object": "error", "message": "This model's maximum context length is 4096", "code": 400},
            errors.ContextOverflowError,
        ),
        (
            422,
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "x"], "msg": "Extra inputs"}]},
            errors.UnsupportedParameterError,
        ),
        (404, {"detail": "Not Found"}, errors.ModelNotFoundError),
        (401, {"message": "Wrong API Key", "code": "wrong_api_key"}, errors.AuthenticationError),
        (400, [{"error": {"code": 400, "message": "bad"}}], errors.InvalidRequestError),
        (400, {"error": {"code": "tool_use_failed"}}, errors.MalformedResponseError),
    ],
)
def test_errors(status: int, raw: Any, cls: type[errors.VendorError]) -> None:
    """Every shape of error that was recorded is read."""
    found = VENDOR.decode_error(call(), status, {}, json.dumps(raw).encode())
    assert type(found) is cls


def test_local_is_a_compatible_server() -> None:
    """The server on this machine costs nothing and needs no key."""
    vendor = LocalVendor()
    assert (vendor.name, vendor.is_free("any", ""), vendor.needs_key) == ("local", True, False)
    compiled = Call("m", Endpoint(LLAMA, SecretStr("k")), [HumanMessage("Hi")])
    assert str(vendor.encode_request(compiled).url) == f"{LLAMA}/chat/completions"
