"""Health that several processes share: a breaker that opens in one holds back all of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.health.health import Health, HealthView, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.redis.state import RedisState

_COOLING = "cooling"


class RedisHealth(Health):
    """Health whose open breakers and cooldowns are known to all processes with the same `RedisState`.

        state = RedisState("redis://localhost:6379/0")
        DispatcherChatModel(models=[...], health=RedisHealth(state))

    Latency estimates and success rates are per process. A decision never waits for the server: it reads
    what is known, at most `RedisState.refresh` old. While the server is lost, health is per process.

    Args:
        state: Where holds are shared.
        rng: The source of jitter.
        most: Deployments remembered.
    """

    def __init__(self, state: RedisState, *, rng: random.Random | None = None, most: int = 2048) -> None:
        super().__init__(rng=rng, most=most)
        self._state, self._size = state, most

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a new one with the same server."""
        return (type(self), (self._state,))

    @property
    def quiet(self) -> bool:
        """Whether no breaker is open and nothing cools down, here or elsewhere."""
        return super().quiet and not self._state.holds()

    def learn(self, target: Target, now: float, flight: object, outcome: Outcome) -> None:
        """Note what became of a request; tell others if it closes the deployment."""
        super().learn(target, now, flight, outcome)
        left, cooling = super().blocked(target, now)
        if left > 0:
            self._state.hold(_key(target), left, _COOLING if cooling else outcome.reason)

    def blocked(self, target: Target, now: float) -> tuple[float, bool]:
        """Return the seconds until the deployment may be asked, and whether it only cools down."""
        own, (left, reason) = super().blocked(target, now), self._state.held(_key(target))
        return own if own[0] >= left else (left, reason == _COOLING)

    def permit(self, target: Target, now: float, *, last_resort: bool = False) -> bool:
        """Return whether a request may be sent now; what others hold back is a last resort here too."""
        left, reason = self._state.held(_key(target))
        if left > 0 and reason != _COOLING and not last_resort and not super().blocked(target, now)[0]:
            return False
        return super().permit(target, now, last_resort=last_resort)

    def snapshots(self, targets: Iterable[Target], now: float) -> list[HealthView]:
        """Return how each of several deployments is doing."""
        asked = tuple(targets)
        views = super().snapshots(asked, now)
        if not self._state.holds():
            return views
        return [self._with_hold(target, view, now) for target, view in zip(asked, views, strict=True)]

    def _with_hold(self, target: Target, view: HealthView, now: float) -> HealthView:
        left, reason = self._state.held(_key(target))
        if now + left <= view.open_until or left <= 0:
            return view
        return view._replace(state="open", open_until=now + left, cooling=reason == _COOLING, reason=reason)


def _key(target: Target) -> str:
    return f"{target.name}|{target.account}"
