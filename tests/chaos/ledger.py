"""Which attempt each request belongs to: a layer between the models of a chaos run and the network."""

from __future__ import annotations

import threading

import httpx

from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Flow
from tests.chaos.vendors import TAG


class Ledger:
    """A middleware that numbers requests.

    Attributes:
        attempts: The attempts by their number.
    """

    depth, replays = 0, False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.attempts: dict[int, Attempt] = {}

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Add the number to a request."""
        with self._lock:
            number = len(self.attempts) + 1
            self.attempts[number] = request.extensions["llmdispatch"]
        request.headers[TAG] = str(number)
        response: httpx.Response = yield request
        return response

    @property
    def all_over(self) -> bool:
        """Whether each attempt has ended."""
        return all(attempt.record is not None for attempt in list(self.attempts.values()))
