"""Hugging Face: the router, dedicated endpoints, and TGI's ways with the format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Call, Endpoint, LimitState
from langchain_llmdispatch.vendors.openai.huggingface import HuggingFaceVendor
from tests.cases import each

VENDOR = HuggingFaceVendor()
ROUTER = "https://router.huggingface.co"


def call(base_url: str = f"{ROUTER}/v1", **fields: Any) -> Call:
    """Return a call of an open model."""
    return Call("org/model", Endpoint(base_url, SecretStr("hf_not_a_key")), [HumanMessage("Hi")], **fields)


def streamed(data: str) -> AIMessageChunk:
    """Return the sum of a stream's chunks."""
    decoder = VENDOR.stream_decoder(call(stream=True), {"x-inference-provider": "novita"})
    first, *rest = decoder.feed(data.encode()) + decoder.close()
    return first.__add__(rest) if rest else first


@each(
    ("base_url", "expected"),
    [
        (f"{ROUTER}/v1", f"{ROUTER}/v1/chat/completions"),
        (f"{ROUTER}/together/v1", f"{ROUTER}/together/v1/chat/completions"),
        (f"{ROUTER}/novita", f"{ROUTER}/novita/chat/completions"),
        (f"{ROUTER}/hf-inference/models/a/b/v1", f"{ROUTER}/hf-inference/models/a/b/v1/chat/completions"),
        (f"{ROUTER}/hf-inference/models/a/b", f"{ROUTER}/hf-inference/models/a/b/v1/chat/completions"),
        (
            "https://x.endpoints.huggingface.cloud/",
            "https://x.endpoints.huggingface.cloud/v1/chat/completions",
        ),
        ("http://localhost:8080", "http://localhost:8080/v1/chat/completions"),
    ],
)
def test_where_it_goes(base_url: str, expected: str) -> None:
    """A bare host or a model's path lacks the version, a provider's path is complete."""
    request = VENDOR.encode_request(call(base_url, params={"max_tokens": 4}))
    assert str(request.url) == expected
    assert request.headers["authorization"] == "Bearer hf_not_a_key"
    assert json.loads(request.content)["max_tokens"] == 4


def test_tgi_stream() -> None:
    """No space after `data:`, no id, no `[DONE]`, its own finish reason."""
    data = (
        'data:{"object":"text_completion","id":"","created":7,"model":"m","choices":[{"index":0,"delta":'
        '{"role":"assistant","content":"Hi"},"finish_reason":null}]}\n\n'
        'data:{"object":"text_completion","id":"","created":7,"model":"m","choices":[{"index":0,"delta":'
        '{"role":"assistant","content":""},"finish_reason":"eos_token"}]}\n\n'
    )
    total = streamed(data)
    assert total.content == "Hi"
    assert total.response_metadata == {
        "model_provider": "huggingface",
        "model_name": "m",
        "finish_reason": "eos_token",
        "normalized_finish_reason": "stop",
        "finish_state": "complete",
        "inference_provider": "novita",
    }


@pytest.mark.parametrize("listed", [True, False])
def test_tgi_tool_call(listed: bool) -> None:
    """An integer for an id and an object for the arguments; the id we give is always the same."""
    raw: Any = {"id": 0, "index": 0, "function": {"name": "f", "arguments": {"x": 1}}}
    calls = [raw] if listed else raw
    answer = {
        "id": "",
        "created": 7,
        "choices": [{"message": {"tool_calls": calls}, "finish_reason": "eos_token"}],
    }
    message = VENDOR.decode_response(call(), json.dumps(answer).encode(), {})
    (found,) = message.tool_calls
    assert (found["name"], found["args"]) == ("f", {"x": 1})
    assert message.response_metadata["normalized_finish_reason"] == "tool_call"
    chunk = {"id": "", "created": 7, "choices": [{"delta": {"tool_calls": calls}, "finish_reason": "stop"}]}
    assert streamed(f"data:{json.dumps(chunk)}\n\n").tool_calls == [found]


def test_reasoning() -> None:
    """Reasoning beside the text becomes a block before it."""
    answer = {"choices": [{"message": {"content": "x", "reasoning": "hm"}, "finish_reason": "stop"}]}
    message = VENDOR.decode_response(call(), json.dumps(answer).encode(), {})
    assert message.additional_kwargs == {"reasoning_content": "hm"}
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]


@each(
    ("status", "raw", "cls", "wait"),
    [
        (503, '{"error":"Model x is currently loading","estimated_time":20.0}', errors.OverloadedError, 20.0),
        (400, '{"error":["Field required"]}', errors.InvalidRequestError, None),
        (402, '{"error":"You have exceeded your monthly included credits"}', errors.QuotaExceededError, None),
        (422, "Failed to deserialize the JSON body", errors.InvalidRequestError, None),
        (
            422,
            '{"error":"`inputs` tokens + `max_new_tokens` must be <= 4096","error_type":"validation"}',
            errors.ContextOverflowError,
            None,
        ),
        (429, '{"error":"Model is overloaded","error_type":"overloaded"}', errors.OverloadedError, None),
        (
            400,
            '{"error":{"message":"not supported by any provider","code":"model_not_supported"}}',
            errors.ModelNotFoundError,
            None,
        ),
        (401, "<html>", errors.AuthenticationError, None),
    ],
)
def test_errors(status: int, raw: str, cls: type[errors.VendorError], wait: float | None) -> None:
    """An error is a text, a list of texts, an object, or no JSON at all."""
    found = VENDOR.decode_error(call(), status, {}, raw.encode())
    assert type(found) is cls
    assert found.retry_after == wait


def test_error_in_a_tgi_stream() -> None:
    """TGI reports its own failure inside the stream as a text."""
    with pytest.raises(errors.MalformedResponseError, match="Incomplete"):
        streamed('data:{"error":"Incomplete generation","error_type":"incomplete_generation"}\n\n')


def test_limits() -> None:
    """The gateway uses the header of the IETF's draft."""
    assert VENDOR.limits({"ratelimit": '"api";r=0;t=55'}) == [LimitState("requests", 0, None, 55.0)]
    assert VENDOR.limits({"x-ratelimit-remaining-requests": "3"}) == [LimitState("requests", 3)]
