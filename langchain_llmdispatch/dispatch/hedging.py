"""Hedging: when a deployment is late, another one is asked as well, and whoever begins first answers.

A second request is worth its price where a few answers take very much longer than most. `Hedging` says how
late is late, and what a second request may cost; `Race` says which of two requests has won. Neither waits:
`races.py` does.
"""

from __future__ import annotations

import threading
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.dispatch import Attempt
    from langchain_llmdispatch.drivers.exchange import Exchange

HedgeAfter: TypeAlias = float | Literal["p95"]

ENOUGH = 20
"""Answers of a deployment that must be known before its 95th percentile means anything."""
_REMEMBERED = 200  # the latest answers of each deployment
_QUANTILE = 0.95


class LostRaceError(Exception):
    """Another request of the same call answered first; this one is of no use any more."""


OVERTAKEN = LostRaceError.__name__
"""What records say of such a request in place of an error."""


class Hedging:
    """When another deployment is asked as well: an observer of attempts, which knows how late is late.

    Args:
        after: Seconds without the first token (or, not streamed, the answer); or `"p95"`: longer than 95 of
            100 answers of the same deployment took, once 20 are known.
        budget_usd: US dollars that a second request may cost at worst; None for no bound.
    """

    def __init__(self, after: HedgeAfter, budget_usd: float | None = None) -> None:
        self._after = after
        self._budget = None if budget_usd is None else Decimal(str(budget_usd))
        self._lock = threading.RLock()
        self._seconds: dict[tuple[str, bool], deque[float]] = {}

    def after(self, target: Target, *, stream: bool) -> float | None:
        """Return the seconds after which a request to `target` is late; None if that is not known yet."""
        if self._after != "p95":
            return self._after
        with self._lock:
            known = sorted(self._seconds.get((target.name, stream), ()))
        return known[int(len(known) * _QUANTILE)] if len(known) >= ENOUGH else None

    def affords(self, worst: Decimal | None) -> bool:
        """Return whether a request that costs so much at worst may be sent; not if nobody knows."""
        return self._budget is None or (worst is not None and worst <= self._budget)

    def started(self, attempt: Attempt) -> None:
        """Do nothing: nothing is known yet."""

    def ended(self, attempt: Attempt) -> None:
        """Remember how long an answer took; of one that lost its race, how long it had taken by then."""
        if self._after != "p95" or not attempt.sent or attempt.error is not None:
            return
        if not (attempt.lost or (attempt.record is not None and attempt.record.error is None)):
            return
        request = attempt.dispatch.request
        key = attempt.target.name, request is not None and request.stream
        with self._lock:
            kept = self._seconds.setdefault(key, deque(maxlen=_REMEMBERED))
            kept.append(attempt.ttft if attempt.ttft is not None else attempt.latency)


class Race:
    """Two requests of one call: who comes first, and what becomes of the other.

    Attributes:
        winner: The attempt that answers; None while nobody does.
        over: Whether nobody may win any more: the caller has left.
    """

    def __init__(self) -> None:
        self.winner: Attempt | None = None
        self.over = False
        self._lock = threading.Lock()
        self._runners: list[Exchange] = []

    def enter(self, exchange: Exchange) -> None:
        """Let a request take part.

        Raises:
            LostRaceError: The race is over.
        """
        with self._lock:
            if self.over or self.winner is not None:
                raise LostRaceError
            self._runners.append(exchange)

    def is_lost_for(self, attempt: Attempt) -> bool:
        """Return whether an attempt cannot win any more."""
        return self.over or self.winner not in {None, attempt}

    def claim(self, attempt: Attempt) -> None:
        """Let an attempt win, and the others lose.

        Raises:
            LostRaceError: Another one has won, or the caller has left.
        """
        with self._lock:
            if self.winner is attempt:
                return
            if self.over or self.winner is not None:
                raise LostRaceError
            self.winner = attempt
            others = [exchange for exchange in self._runners if exchange.attempt is not attempt]
        for exchange in others:
            exchange.lose()

    def leave(self, first: Exchange) -> None:
        """End the race without a winner; the first request's own outcome is left to its driver."""
        with self._lock:
            if self.winner is not None:
                return
            self.over = True
            runners = list(self._runners)
        for exchange in runners:
            if exchange is not first:
                exchange.lose()
        first.abandon()
