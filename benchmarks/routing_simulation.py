"""Routing in virtual time: what each strategy does when vendors slow down, fail, recover or change prices.

    python benchmarks/routing_simulation.py [--requests N] [--scenario NAME] [--strategy NAME] [--json]

From a checkout, with the package installed or only what it depends on. The decisions are the library's own
(`Router`, `Health`, `Dispatch` with its retries, breakers and retry budget); only vendors, clock and the
waiting are simulated. Ten deployments, 20 calls a second that arrive at random and are under way at the same
time; the first deployment, which is the cheapest too, is bad for the middle third of the run. Every figure
is reproducible by seed. `results/routing_simulation.txt` is what it printed last.

    lost      calls that ended in an error, of all
    before    the bad deployment's share of first choices before it went bad
    bad       requests that the bad deployment got from the moment it went bad until its share of 100 first
              choices in a row was below 5 %; `never` if it never was
    seconds   how long that took, the 100 choices (5 s) included
    slow      seconds of the slowest twentieth of answered calls (p95) while it was bad
    back      seconds from recovery until it had a fair share again (half of its share before, of 100 first
              choices in a row), or `never`; `-` where it had no share to lose
    after     its share of first choices over the last tenth of the run
    p50, p95  seconds of answered calls over the whole run, waiting and retries included
    cost      dollars spent, over those of asking the cheapest for everything
"""

from __future__ import annotations

import argparse
import heapq
import json
import platform
import random
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

sys.path.append(str(Path(__file__).parents[1]))  # where the package is not installed

from routing_figures import BAD_FROM, BAD_UNTIL, Result

from langchain_llmdispatch import errors
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.observer import Observers
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.dispatch.retry_quota import RetryBalance, RetryQuota
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.routing.forecast import Forecast
from langchain_llmdispatch.routing.needs import Needs
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.types import ChatRequest, TimeLimits

STRATEGIES = ("ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced")
PRICED = ("ordered", "weighted", "lowest_cost", "balanced")
"""Those for which a change of prices is worth a look: two that heed them, two that do not."""
RATE = 20.0
"""Calls per second."""
TIMEOUT = 30.0


class VirtualClock(Clock):
    """A clock that the simulation moves."""

    time = 0.0

    def __init__(self, start: datetime = datetime(2026, 11, 24, tzinfo=UTC)) -> None:
        self.start = start

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self.time

    def now(self) -> datetime:
        """Return a virtual time of day."""
        return self.start + timedelta(seconds=self.time)


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


REQUEST = ChatRequest([HumanMessage("x" * 2000)], params={"max_tokens": 2000})

Scenario = Callable[[Vendor, float], None]
"""Sets a vendor as it is at a moment of the bad time, from 0 to 1."""


def step(vendor: Vendor, _: float) -> None:
    """From 0.3 to 8 s at once."""
    vendor.first = 8.0


def ramp(vendor: Vendor, moment: float) -> None:
    """Slower and slower, up to 8 s."""
    vendor.first = 0.3 + 7.7 * moment


def spike(vendor: Vendor, moment: float) -> None:
    """From 0.3 to 8 s for a tenth of the bad time, then well again."""
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
        self.health, self.retries = Health(rng=random.Random(seed)), RetryBalance(RetryQuota())
        self.targets = _registry()
        self.vendors = {target.name: Vendor() for target in self.targets}
        self.length = requests / RATE
        self.policy = CallPolicy(RetryPolicy(), 6, TimeLimits(TIMEOUT, 120.0))
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
        return self.result

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        self.counted += 1
        heapq.heappush(self.events, (moment, self.counted, act))

    def _call(self) -> None:
        self._weather()
        now, at = self.clock.time, self.clock.now()
        routing = RoutingRequest(REQUEST, self.targets, self.rng, now, at, self.health)
        decision = self.router.decide(routing)
        if self.router.takes_turns:
            self.health.take_turn(decision.targets[0])
        call = CallState(
            REQUEST,
            decision.targets,
            self.policy,
            self.clock,
            waits=decision.waits,
            last_resorts=decision.last_resorts,
            observers=Observers(self.health),
            send_checks=(self.health.check,),
        )
        dispatch = Dispatch(call, rng=self.rng, retry_balance=self.retries)
        self._watch(decision.targets[0].name)
        Walk(self, dispatch).next()

    def _weather(self) -> None:
        moment = self.clock.time / self.length
        bad = self.vendors[self.targets[0].name]
        if BAD_FROM <= moment < BAD_UNTIL:
            self.scenario(bad, (moment - BAD_FROM) / (BAD_UNTIL - BAD_FROM))
        else:
            self.vendors[self.targets[0].name] = Vendor()

    def _watch(self, first: str) -> None:
        moment = self.clock.time / self.length
        if self.result.turns(moment, self.clock.time):
            self.firsts.clear()
        self.firsts.append(first == self.targets[0].name)
        share = sum(self.firsts) / len(self.firsts) if len(self.firsts) == self.firsts.maxlen else None
        self.result.watch(moment, self.clock.time, self.firsts[-1], share)


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
            result.answered(self.began / self.simulation.length, self.simulation.clock.time - self.began)
            return
        except errors.DispatchError:
            result.lost += 1
            return
        moment = self.simulation.clock.time + attempt.delay
        self.simulation._at(moment, lambda: self._send(attempt))

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
        simulation._at(end, lambda: self._end(attempt, fault, tokens, vendor.first * noise))

    def _end(self, attempt: Attempt, fault: errors.DispatchError | None, tokens: int, first: float) -> None:
        simulation = self.simulation
        with attempt:
            if fault is not None:
                raise fault
            attempt.usage = {"input_tokens": 500, "output_tokens": tokens, "total_tokens": 500 + tokens}
            attempt._first_at = (attempt._sent_at or 0.0) + first
            simulation.result.paid(attempt.target.deployment.input_price or 0.0, CHEAPEST, tokens)
            attempt.succeed()
        self.next()


