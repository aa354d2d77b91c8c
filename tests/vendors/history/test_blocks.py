"""Blocks of any form, read into v1 blocks."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import (
    HumanMessage,
)

from langchain_llmdispatch.vendors.history.blocks import input_blocks
from tests.cases import each
from tests.vendors.history.threads import PNG, compiled


@each("nested", [True, False])
@each("kind", ["video", "audio"])
def test_media_by_url_in_openais_manner(kind: str, nested: bool) -> None:
    """As vLLM's and Qwen's servers take it."""
    url = "https://x.test/a"
    block = {"type": f"{kind}_url", f"{kind}_url": {"url": url} if nested else url}
    assert input_blocks([block]) == [{"type": kind, "url": url}]


@each(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": "data:image/png;base64,aGk="},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"type": "image", "source_type": "base64", "data": "aGk=", "mime_type": "image/png"},
        {"type": "image", "source": {"type": "base64", "data": "aGk=", "media_type": "image/png"}},
        {"type": "image", "url": "data:image/png;base64,aGk="},
        {"type": "media", "mime_type": "image/png", "data": b"hi"},
        {"image": {"format": "png", "source": {"bytes": b"hi"}}},
        {"type": "file", "base64": "aGk=", "mime_type": "image/png"},
    ],
)
def test_every_spelling_of_an_image_becomes_one(block: dict[str, Any]) -> None:
    """OpenAI's, Anthropic's, Gemini's, Bedrock's and LangChain's old ones are the same image."""
    out, _ = compiled([HumanMessage([block])], "anthropic")
    assert out[0].content == [PNG]


def test_audio_and_files_are_read() -> None:
    """OpenAI's audio and file blocks, Anthropic's documents and file ids."""
    blocks: list[Any] = [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "file", "base64": "aGk=", "mime_type": "text/plain"},
    ]
    out, _ = compiled([HumanMessage(blocks)], "google")
    assert [b["type"] for b in out[0].content] == ["audio", "file", "file", "text-plain"]
    assert out[0].content[2] == {"type": "file", "file_id": "file_1"}
    assert out[0].content[3]["text"] == "hi"
