"""What Hugging Face's recorded exchanges say: the router, its providers, TGI and the serverless host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.recordings import openai

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call
    from tests.recordings.expected import Expected

SKIPPED = {"hf.task": "tasks other than chat have their own bodies; their errors are checked"}


def expected(exchange: dict[str, Any]) -> Expected | None:
    """Return what must be found in the exchange, or None if it is no chat of this codec.

    The errors of other tasks come from the same gateway and are read alike.
    """
    if exchange["api"] == "chat.completions" or exchange["response"]["status"] >= 400:
        return openai.reading(exchange)
    assert exchange["api"] in SKIPPED, exchange["api"]
    return None


def call(exchange: dict[str, Any]) -> Call:
    """Return a call like that of the exchange."""
    return openai.call(exchange)
