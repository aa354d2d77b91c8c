"""Targets for tests of routing: resolved deployments on several vendors, without a network."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.types import ChatRequest

KEYS = {f"{vendor}_API_KEY": "test" for vendor in ("OPENAI", "ANTHROPIC", "GOOGLE", "COHERE")}
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
RESOLVER = Resolver(VendorTable(), {}, KEYS)


def target(name: str, model: str = "openai:gpt-5.4-mini", **fields: Any) -> Target:
    """Return one resolved deployment."""
    return RESOLVER.target(Deployment(model, name=name, **fields))


def targets(*names: str, **fields: Any) -> tuple[Target, ...]:
    """Return resolved deployments of one model, by name."""
    return tuple(target(name, **fields) for name in names)


def request(text: str | Sequence[BaseMessage] = "hello", **fields: Any) -> ChatRequest:
    """Return a request."""
    return ChatRequest([HumanMessage(text)] if isinstance(text, str) else text, **fields)


def routing(
    fleet: Sequence[Target],
    chat_request: ChatRequest | None = None,
    *,
    health: Health | None = None,
    now: float = 0.0,
    seed: int = 1,
    at: datetime = NOON,
    **fields: Any,
) -> RoutingRequest:
    """Return what a decision depends on at one moment."""
    given = {"model": fleet[0].model, "pool": fleet, **fields}
    return RoutingRequest(chat_request or request(), fleet, random.Random(seed), now, at, health, **given)


def learn(health: Health, where: Target, *, at: float = 0.0, times: int = 1, **result: Any) -> None:
    """Have requests begin and end at one moment."""
    for _ in range(times):
        flight = object()
        health.begin(where, at, flight)
        health.learn(where, at, flight, AttemptResult(**result))


def fail(health: Health, where: Target, *, at: float = 0.0, times: int = 5, **result: Any) -> None:
    """Have requests fail at one moment: five open a breaker."""
    learn(health, where, at=at, times=times, **{"blame": "health", "reason": "ServerError", **result})
