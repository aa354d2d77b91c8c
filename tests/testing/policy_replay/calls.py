"""Journals of made-up calls."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch.testing.policy_replay.entry import JournalAttempt, JournalEntry

A, B = "openai:gpt-5.4-mini", "anthropic:claude-haiku-4-5"


FAST = {"retry_policy": {"jitter": False, "initial_delay": 0.5}, "max_attempts": 6}


def answered(deployment: str, seconds: float = 1.0, **fields: Any) -> JournalAttempt:
    """Return a request that was answered."""
    vendor, _, model = deployment.partition(":")
    return JournalAttempt(
        deployment, vendor, model, status=200, latency_s=seconds, cost_usd="0.001", **fields
    )


def failed(
    deployment: str, error: str, status: int | None, seconds: float = 0.2, **fields: Any
) -> JournalAttempt:
    """Return a request that failed."""
    vendor, _, model = deployment.partition(":")
    return JournalAttempt(deployment, vendor, model, status=status, error=error, latency_s=seconds, **fields)


def calls(count: int, *attempts: JournalAttempt, every: float = 1.0, **fields: Any) -> list[JournalEntry]:
    """Return so many calls with the same story."""
    outcome = "failed" if attempts[-1].error else "answered"
    fields = {"input_tokens": 1000, "output_tokens": 200, **fields}
    seconds = sum(one.latency_s + one.wait_s for one in attempts)
    error = "AllDeploymentsFailedError" if outcome == "failed" else None
    return [
        JournalEntry(1.79e9 + n * every, seconds, outcome, list(attempts), error=error, **fields)
        for n in range(count)
    ]
