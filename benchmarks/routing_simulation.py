"""Routing in virtual time: what each strategy does when vendors slow down, fail, recover or change prices.

    python benchmarks/routing_simulation.py [--requests N] [--scenario NAME] [--json]

The decisions are the library's own (`Router`, `Health`, `Dispatch` with its retries, breakers and retry
budget); only vendors, clock and the waiting are simulated. Requests arrive at random, are under way at the
same time, and every figure is reproducible by seed.

    lost      calls that ended in an error, of all
    before    the bad deployment's share of the last 100 first choices before it went bad
    bad       requests that the bad deployment got from the moment it went bad until its share of the last
              100 first choices was below 5 %; `never` if it never was
    seconds   how long that took
    back      seconds from recovery until it had a fair share again (half of its share before), or `never`
    p95       seconds of answered calls, waiting and retries included
    cost      dollars spent, over those of asking the cheapest for everything
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.budgets import RetryBudget
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments import Deployment
from langchain_llmdispatch.dispatch import Attempt, Dispatch, Policy
from langchain_llmdispatch.health import Health
from langchain_llmdispatch.observers import Observers
from langchain_llmdispatch.retries import RetryPolicy
from langchain_llmdispatch.routing.forecast import Forecast
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.routing.router import Ask, Router
from langchain_llmdispatch.targets import Resolver, Target
from langchain_llmdispatch.types import ChatRequest, TimeLimits
from langchain_llmdispatch.vendors import builtin_vendors

STRATEGIES = ("ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced")
RATE = 20.0
"""Calls per second."""
BAD_FROM, BAD_UNTIL = 0.3, 0.6
"""When the bad time begins and ends, as shares of the run."""
TIMEOUT = 30.0
FEW = 0.05


class VirtualClock(Clock):
    """A clock that the simulation moves."""

    time = 0.0

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self.time

    def now(self) -> datetime:
        """Return a virtual time of day."""
        return datetime(2026, 11, 24, tzinfo=UTC) + timedelta(seconds=self.time)


@dataclass
class Vendor:
    """How a simulated deployment behaves at the moment.

    Attributes:
        first: Seconds to the first token.
        per_token: Seconds per token after it.
        fails: Share of requests that fail.
        error: What they fail with.
    """

    first: float = 0.3
    per_token: float = 0.005
    fails: float = 0.0
    error: Callable[[], errors.DispatchError] = field(
        default=lambda: errors.ServerError("down", status_code=503)
    )


Scenario = Callable[[Vendor, float], None]
"""Sets a vendor as it is at a moment of the bad time, from 0 to 1."""


def step(vendor: Vendor, _: float) -> None:
    """From 0.3 to 8 s at once."""
    vendor.first = 8.0


def ramp(vendor: Vendor, moment: float) -> None:
    """Slower and slower, up to 8 s."""
    vendor.first = 0.3 + 7.7 * moment


def spike(vendor: Vendor, moment: float) -> None:
    """Ten seconds of trouble, then well again."""
    vendor.first = 8.0 if moment < 0.1 else 0.3


def outage(vendor: Vendor, _: float) -> None:
    """Every request fails at once."""
    vendor.fails, vendor.first = 1.0, 0.02


def flaky(vendor: Vendor, _: float) -> None:
    """Two in five fail."""
    vendor.fails = 0.4


def storm(vendor: Vendor, _: float) -> None:
    """Rate limits with a Retry-After of 5 s."""
    vendor.fails, vendor.first = 0.9, 0.02
    vendor.error = lambda: errors.RateLimitError("slow down", status_code=429, retry_after=5.0)


def hang(vendor: Vendor, _: float) -> None:
    """No answer, ever: each request runs into its timeout."""
    vendor.first = 1000.0


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario for scenario in (step, ramp, spike, outage, flaky, storm, hang)
}


class Simulation:
    """One strategy in one scenario: ten deployments, the first of which goes bad for a while."""

    def __init__(self, strategy: str, scenario: Scenario, requests: int, seed: int = 1) -> None:
        self.rng, self.clock = random.Random(seed), VirtualClock()
        self.router, self.scenario, self.requests = Router(strategy), scenario, requests
        self.health, self.retries = Health(rng=random.Random(seed)), RetryBudget()
        self.targets = _fleet()
        self.vendors = {target.name: Vendor() for target in self.targets}
        self.length = requests / RATE
        self.policy = Policy(RetryPolicy(), 6, TimeLimits(TIMEOUT, 120.0))
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.counted = 0
        self.firsts: deque[bool] = deque(maxlen=100)
        self.result = Result(strategy, scenario.__name__)

    def run(self) -> Result:
        """Run it to the end."""
        moment = 0.0
        for _ in range(self.requests):
            moment += self.rng.expovariate(RATE)
            self._at(moment, self._call)
        while self.events:
            when, _, act = heapq.heappop(self.events)
            self.clock.time = max(self.clock.time, when)
            act()
        self.result.finish()
        return self.result

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        self.counted += 1
        heapq.heappush(self.events, (moment, self.counted, act))

    def _call(self) -> None:
        self._weather()
        request = ChatRequest([HumanMessage("x" * 2000)], params={"max_tokens": 2000})
        forecast = Forecast(Needs(request), self.health, self.clock.time, self.clock.now())
        ask = Ask(forecast.needs, self.targets, forecast, self.rng, self.health, longest_wait=60.0)
        decision = self.router.decide(ask)
        if self.router.takes_turns:
            self.health.chosen(decision.targets[0])
        dispatch = Dispatch(
            decision.targets,
            self.policy,
            clock=self.clock,
            rng=self.rng,
            observer=Observers(self.health),
            waits=decision.waits,
            clearance=self._clear,
            retry_budget=self.retries,
        )
        self._watch(decision.targets[0].name)
        Walk(self, dispatch).next()

    def _clear(self, attempt: Attempt) -> None:
        if not self.health.permit(attempt.target, self.clock.time, last_resort=attempt.last_resort):
            raise errors.BreakerOpenError("open")

    def _weather(self) -> None:
        moment = self.clock.time / self.length
        bad = self.vendors[self.targets[0].name]
        if BAD_FROM <= moment < BAD_UNTIL:
            self.scenario(bad, (moment - BAD_FROM) / (BAD_UNTIL - BAD_FROM))
        else:
            self.vendors[self.targets[0].name] = Vendor()

    def _watch(self, first: str) -> None:
        self.firsts.append(first == self.targets[0].name)
        if len(self.firsts) == self.firsts.maxlen:
            share = sum(self.firsts) / len(self.firsts)
            self.result.watch(self.clock.time, self.length, share)


class Walk:
    """One call on its way: its attempts, as events."""

    def __init__(self, simulation: Simulation, dispatch: Dispatch) -> None:
        self.simulation, self.attempts = simulation, dispatch.attempts()
        self.began = simulation.clock.time

    def next(self) -> None:
        """Begin the next attempt, or note the end."""
        result = self.simulation.result
        try:
            attempt = next(self.attempts)
        except StopIteration:
            result.latencies.append(self.simulation.clock.time - self.began)
            return
        except errors.DispatchError:
            result.lost += 1
            return
        moment = self.simulation.clock.time + attempt.delay
        self.simulation._at(moment, lambda: self._send(attempt))  # noqa: SLF001

    def _send(self, attempt: Attempt) -> None:
        simulation, rng = self.simulation, self.simulation.rng
        vendor = simulation.vendors[attempt.target.name]
        try:  # what is `with attempt:` elsewhere; here its end comes as an event
            attempt.send()
        except errors.DispatchError as error:
            attempt.__exit__(type(error), error, None)
            self.next()
            return
        simulation.result.sent(to_bad=attempt.target is simulation.targets[0])
        tokens = max(1, round(rng.lognormvariate(5.0, 0.6)))
        noise = rng.lognormvariate(0.0, 0.2)
        failed = rng.random() < vendor.fails
        seconds = vendor.first * noise + (0.0 if failed else tokens * vendor.per_token * noise)
        late = seconds > TIMEOUT
        fault = errors.AttemptTimeoutError("late") if late else vendor.error() if failed else None
        end = simulation.clock.time + min(seconds, TIMEOUT)
        simulation._at(end, lambda: self._end(attempt, fault, tokens, vendor.first * noise))  # noqa: SLF001

    def _end(self, attempt: Attempt, fault: errors.DispatchError | None, tokens: int, first: float) -> None:
        simulation = self.simulation
        with attempt:
            if fault is not None:
                raise fault
            attempt.usage = {"input_tokens": 500, "output_tokens": tokens, "total_tokens": 500 + tokens}
            attempt._first_at = (attempt._sent_at or 0.0) + first  # noqa: SLF001 - a stream's first token
            simulation.result.paid(attempt.target.deployment, tokens)
            attempt.succeed()
        self.next()


@dataclass
class Result:
    """What came of one simulation."""

    strategy: str
    scenario: str
    lost: int = 0
    latencies: list[float] = field(default_factory=list)
    spent: Decimal = Decimal(0)
    cheapest: Decimal = Decimal(0)
    to_bad: int = 0
    bad_requests: int | None = None
    bad_seconds: float | None = None
    back_seconds: float | None = None
    _before: float = 0.0
    _began: float | None = None

    def sent(self, *, to_bad: bool) -> None:
        """Note a request."""
        if to_bad and self._began is not None and self.bad_requests is None:
            self.to_bad += 1

    def watch(self, now: float, length: float, share: float) -> None:
        """Note the bad deployment's share of first choices."""
        if now < BAD_FROM * length:
            self._before = share
            return
        if self._began is None:
            self._began = now
        if now < BAD_UNTIL * length and share < FEW and self.bad_requests is None:
            self.bad_requests, self.bad_seconds = self.to_bad, now - self._began
        if now >= BAD_UNTIL * length and self.back_seconds is None and share >= self._before / 2:
            self.back_seconds = now - BAD_UNTIL * length

    def paid(self, deployment: Deployment, tokens: int) -> None:
        """Note what an answer cost, and what it would have cost at the cheapest."""
        for price, total in ((deployment.input_price, "spent"), (CHEAPEST, "cheapest")):
            usd = Decimal(str(price)) * (500 + 4 * tokens) / 1_000_000
            setattr(self, total, getattr(self, total) + usd)

    def finish(self) -> None:
        """Sort."""
        self.latencies.sort()

    def to_dict(self) -> dict[str, Any]:
        """Return the figures."""
        answered = self.latencies or [0.0]
        return {
            "scenario": self.scenario,
            "strategy": self.strategy,
            "lost": self.lost,
            "before": self._before,
            "bad": self.bad_requests,
            "seconds": self.bad_seconds,
            "back": self.back_seconds if self._before >= FEW else None,
            "p50": answered[len(answered) // 2],
            "p95": answered[int(len(answered) * 0.95)],
            "cost": float(self.spent / self.cheapest) if self.cheapest else 0.0,
        }


PRICES = (1.0, 0.25, 0.5, 2.0, 3.0, 1.0, 1.5, 0.75, 2.5, 1.25)
CHEAPEST = min(PRICES)


def _fleet() -> Sequence[Target]:
    resolver = Resolver(builtin_vendors(), {}, {"OPENAI_API_KEY": "k"})
    made = (
        Deployment("openai:gpt-5.4-mini", name=f"d{n}", input_price=price, output_price=4 * price)
        for n, price in enumerate(PRICES)
    )
    return tuple(resolver.target(deployment) for deployment in made)


def price_change(requests: int) -> dict[str, float]:
    """Return the share that the cheapest gets before and after its price rises, under `lowest_cost`."""
    fleet, clock, shares = _fleet(), VirtualClock(), {}
    cheap = fleet[PRICES.index(CHEAPEST)]
    dear = Resolver(builtin_vendors(), {}, {"OPENAI_API_KEY": "k"}).target(
        Deployment("openai:gpt-5.4-mini", name=cheap.name, input_price=9.0, output_price=36.0)
    )
    router, rng = Router("lowest_cost"), random.Random(1)
    for word, now in (("before", fleet), ("after", tuple(dear if t is cheap else t for t in fleet))):
        first = 0
        for _ in range(requests):
            needs = Needs(ChatRequest([HumanMessage("x" * 2000)]))
            ask = Ask(needs, now, Forecast(needs, None, 0.0, clock.now()), rng)
            first += router.decide(ask).targets[0].name == cheap.name
        shares[word] = first / requests
    return shares


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000, help="calls per strategy and scenario")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), action="append")
    parser.add_argument("--strategy", choices=STRATEGIES, action="append")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    rows = []
    for name in options.scenario or SCENARIOS:
        for strategy in options.strategy or STRATEGIES:
            rows.append(Simulation(strategy, SCENARIOS[name], options.requests).run().to_dict())
            if not options.json:
                if len(rows) == 1:
                    print("".join(f"{word:>15}" for word in rows[0]))
                print("".join(f"{_shown(value):>15}" for value in rows[-1].values()), flush=True)
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        shares = price_change(1000)
        before, after = shares["before"], shares["after"]
        print(f"price change under lowest_cost: {before:.0%} of calls before, {after:.0%} after")
    return 0


def _shown(value: Any) -> str:
    if value is None:
        return "never"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
