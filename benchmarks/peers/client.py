"""What every row can do, in the words of the scenarios; a row overrides what its library offers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any, NoReturn

PROMPT = "hello"
MODEL, CLAUDE = "gpt-4.1-mini", "claude-haiku-4-5"
KEY = "benchmark-key-" * 12
"""As long as one of OpenAI's: errors are searched for it."""
TIMEOUT = 120.0
"""Seconds; beyond it a row has failed."""
FACTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "celsius": {"type": "integer"}},
    "required": ["city", "celsius"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "description": "Note the weather.", "parameters": FACTS_SCHEMA},
}
Turn = tuple[str, str]
"""A role (`user`, `assistant`) and a text."""


class NotOfferedError(Exception):
    """The library has no such way of calling; its cell stays empty."""


def not_offered() -> NoReturn:
    """Raise that."""
    raise NotOfferedError


def facts_model() -> type[Any]:
    """Return the pydantic class of `FACTS_SCHEMA`, made where it is used: not every row needs pydantic."""
    from pydantic import create_model

    return create_model("Weather", city=(str, ...), celsius=(int, ...))


class Client:
    """One row: a client on the vendor's URL. A prompt is a text, or what `messages` returned."""

    def call(self, prompt: Any = PROMPT) -> object:
        """Make a call, and return the answer."""
        not_offered()

    def threads(self) -> None:
        """Raise `NotOfferedError` where `call` is not made for threads."""

    async def acall(self, prompt: Any = PROMPT) -> object:
        """Do the same without blocking."""
        not_offered()

    def stream(self, prompt: str) -> Iterator[object]:
        """Yield the chunks of an answer."""
        not_offered()

    def astream(self, prompt: str) -> AsyncGenerator[object]:
        """Do the same without blocking."""
        not_offered()

    async def abatch(self, count: int) -> None:
        """Make so many calls as the library's batch does, or else all at once."""
        await asyncio.gather(*(self.acall() for _ in range(count)))

    def messages(self, turns: Sequence[Turn]) -> list[Any]:
        """Return a conversation in the library's own messages."""
        return [{"role": role, "content": text} for role, text in turns]

    def reply(self, answer: object) -> Any:
        """Return an answer as the next message of its conversation."""
        return {"role": "assistant", "content": "Hello there, how are you?"}

    def variant(self, name: str) -> Callable[[], object]:
        """Return a call of a kind that is named in `scenarios.VARIANTS`, prepared."""
        not_offered()
