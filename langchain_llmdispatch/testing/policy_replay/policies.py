"""Replay of policies: what another configuration would have done with recorded calls.

    journal = Journal.load("calls.jsonl")
    print(replay(journal, "a.yaml", "b.yaml"))

Every recorded call is made again, at its time, by the real engine with another configuration, in virtual
time. A request that was recorded has its recorded outcome; any other one has the outcome of a similar request
of about that time. `Replay.unknown` lists what a replay cannot know.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, HumanMessage, messages_from_dict

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.testing.cassettes.dummy_keys import KEY, URL, dummy_variables
from langchain_llmdispatch.testing.middleware import installed
from langchain_llmdispatch.testing.policy_replay.entry import JournalEntry
from langchain_llmdispatch.testing.policy_replay.estimate import Assumption, CallOutcomes, OutcomeEstimator
from langchain_llmdispatch.testing.policy_replay.journal import Journal
from langchain_llmdispatch.testing.policy_replay.report import Replay
from langchain_llmdispatch.testing.policy_replay.results import CallResult, PolicyResult
from langchain_llmdispatch.testing.policy_replay.simulated_vendor import OUTCOMES, SimulatedNetwork, simulated
from langchain_llmdispatch.testing.policy_replay.virtual_time import SimulationLimiter, SimulationLoop

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

__all__ = ["Replay", "replay"]


class _References(dict[str, str]):
    """Variables for `${NAME}` in files; a missing one has the value of a dummy key."""

    def get(self, name: str, default: str | None = None) -> str:  # type: ignore[override] # never None here
        """Return a variable's value, or a dummy."""
        if name in self or default is not None:
            return super().get(name, default or "")
        return URL if name.endswith(("ENDPOINT", "URL", "HOST")) else KEY


def replay(
    journal: Journal | Iterable[JournalEntry] | str | os.PathLike[str],
    *configs: Any,
    names: Sequence[str] | None = None,
    seed: int = 0,
    assume: Mapping[str, Assumption | Mapping[str, float]] | None = None,
) -> Replay:
    """Return what configurations would have done with a journal's calls.

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
    estimator = OutcomeEstimator(entries, assumed)
    named = zip(configs, names or map(_name, configs, range(1, len(configs) + 1)), strict=True)
    results = [_run(entries, estimator, config, name, seed) for config, name in named]
    return Replay(_recorded(entries), results)


def _name(config: Any, number: int) -> str:
    return Path(config).stem if isinstance(config, (str, os.PathLike)) else f"config {number}"


def _run(
    entries: Sequence[JournalEntry], estimator: OutcomeEstimator, config: Any, name: str, seed: int
) -> PolicyResult:
    if _loop_runs():  # as in a notebook: virtual time runs in a thread of its own
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(_run, entries, estimator, config, name, seed).result()
    loop = SimulationLoop(entries[0].at if entries else 0.0)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_Simulation(loop, entries, estimator, config, seed).run(name))


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Simulation:
    """One configuration's run through all calls."""

    def __init__(
        self,
        loop: SimulationLoop,
        entries: Sequence[JournalEntry],
        estimator: OutcomeEstimator,
        config: Any,
        seed: int,
    ) -> None:
        self._clock, self._entries, self._estimator, self._seed = loop.clock, entries, estimator, seed
        self._start = entries[0].at if entries else 0.0
        self._model = DispatcherChatModel.from_config(
            DispatcherConfig.load(config, _References(os.environ)),
            env={**dummy_variables(), **os.environ},
            clock=loop.clock,
            limiter=SimulationLimiter(loop),
            rng=random.Random(seed),
            enable_metrics=True,
            enable_logging=False,
        )
        for word in {target.vendor.name for target in self._model.deployments()}:
            self._model.register_vendor(simulated(self._model.get_vendor(word)))

    async def run(self, name: str) -> PolicyResult:
        """Make all calls, each at its time."""
        outcomes = [
            CallOutcomes(self._estimator, entry, random.Random(f"{self._seed} {number}"))
            for number, entry in enumerate(self._entries)
        ]
        with installed(SimulatedNetwork(), self._model):
            calls = await asyncio.gather(*map(self._call, self._entries, outcomes))
        totals = self._model.get_stats().totals
        sources: Counter[str] = Counter(source for call in outcomes for source in call.sources)
        unknown = {t.name for t in self._model.deployments() if not self._estimator.recorded(t)}
        return PolicyResult(
            name,
            calls,
            totals.cost,
            totals.unpriced_requests,
            sources,
            frozenset(unknown) if sources["assumed"] else frozenset(),
        )

    async def _call(self, entry: JournalEntry, outcomes: CallOutcomes) -> CallResult:
        at = outcomes.now = entry.at - self._start
        await asyncio.sleep(at)
        OUTCOMES.set(outcomes)
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

    def _kwargs(self, entry: JournalEntry) -> dict[str, Any]:
        kwargs = dict(entry.params)
        if entry.route in self._model.routes:
            kwargs["model"] = entry.route
        if entry.tools:
            kwargs["tools"] = [_tool(number) for number in range(entry.tools)]
        return kwargs

    def _result(self, at: float, message: Any, error: DispatchError | None) -> CallResult:
        seconds = self._clock.monotonic() - at
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


def _recorded(entries: Sequence[JournalEntry]) -> PolicyResult:
    start = entries[0].at if entries else 0.0
    calls, cost, unpriced = [], Decimal(0), 0
    for entry in entries:
        last = entry.attempts[-1] if entry.attempts else None
        answered = last if entry.outcome == "answered" else None
        cost += sum((Decimal(a.cost_usd) for a in entry.attempts if a.cost_usd), Decimal(0))
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
                requests=len(entry.attempts),
                fallback=len({one.deployment for one in entry.attempts}) > 1,
                cost_usd=known,
            )
        )
    return PolicyResult("what happened", calls, cost, unpriced)


def _messages(entry: JournalEntry) -> list[BaseMessage]:
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
