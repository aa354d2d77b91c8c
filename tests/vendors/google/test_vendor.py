"""Gemini's codec: what is sent, and the answers that recordings lack."""

from __future__ import annotations

import base64
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
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
from langchain_llmdispatch.types import Call, Endpoint, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.google.contents import PLACEHOLDER, SIGNATURES
from langchain_llmdispatch.vendors.google.vendor import GoogleVendor

VENDOR = GoogleVendor()
KEY = "AIza-not-a-real-key-000000"
OLD, NEW = "gemini-2.5-flash", "gemini-3.5-flash"
WEATHER = ToolSpec("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})


def call(*messages: BaseMessage, model: str = OLD, **fields: Any) -> Call:
    """Return a call with a fake endpoint."""
    endpoint = fields.pop("endpoint", Endpoint("https://g.test", SecretStr(KEY)))
    return Call(model, endpoint, list(messages) or [HumanMessage("Hi")], **fields)


def body_of(request_call: Call) -> dict[str, Any]:
    """Return the JSON that is sent for a call."""
    return json.loads(VENDOR.encode_request(request_call).content)


def parts_of(message: BaseMessage, model: str = OLD) -> list[dict[str, Any]]:
    """Return the parts that one message becomes."""
    return body_of(call(message, model=model))["contents"][0]["parts"]


def answer(parts: list[dict[str, Any]], reason: Any = "STOP", **fields: Any) -> dict[str, Any]:
    """Return a response body with one candidate."""
    candidate = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": reason,
        **fields.pop("candidate", {}),
    }
    return {"candidates": [candidate], "modelVersion": OLD, "responseId": "r1", **fields}


def decode(body: Any, **fields: Any) -> AIMessage:
    """Return the message in a response body."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return VENDOR.decode_response(call(**fields), raw, {})


def sse(events: list[Any]) -> bytes:
    """Return events as Gemini frames them."""
    return "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events).encode()


def stream(data: bytes, sizes: list[int] | None = None, **fields: Any) -> list[AIMessageChunk]:
    """Return all chunks of a stream, fed in pieces of the given sizes."""
    decoder = VENDOR.stream_decoder(call(stream=True, **fields), {})
    chunks: list[AIMessageChunk] = []
    position = 0
    for size in sizes or [len(data)]:
        chunks += decoder.feed(data[position : position + size])
        position += size
    return [*chunks, *decoder.feed(data[position:]), *decoder.close()]


def summed(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks."""
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


# -- requests: where, with which headers --------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "model", "streamed", "url"),
    [
        ("https://g.test", OLD, False, "https://g.test/v1beta/models/gemini-2.5-flash:generateContent"),
        (
            "https://g.test/",
            OLD,
            True,
            "https://g.test/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        ("https://g.test/v1", "models/x", False, "https://g.test/v1/models/x:generateContent"),
        (
            "https://g.test",
            "tunedModels/mine",
            False,
            "https://g.test/v1beta/tunedModels/mine:generateContent",
        ),
        ("https://g.test", "x?key=y", False, "https://g.test/v1beta/models/x%3Fkey%3Dy:generateContent"),
    ],
)
def test_url(base: str, model: str, streamed: bool, url: str) -> None:
    """The URL holds version, model and method, and never more."""
    request = VENDOR.encode_request(
        call(model=model, stream=streamed, endpoint=Endpoint(base, SecretStr(KEY)))
    )
    assert str(request.url) == url


def test_key_is_a_header_only() -> None:
    """The key is in `x-goog-api-key` and nowhere else; the user's headers win."""
    endpoint = Endpoint("https://g.test", SecretStr(KEY), {"X-Goog-User-Project": "p"})
    request = VENDOR.encode_request(call(endpoint=endpoint))
    assert request.headers["x-goog-api-key"] == KEY
    assert request.headers["x-goog-user-project"] == "p"
    assert KEY not in str(request.url)
    assert KEY not in request.content.decode()


def test_token_provider_wins() -> None:
    """A token provider replaces the key."""
    endpoint = Endpoint("https://g.test", SecretStr(KEY), token_provider=lambda: "tok")
    headers = VENDOR.encode_request(call(endpoint=endpoint)).headers
    assert headers["authorization"] == "Bearer tok"
    assert "x-goog-api-key" not in headers


# -- requests: contents ---------------------------------------------------------------------------------


