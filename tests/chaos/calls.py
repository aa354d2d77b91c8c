"""The calls of a chaos run: drawn from the seed, made in four colours, some left before their end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.errors import DispatchError
from tests.chaos.vendors import TOOL
from tests.models import summed

Colour: TypeAlias = Literal["invoke", "ainvoke", "stream", "astream"]
NOTE = {"title": TOOL, "description": "Note.", "type": "object", "properties": {"text": {"type": "string"}}}


@dataclass
class ChaosCall:
    """One call, and how it ended.

    Attributes:
        number: Its number, which its prompt holds.
        colour: How it is made.
        tool: Whether a tool is bound, which the vendors then call.
        leaves_after: Seconds after which an async call is cancelled, or the number of chunks after which the
            reader of a stream leaves; None if it is read to its end.
        outcome: `answered`, `left`, or the class of the exception.
        chunks: What the caller was given of a stream.
        message: The answer.
        error: The exception.
        began: When it began, in real monotonic seconds.
        ended: When it ended.
    """

    number: int
    colour: Colour
    tool: bool
    leaves_after: float | None
    outcome: str = ""
    chunks: list[AIMessageChunk] = field(default_factory=list)
    message: AIMessage | None = None
    error: BaseException | None = None
    began: float = 0.0
    ended: float = 0.0

    @classmethod
    def drawn(cls, seed: str, number: int, *, asynchronous: bool) -> ChaosCall:
        """Return a call; the same for the same seed and number."""
        rng = random.Random(f"{seed}/call {number}")
        streams = rng.random() < 0.55
        colour: Colour = ("astream" if streams else "ainvoke") if asynchronous else _sync(streams=streams)
        leaves: float | None = None
        if rng.random() < 0.12:
            if streams and rng.random() < 0.6:
                leaves = float(rng.randint(1, 4))
            elif asynchronous:
                leaves = rng.uniform(0.0, 0.03)
        return cls(number, colour, rng.random() < 0.15, leaves)

    @property
    def text(self) -> str:
        """What the caller was given of the answer: its words, or those in the tool call's arguments."""
        if self.message is not None:
            return _words(self.message)
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def cancels(self) -> bool:
        """Whether it is a task that is cancelled."""
        return self.leaves_after is not None and self.leaves_after < 1

    def run(self, model: DispatcherChatModel) -> None:
        """Make the call in this thread."""
        self.began = time.monotonic()
        try:
            runnable: Any = model.bind_tools([NOTE]) if self.tool else model
            if self.colour == "invoke":
                self._answered(runnable.invoke(self._prompt()))
            else:
                self._read(runnable.stream(self._prompt()))
        except BaseException as error:  # noqa: BLE001 - every outcome is examined
            self._failed(error)
        self.ended = time.monotonic()

    async def arun(self, model: DispatcherChatModel) -> None:
        """Make the call in this event loop."""
        self.began = time.monotonic()
        task = asyncio.create_task(self._call(model))
        if self.cancels:
            await asyncio.wait([task], timeout=self.leaves_after)
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            self.outcome = "left"
        except BaseException as error:  # noqa: BLE001 - every outcome is examined
            self._failed(error)
        self.ended = time.monotonic()

    async def _call(self, model: DispatcherChatModel) -> None:
        runnable: Any = model.bind_tools([NOTE]) if self.tool else model
        if self.colour == "ainvoke":
            self._answered(await runnable.ainvoke(self._prompt()))
        else:
            await self._aread(runnable.astream(self._prompt()))

    def _prompt(self) -> str:
        return f"Please answer call {self.number}."

    def _read(self, stream: Iterator[AIMessageChunk]) -> None:
        for chunk in stream:
            self.chunks.append(chunk)
            if self.leaves_after is not None and len(self.chunks) >= self.leaves_after:
                self.outcome = "left"
                with suppress(AttributeError):
                    stream.close()  # type: ignore[attr-defined] # a generator
                return
        self._answered(summed(self.chunks))

    async def _aread(self, stream: AsyncIterator[AIMessageChunk]) -> None:
        async for chunk in stream:
            self.chunks.append(chunk)
            if self.leaves_after is not None and len(self.chunks) >= self.leaves_after >= 1:
                self.outcome = "left"
                with suppress(AttributeError):
                    await stream.aclose()  # type: ignore[attr-defined] # a generator
                return
        self._answered(summed(self.chunks))

    def _answered(self, message: AIMessage) -> None:
        self.message, self.outcome = message, "answered"

    def _failed(self, error: BaseException) -> None:
        self.error, self.outcome = error, type(error).__name__

    @property
    def crashed(self) -> bool:
        """Whether it ended in something that no caller expects."""
        return self.error is not None and not isinstance(self.error, DispatchError)


def _sync(*, streams: bool) -> Colour:
    return "stream" if streams else "invoke"


def _words(message: AIMessage) -> str:
    if message.tool_calls:
        return "".join(str(call["args"].get("text", "")) for call in message.tool_calls)
    return message.text
