"""What is in Hugging Face's recorded exchanges: the router, its providers, TGI and the serverless host."""

from __future__ import annotations

from typing import Any

from tests.recordings import openai

SKIPPED = {"hf.task": "tasks other than chat have their own bodies; their errors are checked"}


expected, call = openai.expected, openai.call


def skipped(exchange: dict[str, Any]) -> str | None:
    """Return why an exchange is none of this codec's, or None; errors of other tasks are read alike."""
    return SKIPPED.get(exchange["api"]) if exchange["response"]["status"] < 400 else None
