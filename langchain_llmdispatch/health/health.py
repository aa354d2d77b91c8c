"""Health: what ended attempts show about each deployment: its breaker, its cooldown and its latency.

`Health` observes attempts and answers three questions: may a request be sent now (`blocked`, `admits`), how
fast will it be answered (`snapshots`), and which deployment was chosen least recently (`HealthView.turn`).
Every moment is an argument, in monotonic seconds.

A breaker (see `breaker.py`) is closed, open (no request before a moment), or half-open (one probe). What is
not the deployment's fault never counts: wrong requests, cancelled calls, limits of ours.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BreakerOpenError,
    LocalModelError,
    UnusableDeploymentError,
)
from langchain_llmdispatch.health.breaker import LONGEST_COOLDOWN, PROBE_LEASE, AttemptResult, Breaker
from langchain_llmdispatch.health.deployment import DeploymentHealth
from langchain_llmdispatch.health.latency import FADES, OUTPUT_FORGOTTEN, freshness
from langchain_llmdispatch.health.view import UNSEEN, HealthView
from langchain_llmdispatch.internal import forks

logger = logging.getLogger(__name__)

_FREE = (0.0, False)
_MOST_UNREAD = 32
_BEFORE_SENDING = (UnusableDeploymentError, LocalModelError, AttemptTimeoutError)
"""Failures of a deployment's own settings, which count although nothing was sent."""


