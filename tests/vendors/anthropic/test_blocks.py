"""Anthropic: content blocks of a request."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    ToolMessage,
)

from tests.cases import each
from tests.vendors.anthropic.calls import CACHED, HI, NATIVE, answer, decode, streamed, turns


@each(
    ("block", "wire"),
    [
        (
            {"type": "text", "text": "a", "cache_control": CACHED},
            {"type": "text", "text": "a", "cache_control": CACHED},
        ),
        (
            {"type": "text", "text": "a", "extras": {"cache_control": CACHED}, "id": "lc_1"},
            {"type": "text", "text": "a", "cache_control": CACHED},
        ),
        (
            {"type": "image", "url": "https://x.test/a.png"},
            {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
        ),
        (
            {"type": "image", "base64": "QUJD", "mime_type": "image/jpeg"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        ),
        (
            {"type": "image", "url": "data:image/gif;base64,QUJD"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "QUJD"}},
        ),
        (
            {"type": "file", "base64": "QUJD", "mime_type": "application/pdf", "extras": {"title": "T"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"},
                "title": "T",
            },
        ),
        (
            {"type": "file", "url": "https://x.test/a.pdf", "extras": {"citations": {"enabled": True}}},
            {
                "type": "document",
                "source": {"type": "url", "url": "https://x.test/a.pdf"},
                "citations": {"enabled": True},
            },
        ),
        (
            {"type": "file", "base64": "QUJD", "mime_type": "text/csv"},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "ABC"}},
        ),
        (
            {"type": "text-plain", "text": "words", "mime_type": "text/plain", "title": "T", "context": "C"},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "title": "T",
                "context": "C",
            },
        ),
        (
            {
                "type": "non_standard",
                "value": {"type": "search_result", "source": "s", "title": "t", "content": []},
            },
            {"type": "search_result", "source": "s", "title": "t", "content": []},
        ),
    ],
)
def test_input_blocks(block: dict[str, Any], wire: dict[str, Any]) -> None:
    """Each block of a user's turn, and of a tool's result, in Anthropic's words."""
    assert turns(HumanMessage([block])) == [{"role": "user", "content": [wire]}]
    used = AIMessage("", tool_calls=[{"name": "weather", "args": {}, "id": "t1"}])
    *_, last = turns(*HI, used, ToolMessage([block], tool_call_id="t1"))
    assert last["content"] == [{"type": "tool_result", "tool_use_id": "t1", "content": [wire]}]


def sent_back(message: AIMessage) -> list[Any]:
    """Return the content that an answer becomes in the history: from its own blocks, and from v1 blocks."""
    return [
        turns(*HI, AIMessage(content, tool_calls=message.tool_calls))[1]["content"]
        for content in (message.content, message.content_blocks)
    ]


def test_native_blocks_return_byte_for_byte() -> None:
    """The vendor's own content goes back verbatim: from its own blocks, and from v1 blocks."""
    message = decode(answer(NATIVE, "tool_use"))
    assert message.content == NATIVE
    assert sent_back(message) == [NATIVE, NATIVE]


def test_streamed_native_blocks_return_byte_for_byte() -> None:
    """The sum of a stream goes back like the whole answer, its indices and raw inputs left behind."""
    assert sent_back(streamed(answer(NATIVE, "tool_use"))) == [NATIVE, NATIVE]


def test_unsigned_reasoning_and_refusals_stay_behind() -> None:
    """The API takes neither."""
    blocks = [
        {"type": "reasoning", "reasoning": "x"},
        {"type": "refusal", "refusal": "no"},
        {"type": "text", "text": "a"},
    ]
    assert turns(*HI, AIMessage(blocks))[1]["content"] == [{"type": "text", "text": "a"}]
