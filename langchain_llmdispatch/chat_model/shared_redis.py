"""What a model shares over Redis: made from the field `redis`, and described for people.

Imported only where something is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.config.redis import RedisConfig
from langchain_llmdispatch.config.schema import ModelFields
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.redis.budget import RedisBudget
from langchain_llmdispatch.redis.health import RedisHealth
from langchain_llmdispatch.redis.limits import RedisLimits
from langchain_llmdispatch.redis.server import RedisStore
from langchain_llmdispatch.redis.state import RedisState


def redis_parts(fields: ModelFields, config: RedisConfig) -> tuple[Limiter, Health, Sequence[Budget]]:
    """Return limits, health and budgets over Redis; those that the fields have win. Nothing connects.

    Args:
        fields: The model's configuration.
        config: Where they are shared, resolved.

    Raises:
        ConfigurationError: redis-py is not installed.
    """
    limiter, health = fields.limiter, fields.health
    budgets: Sequence[Budget] = ()
    clock = None if type(fields.clock) is Clock else fields.clock
    url = "" if config.url is None else config.url.get_secret_value()
    common: dict[str, Any] = {"prefix": config.namespace, "timeout": config.timeout, "clock": clock}
    if limiter is None:
        shared = RedisLimits(url, processes=config.processes, **common)
        limiter = Limiter(clock=fields.clock, shared=shared)
    configured = config.budgets if fields.budget is None else ()
    if health is None or configured:
        state = RedisState(url, refresh=config.refresh, **common)
        health = RedisHealth(state, rng=fields.rng) if health is None else health
        if isinstance(limiter.shared, RedisLimits):
            limiter.shared.describe_with(state)
        budgets = tuple(RedisBudget(state, each.name, each.usd, **each.settings) for each in configured)
    return limiter, health, budgets


def sharing(limiter: Limiter, health: Health, budgets: Sequence[Budget]) -> str:
    """Return what is shared over Redis, and where, in one line; an empty text if nothing is."""
    held = {"limits": limiter.shared, "health": getattr(health, "shared", None)}
    stores = {name: store for name, store in held.items() if isinstance(store, RedisStore)}
    together = [each for each in budgets if isinstance(each, RedisBudget)]
    names = [*stores, *(f"budget {each.name!r}" for each in together)]
    if not names:
        return ""
    where = " at " + next(iter(stores.values())).where if stores else ""
    alone = len(budgets) - len(together)
    notes = [f"{alone} of the budgets in this process only"] if alone else []
    notes += [f"lost now: {store.meanwhile}" for store in stores.values() if not store.is_up][:1]
    text = ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]
    return "; ".join([f"{text} over Redis{where}", *notes])
