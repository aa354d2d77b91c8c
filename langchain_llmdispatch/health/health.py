"""Health: what ended attempts say about each deployment; its breaker, its cooldown and its speed.

`Health` watches attempts (it is an `Observer`) and answers three questions: may a request be sent now
(`blocked`, `permit`), how fast will it be answered (`snapshot`), and who has waited longest for a turn
(`HealthView.turn`). It has no clock: every moment is handed in, in monotonic seconds.

A breaker (see `breaker.py`) is closed (all is well), open (nothing is sent until a moment), or half open (one
probe is). What is not the deployment's fault never counts: wrong requests, cancelled calls, our own queues.
"""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING, NamedTuple

from langchain_llmdispatch.errors import AttemptTimeoutError, AuthenticationError, BreakerOpenError
from langchain_llmdispatch.health.breaker import (
    FIRST_OUT,
    LONGEST_ASKED,
    LONGEST_OUT,
    PROBE_LEASE,
    Breaker,
    Outcome,
    State,
    jittered,
)
from langchain_llmdispatch.health.latency import FADES, LatencyEstimate, freshness

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.attempt import Attempt

__all__ = ["UNSEEN", "Health", "HealthView", "Outcome", "outcome_of"]

logger = logging.getLogger(__name__)


class HealthView(NamedTuple):
    """A deployment's health at one moment; moments in monotonic seconds.

    Attributes:
        state: `closed`, `open` (nothing is sent until `open_until`), `half_open` (one probe may be).
        open_until: When it may be asked again; 0.0 if now.
        cooling: Whether it is only the vendor's own request to wait that closes it: no probe is needed then.
        reason: What opened it, as an error's class name; empty if closed.
        in_flight: Requests under way.
        success: Share of successes over the last half minute, or None without calls.
        consecutive_failures: Failures since the last success.
        ttft: Seconds to the first token, or None if unknown.
        seconds_per_token: Seconds per output token after it, or None if unknown.
        samples: Answers that `ttft` and `seconds_per_token` were learned from.
        calls: Requests that ended, whatever became of them.
        expected_output: Tokens of an answer on average, or None if unknown.
        floor: Seconds that an answer takes at least, by what is overdue or has timed out; 0.0 if nothing has.
        idle: Seconds since a request was last sent, or None if never.
        turn: When it was last chosen, as a number that only grows; 0 if never.
        fresh: How much of what is known of its speed and failures still counts, from 1.0 towards 0: it fades
            while requests go elsewhere, so that a deployment that was bad is asked again some day.
    """

    state: State = "closed"
    open_until: float = 0.0
    cooling: bool = False
    reason: str = ""
    in_flight: int = 0
    success: float | None = None
    consecutive_failures: int = 0
    ttft: float | None = None
    seconds_per_token: float | None = None
    samples: int = 0
    calls: int = 0
    expected_output: float | None = None
    floor: float = 0.0
    idle: float | None = None
    turn: int = 0
    fresh: float = 1.0

    def latency(self, output_tokens: float) -> float | None:
        """Return the predicted seconds for an answer of so many tokens, or None if unknown.

        It is the more hopeful the longer nobody has looked; see `fresh`.
        """
        first, floor = self.ttft, self.floor
        if first is None:
            return floor * self.fresh or None
        seconds = first + output_tokens * (self.seconds_per_token or 0.0)
        return max(seconds, floor) * self.fresh


UNSEEN = HealthView()
_FREE = (0.0, False)


class _Entry:
    """All that is known of one deployment."""

    __slots__ = ("breaker", "calls", "flights", "fresh", "last_sent", "learned", "speed", "turn", "warned")

    def __init__(self) -> None:
        self.breaker, self.speed = Breaker(), LatencyEstimate()
        self.flights: dict[object, tuple[float, int]] = {}
        self.calls = self.turn = 0
        self.last_sent: float | None = None
        self.warned = False
        self.fresh = 1.0  # how much of its speed had not faded when the latest requests were sent
        self.note()

    def note(self) -> None:
        """Keep what only the end of a request changes, as `HealthView` has it."""
        breaker, speed = self.breaker, self.speed
        ttft, per_token = speed.estimate()
        self.learned = (
            breaker.success(),
            breaker.failures,
            ttft,
            per_token,
            speed.samples,
            self.calls,
            speed.output,
        )


