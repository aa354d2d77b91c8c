"""What a chunk costs as content-block events, by LangChain's bridge and by ours: `python benchmarks/block_events.py`.

Chunks are made beforehand; `total` is a whole answer through `stream_events(version="v3")` from memory, with
LangChain's own work on each event, beside `stream`. Printed figures are in `benchmarks/results/`.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch import DispatcherChatModel, VendorConfig
from langchain_llmdispatch.chat_model.event_maker import EventMaker
from langchain_llmdispatch.vendors.answer import blocks_chunk, text_chunk

CHUNKS, ROUNDS = 1000, 25


def texts() -> list[AIMessageChunk]:
    """Return an answer of plain text."""
    return [text_chunk("word ", "openai") for _ in range(CHUNKS)]


def thoughts() -> list[AIMessageChunk]:
    """Return reasoning in blocks."""
    block = {"type": "thinking", "thinking": "word ", "index": 0}
    return [blocks_chunk([dict(block)], "anthropic") for _ in range(CHUNKS)]


def arguments() -> list[AIMessageChunk]:
    """Return the arguments of one call."""
    first = tool_call_chunk(name="f", args='{"text": "', id="call_1", index=0)
    rest = [tool_call_chunk(args="word ", index=0) for _ in range(CHUNKS - 2)]
    pieces = [first, *rest, tool_call_chunk(args='"}', index=0)]
    metadata = {"model_provider": "openai"}
    return [
        AIMessageChunk(content="", tool_call_chunks=[piece], response_metadata=metadata) for piece in pieces
    ]


def bridge(chunks: list[ChatGenerationChunk]) -> None:
    """Make events as LangChain does."""
    for _ in chunks_to_events(iter(chunks)):
        pass


def own(chunks: list[ChatGenerationChunk]) -> None:
    """Make events ourselves."""
    maker = EventMaker()
    for chunk in chunks:
        maker.of_chunk(chunk)
    maker.of_end()


def answer(_: httpx.Request) -> httpx.Response:
    """Answer with a stream of chat completions."""
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4.1-mini"}
    deltas: list[Any] = [({"content": "word "}, None)] * CHUNKS + [({}, "stop")]
    frames = [
        json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
        for delta, reason in deltas
    ]
    body = "".join(f"data: {frame}\n\n" for frame in frames) + "data: [DONE]\n\n"
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)


class Bridged(DispatcherChatModel):
    """A model that leaves events to LangChain's bridge."""

    _stream_chat_model_events = property(lambda _: None)
    _astream_chat_model_events = property(lambda _: None)


def microseconds(run: Callable[[], object]) -> float:
    """Return the CPU time of a run per chunk, the least of several."""
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return min(times) / CHUNKS * 1e6


def rows() -> Iterator[tuple[str, float, float]]:
    """Yield what is measured: the bridge's and our time per chunk, in microseconds."""
    for name, make in (
        ("text", texts),
        ("reasoning in blocks", thoughts),
        ("arguments of a call", arguments),
    ):
        chunks = [ChatGenerationChunk(message=message) for message in make()]
        yield name, microseconds(lambda c=chunks: bridge(c)), microseconds(lambda c=chunks: own(c))
    client = httpx.Client(transport=httpx.MockTransport(answer))
    fields: dict[str, Any] = {
        "model": "openai:gpt-4.1-mini",
        "vendors": {"openai": VendorConfig(api_key="sk-test", http_client=client)},
        "env": {},
    }
    bridged, ours = Bridged(**fields), DispatcherChatModel(**fields)
    yield (
        "total, stream_events",
        microseconds(lambda: bridged.stream_events("hi", version="v3").output),
        microseconds(lambda: ours.stream_events("hi", version="v3").output),
    )
    plain = microseconds(lambda: list(ours.stream("hi")))
    yield "total, stream", plain, plain


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print(f"microseconds of CPU per chunk, {CHUNKS} chunks, least of {ROUNDS}\n")
    print(f"{'':<24}{'bridge':>8}{'ours':>8}{'ratio':>8}")
    for name, theirs, own_time in rows():
        print(f"{name:<24}{theirs:>8.1f}{own_time:>8.1f}{own_time / theirs:>8.2f}")


if __name__ == "__main__":
    main()