def test_system_and_roles() -> None:
    """The system message is apart, the others are turns of user and model; input is not changed."""
    messages = [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("Bye")]
    before = pickle.dumps(messages)
    assert body_of(call(*messages)) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
            {"role": "user", "parts": [{"text": "Bye"}]},
        ],
    }
    assert pickle.dumps(messages) == before


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a"}, {"text": "a"}),
        (
            {"type": "image", "base64": "AA==", "mime_type": "image/jpeg"},
            {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}},
        ),
        ({"type": "image", "base64": "AA=="}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}),
        (
            {"type": "image", "url": "data:image/gif;base64,AA=="},
            {"inlineData": {"mimeType": "image/gif", "data": "AA=="}},
        ),
        (
            {"type": "image", "url": "https://x.test/a.JPG?b=1"},
            {"fileData": {"fileUri": "https://x.test/a.JPG?b=1", "mimeType": "image/jpeg"}},
        ),
        (
            {"type": "file", "base64": "AA==", "mime_type": "application/pdf"},
            {"inlineData": {"mimeType": "application/pdf", "data": "AA=="}},
        ),
        (
            {"type": "audio", "base64": "AA==", "mime_type": "audio/mp3"},
            {"inlineData": {"mimeType": "audio/mp3", "data": "AA=="}},
        ),
        (
            {"type": "video", "url": "https://youtu.be/abc", "extras": {"videoMetadata": {"fps": 5}}},
            {"fileData": {"fileUri": "https://youtu.be/abc"}, "videoMetadata": {"fps": 5}},
        ),
        (
            {"type": "file", "file_id": "files/abc", "mime_type": "application/pdf"},
            {"fileData": {"fileUri": "https://g.test/v1beta/files/abc", "mimeType": "application/pdf"}},
        ),
        ({"type": "text-plain", "text": "words", "mime_type": "text/plain"}, {"text": "words"}),
        (
            {"type": "text-plain", "base64": "AA==", "mime_type": "text/plain"},
            {"inlineData": {"mimeType": "text/plain", "data": "AA=="}},
        ),
        (
            {"type": "non_standard", "value": {"fileData": {"fileUri": "gs://a"}}},
            {"fileData": {"fileUri": "gs://a"}},
        ),
    ],
)
def test_user_blocks(block: dict[str, Any], part: dict[str, Any]) -> None:
    """Each kind of standard block has its part."""
    assert parts_of(HumanMessage([block])) == [part]


def test_foreign_content_is_refused() -> None:
    """What Gemini has no part for is an error of ours, not a request that fails."""
    for block in (
        {"type": "non_standard", "value": {"type": "thinking"}},
        {"type": "hologram"},
        {"type": "server_tool_call", "name": "web_search", "args": {}, "id": "1"},
    ):
        with pytest.raises(errors.UnsupportedFeatureError):
            parts_of(HumanMessage([block]))


CALLING = AIMessage(
    [
        {"type": "reasoning", "reasoning": "hm", "extras": {"signature": "S0"}},
        {"type": "text", "text": "I look.", "extras": {"signature": "S1"}},
        {
            "type": "tool_call",
            "id": "c1",
            "name": "weather",
            "args": {"city": "Ulm"},
            "extras": {"signature": "S2"},
        },
        {"type": "tool_call", "id": "r1_call_1", "name": "weather", "args": {}},
    ],
    tool_calls=[
        {"id": "c1", "name": "weather", "args": {"city": "Ulm"}},
        {"id": "r1_call_1", "name": "weather", "args": {}},
    ],
)


def test_model_turn_keeps_signatures_and_native_ids() -> None:
    """Signatures go back byte for byte on their parts; ids that we made up do not."""
    assert parts_of(CALLING, NEW) == [
        {"text": "hm", "thought": True, "thoughtSignature": "S0"},
        {"text": "I look.", "thoughtSignature": "S1"},
        {
            "functionCall": {"name": "weather", "args": {"city": "Ulm"}, "id": "c1"},
            "thoughtSignature": "S2",
        },
        {"functionCall": {"name": "weather", "args": {}}},
    ]


def test_results_in_the_order_of_calls() -> None:
    """All results are one user turn, ordered as their calls, with id and error where there are any."""
    results = [
        ToolMessage("rain", tool_call_id="r1_call_1", name="weather", status="error"),
        ToolMessage("sun", tool_call_id="c1", name="weather"),
    ]
    assert body_of(call(HumanMessage("?"), CALLING, *results, HumanMessage("So?")))["contents"][2:] == [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "sun"}, "id": "c1"}},
                {"functionResponse": {"name": "weather", "response": {"error": "rain"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "So?"}]},
    ]


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (
            NEW,
            [
                {
                    "functionResponse": {
                        "name": "look", "response": {"output": "see"}, "id": "c1",
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
                    }
                },
                {"fileData": {"fileUri": "https://x.test/a.mp4", "mimeType": "video/mp4"}},
            ],
        ),
        (
            OLD,
            [
                {"functionResponse": {"name": "look", "response": {"output": "see"}, "id": "c1"}},
                {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                {"fileData": {"fileUri": "https://x.test/a.mp4", "mimeType": "video/mp4"}},
            ],
        ),
    ],
)  # fmt: skip
def test_media_in_results(model: str, parts: list[dict[str, Any]]) -> None:
    """From Gemini 3 on images are inside a result, otherwise beside it."""
    blocks = [
        {"type": "text", "text": "see"},
        {"type": "image", "base64": "AA==", "mime_type": "image/png"},
        {"type": "video", "url": "https://x.test/a.mp4"},
    ]
    message = ToolMessage(blocks, tool_call_id="c1", name="look")
    assert body_of(call(message, model=model))["contents"] == [{"role": "user", "parts": parts}]


