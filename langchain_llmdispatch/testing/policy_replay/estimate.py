"""What a deployment would have done: exactly, where it was asked; by its neighbours in time, where not."""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias

from langchain_llmdispatch.testing.policy_replay.simulation import Outcome

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.testing.policy_replay.journal import Entry, Try

Source: TypeAlias = Literal["recorded", "neighbours", "assumed"]
# How many requests of a deployment, nearest in time, say how it was doing then; and how many of the
# answered ones, nearest in length, say how long an answer took.
_NEIGHBOURS, _ALIKE = 20, 5


@dataclass(frozen=True, slots=True)
class Assumption:
    """What is assumed of a deployment that was never recorded.

    Attributes:
        latency_s: Seconds of an answer; None takes answers of all other deployments.
        ttft_s: Seconds to the first content of a stream; None is a fifth of the latency.
        failure_rate: How many of its requests fail, 0 to 1, with a status of 503.
    """

    latency_s: float | None = None
    ttft_s: float | None = None
    failure_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    try_: Try
    output_tokens: int


class Book:
    """What a journal knows of deployments.

    Args:
        entries: The calls.
        assume: What to assume of deployments that were not recorded, by name or `vendor:model`.
    """

    def __init__(self, entries: Sequence[Entry], assume: Mapping[str, Assumption] | None = None) -> None:
        self._assume = assume or {}
        self._begin = min((entry.at for entry in entries), default=0.0)
        lengths = [entry.output_tokens for entry in entries if entry.output_tokens]
        self.usual_length = round(median(lengths)) if lengths else 100
        self._samples: dict[str, list[_Sample]] = {}
        self._answers: list[_Sample] = []
        for entry in entries:
            self._learn(entry)
        for samples in self._samples.values():
            samples.sort(key=lambda sample: sample.at)

    def of(self, entry: Entry, rng: random.Random) -> Fate:
        """Return what one call's requests meet."""
        return Fate(self, entry, rng)

    def knows(self, target: Target) -> bool:
        """Return whether a deployment, or another one of the same model, was recorded."""
        return self._of(target) is not None

    def _learn(self, entry: Entry) -> None:
        at = entry.at - self._begin
        for one in entry.tries:
            at += one.wait_s
            usage = one.usage or {}
            length = usage.get("output_tokens") or entry.output_tokens or self.usual_length
            sample = _Sample(at, one, length)
            for key in _keys(one.deployment, one.vendor, one.model):
                self._samples.setdefault(key, []).append(sample)
            if one.error is None:
                self._answers.append(sample)
            at += one.latency_s

    def _of(self, target: Target) -> list[_Sample] | None:
        keys = _keys(target.name, target.vendor.name, target.model)
        return next((self._samples[key] for key in keys if key in self._samples), None)

    def draw(self, target: Target, now: float, length: int, rng: random.Random) -> tuple[Try, Source]:
        """Return what a request that was never made is taken to have met."""
        samples = self._of(target)
        if samples is None:
            return self._assumed(target, length, rng), "assumed"
        near = _nearest(samples, now)
        drawn = rng.choice(near)
        if drawn.try_.error is None:
            drawn = _alike([sample for sample in near if sample.try_.error is None], length, rng)
        return drawn.try_, "neighbours"

    def _assumed(self, target: Target, length: int, rng: random.Random) -> Try:
        from langchain_llmdispatch.testing.policy_replay.journal import Try  # noqa: PLC0415 - a circle otherwise

        keys = _keys(target.name, target.vendor.name, target.model)
        assumed = next((self._assume[key] for key in keys if key in self._assume), Assumption())
        who = (target.name, target.vendor.name, target.model)
        if rng.random() < assumed.failure_rate:
            return Try(*who, status=503, error="OverloadedError", latency_s=0.1)
        if assumed.latency_s is None and self._answers:
            model = _alike(self._answers, length, rng).try_
            return Try(*who, status=200, latency_s=model.latency_s, ttft_s=model.ttft_s)
        return Try(*who, status=200, latency_s=assumed.latency_s or 1.0, ttft_s=assumed.ttft_s)


class Fate:
    """What one call's requests meet, one after another.

    Attributes:
        sources: Where the outcomes came from, in order.
    """

    def __init__(self, book: Book, entry: Entry, rng: random.Random) -> None:
        self._book, self._entry, self._rng = book, entry, rng
        self._left = list(entry.tries)
        self.sources: list[Source] = []
        self.now = 0.0

    def __call__(self, target: Target) -> Outcome:
        """Return what a request to a deployment meets."""
        keys = _keys(target.name, target.vendor.name, target.model)
        length = self._entry.output_tokens or self._book.usual_length
        own = next((t for t in self._left if keys[0] == t.deployment), None)
        own = own or next((t for t in self._left if keys[-1] == f"{t.vendor}:{t.model}"), None)
        if own is not None:
            self._left.remove(own)
            one, source = own, "recorded"
        else:
            one, source = self._book.draw(target, self.now, length, self._rng)
        self.sources.append(source)  # type: ignore[arg-type] # a literal, for all mypy knows a string
        ttft = one.ttft_s
        if self._entry.stream and ttft is None:
            ttft = one.latency_s / 5
        return Outcome(
            latency_s=one.latency_s,
            ttft_s=ttft if self._entry.stream and _begins(one) else None,
            error=one.error,
            status=one.status,
            retry_after_s=one.retry_after_s,
            input_tokens=self._entry.input_tokens,
            output_tokens=length,
        )


def _begins(one: Try) -> bool:
    return one.error is None or one.error == "StreamInterruptedError"


def _keys(deployment: str, vendor: str, model: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((deployment, f"{vendor}:{model}")))


def _nearest(samples: Sequence[_Sample], now: float) -> Sequence[_Sample]:
    place = bisect.bisect(samples, now, key=lambda sample: sample.at)
    around = samples[max(0, place - _NEIGHBOURS) : place + _NEIGHBOURS]
    return sorted(around, key=lambda sample: abs(sample.at - now))[:_NEIGHBOURS]


def _alike(samples: Iterable[_Sample], length: int, rng: random.Random) -> _Sample:
    return rng.choice(sorted(samples, key=lambda sample: abs(sample.output_tokens - length))[:_ALIKE])