PRICES = (0.25, 1.0, 0.5, 2.0, 3.0, 1.0, 1.5, 0.75, 2.5, 1.25)
CHEAPEST = min(PRICES)


def _registry() -> Sequence[Target]:
    resolver = Resolver(VendorTable(), {}, {"OPENAI_API_KEY": "k"})
    made = (
        Deployment("openai:gpt-5.4-mini", name=f"d{n}", input_price=price, output_price=4 * price)
        for n, price in enumerate(PRICES)
    )
    return tuple(resolver.target(deployment) for deployment in made)


def price_change(strategy: str, requests: int) -> dict[str, Any]:
    """Return what a strategy does when the price list changes at midnight: `gemini-4-argon` doubles.

    `before` and `after`: its share of calls; `late`: calls that it got after midnight although another was
    cheaper; `cost`: dollars over those of always asking the cheapest.
    """
    resolver = Resolver(VendorTable(), {}, {"OPENAI_API_KEY": "k", "GOOGLE_API_KEY": "k"})
    fleet = [resolver.target(Deployment("google:gemini-4-argon", name="argon"))]
    fleet += [
        resolver.target(Deployment("openai:x", name=f"d{n}", input_price=3.0 + n, output_price=15.0 + n))
        for n in range(9)
    ]
    clock, router, rng = VirtualClock(MIDNIGHT - timedelta(hours=1)), Router(strategy), random.Random(1)
    chosen, spent, least = {True: 0, False: 0}, 0.0, 0.0
    for number in range(requests):
        clock.time = 7200.0 * number / requests
        forecast = Forecast(Needs(REQUEST), None, clock.time, clock.now())
        first = router.decide(RoutingRequest(REQUEST, fleet, rng, clock.time, clock.now())).targets[0]
        chosen[clock.now() < MIDNIGHT] += first is fleet[0]
        costs = [float(forecast.cost(target) or 0) for target in (first, *fleet[:2])]
        spent, least = spent + costs[0], least + min(costs[1:])
    early, late = chosen[True], chosen[False]
    share = {"before": early / (requests / 2), "after": late / (requests / 2)}
    return {"strategy": strategy, **share, "late": late, "cost": spent / least}


MIDNIGHT = datetime(2026, 12, 1, tzinfo=UTC)
SEED = 1


def one(scenario: str, strategy: str, requests: int) -> dict[str, Any]:
    """Return the figures of one simulation."""
    return Simulation(strategy, SCENARIOS[scenario], requests, SEED).run().to_dict()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000, help="calls per strategy and scenario")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), action="append")
    parser.add_argument("--strategy", choices=STRATEGIES, action="append")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    scenarios, strategies = options.scenario or list(SCENARIOS), options.strategy or STRATEGIES
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [
            (name, pool.submit(one, name, strategy, options.requests))
            for name in scenarios
            for strategy in strategies
        ]
        prices = [pool.submit(price_change, name, options.requests) for name in PRICED if name in strategies]
        if options.json:
            found = {"calls": [job.result() for _, job in jobs], "prices": [job.result() for job in prices]}
            print(json.dumps(found, indent=2))
            return 0
        _print(options.requests, jobs, prices)
    return 0


def _print(requests: int, jobs: Sequence[Any], prices: Sequence[Any]) -> None:
    today = datetime.now(tz=UTC).date()
    print("$ python benchmarks/routing_simulation.py", *sys.argv[1:])
    print(f"Python {platform.python_version()}, {today}: {requests} calls each, 10 deployments, seed {SEED}")
    shown = None
    for name, job in jobs:
        row = job.result()
        if name != shown:
            print(f"\n{name}: {(SCENARIOS[name].__doc__ or '').strip()}")
            print(f"{'':15}" + "".join(f"{word:>9}" for word in list(row)[2:]))
            shown = name
        print(
            f"{row['strategy']:15}" + "".join(f"{_shown(value):>9}" for value in list(row.values())[2:]),
            flush=True,
        )
    print(
        "\nprice change: the cheapest doubles its price at midnight, and is the second cheapest from then on."
    )
    rows = [job.result() for job in prices]
    print(f"{'':15}" + "".join(f"{word:>9}" for word in list(rows[0])[1:]))
    for row in rows:
        print(f"{row['strategy']:15}" + "".join(f"{_shown(value):>9}" for value in list(row.values())[1:]))


def _shown(value: Any) -> str:
    if value is None:
        return "never"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
