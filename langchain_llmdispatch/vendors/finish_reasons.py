"""What the vendors' words for the end of an answer mean, in one table for all dialects.

An answer's metadata has three facts, as in langchain-core 1.8.4: `finish_reason`, the vendor's own word;
`normalized_finish_reason`, LangChain's common one; and `finish_state`, whether the answer is complete, or
suspended and to be continued by another request.

Gateways pass words of other vendors through (mozilla-ai/any-llm#1202, ferro-labs/ai-gateway#142), in any
case and spelling: `RECITATION`, `maxTokens`, `FinishReason.SAFETY`. Sources: the API descriptions of OpenAI,
Anthropic, Gemini (`Candidate.FinishReason`), Cohere v1 and v2, Ollama, Bedrock (`StopReason`), watsonx,
Mistral, DeepSeek, Z.ai, OpenRouter; the code of vLLM, SGLang, TGI and llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_llmdispatch.errors import MalformedResponseError

if TYPE_CHECKING:
    from langchain_llmdispatch.types import FinishReason

Ending: TypeAlias = "FinishReason | Literal['error']"
"""A normalised finish reason, or that there is no answer."""

_WORDS: Mapping[Ending, str] = {
    "stop": """
        stop stopped end ended done complete completed finish finished normal success
        end_turn stop_sequence stop_word eos eos_token eos_found end_of_text
    """,
    "length": """
        length max_length max_tokens max_output_tokens max_completion_tokens max_new_tokens model_length
        token_limit output_limit error_limit limit incomplete truncated continuation
        time_limit max_time max_tool_calls
    """,
    "context_exceeded": """
        context_length context_window context_exceeded model_context_window_exceeded
        context_length_exceeded context_window_exceeded
    """,
    "tool_call": "tool_calls tool_call tool_use function_call function_calls",
    "refusal": "refusal refused",
    "content_filter": """
        content_filter content_filtered content_filtering filtered blocked
        safety image_safety recitation image_recitation language blocklist prohibited_content
        image_prohibited_content spii model_armor jailbreak guardrail guardrails guardrail_intervened
        sensitive moderation moderated content_policy content_policy_violation error_toxic
    """,
    "error": """
        error errored failed failure abort aborted cancel canceled cancelled user_cancel interrupted
        timeout timed_out network_error server_error internal_error insufficient_system_resource overloaded
        malformed_function_call unexpected_tool_call too_many_tool_calls malformed_response
        missing_thought_signature malformed_tool_use malformed_model_output malformed_tool_call
    """,
    "other": "other pause pause_turn compaction queued in_progress",
}
_SUSPENDED = frozenset({"pause", "pauseturn", "compaction", "queued", "inprogress"})
_NOT_LETTERS = re.compile(r"[^a-z0-9]")
_PREFIX = re.compile(r"^(?:candidate)?(?:finish|stop|done)reason(?=.)")


def _key(word: str) -> str:
    return _PREFIX.sub("", _NOT_LETTERS.sub("", word.lower()))


_ENDINGS: Mapping[str, Ending] = {
    spelling: ending
    for ending, words in _WORDS.items()
    for word in words.split()
    for spelling in (word, _key(word))
}
_PLAIN = frozenset({"stop", "end_turn", "STOP", "completed", "COMPLETE", "tool_calls", "tool_use", "length"})
_NOT_ENDED = frozenset({"", "null", "none", "unspecified", "notfinished", "inprogress"})


def has_ended(word: Any) -> bool:
    """Return whether `word` is a finish reason: some servers send `null` as text before the end."""
    return bool(word) and _key(str(word)) not in _NOT_ENDED


def ending_of(word: Any) -> Ending | None:
    """Return what a finish reason means; None if it is unknown."""
    if not isinstance(word, str):
        return None
    return _ENDINGS.get(word) or _ENDINGS.get(_key(word))


def finish_reason_of(word: Any, *, calls: bool = False) -> FinishReason:
    """Return LangChain's word for a vendor's; an unknown one is an end of another kind.

    Args:
        word: What the vendor sent; nothing means that an end marker alone ended the answer.
        calls: Whether the answer holds tool calls, which must be answered next though the word be `stop`.

    Raises:
        MalformedResponseError: The word means that there is no answer.
    """
    known = ending_of(word)
    if known == "error":
        raise MalformedResponseError(f"the answer failed: {word}", code=str(word))
    if calls and known in {"stop", None}:
        return "tool_call"
    return known or ("other" if word else "stop")


def ending(word: Any, *, calls: bool = False) -> dict[str, Any]:
    """Return the facts of an answer's end, as metadata; arguments and errors as for `finish_reason_of`."""
    reason = finish_reason_of(word, calls=calls)
    facts: dict[str, Any] = {"finish_reason": str(word)} if word else {}
    return {**facts, "normalized_finish_reason": reason, "finish_state": finish_state(word)}


def finish_state(word: Any) -> Literal["complete", "suspended"]:
    """Return whether an answer that ended with `word` is to be continued by another request."""
    suspended = isinstance(word, str) and word not in _PLAIN and _key(word) in _SUSPENDED
    return "suspended" if suspended else "complete"


def normalized(metadata: Mapping[str, Any]) -> str | None:
    """Return the normalised finish reason in a message's metadata, also of a message that lacks it."""
    word: str | None = metadata.get("normalized_finish_reason")
    return word or ending_of(metadata.get("finish_reason"))
