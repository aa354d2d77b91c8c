"""Models on the loopback server, in virtual time, and the ways in which they are called."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.runnables import Runnable

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.server import LoopbackServer

Answering: TypeAlias = Runnable[Any, Any]
"""A model, or one with words bound."""

VENDORS = ("openai", "anthropic", "google", "azure", "cohere", "huggingface", "ollama", "compatible")
MODELS = {
    "openai": "gpt-5.4-mini",
    "anthropic": "claude-haiku-4-5",
    "google": "gemini-2.5-flash",
    "azure": "gpt-5.4-mini",
    "cohere": "command-a-03-2025",
    "huggingface": "openai/gpt-oss-120b",
    "ollama": "llama3.1",
    "compatible": "qwen3-4b",
    "mistralai": "mistral-small-latest",
    "xai": "grok-4.3",
}
URLS = {"azure": "https://x.openai.azure.com", "compatible": "https://server.example/v1"}
"""Addresses of vendors that have none of their own."""
TOOL = {
    "title": "magic_function",
    "description": "Magic.",
    "type": "object",
    "properties": {"input": {"type": "integer"}},
    "required": ["input"],
}
"""A tool that the loopback vendors call."""


def deployment(server: LoopbackServer, vendor: str, account: str = "", **fields: Any) -> Deployment:
    """Return a deployment on the loopback server, named after its account."""
    return Deployment(
        f"{vendor}:{MODELS[vendor]}",
        name=account or vendor,
        base_url=server.base_url(vendor, account),
        **{"api_key": "key", **fields},
    )


def model_of(*deployments: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a model in virtual time, without jitter."""
    defaults: dict[str, Any] = {
        "retry_policy": RetryPolicy(jitter=False),
        "clock": FakeClock(),
        "rng": random.Random(1),
        "env": {},
    }
    return DispatcherChatModel(models=deployments, **{**defaults, **fields})


def summed(chunks: Iterable[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks."""
    return reduce(add, chunks)


def _invoke(model: Answering, /, *call: Any, **words: Any) -> AIMessage:
    return model.invoke(*call, **words)


def _ainvoke(model: Answering, /, *call: Any, **words: Any) -> AIMessage:
    return asyncio.run(model.ainvoke(*call, **words))


def _stream(model: Answering, /, *call: Any, **words: Any) -> AIMessage:
    return summed(model.stream(*call, **words))


def _astream(model: Answering, /, *call: Any, **words: Any) -> AIMessage:
    async def collect() -> list[Any]:
        return [chunk async for chunk in model.astream(*call, **words)]

    return summed(asyncio.run(collect()))


def _batch(model: Answering, text: str) -> AIMessage:
    return model.batch([text])[0]


COLOURS: dict[str, Callable[..., AIMessage]] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
    "batch": _batch,
}
ONE_CALL = ("invoke", "ainvoke", "stream", "astream")
"""The colours that make one call each."""
