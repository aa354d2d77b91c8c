"""Replay of policies: what would another configuration have made of calls that really happened?

    journal = Journal.load("calls.jsonl")
    print(replay(journal, "a.yaml", "b.yaml"))

Every recorded call is made again, at its time, by the real engine with another configuration, in virtual time.
Where a deployment was asked then, it does what it did; where it was not, it does what it did for others at about
that time. `Replay.unknown` says what nobody can know.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, HumanMessage, messages_from_dict

from langchain_llmdispatch.chat_model import DispatcherChatModel
from langchain_llmdispatch.config import DispatcherConfig
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.limiter import Limiter
from langchain_llmdispatch.testing.journal import Entry, Journal
from langchain_llmdispatch.testing.layers import installed
from langchain_llmdispatch.testing.outcomes import Assumption, Book, Fate
from langchain_llmdispatch.testing.simulated import (
    ORACLE,
    LoopClock,
    SameLoop,
    SimulatedNetwork,
    VirtualLoop,
    simulated,
)
from langchain_llmdispatch.vendors import builtin_vendors

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_KEY, _URL = "replayed-without-a-key", "https://replayed.invalid"
_COLUMNS = ("", "calls", "failed", "cost", "p50", "p95", "p99", "requests", "fallbacks", "answered by")


class _References(dict[str, str]):
    """Variables for `${NAME}` in files, where every key that is missing is there after all."""

    def get(self, name: str, default: str | None = None) -> str:  # type: ignore[override] # never None here
        """Return a variable's value, or one that will do."""
        if name in self or default is not None:
            return super().get(name, default or "")
        return _URL if name.endswith(("ENDPOINT", "URL", "HOST")) else _KEY


def _environment() -> dict[str, str]:
    """Return the environment with a key for every vendor: nothing is sent with it."""
    held: dict[str, str] = {}
    for vendor in builtin_vendors().values():
        held |= dict.fromkeys(vendor.environment.keys, _KEY)
        if vendor.base_url is None:
            held |= dict.fromkeys(vendor.environment.urls, _URL)
    return {**held, **os.environ}


@dataclass(frozen=True, slots=True)
class CallResult:
    """What became of one call.

    Attributes:
        at: When it began, in seconds from the first one.
        seconds: How long it took.
        ttft_s: Seconds to the first content, where streamed.
        deployment: Who answered; None if nobody did.
        error: The error that it ended with, or None.
        requests: How many requests it took.
        fallback: Whether more than one deployment was asked.
        cost_usd: What its answer cost; None where that is unknown.
    """

    at: float
    seconds: float
    ttft_s: float | None
    deployment: str | None
    error: str | None
    requests: int
    fallback: bool
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Policy:
    """What one configuration made of the calls, or what really happened.

    Attributes:
        name: The configuration's name.
        calls: The calls, in order.
        cost_usd: US dollars of all requests whose price is known, those that failed included.
        unpriced: How many answers have no known price.
        sources: Where outcomes came from: `recorded`, `neighbours`, `assumed`.
        assumed: The deployments that were never recorded.
    """

    name: str
    calls: Sequence[CallResult]
    cost_usd: Decimal
    unpriced: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    assumed: frozenset[str] = frozenset()

    @property
    def failed(self) -> int:
        """How many calls nobody answered."""
        return sum(1 for call in self.calls if call.error is not None)

    @property
    def requests(self) -> int:
        """How many requests left the process."""
        return sum(call.requests for call in self.calls)

    @property
    def fallbacks(self) -> int:
        """How many calls more than one deployment was asked for."""
        return sum(1 for call in self.calls if call.fallback)

    @property
    def answered_by(self) -> dict[str, int]:
        """Who answered how many calls, most first."""
        return dict(Counter(call.deployment for call in self.calls if call.deployment).most_common())

    def latency(self, share: float) -> float | None:
        """Return the seconds within which a share (0 to 1) of the answered calls were over."""
        return _quantile([call.seconds for call in self.calls if call.error is None], share)

    def ttft(self, share: float) -> float | None:
        """Return the seconds within which a share (0 to 1) of the streams began."""
        return _quantile([call.ttft_s for call in self.calls if call.ttft_s is not None], share)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values; dollars as a string."""
        return {
            "name": self.name,
            "calls": len(self.calls),
            "failed": self.failed,
            "cost_usd": format(self.cost_usd, "f"),
            "unpriced": self.unpriced,
            "latency_s": {name: self.latency(share) for name, share in _SHARES.items()},
            "ttft_s": {name: self.ttft(share) for name, share in _SHARES.items()},
            "requests": self.requests,
            "fallbacks": self.fallbacks,
            "answered_by": self.answered_by,
            "sources": dict(self.sources),
            "assumed": sorted(self.assumed),
        }

    def row(self) -> tuple[str, ...]:
        """Return the table's row."""
        cost = f"${self.cost_usd:.4f}" + (f" +{self.unpriced} unpriced" if self.unpriced else "")
        times = [_seconds(self.latency(share)) for share in _SHARES.values()]
        shares = [f"{name} {count}" for name, count in self.answered_by.items()]
        numbers = (
            str(len(self.calls)),
            str(self.failed),
            cost,
            *times,
            str(self.requests),
            str(self.fallbacks),
        )
        return (self.name, *numbers, ", ".join(shares))