class Health:
    """Learns from attempts how each deployment is doing. Safe to share between threads and event loops.

    A `DispatcherChatModel` makes its own; hand one object to several models to have them share it.

    Args:
        rng: The source of jitter.
        most: Deployments remembered; beyond it those idle longest are forgotten.
    """

    def __init__(self, *, rng: random.Random | None = None, most: int = 2048) -> None:
        self._rng, self._most = rng or random.Random(), most
        self._lock = threading.RLock()
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._troubled: set[tuple[str, str]] = set()
        self._turns = 0
        self._speed = LatencyEstimate()

    def __reduce__(self) -> tuple[type[Health], tuple[()]]:
        """Pickle as a new one: health is of this process and this moment."""
        return (Health, ())

    # -- what attempts become (Observer) -----------------------------------------------------------

    def started(self, attempt: Attempt) -> None:
        """Note that a request leaves now."""
        self.begin(attempt.target, attempt.call.clock.monotonic(), attempt)

    def ended(self, attempt: Attempt) -> None:
        """Learn from what became of it."""
        if not attempt.sent:
            return
        now = attempt.call.clock.monotonic()
        self.learn(attempt.target, now, attempt, outcome_of(attempt))
        if isinstance(attempt.error, AuthenticationError):
            self._suspect(attempt.target, attempt.call.keyed_like(attempt.target), now)

    def check(self, attempt: Attempt) -> None:
        """Check, right before a request leaves, that its deployment's breaker admits it.

        Raises:
            BreakerOpenError: The breaker is open, and another deployment is left to try.
        """
        if self._troubled and not self.permit(
            attempt.target, attempt.call.clock.monotonic(), last_resort=attempt.last_resort
        ):
            raise BreakerOpenError("its breaker is open", deployment=attempt.target.name)

    def begin(self, target: Target, now: float, flight: object) -> None:
        """Note that a request, known by `flight`, leaves now."""
        with self._lock:
            entry = self._entry(target)
            if entry.last_sent is not None:
                faded = freshness(now - entry.last_sent, self._turns - entry.turn)
                entry.fresh = min(entry.fresh, faded)
            self._turns += 1
            entry.turn, entry.last_sent = self._turns, now
            entry.flights[flight] = (now, entry.breaker.generation)

    def learn(self, target: Target, now: float, flight: object, outcome: Outcome) -> None:
        """Note what became of a request that `begin` was told of."""
        with self._lock:
            entry = self._entry(target)
            _, generation = entry.flights.pop(flight, (now, entry.breaker.generation))
            entry.calls += 1
            if outcome.blame is None:
                entry.speed.learn(now, outcome.latency, outcome.ttft, outcome.tokens, fresh=entry.fresh)
                entry.fresh = 1.0
                self._speed.learn(now, outcome.latency, outcome.ttft, outcome.tokens)
            elif outcome.timed_out:
                entry.speed.overran(outcome.latency)
            if generation == entry.breaker.generation:
                self._judge(target, entry, now, outcome)
            if outcome.retry_after and outcome.blame in {"health", "limits"}:
                entry.breaker.cool(now + min(outcome.retry_after, LONGEST_ASKED), outcome.reason)
            self._note_trouble(target.key, entry.breaker, now)
            entry.note()

    def _judge(self, target: Target, entry: _Entry, now: float, outcome: Outcome) -> None:
        breaker = entry.breaker
        if outcome.blame is None:
            breaker.succeed(now)
            entry.warned = False
        elif outcome.blame == "health":
            breaker.fail(now, outcome, self._rng)
        elif outcome.blame == "configuration":
            seconds = jittered(FIRST_OUT, LONGEST_OUT, breaker.times_opened(now), self._rng)
            breaker.trip(now, seconds, outcome.reason)
            if not entry.warned:
                entry.warned = True
                logger.warning("deployment %r is out (%s): check its settings", target.name, outcome.reason)
        else:
            breaker.probed_until = 0.0  # it proved nothing: another one may probe

    def _suspect(self, refused: Target, others: Iterable[Target], now: float) -> None:
        """Ask nobody else with a key that was refused, or each of them would be tried in turn.

        Only a deployment's first refusal says so: if others have better luck, they get to show it.
        """
        with self._lock:
            breaker = self._entry(refused).breaker
            for other in others if breaker.opens == 1 else ():
                suspected = self._entry(other).breaker
                suspected.suspect(now, breaker.open_until, breaker.reason)
                self._note_trouble(other.key, suspected, now)

    def _note_trouble(self, key: tuple[str, str], breaker: Breaker, now: float) -> None:
        if breaker.tripped or breaker.cool_until > now:
            self._troubled.add(key)
        else:
            self._troubled.discard(key)

    # -- what routing asks -------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether no breaker is open and nothing cools down: the common case, for nothing."""
        return not self._troubled

    def blocked(self, target: Target, now: float) -> tuple[float, bool]:
        """Return the seconds until the deployment may be asked, and whether it only cools down."""
        key = target.key
        if key not in self._troubled or (entry := self._entries.get(key)) is None:
            return _FREE
        breaker = entry.breaker
        left = max(breaker.open_until, breaker.cool_until) - now
        return (left, not breaker.tripped) if left > 0 else (0.0, False)

    def breaker_wait(self, target: Target, now: float) -> float:
        """Return the seconds for which the deployment's breaker admits no request; a cooldown is none."""
        if not self._troubled:
            return 0.0
        left, cooling = self.blocked(target, now)
        return 0.0 if cooling else left

    def probing(self, target: Target, now: float) -> bool:
        """Return whether the deployment's one probe is under way, so that nobody else may ask it."""
        key = target.key
        if key not in self._troubled or (entry := self._entries.get(key)) is None:
            return False
        return entry.breaker.tripped and entry.breaker.probed_until > now

    def permit(self, target: Target, now: float, *, last_resort: bool = False) -> bool:
        """Return whether a request may be sent now; half open, only one gets leave: the probe.

        Args:
            target: Whom it goes to.
            now: Monotonic seconds.
            last_resort: Nobody else is left to ask: then even an open breaker is tried.
        """
        key = target.key
        if key not in self._troubled:
            return True
        with self._lock:
            breaker = self._entry(target).breaker
            if breaker.state(now) == "closed":
                self._note_trouble(key, breaker, now)
                return True
            probing = breaker.state(now) == "half_open" and breaker.probed_until <= now
            if probing:
                breaker.probed_until = now + PROBE_LEASE
            # A vendor's own word to wait is no breaker; whoever comes here has waited or has no choice.
            return probing or last_resort or not breaker.tripped

    def chosen(self, target: Target) -> None:
        """Note that a decision puts this one first: it has had its turn."""
        with self._lock:
            self._turns += 1
            self._entry(target).turn = self._turns

    def expected_outputs(self, targets: Iterable[Target]) -> list[float] | None:
        """Return the tokens of an answer on average: of each deployment, else of all; None if unknown."""
        usual, entries = self._speed.output, self._entries
        if usual is None:
            return None
        found = [entries.get(target.key) for target in targets]
        return [usual if entry is None else entry.speed.output or usual for entry in found]

    def snapshot(self, target: Target, now: float) -> HealthView:
        """Return how the deployment is doing."""
        return self.snapshots((target,), now)[0]

    def snapshots(self, targets: Iterable[Target], now: float) -> list[HealthView]:
        """Return how each of several deployments is doing, all at the same moment."""
        entries, troubled, turns = self._entries, self._troubled, self._turns
        views = []
        with self._lock:
            for target in targets:
                key = target.key
                entry = entries.get(key)
                if entry is None:
                    views.append(UNSEEN)
                else:
                    views.append(_view(entry, now, turns, troubled=bool(troubled) and key in troubled))
        return views

    def reset(self, name: str | None = None) -> None:
        """Forget what is known of the deployments of that name, or of all: they were put right."""
        with self._lock:
            for key in [key for key in self._entries if name in {None, key[0]}]:
                held = self._entries.pop(key)
                self._troubled.discard(key)
                if held.flights:  # their ends will come, and must find a beginning
                    fresh = self._entries[key] = _Entry()
                    fresh.flights, fresh.breaker.generation = held.flights, held.breaker.generation + 1

    def _entry(self, target: Target) -> _Entry:
        key = target.key
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= self._most:
                self._forget_idle()
            entry = self._entries[key] = _Entry()
        return entry

    def _forget_idle(self) -> None:
        idle = [key for key, entry in self._entries.items() if not entry.flights]
        idle.sort(key=lambda key: self._entries[key].turn)
        for key in idle[: max(1, self._most // 8)]:
            del self._entries[key]
            self._troubled.discard(key)


def _view(entry: _Entry, now: float, turns: int, *, troubled: bool) -> HealthView:
    state, until, cooling, reason = _trouble(entry.breaker, now) if troubled else _WELL
    flights, sent, floor = entry.flights, entry.last_sent, entry.speed.floor
    idle = None if sent is None else now - sent
    if flights:  # a request twice as old as usual is news, before its answer comes
        floor = max(floor, (now - next(iter(flights.values()))[0]) / 2)
    fresh = 1.0 if idle is None or idle <= FADES else freshness(idle, turns - entry.turn)
    success, failures, ttft, per_token, samples, calls, output = entry.learned
    return _new(
        HealthView,  # by place: words would cost as much as all the rest
        (
            state,
            until,
            cooling,
            reason,
            len(flights),
            success,
            failures,
            ttft,
            per_token,
            samples,
            calls,
            output,
            floor,
            idle,
            entry.turn,
            fresh,
        ),
    )


_new = tuple.__new__
_WELL: tuple[State, float, bool, str] = ("closed", 0.0, False, "")


def _trouble(breaker: Breaker, now: float) -> tuple[State, float, bool, str]:
    """Return state, moment until which it is open, whether it only cools down, and why."""
    state, until = breaker.state(now), max(breaker.open_until, breaker.cool_until)
    if state == "closed":
        return _WELL
    return state, until if until > now else 0.0, state == "open" and not breaker.tripped, breaker.reason


def outcome_of(attempt: Attempt) -> Outcome:
    """Return what an ended attempt says: a success, a failure and whose, or nothing."""
    record, error = attempt.record, attempt.error
    assert record is not None  # noqa: S101 - it has ended
    if error is None:
        return Outcome(
            blame=None if record.error is None and not attempt.lost else "none",
            reason=record.error or "",
            latency=attempt.latency,
            ttft=attempt.ttft,
            tokens=attempt.usage["output_tokens"] if attempt.usage else None,
        )
    timed_out = isinstance(error, AttemptTimeoutError)
    own_queue = timed_out and error.code == "pool"
    return Outcome(
        blame="none" if own_queue else error.blame,
        reason=type(error).__name__,
        retry_after=error.retry_after,
        latency=attempt.latency,
        timed_out=timed_out and not own_queue,
    )
