"""Streams without a handler: the chunks that LangChain's own method gives, for less."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.rate_limiters import InMemoryRateLimiter

from langchain_llmdispatch import DispatcherChatModel, errors
from tests.loopback.server import LoopbackServer
from tests.models import VENDORS, deployment, model_of

_RUN = UUID(int=7)


def streamed(model: Any, config: dict[str, Any], *, is_async: bool, **words: Any) -> list[AIMessageChunk]:
    """Return the chunks of a stream."""

    async def collected() -> list[AIMessageChunk]:
        return [chunk async for chunk in model.astream("hello", config, **words)]

    return asyncio.run(collected()) if is_async else list(model.stream("hello", config, **words))


def comparable(chunks: Sequence[AIMessageChunk]) -> list[dict[str, Any]]:
    """Return chunks without what differs between two calls."""
    shown = [chunk.model_dump() for chunk in chunks]
    for chunk in shown:
        chunk["response_metadata"].pop("llmdispatch", None)
        chunk["response_metadata"].pop("id", None)
        chunk["response_metadata"].pop("created_at", None)
        chunk["response_metadata"].pop("request_id", None)
    return shown


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("vendor", VENDORS)
def test_chunks_are_the_same_with_a_handler_and_without(
    server: LoopbackServer, vendor: str, *, is_async: bool
) -> None:
    """With the id of the run, and the facts of the call in the last one."""
    model = model_of(deployment(server, vendor))
    plain = streamed(model, {"run_id": _RUN}, is_async=is_async)
    handlers = {"run_id": _RUN, "callbacks": [BaseCallbackHandler()]}
    observed = streamed(model, handlers, is_async=is_async)
    assert [chunk.text for chunk in plain] == [chunk.text for chunk in observed]
    assert [sorted(chunk) for chunk in comparable(plain)] == [sorted(chunk) for chunk in comparable(observed)]
    assert {chunk.id for chunk in plain} == {chunk.id for chunk in observed}
    assert "llmdispatch" in plain[-1].response_metadata
    assert plain[-1].response_metadata.keys() == observed[-1].response_metadata.keys()
    assert [chunk.chunk_position for chunk in plain] == [chunk.chunk_position for chunk in observed]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {"output_version": "v1"},
        {"disable_streaming": True},
        {"rate_limiter": InMemoryRateLimiter(requests_per_second=1000)},
    ],
)
def test_what_langchain_does_for_a_field_is_left_to_it(
    server: LoopbackServer, fields: dict[str, Any], *, is_async: bool
) -> None:
    """Blocks of v1, a whole answer in one chunk, a rate limiter."""
    chunks = streamed(model_of(deployment(server, "openai"), **fields), {}, is_async=is_async)
    assert "".join(chunk.text for chunk in chunks)
    assert isinstance(chunks[0].content, list) is ("output_version" in fields)
    assert (len(chunks) == 1) is ("disable_streaming" in fields)


@pytest.mark.parametrize("is_async", [False, True])
def test_words_for_tracers_are_not_sent(server: LoopbackServer, *, is_async: bool) -> None:
    """As in LangChain's own method."""
    words = {"ls_structured_output_format": {"kwargs": {"method": "json_schema"}, "schema": {"title": "t"}}}
    assert streamed(model_of(deployment(server, "openai")), {}, is_async=is_async, **words)


@pytest.mark.parametrize("is_async", [False, True])
def test_errors_and_chunks_before_them_are_the_same(server: LoopbackServer, *, is_async: bool) -> None:
    """Nothing is swallowed without a handler."""
    model = DispatcherChatModel(model="ollama:x", base_url="http://127.0.0.1:9", max_retries=0, env={})
    with pytest.raises(errors.DispatchError):
        streamed(model, {}, is_async=is_async)
