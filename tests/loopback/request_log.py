"""What the server received and what it reported."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.loopback.neutral import TokenCounts


@dataclass(slots=True)
class Received:
    """One request as it came in; the last three fields follow with its answer.

    Attributes:
        status: The status that was answered, 0 when there was none.
        rejected: The rule that the request broke.
        usage: The tokens that the response reported.
    """

    time: float
    vendor: str
    account: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    stream: bool = False
    status: int = 0
    rejected: str | None = None
    usage: TokenCounts | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests received and tokens reported for one vendor and account."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def plus(self, usage: TokenCounts | None) -> "Totals":
        """The totals with one more request."""
        reported = usage or TokenCounts()
        return replace(
            self,
            requests=self.requests + 1,
            input_tokens=self.input_tokens + reported.input,
            output_tokens=self.output_tokens + reported.output,
            cache_read_tokens=self.cache_read_tokens + reported.cache_read,
            cache_write_tokens=self.cache_write_tokens + reported.cache_write,
            reasoning_tokens=self.reasoning_tokens + reported.reasoning,
        )


def account_key(vendor: str, account: str) -> str:
    """The name under which an account is counted: `openai`, or `openai@b`."""
    return f"{vendor}@{account}" if account else vendor


class RequestLog:
    """A thread-safe record of requests."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._received: list[Received] = []

    def receive(self, entry: Received) -> int:
        """Record a request; its number is returned."""
        with self._lock:
            self._received.append(entry)
            self._lock.notify_all()
            return len(self._received) - 1

    def wait_for(self, number: int, seconds: float) -> bool:
        """Return whether so many requests have come, after that time at most."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self._received) >= number, seconds)

    @property
    def received(self) -> list[Received]:
        """All requests so far, in order."""
        with self._lock:
            return list(self._received)

    @property
    def totals(self) -> dict[str, Totals]:
        """The totals by account."""
        totals: dict[str, Totals] = {}
        for entry in self.received:
            key = account_key(entry.vendor, entry.account)
            totals[key] = totals.get(key, Totals()).plus(entry.usage)
        return totals

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._received.clear()
