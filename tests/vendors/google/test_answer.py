"""Google: from a whole answer to a message, with its metadata and function calls."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.google.metadata import FINISH_NUMBERS, enum_name
from langchain_llmdispatch.vendors.history.answer_blocks import SIGNATURES
from tests.cases import each
from tests.models import summed
from tests.vendors.google.calls import NEW, OLD, decode, parts_of, sse, stream


def answer(parts: list[dict[str, Any]], reason: Any = "STOP", **fields: Any) -> dict[str, Any]:
    """Return a response body with one candidate."""
    candidate = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": reason,
        **fields.pop("candidate", {}),
    }
    return {"candidates": [candidate], "modelVersion": OLD, "responseId": "r1", **fields}


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
        "finish_reason": "STOP",
        "normalized_finish_reason": "stop",
        "finish_state": "complete",
        "id": "r1",
    }


def test_no_usage_is_none() -> None:
    """Usage that was not sent is not invented, nor is the model's name."""
    message = decode({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}]})
    assert message.usage_metadata is None
    assert message.response_metadata["model_name"] == OLD
    assert "id" not in message.response_metadata


@each(
    ("reason", "finish"),
    [
        ("STOP", "stop"), (1, "stop"), ("MAX_TOKENS", "length"), (2, "length"), ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"), (3, "content_filter"), ("RECITATION", "content_filter"),
        ("LANGUAGE", "content_filter"), ("BLOCKLIST", "content_filter"), (8, "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"), ("SPII", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"), ("MODEL_ARMOR", "content_filter"),
        ("OTHER", "other"), (5, "other"), ("A_NEW_REASON", "other"), (99, "other"),
    ],
)  # fmt: skip
def test_finish_reasons(reason: Any, finish: str) -> None:
    """Every reason is normalised, by name or number, and kept by its name; ambiguous ones are no `stop`."""
    metadata = decode(answer([{"text": "a"}], reason)).response_metadata
    assert metadata["normalized_finish_reason"] == finish
    assert metadata["finish_reason"] == enum_name(reason, FINISH_NUMBERS)
    assert metadata["finish_state"] == "complete"


@each(
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
        assert metadata["normalized_finish_reason"] == "content_filter"
        assert metadata["finish_reason"] == metadata["block_reason"] == "PROHIBITED_CONTENT"
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
    assert message.response_metadata["normalized_finish_reason"] == "tool_call"
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
        block = message.content_blocks[0]
        (citation,) = block["annotations"]
        assert (citation["url"], citation["title"]) == ("https://x.test", "X")
        assert (citation["start_index"], citation["end_index"]) == (0, len("Größe: 5."))


def test_metadata_is_json_and_vendor_named() -> None:
    """The vendor's other fields are kept under their own names, JSON-safe."""
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


def test_arguments_as_text_and_ids_that_repeat() -> None:
    """Proxies send text where Gemini has an object, and one id for all calls of a turn."""
    parts = [{"functionCall": {"name": "f", "args": text, "id": "a"}} for text in ('{"x": 1}', "{}", None)]
    whole = decode(answer(parts))
    streamed = summed(stream(sse([answer(parts[:2], None), answer(parts[2:])])))
    for message in (whole, streamed):
        assert [call["args"] for call in message.tool_calls] == [{"x": 1}, {}, {}]
        assert len({call["id"] for call in message.tool_calls}) == 3


def test_reasons_before_the_end() -> None:
    """STOP on each event takes back no other reason, and an event without parts takes back none at all."""
    events = [answer([{"text": "a"}]), answer([], "MAX_TOKENS"), answer([]), {"candidates": [{"index": 0}]}]
    assert summed(stream(sse(events))).response_metadata["normalized_finish_reason"] == "length"
    with pytest.raises(errors.TruncatedStreamError):
        stream(sse([answer([{"text": "a"}]), answer([{"text": "b"}], None)]))


@each(
    "part",
    [
        {"text": "Hi"},
        {"functionCall": {"name": "f", "args": {}}},
        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
    ],
)
def test_nulls_are_absent_fields(part: dict[str, Any]) -> None:
    """Proxies write each field that Google's SDK has (`Part.model_dump()`)."""
    nulls = dict.fromkeys(
        ("text", "thought", "functionCall", "inlineData", "executableCode", "codeExecutionResult")
    )
    body = answer([{**nulls, **part}], error=None, promptFeedback=None)
    assert decode(body).content_blocks == decode(answer([part])).content_blocks
    assert summed(stream(sse([body]))).tool_calls == decode(answer([part])).tool_calls


def test_details_that_are_no_objects() -> None:
    """They cost the answer nothing, and LangChain's translator reads the rest."""
    chunks = [None, {"web": None}, {"web": {"uri": "https://a", "title": "a"}}]
    supports = [None, {"segment": None}, {"segment": {"endIndex": 2}, "groundingChunkIndices": [0, 1, 2]}]
    grounding = {"groundingChunks": chunks, "groundingSupports": supports}
    usage = {"promptTokenCount": 5, "promptTokensDetails": [None, {"modality": "AUDIO", "tokenCount": 2}]}
    body = answer([{"text": "Hi there"}], candidate={"groundingMetadata": grounding}, usageMetadata=usage)
    message = decode(body)
    assert [note.get("url") for note in message.content_blocks[0]["annotations"]][-1] == "https://a"
    assert message.usage_metadata is not None
    assert message.usage_metadata["input_token_details"] == {"audio": 2}


def test_a_place_far_away_in_a_list() -> None:
    """The room for it is not made: its number would decide how much memory is taken."""
    partial = {"jsonPath": "$.rows[1000000000]", "stringValue": "x"}
    part = {"functionCall": {"name": "f", "partialArgs": [partial]}}
    with pytest.raises(errors.MalformedResponseError):
        stream(sse([answer([part])]))
