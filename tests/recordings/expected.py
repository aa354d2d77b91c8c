"""What is in a recorded exchange, read from its bytes without our codecs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from langchain_llmdispatch.errors import DispatchError

Json = dict[str, Any]


@dataclass(frozen=True)
class Expected:
    """What the codec must find in one exchange.

    Attributes:
        error: Class of the error that must be raised, or None for an answer.
        retryable: The error's `is_retryable`, or None if not checked.
        retry_after: Seconds the error must carry, or None if not checked.
        text: All visible text, joined.
        reasoning: All visible reasoning text, joined, or None if not checked.
        tool_calls: `(name, args)` of each valid tool call, in order.
        invalid_tool_calls: How many tool calls hold arguments that are no JSON object.
        finish: The normalised finish reason.
        usage: `usage_metadata` fields that must be equal; nested details as `{"input_token_details": {...}}`.
        model: `response_metadata["model_name"]`, or None if not checked.
        id: `response_metadata["id"]`, or None if not checked.
        metadata: Other entries of `response_metadata` that must be equal.
        call_ids: Ids of all tool calls, in order, or None if not checked.
        content: The blocks of `content` without their `index`, or None if not checked.
        refusal: The texts of the refusal blocks, joined, or None if not checked.
        citations: Where each citation leads, in order, or None if not checked.
        server_tools: `(name, id)` of each tool that ran at the vendor, or None if not checked.
    """

    error: type[DispatchError] | None = None
    retryable: bool | None = None
    retry_after: float | None = None
    text: str = ""
    reasoning: str | None = None
    tool_calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    invalid_tool_calls: int = 0
    finish: str | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    id: str | None = None
    metadata: Json = field(default_factory=dict)
    call_ids: list[str] | None = None
    content: list[Json] | None = None
    refusal: str | None = None
    citations: list[str] | None = None
    server_tools: list[tuple[str, str]] | None = None
