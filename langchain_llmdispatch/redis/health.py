"""Health that several processes share: a breaker that opens in one of them is open in all."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.health.view import HealthView
from langchain_llmdispatch.redis.server import check_state
from langchain_llmdispatch.redis.state import RedisState

_COOLING = "cooling"


class RedisHealth(Health):
    """Health whose open breakers and cooldowns hold in all processes with the same `RedisState`.

        state = RedisState("redis://localhost:6379/0")
        DispatcherChatModel(models=[...], health=RedisHealth(state))

    Latency estimates and success rates are per process. A decision never waits for the server: it uses the
    last state that was read, at most `RedisState.refresh` old. While the server is lost, it is local.

    Args:
        state: Where open breakers and cooldowns are shared.
        rng: The source of jitter.
        most: Deployments remembered.
    """

    def __init__(self, state: RedisState, *, rng: random.Random | None = None, most: int = 2048) -> None:
        check_state(self, state)
        super().__init__(rng=rng, most=most)
        self._state = state

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a new one with the same server."""
        return (type(self), (self._state,))

    @property
    def shared(self) -> RedisState:
        """Where open breakers and cooldowns are shared."""
        return self._state

    @property
    def all_available(self) -> bool:
        """Whether no breaker is open and nothing cools down, in any process."""
        return super().all_available and not self._state.blocks()

    def check(self, attempt: Attempt) -> None:
        """Check, right before a request leaves, that its breaker admits it; see `Health.check`."""
        if not self.all_available:
            self._check(attempt)

    def reset(self, name: str | None = None) -> None:
        """Forget what was learned of the deployments of that name, or of all, in all processes."""
        super().reset(name)
        for held in self._state.blocks():
            if name is None or held.partition("|")[0] == name:
                self._state.unblock(held)

    def learn(self, target: Target, now: float, request: object, result: AttemptResult) -> None:
        """Learn how a request ended; share it if the deployment is blocked then."""
        super().learn(target, now, request, result)
        left, cooling = super().blocked(target, now)
        if left > 0:
            self._state.block(_name_of(target), left, _COOLING if cooling else result.reason)

    def blocked(self, target: Target, now: float) -> tuple[float, bool]:
        """Return the seconds until the deployment may be tried, and whether it only cools down."""
        own, (left, reason) = super().blocked(target, now), self._state.blocked(_name_of(target))
        return own if own[0] >= left else (left, reason == _COOLING)

    def admits(self, target: Target, now: float, *, last_resort: bool = False) -> bool:
        """Return whether a request may be sent now; a breaker that another process opened holds here too."""
        left, reason = self._state.blocked(_name_of(target))
        if left > 0 and reason != _COOLING and not last_resort and not super().blocked(target, now)[0]:
            return False
        return super().admits(target, now, last_resort=last_resort)

    def snapshots(self, targets: Iterable[Target], now: float) -> list[HealthView]:
        """Return the health of several deployments."""
        listed = tuple(targets)
        views = super().snapshots(listed, now)
        if not self._state.blocks():
            return views
        return [self._with_block(target, view, now) for target, view in zip(listed, views, strict=True)]

    def _with_block(self, target: Target, view: HealthView, now: float) -> HealthView:
        left, reason = self._state.blocked(_name_of(target))
        if now + left <= view.open_until or left <= 0:
            return view
        return view._replace(state="open", open_until=now + left, cooling=reason == _COOLING, reason=reason)


def _name_of(target: Target) -> str:
    return f"{target.name}|{target.account}"