def test_calls_without_signature() -> None:
    """Gemini 3 gets the documented placeholder on the first call only, older models get none."""
    calls = [{"id": f"c{n}", "name": "weather", "args": {}} for n in range(2)]
    message = AIMessage("", tool_calls=calls)
    first, second = parts_of(message, NEW)
    assert first["thoughtSignature"] == PLACEHOLDER
    assert "thoughtSignature" not in second
    block = {**calls[0], "type": "tool_call", "extras": {"signature": PLACEHOLDER}}
    compiled = AIMessage([block], tool_calls=calls[:1])
    assert "thoughtSignature" not in parts_of(compiled, OLD)[0]
    assert parts_of(compiled, NEW)[0]["thoughtSignature"] == PLACEHOLDER


def test_signatures_of_langchain_google_genai() -> None:
    """Signatures that LangChain keeps beside the message are found by the call's id."""
    message = AIMessage(
        "",
        tool_calls=[{"id": "c1", "name": "weather", "args": {}}],
        additional_kwargs={SIGNATURES: {"c1": "S"}},
    )
    assert parts_of(message, NEW)[0]["thoughtSignature"] == "S"


# -- requests: parameters, tools, output ----------------------------------------------------------------


def test_parameters() -> None:
    """Neutral parameters get Gemini's words; extras are merged one level deep, last."""
    params = {
        "temperature": 0.5, "max_tokens": 9, "top_p": 0.9, "top_k": 4, "stop": ["x"], "seed": 1,
        "presence_penalty": 0.1, "frequency_penalty": 0.2, "top_logprobs": 3, "service_tier": "flex",
    }  # fmt: skip
    extra = {"safetySettings": [], "generationConfig": {"responseModalities": ["TEXT"]}}
    body = body_of(call(params=params, extra=extra))
    assert body["generationConfig"] == {
        "temperature": 0.5, "maxOutputTokens": 9, "topP": 0.9, "topK": 4, "stopSequences": ["x"], "seed": 1,
        "presencePenalty": 0.1, "frequencyPenalty": 0.2, "logprobs": 3, "responseLogprobs": True,
        "responseModalities": ["TEXT"],
    }  # fmt: skip
    assert body["serviceTier"] == "flex"
    assert body["safetySettings"] == []


