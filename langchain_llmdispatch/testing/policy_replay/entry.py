"""The lines of a journal: one call each, with its attempts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.json_format import dump_json

_FORMAT = 1
_ATTEMPTS = "tries"  # the name in the file


@dataclass(slots=True)
class JournalAttempt:
    """One request of a call.

    Attributes:
        deployment: The deployment's name.
        vendor: The vendor's name.
        model: The vendor's model id.
        status: HTTP status, or None without a response.
        error: The error's class name, or None.
        latency_s: Seconds from sending to the end.
        ttft_s: Seconds to the first content, where streamed.
        wait_s: Seconds between the decision to send and sending.
        retry_after_s: Seconds of the vendor's Retry-After, where known.
        usage: Usage as the vendor reports it, or None.
        cost_usd: US dollars, or None where unknown.
    """

    deployment: str
    vendor: str
    model: str
    status: int | None = None
    error: str | None = None
    latency_s: float = 0.0
    ttft_s: float | None = None
    wait_s: float = 0.0
    retry_after_s: float | None = None
    usage: UsageMetadata | None = None
    cost_usd: str | None = None


@dataclass(slots=True)
class JournalEntry:
    """One call.

    Attributes:
        at: When it began, in seconds since 1970.
        seconds: How long it took.
        outcome: `answered` or `failed`.
        attempts: Its requests, in order.
        route: The model or route that the caller named, if any.
        stream: Whether it was streamed.
        input_tokens: Tokens of the prompt: the vendor's count, else an estimate.
        output_tokens: Tokens of the answer, or None.
        tools: How many tools were bound.
        images: How many images the prompt held.
        params: Parameters that routing and cost depend on.
        tags: The run's tags.
        error: The class name of the error that it ended with.
        messages: The conversation, where content is kept.
        answer: The answer's text, where content is kept.
    """

    at: float
    seconds: float
    outcome: str
    attempts: list[JournalAttempt] = field(default_factory=list)
    route: str | None = None
    stream: bool = False
    input_tokens: int = 0
    output_tokens: int | None = None
    tools: int = 0
    images: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    error: str | None = None
    messages: list[dict[str, Any]] | None = None
    answer: str | None = None

    def to_json(self) -> str:
        """Return the line for the file."""
        fields = {name: value for name, value in asdict(self).items() if value not in (None, [], {})}
        attempts = fields.pop("attempts", [])
        fields[_ATTEMPTS] = [{k: v for k, v in one.items() if v is not None} for one in attempts]
        return dump_json({"v": _FORMAT, **fields}).decode()

    @classmethod
    def from_json(cls, line: str) -> JournalEntry:
        """Return the call of a line.

        Raises:
            ConfigurationError: The line is not one of a journal.
        """
        try:
            fields = json.loads(line)
            version = fields.pop("v")
            attempts = [JournalAttempt(**one) for one in fields.pop(_ATTEMPTS, [])]
            entry = cls(attempts=attempts, **fields)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"not a line of a journal: {line[:60]!r}") from error
        if version != _FORMAT:
            raise ConfigurationError(f"a journal of format {version!r}; this version reads {_FORMAT}")
        return entry