class Health:
    """Learns from attempts how each deployment is doing. Safe to share between threads and event loops.

    A `DispatcherChatModel` makes its own; several models share one object that is handed to each.

    Args:
        rng: The source of jitter.
        most: Deployments remembered; beyond it those that were idle longest are forgotten.
    """

    def __init__(self, *, rng: random.Random | None = None, most: int = 2048) -> None:
        self._rng, self._most = forks.OwnRandom() if rng is None else rng, most
        self._lock = threading.RLock()
        self._deployments: dict[tuple[str, str], DeploymentHealth] = {}
        self._troubled: set[tuple[str, str]] = set()  # those whose breaker or cooldown may keep requests back
        self._turns = 0
        self._usual_output: float | None = None
        forks.in_child(self._renew)

    def _renew(self) -> None:
        """Keep what was learned in a forked child; requests in flight and probes are the parent's."""
        self._lock = threading.RLock()
        for deployment in self._deployments.values():
            deployment.in_flight, deployment.breaker.probed_until = {}, 0.0

    def __reduce__(self) -> tuple[type[Health], tuple[()]]:
        """Pickle as a new one: health is of this process and this moment."""
        return (Health, ())

    # -- attempts (an observer, and a check before each is sent) -----------------------------------

    def check(self, attempt: Attempt) -> None:
        """Check, right before a request leaves, that its deployment's breaker admits it.

        Raises:
            BreakerOpenError: The breaker is open, and another deployment is left to try.
        """
        if self._troubled:
            self._check(attempt)

    def started(self, attempt: Attempt) -> None:
        """Record that a request is sent."""
        self.begin(attempt.target, attempt.call.clock.monotonic(), id(attempt))

    def ended(self, attempt: Attempt) -> None:
        """Learn from how it ended."""
        if attempt.sent or isinstance(attempt.error, _BEFORE_SENDING):
            now = attempt.call.clock.monotonic()
            self.learn(attempt.target, now, id(attempt), result_of(attempt))
            if isinstance(attempt.error, AuthenticationError):
                self._suspect(attempt.target, attempt.call.keyed_like(attempt.target), now)

    def begin(self, target: Target, now: float, request: object) -> None:
        """Record that a request to `target` is sent; `request` identifies it until `learn`."""
        with self._lock:
            deployment = self._deployments.get(target.key) or self._new(target.key)
            if deployment.last_sent is not None and now - deployment.last_sent > FADES:
                faded = freshness(now - deployment.last_sent, self._turns - deployment.turn)
                deployment.fresh = min(deployment.fresh, faded)
            if deployment.taken:  # its turn was counted when it was chosen
                deployment.taken -= 1
            else:
                self._turns += 1
                deployment.turn = self._turns
            deployment.last_sent = now
            deployment.in_flight[request] = (now, deployment.breaker.generation)

    def learn(self, target: Target, now: float, request: object, result: AttemptResult) -> None:
        """Learn how a request ended that `begin` recorded.

        The answers of a deployment without trouble are averaged when they are read: most calls read none.
        """
        key = target.key
        with self._lock:
            deployment = self._deployments.get(key) or self._new(key)
            generation = deployment.breaker.generation
            current = deployment.in_flight.pop(request, (now, generation))[1] == generation
            deployment.calls += 1
            if result.blame is None and (tokens := result.tokens) is not None:
                usual = self._usual_output
                self._usual_output = tokens if usual is None else usual + (tokens - usual) * OUTPUT_FORGOTTEN
            if result.blame is None and current and key not in self._troubled:
                deployment.unread.append((now, result, deployment.fresh))
                deployment.fresh, deployment.warned = 1.0, False
                if len(deployment.unread) >= _MOST_UNREAD:
                    deployment.average()
            else:
                self._learn_at_once(target, deployment, now, result, current=current)

    def _learn_at_once(
        self,
        target: Target,
        deployment: DeploymentHealth,
        now: float,
        result: AttemptResult,
        *,
        current: bool,
    ) -> None:
        """Learn from a failure or after one; `current`: sent in the breaker's present generation."""
        deployment.average()
        breaker = deployment.breaker
        if result.blame is None:
            fresh, deployment.fresh = deployment.fresh, 1.0
            deployment.latency.learn(now, result.latency, result.ttft, result.tokens, fresh=fresh)
        elif result.timed_out:
            deployment.latency.overran(result.latency)
        if current:
            self._judge(target, deployment, now, result)
        if result.retry_after and result.blame in {"health", "limits"}:
            breaker.cool(now + min(result.retry_after, LONGEST_COOLDOWN), result.reason)
        self._update_troubled(target.key, breaker, now)
        deployment.average()

    def _judge(self, target: Target, deployment: DeploymentHealth, now: float, result: AttemptResult) -> None:
        breaker = deployment.breaker
        if result.blame is None:
            breaker.succeed(now)
            deployment.warned = False
        elif result.blame in {"health", "configuration"}:
            breaker.fail(now, result, self._rng)
            if result.blame == "configuration" and not deployment.warned:
                deployment.warned = True
                logger.warning("deployment %r is out (%s): check its settings", target.name, result.reason)
        else:
            breaker.probed_until = 0.0  # its result shows nothing: another request may probe

    def _suspect(self, refused: Target, others: Iterable[Target], now: float) -> None:
        """Open the breakers of deployments with the refused key, or each of them would be tried in turn.

        Only a deployment's first refusal does so: if other deployments accept the key, they are tried again.
        """
        with self._lock:
            breaker = (self._deployments.get(refused.key) or self._new(refused.key)).breaker
            for other in others if breaker.opens == 1 else ():
                deployment = self._deployments.get(other.key) or self._new(other.key)
                deployment.average()
                deployment.breaker.suspect(now, breaker.open_until, breaker.reason)
                self._update_troubled(other.key, deployment.breaker, now)

    def _update_troubled(self, key: tuple[str, str], breaker: Breaker, now: float) -> None:
        if breaker.tripped or breaker.cool_until > now:
            self._troubled.add(key)
        else:
            self._troubled.discard(key)

    # -- whether a request may be sent -------------------------------------------------------------

    @property
    def all_available(self) -> bool:
        """Whether no breaker is open and nothing cools down: the common case."""
        return not self._troubled

    def blocked(self, target: Target, now: float) -> tuple[float, bool]:
        """Return the seconds until the deployment may be tried, and whether it only cools down."""
        key = target.key
        if key not in self._troubled or (deployment := self._deployments.get(key)) is None:
            return _FREE
        breaker = deployment.breaker
        left = max(breaker.open_until, breaker.cool_until) - now
        return (left, not breaker.tripped) if left > 0 else _FREE

    def breaker_wait(self, target: Target, now: float) -> float:
        """Return the seconds for which the deployment's breaker admits no request; 0.0 for a cooldown."""
        left, cooling = self.blocked(target, now)
        return 0.0 if cooling else left

    def probing(self, target: Target, now: float) -> bool:
        """Return whether the deployment's one probe is in flight, so that no other request is admitted."""
        key = target.key
        if key not in self._troubled or (deployment := self._deployments.get(key)) is None:
            return False
        return deployment.breaker.tripped and deployment.breaker.probed_until > now

    def admits(self, target: Target, now: float, *, last_resort: bool = False) -> bool:
        """Return whether a request may be sent now; a half-open breaker admits only one: the probe.

        Args:
            target: Where it goes.
            now: Monotonic seconds.
            last_resort: Whether no other deployment is left: then even an open breaker admits it.
        """
        key = target.key
        if key not in self._troubled:
            return True
        with self._lock:
            breaker = (self._deployments.get(key) or self._new(key)).breaker
            state = breaker.state(now)
            if state == "closed":
                self._update_troubled(key, breaker, now)
                return True
            probe = state == "half_open" and breaker.probed_until <= now
            if probe:
                breaker.probed_until = now + PROBE_LEASE
            # A cooldown is no breaker: the call has waited for it, or has no other choice.
            return probe or last_resort or not breaker.tripped

    def _check(self, attempt: Attempt) -> None:
        now = attempt.call.clock.monotonic()
        if not self.admits(attempt.target, now, last_resort=attempt.last_resort):
            raise BreakerOpenError("its breaker is open", deployment=attempt.target.name)

    # -- what strategies compare -------------------------------------------------------------------

    def take_turn(self, target: Target) -> None:
        """Record that a decision puts the deployment first."""
        with self._lock:
            self._turns += 1
            deployment = self._deployments.get(target.key) or self._new(target.key)
            deployment.turn, deployment.taken = self._turns, deployment.taken + 1

    def expected_outputs(self, keys: Iterable[tuple[str, str]]) -> list[float] | None:
        """Return the tokens of an answer on average: of each deployment, else of all; None if unknown."""
        usual, known = self._usual_output, self._deployments
        if usual is None:
            return None
        with self._lock:
            return [usual if (one := known.get(key)) is None else one.output() or usual for key in keys]

    def loads(self, keys: Iterable[tuple[str, str]]) -> list[int]:
        """Return the requests in flight of each; see `Target.key`."""
        known = self._deployments
        return [0 if (one := known.get(key)) is None else len(one.in_flight) for key in keys]

    def turns(self, keys: Iterable[tuple[str, str]]) -> list[int]:
        """Return when each was last chosen, as a number that only grows; 0 if never."""
        known = self._deployments
        return [0 if (one := known.get(key)) is None else one.turn for key in keys]

    def latencies(
        self, keys: Iterable[tuple[str, str]], outputs: Iterable[float], now: float
    ) -> list[float | None]:
        """Return the predicted seconds of an answer of each, of so many tokens; see `HealthView.latency`."""
        known, turns, pairs = self._deployments, self._turns, zip(keys, outputs, strict=True)
        with self._lock:
            return [
                None if (one := known.get(key)) is None else one.latency_of(tokens, now, turns)
                for key, tokens in pairs
            ]

    def snapshot(self, target: Target, now: float) -> HealthView:
        """Return the health of one deployment."""
        return self.snapshots((target,), now)[0]

    def snapshots(self, targets: Iterable[Target], now: float) -> list[HealthView]:
        """Return the health of several deployments, all at the same moment."""
        deployments, troubled, turns = self._deployments, self._troubled, self._turns
        views = []
        with self._lock:
            for target in targets:
                key = target.key
                deployment = deployments.get(key)
                if deployment is None:
                    views.append(UNSEEN)
                    continue
                views.append(deployment.view(now, turns, troubled=bool(troubled) and key in troubled))
        return views

    # -- memory ------------------------------------------------------------------------------------

    def reset(self, name: str | None = None) -> None:
        """Forget what was learned of the deployments of that name, or of all, once they are repaired."""
        with self._lock:
            for key in [key for key in self._deployments if name in {None, key[0]}]:
                held = self._deployments.pop(key)
                self._troubled.discard(key)
                if held.in_flight:  # their ends are still to come
                    fresh = self._deployments[key] = DeploymentHealth()
                    fresh.in_flight, fresh.breaker.generation = held.in_flight, held.breaker.generation + 1

    def _new(self, key: tuple[str, str]) -> DeploymentHealth:
        if len(self._deployments) >= self._most:
            self._forget_idle()
        made = self._deployments[key] = DeploymentHealth()
        return made

    def _forget_idle(self) -> None:
        idle = [key for key, deployment in self._deployments.items() if not deployment.in_flight]
        idle.sort(key=lambda key: self._deployments[key].turn)
        for key in idle[: max(1, self._most // 8)]:
            del self._deployments[key]
            self._troubled.discard(key)


def result_of(attempt: Attempt) -> AttemptResult:
    """Return what an ended attempt shows: a success, or a failure and what it is attributed to."""
    record, error = attempt.record, attempt.error
    if error is None:
        failed = record is not None and record.error
        return AttemptResult(
            blame="none" if failed or attempt.lost else None,
            reason=failed or "",
            latency=attempt.latency,
            ttft=attempt.ttft,
            tokens=attempt.usage["output_tokens"] if attempt.usage else None,
        )
    timed_out = isinstance(error, AttemptTimeoutError)
    own_pool = timed_out and error.code == "pool"
    return AttemptResult(
        blame="none" if own_pool else error.blame,
        reason=type(error).__name__,
        retry_after=error.retry_after,
        latency=attempt.latency,
        timed_out=timed_out and not own_pool,
    )