@pytest.mark.parametrize(
    ("model", "params", "config"),
    [
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", {"reasoning_effort": "high"}, {"thinkingBudget": 24576, "includeThoughts": True}),
        (
            "gemini-3-pro-preview",
            {"reasoning_effort": "medium"},
            {"thinkingLevel": "high", "includeThoughts": True},
        ),
        (
            "gemini-3-pro-preview",
            {"reasoning_effort": "medium", "thinking": {"include_thoughts": False}},
            {"thinkingLevel": "high", "includeThoughts": False},
        ),
        ("gemini-3-pro-preview", {"reasoning_effort": "none"}, {"thinkingLevel": "low"}),
        (
            "gemini-3-flash-preview",
            {"reasoning_effort": "minimal"},
            {"thinkingLevel": "minimal", "includeThoughts": True},
        ),
        (
            "gemini-4-argon",
            {"reasoning_effort": "xhigh"},
            {"thinkingLevel": "high", "includeThoughts": True},
        ),
        (
            "gemini-4-argon",
            {"reasoning_effort": "low", "thinking": {"include_thoughts": True}},
            {"thinkingLevel": "low", "includeThoughts": True},
        ),
        (
            "gemini-2.5-flash",
            {"reasoning_effort": "low", "thinking": {"thinkingBudget": 7}},
            {"thinkingBudget": 7},
        ),
    ],
)
def test_thinking(model: str, params: dict[str, Any], config: dict[str, Any]) -> None:
    """Effort is a budget for Gemini 2.5 and a level from 3 on, and asks for thoughts; explicit words win."""
    assert body_of(call(model=model, params=params))["generationConfig"]["thinkingConfig"] == config


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (None, None),
        (ToolChoice("auto"), {"mode": "AUTO"}),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("any"), {"mode": "ANY"}),
        (ToolChoice("tool", "weather"), {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tools_and_choice(choice: ToolChoice | None, config: dict[str, Any] | None) -> None:
    """Tools are declarations with JSON Schema; the choice is a mode."""
    body = body_of(call(tools=[WEATHER], tool_choice=choice))
    declaration = {"name": "weather", "description": "Tells it.", "parametersJsonSchema": WEATHER.parameters}
    assert body["tools"] == [{"functionDeclarations": [declaration]}]
    assert body.get("toolConfig") == (config and {"functionCallingConfig": config})


def test_server_tools() -> None:
    """Google's own tools pass in either spelling; beside functions Gemini 3 wants to be told."""
    own = [{"google_search": {}}, {"type": "code_execution"}, {"type": "url_context", "x": 1}]
    spelled = [{"google_search": {}}, {"codeExecution": {}}, {"urlContext": {"x": 1}}]
    assert body_of(call(server_tools=own))["tools"] == spelled
    mixed = body_of(call(model=NEW, tools=[WEATHER], server_tools=own, tool_choice=ToolChoice("auto")))
    assert mixed["tools"][1:] == spelled
    assert mixed["toolConfig"] == {"includeServerSideToolInvocations": True}


def test_output() -> None:
    """A schema is a JSON Schema of the answer; JSON mode has none."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    native = body_of(call(output=OutputSchema("A", schema, method="json_schema")))
    assert native["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
    }
    free = body_of(call(output=OutputSchema("A", None, method="json_mode")))
    assert free["generationConfig"] == {"responseMimeType": "application/json"}


# -- answers --------------------------------------------------------------------------------------------


def test_plain_answer() -> None:
    """Text is a string, with usage, model, id and a normalised reason."""
    usage = {
        "promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 25,
        "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 3,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}, {"modality": "TEXT"}],
    }  # fmt: skip
    message = decode(answer([{"text": "Hel"}, {"text": "lo"}], usageMetadata=usage))
    assert message.content == "Hello"
    assert message.id is None
    assert message.usage_metadata == {
        "input_tokens": 13,
        "output_tokens": 12,
        "total_tokens": 25,
        "input_token_details": {"audio": 2, "cache_read": 4},
        "output_token_details": {"reasoning": 7},
    }
    assert message.response_metadata == {
        "model_provider": "google_genai",
        "model_name": OLD,
        "finish_reason": "stop",
        "id": "r1",
    }


def test_no_usage_is_none() -> None:
    """Usage that was not sent is not invented, nor is the model's name."""
    message = decode({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]})
    assert message.usage_metadata is None
    assert message.response_metadata["model_name"] == OLD
    assert "id" not in message.response_metadata


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"), (1, "stop"), ("MAX_TOKENS", "length"), (2, "length"), ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"), (3, "content_filter"), ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"), ("BLOCKLIST", "content_filter"), (8, "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"), ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"), ("MODEL_ARMOR", "content_filter"),
        ("OTHER", "length"), (5, "length"), ("A_NEW_REASON", "length"), (99, "length"),
    ],
)  # fmt: skip
def test_finish_reasons(reason: Any, finish: str) -> None:
    """Every reason is normalised, by name or number; ambiguous ones never count as whole."""
    metadata = decode(answer([{"text": "a"}], reason)).response_metadata
    assert metadata["finish_reason"] == finish
    assert ("native_finish_reason" in metadata) == (reason not in {"STOP", 1, "MAX_TOKENS", 2})


@pytest.mark.parametrize(
    "body",
    [
        answer([], "MALFORMED_FUNCTION_CALL", candidate={"finishMessage": "bad"}),
        answer([], 10),
        answer([], "UNEXPECTED_TOOL_CALL"),
        answer([], "TOO_MANY_TOOL_CALLS"),
        answer([], "MISSING_THOUGHT_SIGNATURE"),
        answer([], "OTHER"),
        {"candidates": [{"content": {"parts": [{"text": "a"}]}}]},
        {},
        [],
        "text",
        b"<html>",
        b'{"candidates": [',
    ],
)
def test_no_answer(body: Any) -> None:
    """What makes no answer is retryable and never a `stop`."""
    with pytest.raises(errors.MalformedResponseError) as caught:
        decode(body)
    assert caught.value.is_retryable


def test_prompt_block() -> None:
    """A refused prompt is an empty message with the reason, streamed or not."""
    feedback = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": [{"category": "X", "blocked": True}]}
    body = {"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
    for message in (decode(body), summed(stream(sse([body])))):
        assert message.content == ""
        metadata = message.response_metadata
        assert metadata["finish_reason"] == "content_filter"
        assert metadata["block_reason"] == "PROHIBITED_CONTENT"
        assert metadata["prompt_feedback"]["safety_ratings"] == [{"category": "X", "blocked": True}]
        assert message.usage_metadata is not None
        assert message.usage_metadata["input_tokens"] == 4
    assert (
        decode({"promptFeedback": {"blockReason": 4}}).response_metadata["block_reason"]
        == "PROHIBITED_CONTENT"
    )


def test_error_inside_a_200() -> None:
    """An error in a successful response is that error."""
    body = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}
    with pytest.raises(errors.OverloadedError):
        decode(body)


