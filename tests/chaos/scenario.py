"""One model of a chaos run: settings drawn from the seed, and rounds of calls between which time passes."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.clock import Clock
from tests.chaos.calls import ChaosCall
from tests.chaos.ledger import Ledger
from tests.chaos.vendors import ChaosVendors
from tests.loopback.server import LoopbackServer
from tests.models import VENDORS, deployment

PATIENCE = 10.0
"""Seconds after which what has not come to rest counts as leaked."""
ROUNDS = 3
THREADS, LOOPS, TASKS = 6, 2, 10
DEADLINES = (0.3, 0.6, 1.2)


class SteppedClock(Clock):
    """The real time, which steps forward between rounds: breakers and cooldowns end without a wait."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        """Return the real seconds and the steps."""
        return time.monotonic() + self.ahead

    def now(self) -> datetime:
        """Return the real time of day and the steps."""
        return super().now() + timedelta(seconds=self.ahead)


class LagMeter:
    """How late threads are scheduled at most: what a busy machine adds to every moment.

    Attributes:
        lag: Seconds.
    """

    def __init__(self) -> None:
        self.lag = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="lag", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _measure(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.01):
            now = time.monotonic()
            self.lag = max(self.lag, now - before - 0.01)
            before = now


@dataclass
class Scenario:
    """One model, its calls, and everything that is known of them afterwards.

    Attributes:
        seed: What everything is drawn from.
        calls: The calls.
        vendors: How the server responded.
        ledger: The attempts.
        settings: The fields of the model.
        deployments: Its deployments.
        clock: Its clock.
        lag: Seconds by which threads were scheduled late at most.
        books: The statistics at the end.
        spent: Dollars entered in the budget, or None.
        left_behind: What was not at rest at the end, by kind.
    """

    seed: str
    calls: list[ChaosCall]
    vendors: ChaosVendors
    ledger: Ledger
    settings: dict[str, Any]
    deployments: list[Deployment]
    clock: SteppedClock
    lag: float = 0.0
    books: Any = None
    spent: Any = None
    left_behind: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def drawn(cls, server: LoopbackServer, seed: str, count: int) -> Scenario:
        """Draw a model and `count` calls."""
        rng = random.Random(seed)
        settings = drawn_settings(rng)
        deployments = drawn_deployments(server, rng)
        calls = [ChaosCall.drawn(seed, number, asynchronous=number % 2 == 1) for number in range(count)]
        return cls(seed, calls, ChaosVendors(seed), Ledger(), settings, deployments, SteppedClock())

    def run(self, server: LoopbackServer, *, alone: bool = False) -> None:
        """Make the calls, and take stock.

        Args:
            server: Responds.
            alone: Whether one call is made after the other.
        """
        server.clear()
        server.planner = self.vendors.plan
        rng = random.Random(f"{self.seed}/moods")
        names = [each.name or "" for each in self.deployments]
        with at_rest_afterwards(server, self.left_behind), LagMeter() as meter:
            model = DispatcherChatModel(
                models=self.deployments,
                env={},
                clock=self.clock,
                rng=random.Random(self.seed),
                **self.settings,
            )
            model._engine.transport.middlewares = (self.ledger,)
            for number in range(ROUNDS):
                self.vendors.draw_moods(names, rng)
                run_round(model, self.calls[number::ROUNDS], alone=alone)
                self.clock.ahead += rng.choice([0.0, 6.0, 20.0, 400.0])
            self._take_stock(model)
            model._engine.limiter.close()
            model.close()
            del model
        self.lag = meter.lag
        server.planner = None

    def _take_stock(self, model: DispatcherChatModel) -> None:
        budget = model.budget
        wait_until(lambda: not unsettled(model) and self.ledger.all_over)
        self.left_behind |= unsettled(model)
        self.books = model.get_stats()
        self.spent = None if budget is None else budget.spent(self.clock.now())


def drawn_settings(rng: random.Random) -> dict[str, Any]:
    """Draw the fields of a model."""
    attempts, retries = rng.choice([1, 2, 3, 5, 8]), rng.choice([0, 1, 2, 4])
    budget = rng.choice([None, Budget(1000), Budget(0.05)])
    return {
        "strategy": rng.choice(
            ["ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced"]
        ),
        "max_attempts": attempts,
        "retry_policy": RetryPolicy(max_retries=retries, initial_delay=0.002, max_delay=0.02),
        "deadline": rng.choice(DEADLINES),
        "timeout": rng.choice([0.1, 0.2]),
        "first_token_timeout": rng.choice([None, 0.08]),
        "stream_idle_timeout": rng.choice([None, 0.08]),
        "on_stream_error": rng.choice(["raise", "resume", "resume"]),
        "hedge_after": rng.choice([None, None, 0.008]),
        "escalate_when": rng.choice([None, None, "length"]),
        "wait_for_preferred": rng.choice([0.0, 0.03]),
        "budget": budget,
        "budget_usd": rng.choice([None, None, 0.01]),
        "max_tokens": 50,
    }


def drawn_deployments(server: LoopbackServer, rng: random.Random) -> list[Deployment]:
    """Draw deployments of several vendors, each with prices, some with limits."""
    vendors = rng.sample(VENDORS, rng.randint(2, 5))
    vendors += rng.choices(vendors, k=rng.randint(0, 2))
    return [
        deployment(
            server,
            vendor,
            f"{vendor}-{place}",
            input_price=rng.choice([0.1, 1, 7]),
            output_price=rng.choice([0.4, 3, 30]),
            rpm=rng.choice([None, None, None, 60_000]),
            tpm=rng.choice([None, None, 10_000_000]),
            max_concurrency=rng.choice([None, None, None, 2, 6]),
        )
        for place, vendor in enumerate(vendors)
    ]


# -- rounds ----------------------------------------------------------------------------------------


def run_round(model: DispatcherChatModel, calls: Sequence[ChaosCall], *, alone: bool) -> None:
    """Make calls in threads and event loops at once, or one after the other."""
    asynchronous = [call for call in calls if call.colour.startswith("a")]
    threaded = [call for call in calls if not call.colour.startswith("a")]
    if alone:
        for call in calls:
            if call.colour.startswith("a"):
                run_in_loop(model, [call], 1)
            else:
                call.run(model)
        return
    jobs: list[Callable[[], None]] = [
        lambda part=threaded[place::THREADS]: [call.run(model) for call in part] for place in range(THREADS)
    ]
    jobs += [
        lambda part=asynchronous[place::LOOPS], place=place: run_in_loop(model, part, TASKS, uv=place == 1)
        for place in range(LOOPS)
    ]
    threads = [threading.Thread(target=job, name="chaos") for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run_in_loop(
    model: DispatcherChatModel, calls: Sequence[ChaosCall], tasks: int, *, uv: bool = False
) -> None:
    """Make calls in an event loop of this thread, so many at once."""

    async def some(part: Sequence[ChaosCall]) -> None:
        for call in part:
            await call.arun(model)

    async def main() -> None:
        await asyncio.gather(*(some(calls[place::tasks]) for place in range(tasks)))
        deadline = time.monotonic() + PATIENCE
        while len(asyncio.all_tasks()) > 1 and time.monotonic() < deadline:
            await asyncio.sleep(0.002)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            raise RuntimeError(f"tasks are left: {left}")

    factory = None
    if uv and sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


# -- what is left ----------------------------------------------------------------------------------


def wait_until(settled: Callable[[], bool]) -> None:
    """Wait until something holds, or patience is over."""
    began = time.monotonic()
    while not settled() and time.monotonic() < began + PATIENCE:
        if time.monotonic() > began + 0.1:
            gc.collect()
        time.sleep(0.001)


def unsettled(model: DispatcherChatModel) -> dict[str, Any]:
    """Return what a model still holds of calls that are over, by kind."""
    engine = model._engine
    queues = [queue for target in engine.registry.all for queue in engine.limiter._queues_of(target)]
    health = engine.health._deployments.values()
    pools = engine.transport._sync.values()
    found = {
        "requests in flight": model.get_stats().in_flight,
        "in flight for health": sum(len(each.in_flight) for each in health),
        "slots": sum(len(queue._holders) for queue in queues),
        "queued": sum(len(queue._queued) for queue in queues),
        "busy connections": sum(len(pool.busy) for pool in pools),
        "reserved dollars": 0 if model.budget is None else len(model.budget._open),
    }
    return {name: count for name, count in found.items() if count}


@contextmanager
def at_rest_afterwards(server: LoopbackServer, found: dict[str, Any]) -> Iterator[None]:
    """Add to `found` the threads, connections and descriptors that are more at the end than before."""
    before = _held(server)
    yield

    def more() -> dict[str, Any]:
        now = _held(server)
        return {name: (before[name], now[name]) for name in now if now[name] > before[name]}

    wait_until(lambda: not more())
    found |= more()


def _held(server: LoopbackServer) -> dict[str, int]:
    return {
        "threads": threading.active_count(),
        "connections": server.open_connections,
        "descriptors": _descriptors(),
    }


def _descriptors() -> int:
    held = Path("/proc/self/fd")
    return len(list(held.iterdir())) if held.exists() else 0
