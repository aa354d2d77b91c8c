"""What the vendors' words for the end of an answer mean, in one table for all dialects.

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

Ending: TypeAlias = "FinishReason | Literal['failed']"
"""A finish reason, or that there is no answer."""

_WORDS: Mapping[Ending, str] = {
    "stop": """
        stop stopped end ended done complete completed finish finished normal success
        end_turn stop_sequence stop_word eos eos_token eos_found end_of_text
    """,
    "length": """
        length max_length max_tokens max_output_tokens max_completion_tokens max_new_tokens model_length
        token_limit output_limit context_length context_window model_context_window_exceeded
        context_length_exceeded context_window_exceeded error_limit limit
        incomplete truncated other continuation pause pause_turn compaction time_limit max_time max_tool_calls
    """,
    "tool_calls": "tool_calls tool_call tool_use function_call function_calls",
    "content_filter": """
        content_filter content_filtered content_filtering filtered blocked refusal refused
        safety image_safety recitation image_recitation language blocklist prohibited_content
        image_prohibited_content spii model_armor jailbreak guardrail guardrails guardrail_intervened
        sensitive moderation moderated content_policy content_policy_violation error_toxic
    """,
    "failed": """
        error errored failed failure abort aborted cancel canceled cancelled user_cancel interrupted
        timeout timed_out network_error server_error internal_error insufficient_system_resource overloaded
        malformed_function_call unexpected_tool_call too_many_tool_calls malformed_response
        missing_thought_signature malformed_tool_use malformed_model_output malformed_tool_call
    """,
}
_NOT_LETTERS = re.compile(r"[^a-z0-9]")
_PREFIX = re.compile(r"^(?:candidate)?(?:finish|stop|done)reason(?=.)")


def _key(word: str) -> str:
    return _PREFIX.sub("", _NOT_LETTERS.sub("", word.lower()))


_ENDINGS: Mapping[str, Ending] = {
    _key(word): ending for ending, words in _WORDS.items() for word in words.split()
}
_NOT_ENDED = frozenset({"", "null", "none", "unspecified", "notfinished", "inprogress"})


def has_ended(word: Any) -> bool:
    """Return whether `word` is a finish reason: some servers send `null` as text before the end."""
    return bool(word) and _key(str(word)) not in _NOT_ENDED


def ending_of(word: Any) -> Ending | None:
    """Return what a finish reason means; None if it is unknown."""
    return _ENDINGS.get(_key(word)) if isinstance(word, str) else None


def finish_reason_of(word: Any, *, calls: bool = False) -> FinishReason:
    """Return the finish reason that a vendor's word means; an unknown one is still an end.

    Args:
        word: What the vendor sent.
        calls: Whether the answer holds tool calls, which must be answered next though the word be `stop`.

    Raises:
        MalformedResponseError: The word means that there is no answer.
    """
    ending = ending_of(word) or "stop"
    if ending == "failed":
        raise MalformedResponseError(f"the answer failed: {word}", code=str(word))
    return "tool_calls" if calls and ending == "stop" else ending