def test_tool_calls() -> None:
    """Calls keep native ids and signatures; missing ids are made up, always the same ones."""
    parts = [
        {"functionCall": {"name": "w_1", "args": {"a": 1}, "id": "n1"}, "thoughtSignature": "S"},
        {"functionCall": {"name": "other"}},
    ]
    message = decode(answer(parts), tool_names={"w_1": "weather report"})
    assert message.tool_calls == [
        {"name": "weather report", "args": {"a": 1}, "id": "n1", "type": "tool_call"},
        {"name": "other", "args": {}, "id": "r1_call_1", "type": "tool_call"},
    ]
    assert message.additional_kwargs == {SIGNATURES: {"n1": "S"}}
    assert message.response_metadata["finish_reason"] == "tool_calls"
    assert [block["type"] for block in message.content_blocks] == ["tool_call", "tool_call"]
    nameless = answer([{"functionCall": {"name": "f", "args": {"x": 1}}}], responseId="")
    assert decode(nameless).tool_calls[0]["id"] == decode(nameless).tool_calls[0]["id"]


def test_text_around_calls_is_kept() -> None:
    """Text after a call is not lost, in either form of content."""
    parts = [{"text": "a"}, {"functionCall": {"name": "f", "args": {}}}, {"text": "b"}]
    assert decode(answer(parts)).content == "ab"
    assert decode(answer(parts), model=NEW).text == "ab"


def test_arguments_that_are_no_object() -> None:
    """Such a call is invalid, and an error in a stream."""
    body = answer([{"functionCall": {"name": "f", "args": "x"}}])
    invalid = decode(body).invalid_tool_calls
    assert [(bad["name"], bad["args"], bool(bad["id"])) for bad in invalid] == [("f", '"x"', True)]
    with pytest.raises(errors.TruncatedToolCallError):
        stream(sse([body]))


def test_thoughts_and_signatures() -> None:
    """Thoughts are thinking blocks; signatures stay with their blocks."""
    parts = [
        {"text": "hm", "thought": True, "thoughtSignature": "S0"},
        {"text": "Yes", "thoughtSignature": "S1"},
        {"text": ""},
        {"text": "more"},
    ]
    message = decode(answer(parts))
    assert message.content == [
        {"type": "thinking", "thinking": "hm", "signature": "S0"},
        {"type": "text", "text": "Yes", "extras": {"signature": "S1"}},
        {"type": "text", "text": "more"},
    ]
    assert message.content_blocks[0] == {
        "type": "reasoning",
        "reasoning": "hm",
        "extras": {"signature": "S0"},
    }


def test_code_execution_round_trip() -> None:
    """Code and its result are linked server-tool blocks, and go back as they came."""
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "1/0"}, "thoughtSignature": "S"},
        {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
        {"text": "Oh."},
    ]
    message = decode(answer(parts))
    code, result, text = message.content_blocks
    assert (code["type"], result["type"], text["type"]) == ("server_tool_call", "server_tool_result", "text")
    assert result["tool_call_id"] == code["id"]
    assert result["status"] == "error"
    again = message.model_copy(update={"content": message.content_blocks})
    assert parts_of(again) == parts


def test_unknown_parts_round_trip() -> None:
    """Parts that LangChain has no block for go back verbatim."""
    part = {"toolCall": {"id": "t", "toolType": "GOOGLE_SEARCH"}, "thoughtSignature": "S"}
    message = decode(answer([part, {"text": "a"}]))
    assert message.content_blocks[0]["type"] == "non_standard"
    assert parts_of(message.model_copy(update={"content": message.content_blocks}))[0] == part


def test_generated_media() -> None:
    """Images are image blocks, speech is WAV where the translator looks for it."""
    pcm = base64.b64encode(b"\0\1" * 4).decode()
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thoughtSignature": "S"},
        {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=16000", "data": pcm}},
    ]
    body = answer(parts)
    for message in (decode(body), summed(stream(sse([body])))):
        image, audio = message.content_blocks
        assert (image["type"], image["base64"], image["mime_type"]) == ("image", "AA==", "image/png")
        assert audio["type"] == "audio"
        wav = message.additional_kwargs["audio"]
        assert wav[:4] == b"RIFF"
        assert wav[24:28] == (16000).to_bytes(4, "little")
        assert wav.endswith(b"\0\1" * 4)


GROUNDED = answer(
    [{"text": "Größe: 5."}],
    candidate={
        "groundingMetadata": {
            "webSearchQueries": ["q"],
            "groundingChunks": [{"web": {"uri": "https://x.test", "title": "X"}}],
            "groundingSupports": [
                {"segment": {"endIndex": 11, "text": "Größe: 5."}, "groundingChunkIndices": [0]}
            ],
        }
    },
)


