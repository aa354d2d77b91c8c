"""Content-block events (`stream_events(version="v3")`) of a streamed answer, without LangChain's bridge.

The bridge translates each chunk into standard blocks, which costs more than all else of it. Here a chunk of a
shape that was translated before, which most are, becomes one event directly. Such pieces are joined before
chunks are added up, and what the blocks and the message are in the end is taken from that sum: the message of
`stream` and the one of the events are the same by construction.

    message-start
      content-block-start, content-block-delta*     as chunks come
      content-block-finish                          of all blocks, once the answer is whole
    message-finish
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableConfig

from langchain_llmdispatch.chat_model import late
from langchain_llmdispatch.chat_model.part import ModelPart
from langchain_llmdispatch.chat_model.request import with_choices


class BlockEvents(ModelPart):
    """A model that makes content-block events itself."""

    def stream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Stream the answer as events; see `BaseChatModel.stream_events`."""
        return super().stream_events(input, with_choices(config), **kwargs)

    def astream_events(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Stream the answer as events; see `BaseChatModel.astream_events`."""
        return super().astream_events(input, with_choices(config), **kwargs)

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        maker = late.event_maker.EventMaker(run_manager)
        chunks = self._stream(messages, stop=stop, run_manager=run_manager, **kwargs)
        with closing(cast("Generator[ChatGenerationChunk]", chunks)):
            for chunk in chunks:
                yield from maker.of_chunk(chunk)
        yield from maker.of_end()

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        maker = late.event_maker.EventMaker(run_manager)
        chunks = self._astream(messages, stop=stop, run_manager=run_manager, **kwargs)
        async with aclosing(cast("AsyncGenerator[ChatGenerationChunk]", chunks)):
            async for chunk in chunks:
                for event in maker.of_chunk(chunk):
                    yield event
        for event in maker.of_end():
            yield event
