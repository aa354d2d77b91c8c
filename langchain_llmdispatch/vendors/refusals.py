"""Refusals as LangChain's refusal blocks, whatever the vendor, for `ModelRefusalMiddleware` and parsers.

OpenAI sends a refusal's text, Anthropic a stop reason, Gemini and all filters a finish reason; LangChain's
block translators see the first two, and three words of Gemini's. Here the others become blocks, in the form
that the message's translator reads. As in langchain-core 1.8.4, `normalized_finish_reason` is then `refusal`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.vendors.answer import content_blocks
from langchain_llmdispatch.vendors.finish_reasons import ending

_Answer = TypeVar("_Answer", AIMessage, AIMessageChunk)

ANSWERED = frozenset({"stop", "tool_call", "length", "context_exceeded", "other"})
"""Normalised finish reasons of answers that were not refused, as far as the words go."""
_REFUSED = frozenset({"content_filter", "refusal"})
_GEMINI = frozenset({"google_genai", "google_vertexai"})
_READ_BY_GEMINIS = frozenset({"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST"})
# LangChain's v1 streams number blocks without an index from 0; a refusal is a block of its own.
_INDEX = 9_999


def completed(message: _Answer, before: Sequence[AIMessageChunk] = ()) -> _Answer:
    """Return an answer with all three facts of its end, and a refusal block if it was refused.

    Args:
        message: A whole answer, or the last chunk of a stream.
        before: The chunks before it.
    """
    metadata = message.response_metadata
    if "normalized_finish_reason" not in metadata and metadata.get("finish_reason"):
        calls = bool(message.tool_calls) or any(chunk.tool_call_chunks for chunk in before)
        metadata |= {**ending(metadata["finish_reason"], calls=calls), **metadata}
    refused = metadata.get("normalized_finish_reason") in _REFUSED
    if not any(map(is_refusal, (*before, message))):
        if not refused:
            return message
        message = _with_block(message, before)
    metadata["normalized_finish_reason"] = "refusal"
    return message


def is_refusal(message: AIMessage) -> bool:
    """Return whether LangChain reads a refusal block from a message or chunk, in any translator's form."""
    content, metadata = message.content, message.response_metadata
    if isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "refusal" for block in content
    ):
        return True
    provider = metadata.get("model_provider")
    if provider in _GEMINI:
        feedback = metadata.get("prompt_feedback")
        blocked = isinstance(feedback, dict) and bool(feedback.get("block_reason"))
        return blocked or metadata.get("finish_reason") in _READ_BY_GEMINIS
    if provider == "anthropic":
        return metadata.get("stop_reason") == "refusal"
    return provider == "openai" and bool(message.additional_kwargs.get("refusal"))


def _with_block(message: _Answer, before: Sequence[AIMessageChunk]) -> _Answer:
    metadata, word = message.response_metadata, str(message.response_metadata.get("finish_reason") or "")
    refusal = "".join(str(one.additional_kwargs.get("refusal") or "") for one in (*before, message))
    text = refusal or str(metadata.get("finish_message") or f"The answer was blocked: {word}.")
    provider = metadata.get("model_provider")
    if provider in _GEMINI:
        # Its translator reads refusals here only, and has three of the finish reasons.
        metadata["prompt_feedback"] = {**(metadata.get("prompt_feedback") or {}), "block_reason": word}
        return message
    if provider == "openai" and all(isinstance(one.content, str) for one in (*before, message)):
        kwargs = {**message.additional_kwargs, "refusal": text}
        return message.model_copy(update={"additional_kwargs": kwargs})
    block: dict[str, Any] = {"type": "refusal", "refusal": text, "extras": {"finish_reason": word}}
    if isinstance(message, AIMessageChunk):
        block["index"] = _INDEX
    return message.model_copy(update={"content": [*content_blocks(message.content), block]})
