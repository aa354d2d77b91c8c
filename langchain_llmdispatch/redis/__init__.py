"""Shared state on a Redis server: limits, health and budgets of many processes.

Owns: the Redis client, its Lua scripts, and what happens while the server is lost.
Must not know: vendors, dispatch beyond attempts, the chat model. redis-py is imported when a class is made.
"""

from __future__ import annotations

from langchain_llmdispatch.redis.budget import RedisBudget
from langchain_llmdispatch.redis.health import RedisHealth
from langchain_llmdispatch.redis.limits import RedisLimits
from langchain_llmdispatch.redis.state import RedisState

__all__ = ["RedisBudget", "RedisHealth", "RedisLimits", "RedisState"]
