"""How long a decision takes, in microseconds of CPU.

    python benchmarks/decision_time.py [--json]      from a checkout, installed or not

A decision is everything between a frozen request and the list of deployments to try: needs, filters, rules,
predictions, order. Each figure is the best of several rounds; nothing is sent, no client exists.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

sys.path.append(str(Path(__file__).parents[1]))  # where the package is not installed

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.health.breaker import AttemptResult
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing import RoutingRule
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.routing.plan import make_plan
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.types import ChatRequest, ToolSpec

ENVIRONMENT = {"OPENAI_API_KEY": "sk-bench", "ANTHROPIC_API_KEY": "sk-bench", "COHERE_API_KEY": "bench"}
CLOCK, RNG = Clock(), random.Random(1)
MODELS = (
    "openai:gpt-5.4-mini",
    "anthropic:claude-haiku-4-5",
    "openai:gpt-4.1",
    "anthropic:claude-sonnet-4-5",
)
RULES = (
    RoutingRule(vendor="openai", has_images=True, priority=3),
    RoutingRule(vendor="anthropic", min_input_tokens=50_000, priority=2),
    RoutingRule(vendor="openai", tags=frozenset({"cheap"}), priority=1),
)
CHAT = [SystemMessage("You are brief."), HumanMessage("What is the capital of France? " * 10)]
LONG = [
    *CHAT,
    *[m for n in range(20) for m in (AIMessage(f"Answer {n}. " * 40), HumanMessage("And then? " * 20))],
]
SEARCH = ToolSpec("search", "Search the web.", {"type": "object", "properties": {"q": {"type": "string"}}})
PLAIN, THREAD, TOOLS = ChatRequest(CHAT), ChatRequest(LONG), ChatRequest(CHAT, tools=(SEARCH,))


def targets(count: int) -> Sequence[Target]:
    """Return so many deployments over two vendors."""
    resolver = Resolver(VendorTable(), {}, ENVIRONMENT)
    made = (Deployment(MODELS[n % len(MODELS)], name=f"d{n}", weight=1 + n % 3) for n in range(count))
    return tuple(resolver.target(deployment) for deployment in made)


def healthy(fleet: Sequence[Target]) -> Health:
    """Return health that has seen ten answers of each."""
    health = Health(rng=random.Random(1))
    for n, target in enumerate(fleet):
        for moment in range(10):
            flight = object()
            health.begin(target, float(moment), flight)
            health.learn(
                target, moment + 0.5, flight, AttemptResult(latency=0.5 + n / 20, ttft=0.1, tokens=50)
            )
    return health


def troubled(fleet: Sequence[Target]) -> Health:
    """Return health in which one breaker is open."""
    health = healthy(fleet)
    for moment in range(6):
        flight = object()
        health.begin(fleet[0], 10.0 + moment, flight)
        health.learn(fleet[0], 10.0 + moment, flight, AttemptResult("health", "ServerError"))
    return health


def routing_request(fleet: Sequence[Target], health: Health, request: ChatRequest = PLAIN) -> RoutingRequest:
    """Return what a decision depends on, freshly: nothing of it is computed yet."""
    return RoutingRequest(request, fleet, RNG, 16.0, CLOCK.now(), health, model=fleet[0].model)


def microseconds(call: Callable[[], object], *, number: int = 20, rounds: int = 200) -> float:
    """Return the best of several rounds."""
    call()
    best = min(timeit.repeat(call, timer=time.process_time, number=number, repeat=rounds))
    return best / number * 1e6


def measure(count: int) -> Mapping[str, float]:
    """Return each figure for so many deployments."""
    fleet = targets(count)
    good, bad = healthy(fleet), troubled(fleet)
    plain, ruled = Router("ordered"), Router("ordered", rules=RULES, default_vendor="anthropic")
    figures = {
        "ordered": lambda: plain.decide(routing_request(fleet, good)),
        "ordered, long thread": lambda: plain.decide(routing_request(fleet, good, THREAD)),
        "ordered, tools": lambda: plain.decide(routing_request(fleet, good, TOOLS)),
        "ordered, one breaker open": lambda: plain.decide(routing_request(fleet, bad)),
        "ordered, rules and default vendor": lambda: ruled.decide(routing_request(fleet, good)),
    }
    for strategy in ("weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced"):
        router = Router(strategy)
        figures[strategy] = lambda router=router: router.decide(routing_request(fleet, good))
    figures["explain (plan with all predictions)"] = lambda: make_plan(
        plain, routing_request(fleet, good), CallPolicy()
    )
    return {name: microseconds(call) for name, call in figures.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    table = {count: measure(count) for count in (1, 10, 100)}
    if options.json:
        print(json.dumps(table, indent=2))
        return 0
    print(f"Python {sys.version.split()[0]}; microseconds of CPU per decision, best of 200 rounds of 20")
    print(f"{'':36}" + "".join(f"{count:>10}" for count in table) + "   deployments")
    for name in table[1]:
        print(f"{name:36}" + "".join(f"{figures[name]:10.1f}" for figures in table.values()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
