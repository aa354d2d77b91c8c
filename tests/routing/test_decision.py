"""Decisions of every strategy on typical requests, as a reviewed text."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmdispatch import RoutingRule
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.router import Router
from tests.routing.decisions import PRICED, SEARCH
from tests.targets import fail, learn, request, routing

GOLDEN = Path(__file__).parent / "golden" / "decisions.txt"


def traced(title: str, router: Router, *cases: Any) -> str:
    """Return decisions as readable lines."""
    lines = [f"## {title}"]
    for name, case in cases:
        decision = router.decide(case)
        order = " > ".join(where.name for where in decision.targets) or "none"
        notes = [f"rule: {decision.rule.destination}"] if decision.rule else []
        notes += [decision.pinned] if decision.pinned else []
        notes += [f"last resorts: {decision.last_resorts}"] if decision.last_resorts else []
        notes += [f"waits {', '.join(f'{wait:g} s' for wait in decision.waits)}"] if decision.waits else []
        lines.append(f"{name}: {order}" + (f"  ({'; '.join(notes)})" if notes else ""))
        lines += [f"    without {each.deployment}: {each.reason}" for each in decision.excluded]
    return "\n".join(lines)


def learned() -> Health:
    """Return health after a morning of traffic: one fast, one slow, one busy, one never tried."""
    health = Health(rng=random.Random(7))
    for n in range(10):
        learn(health, PRICED[0], at=float(n), latency=2.5, ttft=0.5, tokens=200)
        learn(health, PRICED[1], at=float(n), latency=1.2, ttft=0.2, tokens=200)
        learn(health, PRICED[2], at=float(n), latency=6.0, ttft=1.0, tokens=200)
    for n in range(3):
        health.begin(PRICED[0], 10.0, n)
    return health


def requests() -> list[tuple[str, Any]]:
    """Return a few typical requests."""
    call = {"name": "search", "args": {}, "id": "1"}
    began = {"llmdispatch": {"deployment": "flash"}}
    loop = [
        HumanMessage("find it"),
        AIMessage("", tool_calls=[call], response_metadata=began),
        ToolMessage("found", tool_call_id="1"),
    ]
    picture = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    return [
        ("greeting", request("hello")),
        ("long document", request("x" * 1_200_000)),
        ("long answer", request("write", params={"max_tokens": 100_000})),
        ("picture", request([HumanMessage([picture, {"type": "text", "text": "what is it?"}])])),
        ("tool loop", request(loop, tools=(SEARCH,))),
        ("bulk", request("classify", tags=frozenset({"bulk"}))),
    ]


def passed_over() -> list[tuple[str, Any]]:
    """Return decisions at moments when the estimate of a slow deployment fades more and more."""
    health = Health(rng=random.Random(7))
    learn(health, PRICED[2], times=10, latency=6.0, ttft=1.0, tokens=200)
    learn(health, PRICED[1], times=500, latency=1.2, ttft=0.2, tokens=200)
    fleet, moments = PRICED[1:3], (0, 60, 90)
    return [(f"{now} s later", routing(fleet, health=health, now=float(now))) for now in moments]


def golden() -> str:
    """Return the decisions of every strategy, on every request, as text."""
    rules = [
        RoutingRule(vendor="google", min_input_tokens=50_000, priority=1),
        RoutingRule(deployment="own", tags={"bulk"}),
    ]
    health, parts = learned(), []
    routers = {name: Router(name) for name in ("ordered", "round_robin", "least_busy", "lowest_latency")}
    routers |= {name: Router(name) for name in ("lowest_cost", "balanced", "weighted")}
    routers["cost 1, max_latency_s 3"] = Router({"cost": 1, "max_latency_s": 3})
    routers["ordered, rules, default google"] = Router(rules=rules, default_vendor="google")
    for title, router in routers.items():
        cases = [(name, routing(PRICED, case, health=health, now=20.0)) for name, case in requests()]
        parts.append(traced(title, router, *cases))
    parts.append(traced("lowest_latency, flash is passed over", routers["lowest_latency"], *passed_over()))
    fail(health, PRICED[0], at=20.0, retry_after=9.0)
    learn(health, PRICED[1], at=20.0, blame="limits", reason="RateLimitError", retry_after=12.0)
    cases = [
        (f"{now:g} s later", routing(PRICED[:2], health=health, now=20.0 + now)) for now in (0, 5, 10, 15)
    ]
    parts.append(traced("ordered, the first broken, the second rate limited", Router(), *cases))
    fail(health, PRICED[1], at=20.0, retry_after=30.0)
    parts.append(
        traced("ordered, both broken", Router(), ("at once", routing(PRICED[:2], health=health, now=20.0)))
    )
    limit = Decimal("0.35")
    cases = [(name, routing(PRICED, case, health=health, now=60.0, limit=limit)) for name, case in requests()]
    parts.append(traced("lowest_cost, at most $0.35", Router("lowest_cost"), *cases))
    return "\n\n".join(parts) + "\n"


def test_decisions_are_those_that_were_reviewed() -> None:
    """A change of policy shows as a difference in a file; `python -m tests.routing.test_decision` writes it anew."""
    assert golden() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(golden(), encoding="utf-8")
