"""What vendors' prompt caches hold of each thread, by their answers, and why a warm one was missed.

Vendors cache the beginning of a prompt: tools, system message, history. An answer reports how many tokens
were read from the cache and, from some vendors, how many were written to it. A thread is warm on a deployment
as long as what was read or written there lasts. Lifetimes: Anthropic 5 minutes or an hour after the last use
(platform.claude.com, prompt caching), OpenAI 5 to 10 minutes (developers.openai.com, prompt caching), Gemini
a few minutes (ai.google.dev, context caching).

Texts are kept of the newest threads only, to find where a system message changed; they are never logged.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal, NamedTuple, TypeAlias

from langchain_core.messages import BaseMessage, SystemMessage

from langchain_llmdispatch.catalog.prices import TokenCounts
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.types import ChatRequest

LEAST = 1024
"""Tokens of a prompt below which vendors cache nothing."""
_HOUR = 3600.0
_MOST_THREADS = 512
_MOST_TEXT = 100_000  # characters of a system message that are kept
_KEPT = 0.5  # a prompt of which less than this share of the warm tokens was read has missed the cache
_SETTINGS = ("reasoning_effort", "thinking", "tool_choice", "parallel_tool_calls", "prompt_cache")

MissCause: TypeAlias = Literal[
    "moved", "expired", "tools_reordered", "tools_changed", "system_changed", "settings_changed",
    "history_changed", "vendor_missed",
]  # fmt: skip
"""Why a warm cache was missed, in the order in which it is looked for."""


@dataclass(frozen=True, slots=True)
class CacheMiss:
    """A warm prompt cache that an answer did not read.

    Attributes:
        cause: Why, in one word.
        detail: Why, in words; without any text of the prompt.
        tokens: The tokens that were read anew.
        usd: What that cost over reading them from the cache, US dollars; None if unknown.
    """

    cause: MissCause
    detail: str
    tokens: int
    usd: Decimal | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        usd = None if self.usd is None else format(self.usd, "f")
        return {"cause": self.cause, "detail": self.detail, "tokens": self.tokens, "usd": usd}


class Prefix(NamedTuple):
    """What decides whether a vendor's cache is hit.

    Attributes:
        system: The system text.
        tools: Name and digest of each tool, in order.
        settings: What else is part of the cached prompt, as text by name.
        history: A digest of each message, the system's left out.
    """

    system: str
    tools: Sequence[tuple[str, str]]
    settings: Mapping[str, str]
    history: Sequence[str]

    @classmethod
    def of(cls, request: ChatRequest) -> Prefix:
        """Return the prefix of a request."""
        systems = [m for m in request.messages if isinstance(m, SystemMessage)]
        others = [m for m in request.messages if not isinstance(m, SystemMessage)]
        values: dict[str, Any] = {name: request.params.get(name) for name in _SETTINGS}
        values |= {"tool_choice": request.tool_choice, "output": request.output}
        values["parallel_tool_calls"] = request.parallel_tool_calls
        tools = [(tool.name, _digest(tool.description, tool.parameters)) for tool in request.tools]
        tools += [(str(tool.get("type")), _digest(tool)) for tool in request.server_tools]
        return cls(
            "\n".join(message.text for message in systems)[:_MOST_TEXT],
            tools,
            {name: repr(value) for name, value in values.items()},
            [_digest(_said(message)) for message in others],
        )

    def change_since(self, earlier: Prefix) -> tuple[MissCause, str] | None:
        """Return what changed in what a cache holds of the earlier prefix, and how; None if nothing did."""
        if self.tools != earlier.tools:
            return _tool_change(earlier.tools, self.tools)
        if self.system != earlier.system:
            place = _first_difference(earlier.system, self.system)
            return "system_changed", f"the system message changed at character {place}"
        changed = [name for name, value in self.settings.items() if earlier.settings.get(name) != value]
        if changed:
            return "settings_changed", f"{', '.join(changed)} changed"
        for place, (before, now) in enumerate(zip(earlier.history, self.history, strict=False)):
            if before != now:
                return "history_changed", f"message {place} of the history changed"
        if len(self.history) < len(earlier.history):
            return "history_changed", f"the history ends after message {len(self.history) - 1}"
        return None


class _Warm(NamedTuple):
    """What one deployment's cache holds of a thread."""

    tokens: int
    until: float
    at: float
    reported: bool


class _Thread:
    """One thread: its caches by deployment, and its last answer."""

    __slots__ = ("deployment", "prefix", "warm")

    def __init__(self) -> None:
        self.warm: dict[str, _Warm] = {}
        self.deployment = ""
        self.prefix: Prefix | None = None


