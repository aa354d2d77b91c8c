"""Streams that no handler observes: what LangChain keeps and adds up for handlers is left out.

`BaseChatModel.stream` keeps all chunks of an answer until its end, and adds them up for `on_llm_end`. Without
a handler nothing takes that sum, and it is a third of what a chunk costs. The chunks are the same either way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Any, cast

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models._utils import _normalize_messages
from langchain_core.language_models.chat_models import _gen_info_and_msg_metadata
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig

from langchain_llmdispatch.chat_model.part import ModelPart
from langchain_llmdispatch.chat_model.run_context import kept_run

_FOR_TRACERS = ("ls_structured_output_format", "structured_output_format")


class UnobservedStreams(ModelPart):
    """A model whose streams without a handler are its own chunks, with the id of their run."""

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.stream`."""
        identity = self._unobserved(kwargs, is_async=False)
        if identity is None:
            yield from super().stream(input, config, stop=stop, **kwargs)
            return
        chunks = self._stream(self._given(input), stop=stop, **_sent(kwargs))
        message: AIMessageChunk | None = None
        with closing(cast("Generator[ChatGenerationChunk]", chunks)):
            for chunk in chunks:
                message = _shown(chunk, identity)
                yield message
        yield from _rest(message, identity)

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream the answer; see `BaseChatModel.astream`."""
        identity = self._unobserved(kwargs, is_async=True)
        if identity is None:
            observed = super().astream(input, config, stop=stop, **kwargs)
            async with aclosing(cast("AsyncGenerator[AIMessageChunk]", observed)):
                async for message in observed:
                    yield message
            return
        chunks = self._astream(self._given(input), stop=stop, **_sent(kwargs))
        last: AIMessageChunk | None = None
        async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", chunks)):
            async for chunk in chunks:
                last = _shown(chunk, identity)
                yield last
        for message in _rest(last, identity):
            yield message

    def _unobserved(self, kwargs: dict[str, Any], *, is_async: bool) -> str | None:
        """Return the id of a stream's messages, if LangChain's own method would do no more than this."""
        run = kept_run()
        if run is None or run.handlers or self.output_version == "v1" or self.rate_limiter is not None:
            return None
        streams = self._should_stream(async_api=is_async, **{**kwargs, "stream": True})
        return f"lc_run--{run.run_id}" if streams else None

    def _given(self, input: LanguageModelInput) -> list[BaseMessage]:
        return _normalize_messages(self._convert_input(input).to_messages())


def _sent(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in _FOR_TRACERS}


def _shown(chunk: ChatGenerationChunk, identity: str) -> AIMessageChunk:
    """Return the message of a chunk as LangChain shows it."""
    message = cast("AIMessageChunk", chunk.message)
    if message.id is None:
        message.__dict__["id"] = identity  # as pydantic sets it, in half the time
        message.model_fields_set.add("id")
    if chunk.generation_info:
        message.response_metadata = _gen_info_and_msg_metadata(chunk)
    return message


def _rest(last: AIMessageChunk | None, identity: str) -> Sequence[AIMessageChunk]:
    """Return the last chunk that LangChain adds where none is marked as such.

    Raises:
        ValueError: There was no chunk.
    """
    if last is None:
        raise ValueError("No generation chunks were returned")
    if last.chunk_position:
        return ()
    content: Any = "" if isinstance(last.content, str) else []
    return (AIMessageChunk(content=content, chunk_position="last", id=identity),)
