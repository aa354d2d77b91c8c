"""Ollama's codec: requests as the server reads them, answers that no recording holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.ollama.vendor import OllamaVendor, is_cloud, normalise_host

VENDOR = OllamaVendor()
KEY = "ollama-test-key-0123456789"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = ToolSpec(name="weather", description="Tells the weather", parameters=SCHEMA)
CLOCK = ToolSpec(name="clock", description="", parameters={"type": "object", "properties": {}})
PIXEL = "iVBORw0KGgo="


def call(**fields: Any) -> Call:
    """Return a call with what a test does not care about filled in."""
    fields = {"model": "llama3.1", "messages": [HumanMessage("hi")], **fields}
    return Call(**{"endpoint": Endpoint(base_url="http://127.0.0.1:11434"), **fields})


def body(**fields: Any) -> dict[str, Any]:
    """Return the JSON body of the request for `call(**fields)`."""
    return dict(json.loads(VENDOR.encode_request(call(**fields)).content))


def turn(message: Any) -> dict[str, Any]:
    """Return one message as the server reads it."""
    return dict(body(messages=[message])["messages"][0])


def answer(**message: Any) -> dict[str, Any]:
    """Return a whole answer with these message fields."""
    return {
        "model": "llama3.1", "created_at": "2026-11-01T10:00:00Z",
        "message": {"role": "assistant", "content": "", **message},
        "done": True, "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 7, "eval_count": 3,
    }  # fmt: skip


def decode(said: Any, **fields: Any) -> AIMessage:
    """Return the message in a whole answer."""
    return VENDOR.decode_response(call(**fields), json.dumps(said).encode(), {})


def lines(*said: Any) -> bytes:
    """Return newline-delimited JSON."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in said)


def stream(data: bytes, *cuts: int, **fields: Any) -> list[AIMessageChunk]:
    """Return the chunks of a stream, fed in pieces."""
    decoder = VENDOR.stream_decoder(call(**fields), {})
    chunks: list[AIMessageChunk] = []
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        chunks += decoder.feed(data[start:end])
    return chunks + decoder.close()


