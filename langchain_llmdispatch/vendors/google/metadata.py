"""What Gemini's answers hold beside their content: enums, usage, grounding, sound."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmdispatch.vendors.usage import count_of, sum_of, usage_of

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

Json: TypeAlias = Mapping[str, Any]

# The wire numbers of both enums, as sent under `$alt=json;enum-encoding=int`.
FINISH_NUMBERS = (
    "FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER", "LANGUAGE",
    "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MALFORMED_FUNCTION_CALL", "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
)  # fmt: skip
BLOCK_NUMBERS = (
    "BLOCK_REASON_UNSPECIFIED", "SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY",
)  # fmt: skip
_UNSPECIFIED = frozenset({"", "FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED",
                          "BLOCKED_REASON_UNSPECIFIED"})  # fmt: skip
_MODALITIES: Mapping[Any, str] = {
    "IMAGE": "image",
    "VIDEO": "video",
    "AUDIO": "audio",
    2: "image",
    3: "video",
    4: "audio",
}


def enum_name(value: Any, numbers: Sequence[str]) -> str:
    """Return an enum's name, whether it came as a name or as its number; empty if unspecified."""
    if isinstance(value, int):
        value = numbers[value] if 0 <= value < len(numbers) else f"UNKNOWN_{value}"
    return "" if value is None or value in _UNSPECIFIED else str(value)


def usage_metadata(counts: Json) -> UsageMetadata | None:
    """Return Gemini's counters in LangChain's terms; zeros are absent on the wire."""
    if "promptTokenCount" not in counts and "totalTokenCount" not in counts:
        return None
    thoughts = counts.get("thoughtsTokenCount")
    return usage_of(
        # Tool results that Google's own tools put into the prompt are counted apart.
        sum_of(counts.get("promptTokenCount"), counts.get("toolUsePromptTokenCount")),
        sum_of(counts.get("candidatesTokenCount"), thoughts),
        counts.get("totalTokenCount"),
        inputs={
            **_media_tokens(counts.get("promptTokensDetails")),
            "cache_read": counts.get("cachedContentTokenCount"),
        },
        outputs={**_media_tokens(counts.get("candidatesTokensDetails")), "reasoning": thoughts},
    )


def _media_tokens(details: Sequence[Json] | None) -> dict[str, int]:
    """Return the tokens that are no text, by LangChain's names; media without tokens are left out."""
    found: dict[str, int] = {}
    for item in filter(None, details or ()):
        kind = _MODALITIES.get(item.get("modality"))
        if kind is not None and (count := count_of(item.get("tokenCount"))):
            found[kind] = found.get(kind, 0) + count
    return found


def wav(samples: bytes, mime: str) -> bytes:
    """Return raw 16-bit samples (`audio/L16;rate=24000`) as a WAV file."""
    _, _, rate = mime.partition("rate=")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(int(rate.partition(";")[0] or 24000))
        file.writeframes(samples)
    return buffer.getvalue()


def grown(old: Any, new: Any) -> Any:
    """Return two native objects with their lists joined, since these come in parts."""
    joined = dict(old)
    for key, value in new.items():
        joined[key] = [*joined.get(key, ()), *value] if isinstance(value, list) else value
    return joined


def snake(value: Any) -> Any:
    """Return `value` with keys in snake case, as LangChain's translator reads them, without nulls."""
    if isinstance(value, list):
        return [snake(item) for item in value]
    if isinstance(value, Mapping):
        return {_snake_word(key): snake(item) for key, item in value.items() if item is not None}
    return value


def _snake_word(word: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in word)


def mend_grounding(grounding: dict[str, Any]) -> None:
    """Take out what is no object, since LangChain's translator takes that for granted."""
    chunks, supports = (grounding.get(f"grounding_{name}") for name in ("chunks", "supports"))
    if chunks:
        grounding["grounding_chunks"] = [each if isinstance(each, dict) else {} for each in chunks]
    if supports:
        supports = grounding["grounding_supports"] = [each for each in supports if isinstance(each, dict)]
    for support in supports or ():
        if not isinstance(support.get("segment"), dict):
            support["segment"] = {}


def count_characters(grounding: Json, text: str) -> None:
    """Turn Gemini's offsets, which count UTF-8 bytes, into those of citations, which count characters."""
    encoded = text.encode()
    for support in grounding.get("grounding_supports") or ():
        segment = support["segment"]
        if "end_index" in segment:
            for key in ("start_index", "end_index"):
                segment[key] = len(encoded[: segment.get(key, 0)].decode("utf-8", "ignore"))
