"""What the server received and what it reported."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.loopback.neutral import Usage


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in; `rejected` names the rule that it broke."""

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


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests received and tokens reported for one vendor and account."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    def plus(self, usage: Usage) -> "Totals":
        """The totals with one more reported usage."""
        return replace(
            self,
            input_tokens=self.input_tokens + usage.input,
            output_tokens=self.output_tokens + usage.output,
            cache_read_tokens=self.cache_read_tokens + usage.cache_read,
            cache_write_tokens=self.cache_write_tokens + usage.cache_write,
            reasoning_tokens=self.reasoning_tokens + usage.reasoning,
        )


def account_key(vendor: str, account: str) -> str:
    """The name under which an account is counted: `openai`, or `openai@b`."""
    return f"{vendor}@{account}" if account else vendor


class Journal:
    """A thread-safe record of requests and reported tokens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received: list[Received] = []
        self._totals: dict[str, Totals] = {}

    def receive(self, entry: Received) -> int:
        """Record a request; its index is returned."""
        with self._lock:
            self._received.append(entry)
            key = account_key(entry.vendor, entry.account)
            before = self._totals.get(key, Totals())
            self._totals[key] = replace(before, requests=before.requests + 1)
            return len(self._received) - 1

    def settle(self, index: int, *, status: int, rejected: str | None = None) -> None:
        """Note how a recorded request was answered."""
        with self._lock:
            if index < len(self._received):
                self._received[index] = replace(self._received[index], status=status, rejected=rejected)

    def report(self, vendor: str, account: str, usage: Usage | None) -> None:
        """Add a usage that a client was told."""
        if usage is None:
            return
        with self._lock:
            key = account_key(vendor, account)
            self._totals[key] = self._totals.get(key, Totals()).plus(usage)

    @property
    def received(self) -> list[Received]:
        """All requests so far, in order."""
        with self._lock:
            return list(self._received)

    @property
    def totals(self) -> dict[str, Totals]:
        """The totals by account."""
        with self._lock:
            return dict(self._totals)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._received.clear()
            self._totals.clear()