def test_grounding_is_a_citation() -> None:
    """Grounding annotates the text, counted in characters though Gemini counts bytes."""
    search = [{"google_search": {}}]
    streamed = summed(stream(sse([GROUNDED]), server_tools=search))
    for message in (decode(GROUNDED), decode(GROUNDED, server_tools=search), streamed):
        (block,) = message.content_blocks
        (citation,) = block["annotations"]
        assert (citation["url"], citation["title"]) == ("https://x.test", "X")
        assert (citation["start_index"], citation["end_index"]) == (0, len("Größe: 5."))


def test_metadata_is_json_and_vendor_named() -> None:
    """What else the vendor says is kept under its own names, JSON-safe."""
    extra = {
        "safetyRatings": [{"category": "A", "probability": "LOW"}],
        "avgLogprobs": -0.5,
        "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -0.5}]},
        "citationMetadata": {"citationSources": [{"uri": "u"}]},
        "urlContextMetadata": {"urlMetadata": []},
    }
    usage = {"totalTokenCount": 3, "serviceTier": "standard", "trafficType": "ON_DEMAND"}
    metadata = decode(answer([{"text": "a"}], candidate=extra, usageMetadata=usage)).response_metadata
    assert json.loads(json.dumps(metadata)) == metadata
    assert metadata["logprobs"] == {"chosen_candidates": [{"token": "a", "log_probability": -0.5}]}
    assert metadata["safety_ratings"] == [{"category": "A", "probability": "LOW"}]
    assert metadata["citation_metadata"] == {"citation_sources": [{"uri": "u"}]}
    assert (metadata["avg_logprobs"], metadata["service_tier"]) == (-0.5, "standard")


# -- streams --------------------------------------------------------------------------------------------


def events_of(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the events of a stream; usage is cumulative, the reason is in the last."""
    events: list[dict[str, Any]] = []
    for n, some in enumerate(parts):
        usage = {"promptTokenCount": 5, "candidatesTokenCount": n, "totalTokenCount": 5 + n}
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": some}, "index": 0}
        if n == len(parts) - 1:
            candidate["finishReason"] = "STOP"
        events.append(
            {"candidates": [candidate], "usageMetadata": usage, "modelVersion": OLD, "responseId": "r1"}
        )
    return events


SIGNED = [
    [{"text": "hm ", "thought": True}],
    [{"text": "hm", "thought": True}],
    [{"text": "Hel"}, {"text": "lo"}],
    [{"text": " wörld"}],
    [{"text": "", "thoughtSignature": "S1"}],
    [{"functionCall": {"name": "f", "args": {"ä": [1, {"b": None}]}}, "thoughtSignature": "S2"}],
    [{"functionCall": {"name": "g", "id": "n"}}],
]
PLAIN = [[{"text": "Hel"}], [{"text": "lo"}], [{"text": "."}]]


def merged(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return all parts of a stream as one body would have them."""
    return [part for some in parts for part in some]


def comparable(message: AIMessage) -> dict[str, Any]:
    """Return what a message says, without what only serves to merge chunks."""
    content = message.content
    if not isinstance(content, str):
        content = [{k: v for k, v in block.items() if k != "index"} for block in content]  # type: ignore[union-attr]
    return {
        "content": content,
        "tool_calls": message.tool_calls,
        "additional_kwargs": message.additional_kwargs,
        "usage": message.usage_metadata,
        "metadata": message.response_metadata,
    }


@pytest.mark.parametrize("parts", [SIGNED, PLAIN])
@pytest.mark.parametrize("model", [OLD, NEW])
def test_stream_sums_to_the_answer(parts: list[list[dict[str, Any]]], model: str) -> None:
    """The sum of all chunks equals the decoded body of the same answer, and its blocks are right."""
    events = events_of(parts)
    body = {
        **events[-1],
        "candidates": [{**events[-1]["candidates"][0], "content": {"parts": merged(parts)}}],
    }
    total = summed(stream(sse(events), model=model))
    whole = decode(body, model=model)
    assert comparable(total) == comparable(whole)
    assert [block["type"] for block in total.content_blocks] == [b["type"] for b in whole.content_blocks]
    if parts is PLAIN:
        assert [block["type"] for block in total.content_blocks] == ["text"]


@pytest.mark.parametrize("model", [OLD, NEW])
def test_each_fact_in_one_chunk(model: str) -> None:
    """Only the last chunk has usage, reason, model and id; only its provider is on the others."""
    chunks = stream(sse(events_of(SIGNED)), model=model)
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]
    for chunk in chunks[:-1]:
        assert chunk.response_metadata == {"model_provider": "google_genai"}
        assert chunk.usage_metadata is None
    assert chunks[-1].usage_metadata == {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}


