"""Answers in the background: the vendor accepts a request at once, and makes the answer in its own time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    from langchain_core.messages import AIMessage

    from langchain_llmdispatch.types import Call


class BackgroundAnswers(ABC):
    """How one vendor's answers in the background are fetched. Its requests hold the key of their call.

    Args:
        call: The call that is answered so.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    @abstractmethod
    def pending(self, message: AIMessage) -> str | None:
        """Return the vendor's id of an answer that is still to come; None if `message` is the answer."""

    @abstractmethod
    def poll(self, response_id: str) -> httpx.Request:
        """Return the request that reads the answer, as far as it is there."""

    @abstractmethod
    def stream(self, response_id: str, after: int | None = None) -> httpx.Request:
        """Return the request that streams the answer from its start, or after its event number `after`."""

    @abstractmethod
    def cancel(self, response_id: str) -> httpx.Request:
        """Return the request that ends the work on the answer."""

    @abstractmethod
    def ending_event(self, body: bytes) -> bytes:
        """Return the event that ends a stream, for a whole answer that was polled."""
