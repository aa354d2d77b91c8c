"""LangChain's cache of answers (`cache=`, `set_llm_cache`): its key, and its use in streams.

The key holds everything that changes an answer: the deployments of the run's route with their models,
addresses and parameters, the model's own fields, the words and tools of the call, and what the run chose or
is tagged with, where rules look at it. It is a digest, so that no word of it can be read in a shared cache.

LangChain caches `invoke`, not `stream`. Here both do: a streamed answer is stored when it is whole, and a
stored answer is streamed as one chunk, free of charge.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, closing, nullcontext
from contextvars import ContextVar, Token
from copy import copy
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langchain_core.caches import BaseCache
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig

from langchain_llmdispatch.chat_model.part import ModelPart
from langchain_llmdispatch.chat_model.run_context import StreamRun
from langchain_llmdispatch.config.schema import PARAMETERS, DispatchFields
from langchain_llmdispatch.vendors.answer import whole_chunk

if TYPE_CHECKING:
    from langchain_llmdispatch.callbacks.events import RunManager

# Fields that change no answer, or that are in the key by the deployments and the request that they make.
_NOT_KEYED = frozenset([
    *("model", "models", "routes", "vendors", "custom_vendors", "unsupported_params", *PARAMETERS),
    *("timeout", "deadline", "first_token_timeout", "stream_idle_timeout", "wait_for_preferred"),
    *("retry_policy", "retry_quota", "max_attempts", "max_response_bytes", "hedge_after", "on_stream_error"),
    *("streaming", "budget_usd", "count_tokens", "enable_logging", "enable_metrics"),
])  # fmt: skip
_KEYED = tuple(name for name in DispatchFields.model_fields if name not in _NOT_KEYED)
# The run whose answer LangChain itself looks up and stores, by its tags and metadata.
_Facts: TypeAlias = tuple[Sequence[str], Mapping[str, Any]]
_Chunks: TypeAlias = Generator[ChatGenerationChunk]
_RUN: ContextVar[_Facts | None] = ContextVar("llmdispatch_cached", default=None)


class CachedAnswers(ModelPart):
    """A model whose answers LangChain's cache holds."""

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        tags, metadata = _RUN.get() or ((), {})
        return self._answer_key(stop, kwargs, tags, metadata)

    def _cache_entry(
        self,
        messages: Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: Mapping[str, Any],
        run: RunManager | None,
    ) -> CacheEntry | None:
        """Return where a streamed answer is cached; None where it is not, or where LangChain does it."""
        cache = self.cache if isinstance(self.cache, BaseCache) else get_llm_cache()
        if cache is None or self.cache is False or _RUN.get() is not None:
            return None
        tags, metadata = ((), {}) if run is None else (run.tags, run.metadata)
        # As LangChain's own `_generate_with_cache` writes the messages.
        prompt = dumps(
            [each if each.id is None else each.model_copy(update={"id": None}) for each in messages]
        )
        return CacheEntry(
            self._convert_cached_generations, cache, prompt, self._answer_key(stop, kwargs, tags, metadata)
        )

    def _answer_key(
        self,
        stop: Sequence[str] | None,
        kwargs: Mapping[str, Any],
        tags: Sequence[str],
        metadata: Mapping[str, Any],
    ) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in (*_KEYED, "output_version")]
        parts += self._engine.answer_identity(stop, dict(kwargs), tags, metadata)
        return f"{self._llm_type} {hashlib.sha256(repr(parts).encode()).hexdigest()}"


class CacheEntry:
    """The place of one answer in a cache.

    Args:
        mark: LangChain's own: returns stored generations, marked as cached.
        cache: The cache.
        prompt: The messages, as LangChain writes them.
        key: What else the answer depends on.
    """

    def __init__(self, mark: Callable[[Any], Any], cache: BaseCache, prompt: str, key: str) -> None:
        self._mark, self._cache, self._place = mark, cache, (prompt, key)

    def stream(self, live: Callable[..., Iterator[ChatGenerationChunk]], *call: Any) -> _Chunks:
        """Yield the answer from the cache; else the one that `live(*call)` streams, stored when whole."""
        found = self._cache.lookup(*self._place)
        if isinstance(found, list):
            yield self._cached(found)
            return
        chunks: list[ChatGenerationChunk] = []
        with closing(cast("_Chunks", live(*call))) as source:
            for chunk in source:
                chunks.append(_kept(chunk))
                yield chunk
        self._cache.update(*self._place, _whole(chunks))

    async def astream(
        self, live: Callable[..., AsyncIterator[ChatGenerationChunk]], *call: Any
    ) -> AsyncGenerator[ChatGenerationChunk]:
        """Yield the answer from the cache, or the one that `live(*call)` streams; see `stream`."""
        found = await self._cache.alookup(*self._place)
        if isinstance(found, list):
            yield self._cached(found)
            return
        chunks: list[ChatGenerationChunk] = []
        async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", live(*call))) as source:
            async for chunk in source:
                chunks.append(_kept(chunk))
                yield chunk
        await self._cache.aupdate(*self._place, _whole(chunks))

    def _cached(self, found: list[Any]) -> ChatGenerationChunk:
        """Return a stored answer as one chunk, marked as LangChain marks cached ones."""
        generation = self._mark(found)[0]
        message = cast("AIMessage", generation.message)
        chunk = whole_chunk(message)
        chunk.usage_metadata = message.usage_metadata
        return ChatGenerationChunk(message=chunk, generation_info=generation.generation_info)


def _kept(chunk: ChatGenerationChunk) -> ChatGenerationChunk:
    """Return a copy of a chunk, since LangChain changes the one that it gets."""
    return ChatGenerationChunk(message=copy(chunk.message), generation_info=chunk.generation_info)


def _whole(chunks: list[ChatGenerationChunk]) -> list[Any]:
    """Return what LangChain stores of a whole answer."""
    generations = generate_from_stream(iter(chunks)).generations
    for generation in generations:
        message, info = generation.message, generation.generation_info or {}
        message.response_metadata = {**info, **message.response_metadata}
    return generations


UNKEYED: AbstractContextManager[None] = nullcontext()
"""Stands for a `KeyedRun` where there is no cache."""


class KeyedRun:
    """What a run adds to the key of its answer, while LangChain looks it up; a context manager.

    Args:
        model: The model.
        config: The run's config.
    """

    def __init__(self, model: BaseChatModel, config: RunnableConfig | None) -> None:
        self._run = StreamRun(model, config, CallbackManagerForLLMRun).run
        self._token: Token[Any] | None = None

    def __enter__(self) -> None:
        self._token = _RUN.set((self._run.tags, self._run.metadata))

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _RUN.reset(self._token)
