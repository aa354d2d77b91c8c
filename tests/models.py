"""Models on the loopback server, in virtual time, and the ways in which they are called."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.server import LoopbackServer

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


def total(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    """Return the sum of chunks."""
    out = chunks[0]
    for chunk in chunks[1:]:
        out = out + chunk
    return out


def _invoke(model: DispatcherChatModel, text: str) -> AIMessage:
    return model.invoke(text)


def _ainvoke(model: DispatcherChatModel, text: str) -> AIMessage:
    return asyncio.run(model.ainvoke(text))


def _stream(model: DispatcherChatModel, text: str) -> AIMessage:
    return total(list(model.stream(text)))


def _astream(model: DispatcherChatModel, text: str) -> AIMessage:
    async def collect() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream(text)]

    return total(asyncio.run(collect()))


def _batch(model: DispatcherChatModel, text: str) -> AIMessage:
    return model.batch([text])[0]


COLOURS: dict[str, Callable[[DispatcherChatModel, str], AIMessage]] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
    "batch": _batch,
}