def total(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks."""
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


# -- where it is ---------------------------------------------------------------------------------------

HOSTS = {
    "": "http://127.0.0.1:11434",
    "  ": "http://127.0.0.1:11434",
    "gpu-box": "http://gpu-box:11434",
    "gpu-box:8080": "http://gpu-box:8080",
    "0.0.0.0": "http://127.0.0.1:11434",  # noqa: S104 - an address to turn into another
    "0.0.0.0:8080": "http://127.0.0.1:8080",
    "http://0.0.0.0:11434": "http://127.0.0.1:11434",
    ":11435": "http://127.0.0.1:11435",
    "::": "http://[::1]:11434",
    "::1": "http://[::1]:11434",
    "[::1]:99": "http://[::1]:99",
    "http://box": "http://box",
    "http://box:80/": "http://box:80",
    "https://box/ollama/": "https://box/ollama",
    "localhost:11434/api": "http://localhost:11434",
    "http://localhost:11434/v1/": "http://localhost:11434",
    "ollama.com": "https://ollama.com",
    "https://ollama.com/": "https://ollama.com",
}


@pytest.mark.parametrize(("host", "url"), HOSTS.items())
def test_host(host: str, url: str) -> None:
    """OLLAMA_HOST means what Ollama's own clients take it for, and its result means itself."""
    assert normalise_host(host) == url
    assert normalise_host(url) == url
    assert VENDOR.normalise_url(host) == url


def test_cloud_is_not_local() -> None:
    """Only ollama.com is the cloud."""
    assert is_cloud("https://ollama.com")
    assert not is_cloud("http://127.0.0.1:11434")
    assert not is_cloud("http://ollama.com.example.org")


def test_url_and_headers() -> None:
    """The key is a bearer token, the user's headers win, nothing of it is in the URL."""
    endpoint = Endpoint("http://box:1/", SecretStr(KEY), headers={"Authorization": "Basic x", "X-Team": "a"})
    request = VENDOR.encode_request(call(endpoint=endpoint))
    assert str(request.url) == "http://box:1/api/chat"
    assert request.headers.get_list("authorization") == ["Basic x"]
    assert request.headers["x-team"] == "a"
    plain = VENDOR.encode_request(call(endpoint=Endpoint("https://ollama.com", SecretStr(KEY))))
    assert plain.headers["authorization"] == f"Bearer {KEY}"
    fresh = VENDOR.encode_request(call(endpoint=Endpoint("https://ollama.com", token_provider=lambda: "t")))
    assert fresh.headers["authorization"] == "Bearer t"
    assert "authorization" not in VENDOR.encode_request(call()).headers


# -- requests ------------------------------------------------------------------------------------------


def test_smallest_request() -> None:
    """`stream` is always said, because a server streams by default."""
    wanted = {"model": "llama3.1", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert body() == wanted
    assert body(stream=True) == {**wanted, "stream": True}


def test_params() -> None:
    """Neutral names become model options; log probabilities stand beside them."""
    params = {
        "max_tokens": 5, "temperature": 0.1, "top_p": 0.9, "top_k": 3, "seed": 1, "stop": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "logprobs": True, "top_logprobs": 2,
    }  # fmt: skip
    sent = body(params=params)
    assert sent["options"] == {
        "num_predict": 5, "temperature": 0.1, "top_p": 0.9, "top_k": 3, "seed": 1, "stop": ["x"],
        "presence_penalty": 0.2, "frequency_penalty": 0.3,
    }  # fmt: skip
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)


THINK = [
    ("qwen3", {"reasoning_effort": "low"}, True),
    ("qwen3", {"reasoning_effort": "none"}, False),
    ("gpt-oss:20b", {"reasoning_effort": "minimal"}, "low"),
    ("gpt-oss:20b", {"reasoning_effort": "medium"}, "medium"),
    ("gpt-oss:20b", {"reasoning_effort": "max"}, "high"),
    ("qwen3", {"thinking": {"type": "enabled"}}, True),
    ("qwen3", {"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, False),
    ("qwen3", {"thinking": False}, False),
    ("qwen3", {"thinking": "high"}, "high"),
]


@pytest.mark.parametrize(("model", "params", "think"), THINK)
def test_think(model: str, params: dict[str, Any], think: bool | str) -> None:
    """Effort is a level for gpt-oss and a switch for everyone else."""
    assert body(model=model, params=params)["think"] == think


def test_extra() -> None:
    """Extra fields are merged last; model options among them go where the server reads them."""
    extra = {"options": {"num_gpu": 1}, "num_ctx": 8192, "keep_alive": "10m", "stream": True}
    sent = body(params={"temperature": 0}, extra=extra)
    assert sent["options"] == {"temperature": 0, "num_gpu": 1, "num_ctx": 8192}
    assert sent["keep_alive"] == "10m"
    assert sent["stream"] is True
    assert "num_ctx" not in sent


CHOICES = [
    (None, ["weather", "clock"]),
    (ToolChoice("auto"), ["weather", "clock"]),
    (ToolChoice("any"), ["weather", "clock"]),
    (ToolChoice("tool", "clock"), ["clock"]),
    (ToolChoice("none"), None),
]


@pytest.mark.parametrize(("choice", "names"), CHOICES)
def test_tools(choice: ToolChoice | None, names: list[str] | None) -> None:
    """There is no tool_choice: what is offered says it all."""
    sent = body(tools=[WEATHER, CLOCK], tool_choice=choice)
    assert "tool_choice" not in sent
    tools = sent.get("tools")
    assert (tools and [tool["function"]["name"] for tool in tools]) == names


def test_tool_shape() -> None:
    """A tool is a function with a schema."""
    function = {"name": "weather", "description": "Tells the weather", "parameters": SCHEMA}
    assert body(tools=[WEATHER])["tools"] == [{"type": "function", "function": function}]


def test_output() -> None:
    """A schema is the format itself; JSON mode is the word."""
    assert body(output=OutputSchema("c", SCHEMA, method="json_schema"))["format"] == SCHEMA
    assert body(output=OutputSchema("c", SCHEMA, method="json_mode"))["format"] == "json"
    assert body(output=OutputSchema("c", None, method="json_schema"))["format"] == "json"


CALL = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}
SENT_CALL = {"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}}
TURNS = [
    (SystemMessage("be brief"), {"role": "system", "content": "be brief"}),
    (
        HumanMessage(
            [
                {"type": "text", "text": "what"},
                {"type": "image", "base64": PIXEL, "mime_type": "image/png"},
                {"type": "image", "url": f"data:image/png;base64,{PIXEL}"},
                {"type": "text-plain", "text": "is this", "mime_type": "text/plain"},
            ]
        ),
        {"role": "user", "content": "what\nis this", "images": [PIXEL, PIXEL]},
    ),
    (AIMessage("yes"), {"role": "assistant", "content": "yes"}),
    (
        AIMessage("", tool_calls=[CALL]),
        {"role": "assistant", "content": "", "tool_calls": [SENT_CALL]},
    ),
    (
        AIMessage(
            [
                {"type": "reasoning", "reasoning": "hm"},
                {"type": "text", "text": "I"},
                {"type": "text", "text": " look"},
                dict(CALL),
            ],
            tool_calls=[CALL],
        ),
        {"role": "assistant", "content": "I look", "thinking": "hm", "tool_calls": [SENT_CALL]},
    ),
    (
        ToolMessage("rain", tool_call_id="c1", name="weather"),
        {"role": "tool", "content": "rain", "tool_name": "weather", "tool_call_id": "c1"},
    ),
    (
        ToolMessage([{"type": "text", "text": "rain"}], tool_call_id="c1", name="weather", status="error"),
        {"role": "tool", "content": "rain", "tool_name": "weather", "tool_call_id": "c1"},
    ),
]


@pytest.mark.parametrize(("message", "wanted"), TURNS)
def test_turn(message: Any, wanted: dict[str, Any]) -> None:
    """Each kind of message is spelled as the API has it, and left as it was."""
    before = message.model_dump()
    assert turn(message) == wanted
    assert message.model_dump() == before


def test_image_url_is_refused() -> None:
    """Ollama fetches nothing: a URL is an error of ours, not a silent loss."""
    with pytest.raises(errors.UnsupportedFeatureError):
        turn(HumanMessage([{"type": "image", "url": "https://example.org/cat.png"}]))


# -- answers -------------------------------------------------------------------------------------------


def test_metadata() -> None:
    """Counters are usage, timings are whole numbers of the metadata."""
    message = decode(answer(content="hi", thinking="hm"))
    assert message.content == "hi"
    assert message.additional_kwargs == {"reasoning_content": "hm"}
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert message.id is None
    assert message.response_metadata == {
        "model_provider": "ollama", "model_name": "llama3.1", "finish_reason": "stop", "done_reason": "stop",
        "created_at": "2026-11-01T10:00:00Z", "total_duration": 5, "prompt_eval_count": 7, "eval_count": 3,
    }  # fmt: skip


@pytest.mark.parametrize("missing", ["prompt_eval_count", "eval_count"])
def test_missing_counter(missing: str) -> None:
    """Half a usage is none: the other half would be invented."""
    said = answer(content="hi")
    del said[missing]
    assert decode(said).usage_metadata is None
    assert stream(lines(said))[-1].usage_metadata is None


FINISHES = [("stop", "stop"), ("length", "length"), (None, "stop"), ("", "stop"), ("custom", "stop")]


@pytest.mark.parametrize(("reason", "finish"), FINISHES)
def test_finish(reason: str | None, finish: str) -> None:
    """Old servers name no reason; the end marker is `done`."""
    said = {**answer(content="hi"), "done_reason": reason}
    assert decode(said).response_metadata["finish_reason"] == finish
    assert stream(lines(said))[-1].response_metadata["finish_reason"] == finish


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_no_generation(reason: str) -> None:
    """A model that was only loaded answered nothing."""
    said = {**answer(), "done_reason": reason}
    with pytest.raises(errors.EmptyAnswerError):
        decode(said)
    with pytest.raises(errors.EmptyAnswerError):
        stream(lines(said))
    assert decode({**said, "message": {"content": "hi"}}).content == "hi"


def tool_answer(*functions: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with calls that have no id."""
    return answer(tool_calls=[{"function": function} for function in functions])


def test_ids_are_made_once_and_for_all() -> None:
    """A call without an id gets one of its own: the same each time, another in the next turn."""
    said = tool_answer(*2 * [{"name": "weather", "arguments": {"city": "Oslo"}}])
    first, second = [item["id"] for item in decode(said).tool_calls]
    assert first != second
    assert [item["id"] for item in decode(said).tool_calls] == [first, second]
    assert [item["id"] for item in stream(lines(said))[-1].tool_calls] == [first, second]
    later = decode({**said, "created_at": "2026-11-01T10:00:09Z"})
    assert later.tool_calls[0]["id"] != first


def test_tool_names_return() -> None:
    """The caller finds the tool under its own name."""
    said = tool_answer({"name": "weather_", "arguments": {}})
    names = {"weather_": "weather!"}
    assert decode(said, tool_names=names).tool_calls[0]["name"] == "weather!"
    assert stream(lines(said), tool_names=names)[-1].tool_calls[0]["name"] == "weather!"


ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [({}, {}), (None, {}), ("", {}), ('{"a": 1}', {"a": 1})]


@pytest.mark.parametrize(("said", "args"), ARGUMENTS)
def test_arguments(said: Any, args: dict[str, Any]) -> None:
    """Absent arguments are no arguments; proxies send them as text."""
    whole = tool_answer({"name": "weather", "arguments": said})
    assert decode(whole).tool_calls[0]["args"] == args
    assert stream(lines(whole))[-1].tool_calls[0]["args"] == args
    assert decode(whole).response_metadata["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("said", ['{"a": ', "[1]", [1], "null"])
def test_bad_arguments(said: Any) -> None:
    """Arguments that are no object never make a valid call."""
    whole = tool_answer({"name": "weather", "arguments": said})
    message = decode(whole)
    assert not message.tool_calls
    assert message.invalid_tool_calls[0]["id"]
    with pytest.raises(errors.TruncatedToolCallError):
        stream(lines(whole))


MALFORMED = [b"", b"<html>", b"[]", b'{"done": true}', b'{"message": {"content": "hi"}, "done": false}']


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed(data: bytes) -> None:
    """What is no whole answer is not taken for one."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), data, {})


def test_logprobs() -> None:
    """Log probabilities of all lines arrive once, at the end."""
    token = {"token": "hi", "logprob": -0.5}
    said = [{**answer(content="hi"), "done": False, "logprobs": [token]}, {**answer(), "logprobs": [token]}]
    chunks = stream(lines(*said))
    assert "logprobs" not in chunks[0].response_metadata
    assert total(chunks).response_metadata["logprobs"] == [token, token]
    assert decode({**answer(content="hi"), "logprobs": [token]}).response_metadata["logprobs"] == [token]


# -- streams -------------------------------------------------------------------------------------------

TOOL = {"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Zürich"}}}
PARTS = [
    {"message": {"content": "", "thinking": "hm "}, "done": False},
    {"message": {"content": "", "thinking": "ja"}, "done": False},
    {"message": {"content": "It is "}, "done": False},
    {"message": {"content": "🌧"}, "done": False},
    {"message": {"content": "", "tool_calls": [TOOL]}, "done": False},
    {"message": {"content": "", "tool_calls": [{**TOOL, "id": "c2"}]}, "done": False},
    answer(content="."),
]
WHOLE = answer(content="It is 🌧.", thinking="hm ja", tool_calls=[TOOL, {**TOOL, "id": "c2"}])


@given(st.lists(st.integers(0, len(lines(*PARTS))), max_size=12))
def test_sum_is_the_whole(cuts: list[int]) -> None:
    """However the bytes arrive, the chunks add up to the answer that was not streamed."""
    chunks = stream(lines(*PARTS), *sorted(cuts))
    summed, wanted = total(chunks), decode(WHOLE)
    for name in ("content", "tool_calls", "invalid_tool_calls", "usage_metadata", "additional_kwargs"):
        assert getattr(summed, name) == getattr(wanted, name)
    assert summed.response_metadata == wanted.response_metadata
    assert summed.content_blocks == wanted.content_blocks
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert all(chunk.response_metadata == {"model_provider": "ollama"} for chunk in chunks[:-1])


def test_nothing_is_no_chunk() -> None:
    """Empty lines and empty deltas are signs of life only."""
    decoder = VENDOR.stream_decoder(call(), {})
    assert decoder.feed(b"\n \r\n" + lines({"message": {"content": ""}, "done": False})) == []
    assert not decoder.finished


def test_cut_everywhere() -> None:
    """A stream that was cut is never called whole, wherever the cut is."""
    data = lines(*PARTS).rstrip()
    for cut in range(len(data)):
        decoder = VENDOR.stream_decoder(call(), {})
        chunks = decoder.feed(data[:cut])
        with pytest.raises(errors.TruncatedStreamError):
            decoder.close()
        assert not any(chunk.chunk_position for chunk in chunks)
        assert not decoder.done


def test_no_newline_at_the_end() -> None:
    """The last line counts when it is whole, newline or not."""
    assert total(stream(lines(*PARTS).rstrip())).text == "It is 🌧."


def test_garbage_between() -> None:
    """A line that is no JSON is an error, after what came before it was handed out."""
    decoder = VENDOR.stream_decoder(call(), {})
    assert [chunk.content for chunk in decoder.feed(lines(PARTS[2]) + b"<html>\n")] == ["It is "]
    with pytest.raises(errors.MalformedResponseError):
        decoder.feed(lines(PARTS[3]))
    with pytest.raises(errors.MalformedResponseError):
        decoder.close()


INLINE = [
    ("an error was encountered while running the model", errors.ServerError),
    ("the input length exceeds the context length", errors.ContextOverflowError),
    ("you (me) have reached your weekly usage limit, upgrade for higher limits", errors.QuotaExceededError),
]


@pytest.mark.parametrize(("text", "cls"), INLINE)
def test_error_inside_a_200(text: str, cls: type[errors.VendorError]) -> None:
    """An error line ends the stream, and an error object is no answer."""
    with pytest.raises(cls) as raised:
        stream(lines({"error": text}))
    assert type(raised.value) is cls
    assert raised.value.status_code is None
    with pytest.raises(cls):
        decode({"error": text})
    decoder = VENDOR.stream_decoder(call(), {})
    assert decoder.feed(lines(PARTS[2], {"error": text}))
    with pytest.raises(cls):
        decoder.close()


def test_v1_blocks_do_not_run_together() -> None:
    """Text, reasoning and calls stay apart in LangChain's v1 streams, which number text from 0."""
    indices = [piece["index"] for chunk in stream(lines(*PARTS)) for piece in chunk.tool_call_chunks]
    assert len(set(indices)) == 2
    assert all(index is not None and index >= 100 for index in indices)


# -- errors --------------------------------------------------------------------------------------------

ERRORS = [
    (404, {"error": "model 'x' not found"}, errors.ModelNotFoundError, False),
    (404, "404 page not found", errors.ModelNotFoundError, False),
    (400, {"error": '"llama3" does not support tools'}, errors.UnsupportedParameterError, False),
    (400, {"error": '"llama3" does not support thinking'}, errors.UnsupportedParameterError, False),
    (
        400,
        {"error": 'think value "low" is not supported for this model'},
        errors.UnsupportedParameterError,
        False,
    ),
    (400, {"error": "the input length exceeds the context length"}, errors.ContextOverflowError, False),
    (
        400,
        {"error": {"message": "prompt too long; exceeded max context length"}},
        errors.ContextOverflowError,
        False,
    ),
    (400, {"error": "invalid role"}, errors.InvalidRequestError, False),
    (401, {"error": "unauthorized"}, errors.AuthenticationError, False),
    (402, {"error": "payment"}, errors.QuotaExceededError, False),
    (403, {"error": "this model requires a subscription"}, errors.PermissionDeniedError, False),
    (413, "too large", errors.RequestTooLargeError, False),
    (429, {"error": "too many requests"}, errors.RateLimitError, True),
    (429, {"error": "you have reached your weekly usage limit"}, errors.QuotaExceededError, False),
    (500, {"error": "model runner has unexpectedly stopped"}, errors.ServerError, True),
    (502, "<html>Bad Gateway</html>", errors.ServerError, True),
    (503, {"error": "server busy, please try again."}, errors.OverloadedError, True),
    (418, "", errors.InvalidRequestError, False),
]


@pytest.mark.parametrize(("status", "said", "cls", "retryable"), ERRORS)
def test_errors(status: int, said: Any, cls: type[errors.VendorError], retryable: bool) -> None:
    """Status decides, text only where Ollama has no other way to say it."""
    data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    error = VENDOR.decode_error(call(), status, {"retry-after": "7"}, data)
    assert type(error) is cls
    assert error.is_retryable is retryable
    assert (error.status_code, error.vendor, error.retry_after) == (status, "ollama", 7.0)


def test_no_key_in_errors() -> None:
    """A key that a proxy echoes does not get into the error."""
    secret = call(endpoint=Endpoint("https://ollama.com", SecretStr(KEY)))
    error = VENDOR.decode_error(secret, 401, {}, json.dumps({"error": f"bad key {KEY}"}).encode())
    assert KEY not in str(error) + repr(error)


def test_capabilities() -> None:
    """The catalog knows a model under any tag."""
    profile = VENDOR.capabilities("llama3.1:8b")
    assert profile is not None
    assert profile["tool_calling"] is True
    assert VENDOR.capabilities("somebody/private-model") is None