def test_v1_blocks_of_chunks_merge() -> None:
    """Under output version v1 each chunk is translated alone, and the sum has one text block."""
    chunks = stream(sse(events_of([*PLAIN, [{"text": "", "thoughtSignature": "S"}]])), model=NEW)
    for chunk in chunks:
        chunk.content = chunk.content_blocks  # type: ignore[assignment]
        chunk.response_metadata["output_version"] = "v1"
    assert summed(chunks).content == [
        {"type": "text", "text": "Hello.", "extras": {"signature": "S"}, "index": 0}
    ]


@given(st.lists(st.integers(min_value=0, max_value=60)))
def test_any_split_gives_the_same(sizes: list[int]) -> None:
    """Where the bytes are cut into pieces changes nothing."""
    data = sse(events_of(SIGNED))
    assert stream(data, sizes or None, model=NEW) == stream(data, model=NEW)


@given(st.integers(min_value=0, max_value=len(sse(events_of(PLAIN))) - 1))
def test_cut_streams_raise(cut: int) -> None:
    """A stream cut before its last event is never an answer."""
    data = sse(events_of(PLAIN))
    if data[cut:].strip():
        with pytest.raises(errors.TruncatedStreamError):
            stream(data[:cut])
    else:
        assert stream(data[:cut])[-1].chunk_position == "last"


def test_finished_is_the_last_event_only() -> None:
    """Old servers put a reason on each event: the answer goes on until the end of input."""
    events = events_of(PLAIN)
    for event in events:
        event["candidates"][0]["finishReason"] = "STOP"
    events.append({"candidates": [{"finishReason": "RECITATION", "index": 0}]})
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    chunks = decoder.feed(sse(events))
    assert decoder.finished
    assert not decoder.done
    chunks += decoder.close()
    assert decoder.done
    assert summed(chunks).content == "Hello."
    assert chunks[-1].response_metadata["finish_reason"] == "content_filter"


def test_streamed_arguments() -> None:
    """Arguments by JSON path are put together; a call that is not closed is an error."""
    deep = {"jsonPath": "$.a.b[1]['c d']"}
    events = events_of(
        [
            [{"functionCall": {"name": "f", "willContinue": True}, "thoughtSignature": "S"}],
            [{"functionCall": {"partialArgs": [{**deep, "stringValue": "x"}], "willContinue": True}}],
            [{"functionCall": {"partialArgs": [{**deep, "stringValue": "y"}], "willContinue": True}}],
            [
                {
                    "functionCall": {
                        "partialArgs": [
                            {"jsonPath": "$.n", "numberValue": 2},
                            {"jsonPath": "$.t", "boolValue": True},
                            {"jsonPath": "$.z", "nullValue": "NULL_VALUE"},
                        ],
                        "willContinue": True,
                    }
                }
            ],
            [{"functionCall": {}}],
        ]
    )  # fmt: skip
    total = summed(stream(sse(events)))
    assert [(c["name"], c["args"]) for c in total.tool_calls] == [
        ("f", {"a": {"b": [None, {"c d": "xy"}]}, "n": 2, "t": True, "z": None})
    ]
    assert total.additional_kwargs == {SIGNATURES: {"r1_call_0": "S"}}
    events[-1]["candidates"][0]["content"]["parts"] = []
    with pytest.raises(errors.TruncatedToolCallError):
        stream(sse(events))


def test_error_in_a_stream_after_content() -> None:
    """An error event is raised by its code, after the content that came with it was delivered."""
    failing = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow"}}
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    assert [chunk.content for chunk in decoder.feed(sse([events_of(PLAIN)[0], failing]))] == ["Hel"]
    for step in (lambda: decoder.feed(b""), decoder.close):
        with pytest.raises(errors.RateLimitError) as caught:
            step()
        assert caught.value.status_code is None


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
def test_plain_json_error_instead_of_a_stream(wrap: Any) -> None:
    """Errors come as plain JSON under `text/event-stream`, also wrapped in a list."""
    body = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}
    with pytest.raises(errors.OverloadedError):
        stream(json.dumps(wrap(body), indent=1).encode())


def test_stream_as_a_json_array() -> None:
    """Without `alt=sse` the stream is one array: understood too, at its end."""
    data = json.dumps(events_of(PLAIN), indent=1).encode()
    assert summed(stream(b"\n" + data, [1, 2, 3])).content == "Hello."
    with pytest.raises(errors.TruncatedStreamError):
        stream(data[:-5])


@pytest.mark.parametrize(
    "data",
    [b"data: {nope}\n\n", b"data: 5\n\n", b'data: {"candidates": ["x"]}\n\n', b'data: {"candidates": 5}\n\n'],
)
def test_events_that_make_no_sense(data: bytes) -> None:
    """Such events are errors, not silence."""
    with pytest.raises(errors.MalformedResponseError):
        stream(data)


