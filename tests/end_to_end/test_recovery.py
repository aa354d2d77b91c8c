"""How soon a deployment that was down is found again, and how many requests it gets meanwhile, in virtual time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.testing import FakeClock
from tests.calls import dispatch_of
from tests.targets import learn, routing, target

FLEET = (
    target("p", input_price=1, output_price=1, weight=3),
    target("f", input_price=2, output_price=2),
)
STRATEGIES = ("ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced")
SECONDS = {"p": 0.5, "f": 1.0}
"""How long an answer takes: whatever is compared, the primary is better."""


@dataclass
class Traffic:
    """Calls at regular times, while the primary is down from second 30 on.

    Attributes:
        strategy: How deployments are ordered.
        outage: Seconds for which the primary is down.
        gap: Seconds between two calls.
        seed: Of order and jitter.
        answers: When the primary answered.
        failures: When it failed.
    """

    strategy: str
    outage: float
    gap: float = 4.0
    seed: int = 1
    answers: list[float] = field(default_factory=list)
    failures: list[float] = field(default_factory=list)

    def run(self, after: float = 40.0) -> Traffic:
        """Send calls until some time after the outage; every one must be answered."""
        router, clock = Router(self.strategy), FakeClock()
        health, rng = Health(rng=random.Random(self.seed)), random.Random(self.seed)
        policy = CallPolicy(RetryPolicy(max_retries=1))
        for number in range(round((30 + self.outage + after) / self.gap)):
            clock.advance(max(0.0, number * self.gap - clock.monotonic()))
            case = routing(FLEET, health=health, now=clock.monotonic())
            case.rng = rng
            decision = router.decide(case)
            if router.takes_turns:
                health.take_turn(decision.targets[0])
            dispatch = dispatch_of(
                decision.targets,
                policy,
                clock=clock,
                rng=rng,
                observers=[health],
                waits=decision.waits,
                last_resorts=decision.last_resorts,
                send_checks=[health.check],
                breaker_wait=health.breaker_wait,
            )
            for attempt in dispatch.attempts():
                with attempt:
                    clock.advance(attempt.delay)
                    attempt.send()
                    self._answer(clock, attempt.target.name)
                    attempt.succeed()
        return self

    def _answer(self, clock: FakeClock, name: str) -> None:
        sent = clock.monotonic()
        if name == "p" and 30 <= sent < 30 + self.outage:
            self.failures.append(sent)
            clock.advance(0.1)
            raise errors.OverloadedError("down", status_code=503)
        clock.advance(SECONDS[name])
        if name == "p":
            self.answers.append(sent)

    @property
    def found_after(self) -> float:
        """The seconds from the end of the outage to the primary's first answer."""
        end = 30 + self.outage
        return min((at for at in self.answers if at >= end), default=float("inf")) - end


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("outage", [20.0, 60.0, 240.0])
def test_what_was_down_is_found_again_within_sixteen_seconds(strategy: str, outage: float) -> None:
    """With a call every four seconds, whatever the strategy and the jitter."""
    found = [Traffic(strategy, outage, seed=seed).run().found_after for seed in range(20)]
    assert max(found) <= 16.0


@pytest.mark.parametrize("gap", [0.1, 4.0])
def test_what_is_down_gets_few_requests(gap: float) -> None:
    """Twelve probes a minute at most once its breaker is open, with dense traffic and with thin; six in the end."""
    failures = Traffic("ordered", 600.0, gap).run().failures
    first = failures[4]  # the fifth failure opens the breaker
    for minute in range(9):
        begin = first + 0.01 + 60 * minute
        assert 3 <= sum(begin <= at < begin + 60 for at in failures) <= 12
    assert sum(at > 30 + 540 for at in failures) <= 6


def test_a_deployment_that_flaps_is_found_again_each_time() -> None:
    """Down for twenty seconds, well for twenty: it answers in each of its good times."""
    health, answered = Health(rng=random.Random(2)), set()
    for now in range(0, 240, 4):
        down = now % 40 < 20
        first = Router().decide(routing(FLEET, health=health, now=float(now))).targets[0]
        if first.name == "p" and health.admits(first, float(now)):
            learn(health, first, at=float(now), blame="health" if down else None, reason="ServerError" * down)
            answered |= set() if down else {now // 40}
    assert answered == set(range(6))