_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Replay:
    """What configurations would have made of a journal's calls, beside what happened. Print it.

    Attributes:
        recorded: What really happened.
        policies: What each configuration made of it.
    """

    recorded: Policy
    policies: Sequence[Policy]

    @property
    def unknown(self) -> list[str]:
        """What a replay cannot know, for these calls."""
        lines = ["whether an answer that another model would have given is as good, or as long"]
        if any(policy.sources.get("neighbours") for policy in self.policies):
            lines.append(
                "what a request that was never made would have met: it is drawn from what the same deployment "
                "did at about that time ("
                + ", ".join(f"{p.name}: {p.sources.get('neighbours', 0)} requests" for p in self.policies)
                + ")"
            )
        lines += [
            f"anything of {', '.join(sorted(p.assumed))}, which {p.name} asks and nobody recorded: taken not to fail "
            "and to be as fast as the others, unless you said otherwise"
            for p in self.policies
            if p.assumed
        ]
        lines.append(
            "when an application that waits for answers would have asked next: calls arrive when they did; and "
            "what limits of the vendors other traffic would have met"
        )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        return {
            "recorded": self.recorded.to_dict(),
            "policies": [policy.to_dict() for policy in self.policies],
            "unknown": self.unknown,
        }

    def __str__(self) -> str:
        """Return a table, and what it cannot know."""
        rows = [_COLUMNS, self.recorded.row(), *(policy.row() for policy in self.policies)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
        lines = [
            "  ".join(
                cell.ljust(width) if column in {0, len(row) - 1} else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, "", "What this cannot know:", *(f"- {line}" for line in self.unknown)])

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw latencies and costs of all configurations; needs matplotlib.

        Args:
            path: Where the picture is written; None only returns the axes.
        """
        from langchain_llmdispatch.testing.pictures import draw  # noqa: PLC0415 - matplotlib is slow

        return draw(self, path)


def replay(
    journal: Journal | Iterable[Entry] | str | os.PathLike[str],
    *configs: Any,
    names: Sequence[str] | None = None,
    seed: int = 0,
    assume: Mapping[str, Assumption | Mapping[str, float]] | None = None,
) -> Replay:
    """Return what configurations would have made of a journal's calls.

    Args:
        journal: The calls, or a journal's file.
        configs: Configurations: paths, mappings or `DispatcherConfig`s.
        names: What to call them; default: their files' names.
        seed: Seed of everything that is drawn; the same seed gives the same result.
        assume: What to assume of deployments that were never recorded, by name or `vendor:model`:
            `{"openai:x": {"latency_s": 1.5, "failure_rate": 0.01}}`.

    Raises:
        ConfigurationError: A configuration or a line of the journal is wrong.
    """
    held = Journal.load(journal) if isinstance(journal, (str, os.PathLike)) else journal
    entries = sorted(held, key=lambda entry: entry.at)
    assumed = {k: v if isinstance(v, Assumption) else Assumption(**v) for k, v in (assume or {}).items()}
    book = Book(entries, assumed)
    called = names or [_name(config, number) for number, config in enumerate(configs, 1)]
    results = [_run(entries, book, config, name, seed) for config, name in zip(configs, called, strict=True)]
    return Replay(_recorded(entries), results)


def _name(config: Any, number: int) -> str:
    return Path(config).stem if isinstance(config, (str, os.PathLike)) else f"config {number}"


def _run(entries: Sequence[Entry], book: Book, config: Any, name: str, seed: int) -> Policy:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(_Simulation(loop, entries, book, config, seed).run(name))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class _Simulation:
    """One configuration's run through all calls."""

    def __init__(
        self, loop: VirtualLoop, entries: Sequence[Entry], book: Book, config: Any, seed: int
    ) -> None:
        self._loop, self._entries, self._book, self._seed = loop, entries, book, seed
        self._start = entries[0].at if entries else 0.0
        clock = LoopClock(loop, datetime.fromtimestamp(self._start, UTC))
        limiter = Limiter(clock=clock)
        limiter._loop = SameLoop(loop)  # type: ignore[assignment] # noqa: SLF001 - one loop for everything
        self._model = DispatcherChatModel.from_config(
            DispatcherConfig.load(config, _References(os.environ)),
            env=_environment(),
            clock=clock,
            limiter=limiter,
            rng=random.Random(seed),
            enable_metrics=True,
            enable_logging=False,
        )
        for word in {target.vendor.name for target in self._model.deployments()}:
            self._model.register_vendor(simulated(self._model.get_vendor(word)))

    async def run(self, name: str) -> Policy:
        """Make all calls, each at its time."""
        fates = [self._book.of(e, random.Random(f"{self._seed} {n}")) for n, e in enumerate(self._entries)]
        with installed(SimulatedNetwork(), self._model):
            calls = await asyncio.gather(*map(self._call, self._entries, fates))
        totals = self._model.get_stats().totals
        asked = {target.name for target in self._model.deployments() if not self._book.knows(target)}
        return Policy(
            name,
            calls,
            totals.cost,
            totals.unpriced_requests,
            Counter(source for fate in fates for source in fate.sources),
            frozenset(asked) if any("assumed" in fate.sources for fate in fates) else frozenset(),
        )

    async def _call(self, entry: Entry, fate: Fate) -> CallResult:
        at = fate.now = entry.at - self._start
        await asyncio.sleep(at)
        ORACLE.set(fate)
        config: RunnableConfig = {"callbacks": [], "tags": entry.tags}
        model, kwargs = self._model, self._kwargs(entry)
        message: Any = None
        error: DispatchError | None = None
        try:
            if entry.stream:
                async for chunk in model.astream(_messages(entry), config, **kwargs):
                    message = chunk if message is None else message + chunk
            else:
                message = await model.ainvoke(_messages(entry), config, **kwargs)
        except DispatchError as failure:
            error = failure
        return self._result(at, message, error)

    def _kwargs(self, entry: Entry) -> dict[str, Any]:
        kwargs = dict(entry.params)
        if entry.route in self._model.routes:
            kwargs["model"] = entry.route
        if entry.tools:
            kwargs["tools"] = [_tool(number) for number in range(entry.tools)]
        return kwargs

    def _result(self, at: float, message: Any, error: DispatchError | None) -> CallResult:
        seconds = self._loop.time() - at
        if error is not None:
            names = [record.deployment for record in error.attempts]
            kind = type(error).__name__
            return CallResult(at, seconds, None, None, kind, len(names), len(set(names)) > 1, None)
        facts = message.response_metadata["llmdispatch"]
        cost, last = facts["cost_usd"], facts["attempts"][-1]
        return CallResult(
            at=at,
            seconds=seconds,
            ttft_s=None
            if last["ttft_ms"] is None
            else seconds - (last["latency_ms"] - last["ttft_ms"]) / 1000,
            deployment=facts["deployment"],
            error=None,
            requests=len(facts["attempts"]),
            fallback=facts["fallback"],
            cost_usd=None if cost is None else Decimal(cost),
        )


def _recorded(entries: Sequence[Entry]) -> Policy:
    start = entries[0].at if entries else 0.0
    calls, cost, unpriced = [], Decimal(0), 0
    for entry in entries:
        last = entry.tries[-1] if entry.tries else None
        answered = last if entry.outcome == "answered" else None
        cost += sum((Decimal(t.cost_usd) for t in entry.tries if t.cost_usd), Decimal(0))
        unpriced += answered is not None and answered.cost_usd is None
        known = Decimal(answered.cost_usd) if answered is not None and answered.cost_usd else None
        begun = answered.ttft_s if answered is not None else None
        calls.append(
            CallResult(
                at=entry.at - start,
                seconds=entry.seconds,
                ttft_s=None if begun is None or last is None else entry.seconds - last.latency_s + begun,
                deployment=answered.deployment if answered is not None else None,
                error=None if answered is not None else entry.error or "unknown",
                requests=len(entry.tries),
                fallback=len({one.deployment for one in entry.tries}) > 1,
                cost_usd=known,
            )
        )
    return Policy("what happened", calls, cost, unpriced)


def _messages(entry: Entry) -> list[BaseMessage]:
    """Return the conversation, or one of the same size."""
    if entry.messages is not None:
        return messages_from_dict(entry.messages)
    text = "word " * max(1, round((entry.input_tokens - 4) * 4 / 5))
    if not entry.images:
        return [HumanMessage(text)]
    image = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    return [HumanMessage([{"type": "text", "text": text}, *[image] * entry.images])]


def _tool(number: int) -> dict[str, Any]:
    function = {"name": f"tool_{number}", "parameters": {"type": "object", "properties": {}}}
    return {"type": "function", "function": function}


def _quantile(values: Iterable[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 4) if ordered else None


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