def test_keepalives_are_nothing() -> None:
    """Comments, blank lines and events without content give no chunk."""
    decoder = VENDOR.stream_decoder(call(stream=True), {})
    assert decoder.feed(b": ping\n\n\r\n" + sse([{"candidates": []}, {"usageMetadata": {}}])) == []
    assert not decoder.finished
    with pytest.raises(errors.TruncatedStreamError):
        decoder.close()


# -- errors ---------------------------------------------------------------------------------------------


def failure(status: int, body: Any, headers: dict[str, str] | None = None) -> errors.VendorError:
    """Return the error of a response."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return VENDOR.decode_error(call(), status, headers or {}, raw)


def fault(status: str, message: str = "no", *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error body."""
    return {"error": {"code": 400, "status": status, "message": message, "details": list(details)}}


INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


@pytest.mark.parametrize(
    ("status", "body", "cls"),
    [
        (400, fault("INVALID_ARGUMENT", "bad key", INFO), errors.AuthenticationError),
        (400, fault("INVALID_ARGUMENT"), errors.InvalidRequestError),
        (400, [fault("INVALID_ARGUMENT")], errors.InvalidRequestError),
        (
            400,
            fault("INVALID_ARGUMENT", "Input token count (2) exceeds the maximum number of tokens."),
            errors.ContextOverflowError,
        ),
        (
            400,
            fault("INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts."),
            errors.ForeignSignatureError,
        ),
        (
            400,
            fault("INVALID_ARGUMENT", "Thinking level is not supported for this model."),
            errors.UnsupportedParameterError,
        ),
        (400, fault("FAILED_PRECONDITION", "File is not in an ACTIVE state"), errors.InvalidRequestError),
        (
            400,
            fault("FAILED_PRECONDITION", "User location is not supported for the API use."),
            errors.PermissionDeniedError,
        ),
        (401, fault("UNAUTHENTICATED"), errors.AuthenticationError),
        (402, b"", errors.QuotaExceededError),
        (403, fault("PERMISSION_DENIED"), errors.PermissionDeniedError),
        (403, fault("PERMISSION_DENIED", "x", {"reason": "BILLING_DISABLED"}), errors.QuotaExceededError),
        (404, fault("NOT_FOUND"), errors.ModelNotFoundError),
        (404, b"", errors.ModelNotFoundError),
        (404, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", errors.ModelNotFoundError),
        (413, b"too large", errors.RequestTooLargeError),
        (429, fault("RESOURCE_EXHAUSTED"), errors.RateLimitError),
        (
            429,
            fault("RESOURCE_EXHAUSTED", "x", {"violations": [{"quotaId": "GenerateRequestsPerDay"}]}),
            errors.QuotaExceededError,
        ),
        (429, fault("RESOURCE_EXHAUSTED", "Prepayment credits are depleted."), errors.QuotaExceededError),
        (499, fault("CANCELLED"), errors.ServerError),
        (500, fault("INTERNAL"), errors.ServerError),
        (502, b"<html>", errors.ServerError),
        (503, fault("UNAVAILABLE"), errors.OverloadedError),
        (504, fault("DEADLINE_EXCEEDED"), errors.ServerError),
        (418, {"error": "teapot"}, errors.InvalidRequestError),
        (400, b"\xff\xfe", errors.InvalidRequestError),
    ],
)  # fmt: skip
def test_errors(status: int, body: Any, cls: type[errors.VendorError]) -> None:
    """Reason, status and HTTP status choose the class; text only where there is no code."""
    error = failure(status, body)
    assert type(error) is cls
    assert error.status_code == status
    assert error.vendor == "google"
    assert error.message


@pytest.mark.parametrize(
    ("details", "message", "headers", "wait"),
    [
        ([{"retryDelay": "34.4s"}], "", {}, 34.4),
        ([{"retryDelay": "45.837906927s"}], "Please retry in 50s.", {}, 45.837906927),
        ([], "Please retry in 48.939935699s.", {}, 48.939935699),
        ([], "Please retry in 250ms.", {}, 0.25),
        ([{"retryDelay": "soon"}], "", {}, None),
        ([{"retryDelay": "9s"}], "", {"retry-after": "3"}, 3.0),
    ],
)
def test_retry_after(
    details: list[dict[str, Any]], message: str, headers: dict[str, str], wait: float | None
) -> None:
    """The wait is in RetryInfo, else in the text; a header would win."""
    error = failure(429, fault("RESOURCE_EXHAUSTED", message, *details), headers)
    assert error.retry_after == wait
    assert error.code == "RESOURCE_EXHAUSTED"


def test_keys_never_reach_errors() -> None:
    """A key that the vendor echoes is cut out of the text."""
    error = failure(400, fault("INVALID_ARGUMENT", f"API key {KEY} not valid", INFO))
    assert KEY not in str(error)
    assert KEY not in repr(pickle.loads(pickle.dumps(error)))  # noqa: S301 - our own bytes
    assert error.code == "API_KEY_INVALID"
