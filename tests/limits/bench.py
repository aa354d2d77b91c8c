"""A limiter in virtual time, and attempts that go through it: what the tests of limits share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch import Deployment, VendorConfig
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.limits.permit import Permit
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import dispatch_of

ENVIRONMENT = {"OPENAI_API_KEY": "sk-test"}


def target(name: str = "a", *, vendor: VendorConfig | None = None, **limits: Any) -> Target:
    """Return a target on OpenAI with limits."""
    configs = {"openai": vendor} if vendor is not None else {}
    resolver = Resolver(VendorTable(), configs, ENVIRONMENT)
    return resolver.target(Deployment(f"openai:{name}", name=name, **limits))


def usage(total: int) -> UsageMetadata:
    """Return the tokens that a vendor reports."""
    return {"input_tokens": total, "output_tokens": 0, "total_tokens": total}


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that another thread brings about."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.001)
    raise AssertionError("the condition never held")


class FrozenClock(FakeClock):
    """A virtual clock that sleeping does not move until it is thawed."""

    frozen = True

    def sleep(self, seconds: float) -> None:
        """Wait a moment of real time while frozen, so that other threads can go on."""
        if self.frozen:
            time.sleep(0.001)
        else:
            super().sleep(seconds)


class Bench:
    """A limiter in virtual time, and attempts that go through it."""

    def __init__(self, clock: FakeClock | None = None, **fields: Any) -> None:
        self.clock = clock or FakeClock()
        self.limiter = Limiter(clock=self.clock, **fields)

    def attempt(self, to: Target, deadline: float | None = None) -> Attempt:
        """Return a first attempt at a target."""
        policy = CallPolicy(times=TimeLimits(deadline=deadline))
        return next(dispatch_of([to], policy, clock=self.clock).attempts())

    def take(self, to: Target, tokens: float = 0.0, deadline: float | None = None) -> Permit:
        """Return a permit for an attempt that is then sent."""
        attempt = self.attempt(to, deadline)
        permit = self.limiter.acquire(attempt, tokens=tokens)
        assert permit is not None
        attempt.send()
        return permit

    def go(self, to: Target, tokens: float = 0.0) -> float:
        """Send an attempt that uses what it reserved, and return the moment."""
        attempt = self.attempt(to)
        permit = self.limiter.acquire(attempt, tokens=tokens)
        attempt.send()
        with permit or nullcontext():
            return self.moment(permit)

    async def ago(self, to: Target, tokens: float = 0.0) -> float:
        """Send an attempt in an event loop, as `go` does, and return the moment."""
        attempt = self.attempt(to)
        permit = await self.limiter.aacquire(attempt, tokens=tokens)
        attempt.send()
        with permit or nullcontext():
            return self.moment(permit)

    def moment(self, permit: Permit | None) -> float:
        """Return when a permit was granted, which its own thread may learn late."""
        return self.clock.monotonic() if permit is None else permit._began + permit.waited

    def queue(self) -> Any:
        """Return the queue of the only limited target."""
        return next(iter(self.limiter._queues.values()))

    def settled(self) -> None:
        """Wait until the limiter's loop has run what was posted."""
        done, loop = threading.Event(), self.limiter._loop

        async def some_turns() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
            done.set()

        tasks: list[asyncio.Future[None]] = []
        loop.post(lambda: tasks.append(asyncio.ensure_future(some_turns())))
        assert done.wait(60)

    async def agoes(self, to: Target, tokens: Sequence[float]) -> list[tuple[int, float]]:
        """Send many at once, and return their numbers and moments, in the order of sending."""
        went: list[tuple[int, float]] = []

        async def one(number: int, amount: float) -> None:
            went.append((number, await self.ago(to, amount)))

        await asyncio.gather(*(one(number, amount) for number, amount in enumerate(tokens)))
        return went
