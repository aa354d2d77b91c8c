"""Google: contents of a request: turns, media, signatures."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.google.contents import PLACEHOLDER
from langchain_llmdispatch.vendors.history.answer_blocks import SIGNATURES
from tests.cases import each
from tests.vendors.google.calls import NEW, OLD, body_of, call, parts_of


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


@each(
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
