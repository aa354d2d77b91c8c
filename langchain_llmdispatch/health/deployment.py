"""What is known of one deployment's health, and what of it strategies compare."""

from __future__ import annotations

from langchain_llmdispatch.health.breaker import CLOSED, AttemptResult, Breaker
from langchain_llmdispatch.health.latency import FADES, LatencyEstimate, freshness
from langchain_llmdispatch.health.view import UNSEEN, HealthView, predicted

_NOTHING_LEARNED = UNSEEN[5:12]
_new_view = tuple.__new__


class DeploymentHealth:
    """The health of one deployment.

    Attributes:
        unread: Answers that are not averaged yet: when they came, their results and freshness.
        in_flight: When each request in flight was sent, and the breaker's generation then, by request.
        calls: Requests that ended.
        turn: When it was last chosen, as a growing number.
        taken: How often it was chosen by a decision whose request was not sent yet.
        last_sent: When a request was last sent, or None.
        warned: Whether its wrong configuration was logged.
        fresh: How much of its latency had not faded when the latest requests were sent.
        learned: What only the end of a request changes, in the order of `HealthView`.
    """

    def __init__(self) -> None:
        self.breaker, self.latency = Breaker(), LatencyEstimate()
        self.unread: list[tuple[float, AttemptResult, float]] = []
        self.in_flight: dict[object, tuple[float, int]] = {}
        self.calls = self.turn = self.taken = 0
        self.last_sent: float | None = None
        self.warned, self.fresh = False, 1.0
        self.learned: tuple[object, ...] = _NOTHING_LEARNED

    def average(self) -> None:
        """Bring breaker and latency up to date with the answers that came since they were last read."""
        breaker, latency = self.breaker, self.latency
        for at, answer, fresh in self.unread:
            latency.learn(at, answer.latency, answer.ttft, answer.tokens, fresh=fresh)
            breaker.succeed(at)
        self.unread.clear()
        counts = (latency.samples, self.calls, latency.output)
        self.learned = (breaker.success, breaker.failures, *latency.estimate, *counts)

    # -- what strategies compare -------------------------------------------------------------------

    def output(self) -> float | None:
        """Return the tokens of an answer on average, or None if unknown."""
        if self.unread:
            self.average()
        return self.latency.output

    def latency_of(self, tokens: float, now: float, turns: int) -> float | None:
        """Return the predicted seconds for an answer of so many tokens; see `view`."""
        if self.unread:
            self.average()
        first, per_token = self.latency.estimate
        return predicted(first, per_token, tokens, self._floor(now), self._fresh(now, turns))

    def view(self, now: float, turns: int, *, troubled: bool) -> HealthView:
        """Return its health at one moment.

        Args:
            now: The moment, in monotonic seconds.
            turns: How often a deployment was chosen so far.
            troubled: Whether its breaker or cooldown may keep requests back.
        """
        if self.unread:
            self.average()
        trouble = self.breaker.view(now) if troubled else CLOSED
        idle = None if self.last_sent is None else now - self.last_sent
        ended = self._floor(now), idle, self.turn, self._fresh(now, turns)
        # By position: keywords would take as long as all the rest.
        return _new_view(HealthView, (*trouble, len(self.in_flight), *self.learned, *ended))

    def _floor(self, now: float) -> float:
        """Return the seconds that an answer takes at least."""
        floor, in_flight = self.latency.floor, self.in_flight
        if not in_flight:
            return floor
        # A request twice as old as usual counts before its answer comes.
        return max(floor, (now - next(iter(in_flight.values()))[0]) / 2)

    def _fresh(self, now: float, turns: int) -> float:
        sent = self.last_sent
        if sent is None or now - sent <= FADES:
            return 1.0
        return freshness(now - sent, turns - self.turn)
