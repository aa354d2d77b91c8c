"""Outcomes of requests in a replay: the recorded one where there is one, else an estimate."""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeAlias

from langchain_llmdispatch.testing.policy_replay.entry import JournalAttempt, JournalEntry
from langchain_llmdispatch.testing.policy_replay.simulated_vendor import SimulatedOutcome

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target

Source: TypeAlias = Literal["recorded", "neighbours", "assumed"]
# An attempt that was not recorded is drawn from so many of its deployment's, nearest in time; an answer from
# so many of these, nearest in length.
_NEAR_IN_TIME, _NEAR_IN_LENGTH = 20, 5
_USUAL_LENGTH = 100


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
class _RecordedSample:
    at: float
    attempt: JournalAttempt
    output_tokens: int


class OutcomeEstimator:
    """The outcomes of requests, by a journal.

    Args:
        entries: The calls.
        assume: What to assume of deployments that were not recorded, by name or `vendor:model`.

    Attributes:
        usual_length: Median tokens of an answer.
    """

    def __init__(
        self, entries: Sequence[JournalEntry], assume: Mapping[str, Assumption] | None = None
    ) -> None:
        self._assume = assume or {}
        self._start = min((entry.at for entry in entries), default=0.0)
        lengths = [entry.output_tokens for entry in entries if entry.output_tokens]
        self.usual_length = round(median(lengths)) if lengths else _USUAL_LENGTH
        self._samples: dict[str, list[_RecordedSample]] = {}
        self._answers: list[_RecordedSample] = []
        for entry in entries:
            self._add(entry)
        for samples in self._samples.values():
            samples.sort(key=lambda sample: sample.at)

    def recorded(self, target: Target) -> bool:
        """Return whether the deployment, or another one of the same model, was recorded."""
        return self._samples_of(target) is not None

    def estimate(
        self, target: Target, now: float, length: int, rng: random.Random
    ) -> tuple[JournalAttempt, Source]:
        """Return a plausible attempt for a request that was not recorded.

        Args:
            target: Where the request goes.
            now: When, in seconds from the first call.
            length: Tokens of the call's answer.
            rng: The source of randomness.
        """
        samples = self._samples_of(target)
        if samples is None:
            return self._assumed(target, length, rng), "assumed"
        near = _near_in_time(samples, now)
        drawn = rng.choice(near)
        if drawn.attempt.error is None:
            drawn = _near_in_length([s for s in near if s.attempt.error is None], length, rng)
        return drawn.attempt, "neighbours"

    def _add(self, entry: JournalEntry) -> None:
        at = entry.at - self._start
        for attempt in entry.attempts:
            at += attempt.wait_s
            length = attempt.usage["output_tokens"] if attempt.usage else 0
            sample = _RecordedSample(at, attempt, length or entry.output_tokens or self.usual_length)
            for key in _keys(attempt.deployment, attempt.vendor, attempt.model):
                self._samples.setdefault(key, []).append(sample)
            if attempt.error is None:
                self._answers.append(sample)
            at += attempt.latency_s

    def _samples_of(self, target: Target) -> list[_RecordedSample] | None:
        keys = _keys(target.name, target.vendor.name, target.model)
        return next((self._samples[key] for key in keys if key in self._samples), None)

    def _assumed(self, target: Target, length: int, rng: random.Random) -> JournalAttempt:
        names = (target.name, target.vendor.name, target.model)
        assumed = next((self._assume[key] for key in _keys(*names) if key in self._assume), Assumption())
        if rng.random() < assumed.failure_rate:
            return JournalAttempt(*names, status=503, error="OverloadedError", latency_s=0.1)
        if assumed.latency_s is None and self._answers:
            model = _near_in_length(self._answers, length, rng).attempt
            return JournalAttempt(*names, status=200, latency_s=model.latency_s, ttft_s=model.ttft_s)
        return JournalAttempt(*names, status=200, latency_s=assumed.latency_s or 1.0, ttft_s=assumed.ttft_s)


class CallOutcomes:
    """The outcomes of one call's requests, one after another.

    Args:
        estimator: For requests that were not recorded.
        entry: The recorded call.
        rng: The source of randomness.

    Attributes:
        sources: Where the outcomes came from, in order.
        now: When the call begins, in seconds from the first one.
    """

    def __init__(self, estimator: OutcomeEstimator, entry: JournalEntry, rng: random.Random) -> None:
        self._estimator, self._entry, self._rng = estimator, entry, rng
        self._left = list(entry.attempts)
        self.sources: list[Source] = []
        self.now = 0.0

    def __call__(self, target: Target) -> SimulatedOutcome:
        """Return the outcome of a request to a deployment."""
        entry = self._entry
        length = entry.output_tokens or self._estimator.usual_length
        attempt, source = self._next(target, length)
        self.sources.append(source)
        ttft = None
        if entry.stream and attempt.error in {None, "StreamInterruptedError"}:
            ttft = attempt.latency_s / 5 if attempt.ttft_s is None else attempt.ttft_s
        return SimulatedOutcome(
            latency_s=attempt.latency_s,
            ttft_s=ttft,
            error=attempt.error,
            status=attempt.status,
            retry_after_s=attempt.retry_after_s,
            input_tokens=entry.input_tokens,
            output_tokens=length,
        )

    def _next(self, target: Target, length: int) -> tuple[JournalAttempt, Source]:
        """Return the next recorded attempt of the deployment, else of the same model, else an estimate."""
        keys = _keys(target.name, target.vendor.name, target.model)
        own = next((a for a in self._left if a.deployment == keys[0]), None)
        own = own or next((a for a in self._left if f"{a.vendor}:{a.model}" == keys[-1]), None)
        if own is None:
            return self._estimator.estimate(target, self.now, length, self._rng)
        self._left.remove(own)
        return own, "recorded"


def _keys(deployment: str, vendor: str, model: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((deployment, f"{vendor}:{model}")))


def _near_in_time(samples: Sequence[_RecordedSample], now: float) -> Sequence[_RecordedSample]:
    place = bisect.bisect(samples, now, key=lambda sample: sample.at)
    around = samples[max(0, place - _NEAR_IN_TIME) : place + _NEAR_IN_TIME]
    return sorted(around, key=lambda sample: abs(sample.at - now))[:_NEAR_IN_TIME]


def _near_in_length(samples: Iterable[_RecordedSample], length: int, rng: random.Random) -> _RecordedSample:
    return rng.choice(sorted(samples, key=lambda s: abs(s.output_tokens - length))[:_NEAR_IN_LENGTH])
