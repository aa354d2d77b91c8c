"""What a chat model and its copies share: limits, health, statistics, connections, and what was resolved.

LangChain copies a model for a run (`configurable_fields`), users copy it with other fields (`model_copy`),
and pickles carry it to other processes, where one process may read the same pickle for each of its tasks. All
of these are one model to the vendors. Two models that are constructed are two, however equal.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.chat_model.fields import registry_of
from langchain_llmdispatch.chat_model.spending import budgets_of
from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.redis import RedisConfig, resolved
from langchain_llmdispatch.config.schema import ModelFields
from langchain_llmdispatch.deployments.registry import DeploymentRegistry
from langchain_llmdispatch.dispatch.retry_quota import RetryBalance, RetryQuota
from langchain_llmdispatch.drivers.token_counts import RemoteCounts
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.routing.affinity import Affinity
from langchain_llmdispatch.routing.warmth import Warmth
from langchain_llmdispatch.stats.counters import Counters
from langchain_llmdispatch.transport.transport import Transport

# The fields that deployments are resolved from.
_RESOLVED = (
    *("model", "models", "routes", "vendors", "custom_vendors", "default_vendor", "fallback_vendor"),
    *("allowed_vendors", "env", "api_key", "base_url", "missing_keys"),
)
# Unpickled models whose state is kept after the last of them is dropped: the next task reads it again.
_KEPT = 16


class SharedState:
    """What one model and its copies share. Safe to share between threads and event loops.

    Args:
        fields: The model's configuration.

    Attributes:
        token: Identifies the model in pickles of it.
        clock: The source of time.
        limiter: The limits, those that were handed in or its own.
        health: The health of the deployments, likewise.
        budget: The budget that was handed in, or None.
        budgets: The budgets, those that were handed in or those over Redis.
        redis: Where they are shared by processes, or None.
        counters: The statistics.
        transport: The connections.
        token_counts: Counts of tokens that vendors have made.
        affinity: Which deployment answered which thread.
        warmth: What prompt caches hold of which thread.
        retry_balance: What the retry quota leaves.
    """

    def __init__(self, fields: ModelFields) -> None:
        self.token, self.clock, self.budget = uuid4().hex, fields.clock, fields.budget
        self.redis = redis_of(fields)
        self.limiter, self.health, self.budgets = _parts(fields, self.redis)
        self.counters, self.affinity, self.warmth = Counters(fields.clock), Affinity(), Warmth()
        self.transport = Transport(environment=fields.env)
        self.token_counts = RemoteCounts(self.transport, fields.clock)
        self.retry_balance = RetryBalance(fields.retry_quota or RetryQuota())
        self._retry_quota = fields.retry_quota
        self._resolved, self._registry = _resolved(fields), registry_of(fields)
        self._redis = fields.redis
        STATES.add(self)

    @classmethod
    def of(cls, fields: ModelFields) -> SharedState:
        """Return the state that the fields were handed, or a new one; both must go by the same clock."""
        held: SharedState | None = getattr(fields, "shared_state", None)
        return held if held is not None and held.clock is fields.clock else cls(fields)

    def registry_of(self, fields: ModelFields) -> DeploymentRegistry:
        """Return the deployments of a model that shares this state; resolved anew where its fields differ.

        Raises:
            ConfigurationError: Fields are contradictory, or name something that is not known.
        """
        return self._registry if _resolved(fields) == self._resolved else registry_of(fields)

    def parts_of(self, fields: ModelFields) -> tuple[Limiter, Health, Sequence[Budget]]:
        """Return limits, health and budgets of a model; of its own where its fields differ."""
        if fields.redis != self._redis:
            return _parts(fields, redis_of(fields))
        return (
            self.limiter if fields.limiter is None else fields.limiter,
            self.health if fields.health is None else fields.health,
            budgets_of(fields.budget) or (self.budgets if self.budget is None else ()),
        )

    def retry_balance_of(self, fields: ModelFields) -> RetryBalance | None:
        """Return what the quota of a model leaves; one of its own where the model has another quota."""
        if fields.retry_quota is None:
            return None
        same = fields.retry_quota == self._retry_quota
        return self.retry_balance if same else RetryBalance(fields.retry_quota)


def redis_of(fields: ModelFields) -> RedisConfig | None:
    """Return where a model shares, by its field or the environment; None for nowhere.

    Raises:
        ConfigurationError: The URL is missing or none of Redis.
    """
    return resolved(fields.redis, environment() if fields.env is None else fields.env)


def _parts(fields: ModelFields, redis: RedisConfig | None) -> tuple[Limiter, Health, Sequence[Budget]]:
    given = budgets_of(fields.budget)
    if redis is not None:
        from langchain_llmdispatch.chat_model.shared_redis import redis_parts

        limiter, health, shared = redis_parts(fields, redis)
        return limiter, health, given or shared
    limiter = Limiter(clock=fields.clock) if fields.limiter is None else fields.limiter
    return limiter, Health(rng=fields.rng) if fields.health is None else fields.health, given


def _resolved(fields: ModelFields) -> tuple[Any, ...]:
    return tuple(getattr(fields, name) for name in _RESOLVED)


class UnpickledStates:
    """The states of the models of this process, by token: reading one pickle twice makes one model of two.

    Those that were read from pickles are kept for a while after the last model is dropped, since a worker
    reads the pickle anew for each task.
    """

    def __init__(self) -> None:
        self._known: weakref.WeakValueDictionary[str, SharedState] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[str, SharedState] = OrderedDict()
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self.lock = threading.RLock()  # held while a model is unpickled: two threads must not make two states

    def get(self, token: str) -> SharedState | None:
        """Return the state of the model that has this token in its pickles."""
        return self._known.get(token)

    def add(self, state: SharedState) -> None:
        """Remember the state of a model for as long as it lives."""
        self._known[state.token] = state

    def keep(self, token: str, state: SharedState) -> None:
        """Keep the state of an unpickled model under its token; the oldest are dropped first."""
        with self.lock:
            state.token = token
            self._known[token] = self._kept[token] = state
            self._kept.move_to_end(token)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)


STATES = UnpickledStates()
"""Process-wide: copies of one model are recognised by their token alone."""