class Warmth:
    """What prompt caches hold of each thread. Safe to share; the oldest threads are forgotten."""

    def __init__(self) -> None:
        self._threads: OrderedDict[str, _Thread] = OrderedDict()
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def tokens_on(self, thread: str | None, target: Target, now: float, prefix_tokens: int) -> int:
        """Return how many tokens of a thread's next prompt the target's cache holds, by what is known.

        Args:
            thread: The thread's id, or None.
            target: The target.
            now: Monotonic seconds.
            prefix_tokens: Tokens of the prompt up to the last answer, by estimate.
        """
        held = None if thread is None else self._threads.get(thread)
        warm = None if held is None else held.warm.get(target.name)
        if warm is None or now >= warm.until:
            return 0
        return min(warm.tokens, prefix_tokens) if warm.reported else prefix_tokens

    def answered(self, attempt: Attempt) -> CacheMiss | None:
        """Learn from an answer, and return the miss of a cache that was warm, if it is one."""
        thread, usage = attempt.call.thread, attempt.usage
        if thread is None or usage is None:
            return None
        now, tokens, prefix = (
            attempt.call.clock.monotonic(),
            TokenCounts.of(usage),
            Prefix.of(attempt.call.request),
        )
        with self._lock:
            held = self._threads.setdefault(thread, _Thread())
            self._threads.move_to_end(thread)
            if len(self._threads) > _MOST_THREADS:
                self._threads.popitem(last=False)
            miss = _miss(held, attempt, tokens, prefix, now)
            name = attempt.target.name
            held.warm[name] = _warm(attempt, tokens, now)
            held.deployment, held.prefix = name, prefix
        return miss


def _warm(attempt: Attempt, tokens: TokenCounts, now: float) -> _Warm:
    """Return what the vendor's cache holds after an answer."""
    billing = attempt.target.vendor.billing
    reported, count = bool(tokens.cached or tokens.written), tokens.cached + tokens.written
    if billing.caches_unasked and tokens.input >= LEAST:
        count = max(count, tokens.input)
    long = tokens.written_1h or attempt.call.request.params.get("prompt_cache") == "1h"
    lasts = _HOUR if long else billing.cache_lasts
    return _Warm(count, now + lasts if count else now, now, reported)


def _miss(
    held: _Thread, attempt: Attempt, tokens: TokenCounts, prefix: Prefix, now: float
) -> CacheMiss | None:
    """Return the miss of a cache that the thread's last answer left warm."""
    last = held.warm.get(held.deployment)
    if last is None or held.prefix is None or not last.reported or last.tokens < LEAST:
        return None
    expected = min(last.tokens, tokens.input)
    if tokens.cached >= expected * _KEPT:
        return None
    if held.deployment != attempt.target.name:
        cause: tuple[MissCause, str] = ("moved", f"moved from {held.deployment} to {attempt.target.name}")
    elif now >= last.until:
        cause = (
            "expired",
            f"{now - last.at:.0f} s after the last use; it lasts {last.until - last.at:.0f} s",
        )
    else:
        changed = prefix.change_since(held.prefix)
        cause = changed or ("vendor_missed", "the same prompt, in time, was not read from the cache")
    lost, cost = expected - tokens.cached, attempt.cost
    priced = None if cost is None else cost.priced
    return CacheMiss(*cause, lost, None if priced is None else -priced.rates.cached * lost)


def _tool_change(before: Sequence[tuple[str, str]], now: Sequence[tuple[str, str]]) -> tuple[MissCause, str]:
    if sorted(before) == sorted(now):
        moved = next(name for (name, _), (old, _) in zip(now, before, strict=True) if name != old)
        return "tools_reordered", f"the tools are in another order from {moved!r} on"
    names = {name for name, _ in {*before} ^ {*now}}
    return "tools_changed", f"tools changed: {', '.join(sorted(names))}"


def _first_difference(before: str, now: str) -> int:
    pairs = enumerate(zip(before, now, strict=False))
    return next((place for place, (old, new) in pairs if old != new), min(len(before), len(now)))


def _said(message: BaseMessage) -> tuple[Any, ...]:
    calls = getattr(message, "tool_calls", ())
    return message.type, message.content, [(call["name"], call["args"]) for call in calls]


def _digest(*parts: Any) -> str:
    return blake2b(repr(parts).encode(errors="replace"), digest_size=8).hexdigest()
