"""A plan as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_llmdispatch.health.html import health_html
from langchain_llmdispatch.internal.budget_html import budgets_html
from langchain_llmdispatch.internal.html import (
    Markup,
    aligned,
    cards,
    count,
    dollars,
    heading,
    muted,
    page,
    plural,
    seconds,
    table,
    tag,
    text,
)
from langchain_llmdispatch.routing.plan import Plan, PlannedDeployment

_COLUMNS = ("#", "deployment", "model", "state", "cost", "at worst", "latency", "limits leave", "adapted")

_KINDS = {"concurrency": "at once"}


def plan_html(plan: Plan) -> Markup:
    """Return the plan as one block of HTML."""
    facts = [f"for {plan.route}" if plan.route else "", f"strategy {plan.strategy}"]
    facts.append(f"rule: {plan.rule}" if plan.rule else "")
    facts.append(f"budget nearly spent: {plan.on_budget}" if plan.on_budget else "")
    facts.append(f"shared: {plan.shared}" if plan.shared else "")
    costs = aligned(planned.cost_usd for planned in plan.candidates)
    worst = aligned(planned.worst_usd for planned in plan.candidates)
    rows = [
        _row(number, planned, *prices)
        for number, (planned, *prices) in enumerate(zip(plan.candidates, costs, worst, strict=True), 1)
    ]
    return page(
        heading("Plan", ", ".join(filter(None, facts))),
        cards(_summary(plan)),
        table(_COLUMNS, rows, kinds="nwwwnnnll") if rows else "",
        _left_out(plan),
        budgets_html(plan.budgets),
    )


def _summary(plan: Plan) -> dict[str, Any]:
    """Return the first choice, and what the call cannot exceed."""
    bound, first = plan.bound, plan.candidates[0] if plan.candidates else None
    return {
        "first choice": first.deployment if first else "none",
        "prompt": f"≈ {plural(plan.input_tokens, 'token')}",
        "expected cost": dollars(first.cost_usd) if first else None,
        "at most": plural(bound.requests, "request"),
        "at worst": dollars(bound.usd),
        "no longer than": "unlimited" if bound.seconds is None else seconds(bound.seconds),
    }


def _row(number: int, planned: PlannedDeployment, cost: str, worst: str) -> Sequence[Any]:
    doubt = [f"although {planned.doubt}"] if planned.doubt else []
    changes = "; ".join([*doubt, *(f"{change.kind}: {change.detail}" for change in planned.changes)])
    left = ", ".join(
        f"{count(int(value))} {_KINDS.get(kind, kind)}" for kind, value in planned.headroom.items()
    )
    wait = f" after {seconds(planned.wait_s)}" if planned.wait_s else ""
    return (
        number,
        Markup(f"{text(planned.deployment)}{''.join(map(tag, planned.why))}{muted(wait) if wait else ''}"),
        Markup(f"{muted(planned.vendor)} {text(planned.model)}"),
        health_html(planned.health),
        cost,
        worst,
        seconds(planned.latency_s),
        left,
        changes,
    )


def _left_out(plan: Plan) -> str:
    rows = [(each.deployment, each.reason) for each in plan.excluded]
    return table(("left out", "because"), rows, kinds="wl") if rows else ""
