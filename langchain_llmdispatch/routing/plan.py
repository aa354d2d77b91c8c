"""The plan of one call: which deployments would be tried, at what cost, which are left out, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.budgets.call_budget import CallBudget
from langchain_llmdispatch.budgets.state import BudgetState
from langchain_llmdispatch.catalog.models import neighbour_note
from langchain_llmdispatch.catalog.retirements import near_retirement
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.health.view import HealthView
from langchain_llmdispatch.routing.bound import Bound, bound_of
from langchain_llmdispatch.routing.decision import Decision, Exclusion, RoutingRequest
from langchain_llmdispatch.routing.router import Router
from langchain_llmdispatch.types import Change

_LAST = "last resort"

_NOT_INTERRUPTED = "sync calls of it cannot be interrupted: its own timeout bounds them"


@dataclass(frozen=True, slots=True)
class PlannedDeployment:
    """One deployment that would be tried.

    Attributes:
        deployment: Its name.
        vendor: The vendor's name.
        model: The vendor's model id.
        why: What determines its place besides the strategy: `rule`, `tool loop`, `thread`,
            `waited for` (for at most `wait_for_preferred`), `hedge` (tried beside the first one if that is
            late), `last resort` (its breaker is open: it is tried if all others fail).
        wait_s: Seconds until it may be tried: of a cooldown, or of our own limits.
        cost_usd: Predicted dollars of one answer, or None if the price is unknown.
        worst_usd: Dollars that one request can cost at most, or None if unknown.
        latency_s: Predicted seconds of one answer, or None if nothing was learned yet.
        health: Its health.
        headroom: What its limits leave, by kind (`requests`, `tokens`); empty without limits.
        changes: What would be altered in history, parameters and tools.
        doubt: What the model lacks for the request, by the catalog; empty if nothing.
        note: What else should be known of it, or an empty text.
        warm_tokens: Tokens of the prompt that its prompt cache holds of the thread, as far as is known.
        warm_usd: Dollars that reading them from the cache saves; None if unknown or none.
    """

    deployment: str
    vendor: str
    model: str
    why: tuple[str, ...]
    wait_s: float
    cost_usd: Decimal | None
    worst_usd: Decimal | None
    latency_s: float | None
    health: HealthView
    headroom: Mapping[str, float]
    changes: tuple[Change, ...]
    doubt: str = ""
    warm_tokens: int = 0
    warm_usd: Decimal | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values; dollars as strings."""
        return {
            "deployment": self.deployment,
            "vendor": self.vendor,
            "model": self.model,
            "why": list(self.why),
            "wait_s": round(self.wait_s, 3),
            "cost_usd": _usd(self.cost_usd),
            "worst_usd": _usd(self.worst_usd),
            "latency_s": None if self.latency_s is None else round(self.latency_s, 3),
            "health": {
                "state": self.health.state,
                "success": None if self.health.success is None else round(self.health.success, 4),
                "in_flight": self.health.in_flight,
                "samples": self.health.samples,
            },
            "headroom": dict(self.headroom),
            "changes": [{"kind": c.kind, "detail": c.detail, "lossy": c.lossy} for c in self.changes],
            "doubt": self.doubt,
            "warm_tokens": self.warm_tokens,
            "warm_usd": _usd(self.warm_usd),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call would do, before it does anything. Print it, or show it in a notebook.

    Attributes:
        candidates: The deployments that would be tried, in order.
        excluded: The deployments that are left out, with reasons.
        bound: What the call cannot exceed.
        strategy: How candidates are ordered.
        route: The route or model that the call names, or None.
        rule: What the rule that matched prefers, or None.
        input_tokens: Tokens of the prompt, by estimate.
        hedge_after: Seconds without a first token after which the `hedge` is tried as well; None for never.
        retries_left: Retries that the retry quota leaves now; None without a quota.
        budgets: The states of the budgets that the call spends from.
        on_budget: What is done because a budget is nearly spent: `cheaper`, or the name of a route.
        shared: What is shared with other processes, and where; an empty text if nothing is.
    """

    candidates: Sequence[PlannedDeployment]
    excluded: Sequence[Exclusion]
    bound: Bound
    strategy: str
    route: str | None
    rule: str | None
    input_tokens: int
    hedge_after: float | None = None
    retries_left: int | None = None
    budgets: Sequence[BudgetState] = ()
    on_budget: str = ""
    shared: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values; dollars as strings."""
        bound = self.bound
        return {
            "strategy": self.strategy,
            "route": self.route,
            "rule": self.rule,
            "input_tokens": self.input_tokens,
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "excluded": [
                {"deployment": e.deployment, "kind": e.kind, "reason": e.reason} for e in self.excluded
            ],
            "hedge_after": self.hedge_after,
            "retries_left": self.retries_left,
            "budgets": [state.to_dict() for state in self.budgets],
            "on_budget": self.on_budget,
            "shared": self.shared,
            "bound": {"requests": bound.requests, "usd": _usd(bound.usd), "seconds": bound.seconds},
        }

    def __str__(self) -> str:
        """Return the plan as text."""
        route = f" for {self.route!r}" if self.route else ""
        lines = [f"Plan{route}: strategy {self.strategy}, about {self.input_tokens:,} input tokens"]
        if self.rule:
            lines.append(f"  rule: {self.rule}")
        lines += [f"  {n}. {line}" for n, line in enumerate(map(_line, self.candidates), 1)]
        lines += [f"  -  {each.deployment}: left out: {each.reason}" for each in self.excluded]
        if self.retries_left == 0:
            lines.append("  no retries now: the retry quota is used up")
        lines += [f"  budget: {state}" for state in self.budgets]
        if self.on_budget:
            lines.append(f"  nearly spent: {self.on_budget}")
        if self.shared:
            lines.append(f"  shared: {self.shared}")
        return "\n".join([*lines, f"  {self.bound}"])

    def _repr_html_(self) -> str:
        from langchain_llmdispatch.routing.plan_html import plan_html

        return plan_html(self)


def make_plan(
    router: Router,
    routing: RoutingRequest,
    policy: CallPolicy,
    *,
    headroom: Callable[[Target], Mapping[str, float]] | None = None,
    queue_wait: Callable[[Target], float] | None = None,
    retries_left: int | None = None,
    repeats: bool = False,
    budget: CallBudget | None = None,
    without_key: Sequence[tuple[str, str]] = (),
    shared: str = "",
) -> Plan:
    """Return the plan of a call; nothing is sent, learned or reserved.

    Args:
        router: What decides.
        routing: What the decision depends on.
        policy: What bounds the call.
        headroom: Returns what a target's limits leave, by kind.
        queue_wait: Returns the seconds until our own limits admit a request to a target.
        retries_left: Retries that the retry quota leaves; None without a quota.
        repeats: Whether a deployment may be tried more often than its retries allow (a resumed stream).
        budget: What the call may spend, or None.
        without_key: The deployments that lack a key, with reasons.
        shared: What is shared with other processes, and where.
    """
    decision = router.decide(routing)
    planned = [
        _planned(routing, decision, rank, wait, headroom(decision.targets[rank]) if headroom else {})
        for rank, wait in enumerate(_waits(decision, queue_wait))
    ]
    return Plan(
        candidates=tuple(_in_order_of_trial(planned, policy)),
        excluded=(*decision.excluded, *(Exclusion(name, "key", reason) for name, reason in without_key)),
        bound=bound_of(routing, decision, policy, repeats=repeats),
        strategy=_name_of(router.strategy),
        route=routing.request.route,
        rule=decision.rule.destination if decision.rule else None,
        input_tokens=routing.needs.tokens,
        hedge_after=policy.hedge_after,
        retries_left=retries_left,
        budgets=() if budget is None else tuple(budget.states(routing.at)),
        on_budget="" if budget is None else budget.action,
        shared=shared,
    )


def _waits(decision: Decision, queue_wait: Callable[[Target], float] | None) -> list[float]:
    """Return the seconds until each target may be tried: of a cooldown, or of our own limits."""
    waits = decision.waits or (0.0,) * len(decision.targets)
    queued = [queue_wait(target) if queue_wait else 0.0 for target in decision.targets]
    return list(map(max, waits, queued))


def _in_order_of_trial(planned: list[PlannedDeployment], policy: CallPolicy) -> list[PlannedDeployment]:
    """Return the deployments as they are tried: the soonest first, unless the first one is waited for."""
    if not planned:
        return planned
    first = planned[0]
    if first.wait_s > policy.wait_for_preferred:
        planned = sorted(planned, key=lambda each: (_LAST in each.why, each.wait_s))
    elif first.wait_s and len(planned) > 1:
        planned = [replace(first, why=(*first.why, "waited for")), *planned[1:]]
    if policy.hedge_after is not None and policy.max_attempts > 1:
        free = [each for each in planned[1:] if not each.wait_s and _LAST not in each.why]
        if free:
            planned[planned.index(free[0])] = replace(free[0], why=(*free[0].why, "hedge"))
    return planned


def _planned(
    routing: RoutingRequest, decision: Decision, rank: int, wait: float, headroom: Mapping[str, float]
) -> PlannedDeployment:
    forecast, target, rule = routing.forecast, decision.targets[rank], decision.rule
    view, first = forecast.view(target), rank == 0
    why = [_LAST] if rank >= len(decision.targets) - decision.last_resorts else []
    if rule is not None and (rule.prefers(target) or (first and rule.route)):
        why.append("rule")
    if decision.pinned and first:
        why.append(decision.pinned)
    warm, cold = routing.warm_tokens(target), forecast.cost(target)
    cost = forecast.cost(target, cached_tokens=warm) if warm else cold
    return PlannedDeployment(
        deployment=target.name,
        vendor=target.vendor.name,
        model=target.model,
        why=tuple(why),
        wait_s=wait,
        cost_usd=cost,
        worst_usd=forecast.worst(target),
        latency_s=forecast.latency(target, view),
        health=view,
        headroom=headroom,
        changes=routing.needs.fit(target).changes,
        doubt=routing.needs.unmet_by(target) or "",
        warm_tokens=warm,
        warm_usd=cold - cost if warm and cold is not None and cost is not None else None,
        note=_note(target, routing.at),
    )


def _note(target: Target, at: datetime) -> str:
    """Return what else should be known of a target: its retirement, a name that may be misspelt."""
    if target.vendor.runs:
        return _NOT_INTERRUPTED
    listing, model = target.vendor.listing, target.model
    return near_retirement(listing, model, at) or neighbour_note(listing, model)


def _name_of(strategy: object) -> str:
    if isinstance(strategy, str):
        return strategy
    if isinstance(strategy, Mapping):
        return ", ".join(f"{word} {value:g}" for word, value in strategy.items())
    return getattr(strategy, "__name__", type(strategy).__name__)


def _usd(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _state(health: HealthView) -> str:
    if health.state == "closed":
        return ""
    if health.cooling:
        return ", cooling down"
    reason = f" ({health.reason})" if health.reason else ""
    return f", breaker {health.state.replace('_', ' ')}{reason}"


def _line(planned: PlannedDeployment) -> str:
    cost = "price unknown" if planned.cost_usd is None else f"${planned.cost_usd:.6f}"
    time = "" if planned.latency_s is None else f", {planned.latency_s:.1f} s"
    parts = [f"{planned.deployment}: {cost}{time}{_state(planned.health)}"]
    if planned.why:
        parts.append(f"[{', '.join(planned.why)}]")
    if planned.wait_s:
        parts.append(f"after {planned.wait_s:.1f} s")
    parts += [f"{kind} left: {value:g}" for kind, value in planned.headroom.items()]
    if planned.warm_tokens:
        saves = "" if planned.warm_usd is None else f", saves ${planned.warm_usd:.6f}"
        parts.append(f"warm cache: {planned.warm_tokens:,} tokens{saves}")
    if planned.doubt:
        parts.append(f"although {planned.doubt}")
    if planned.changes:
        lossy = "*" if any(change.lossy for change in planned.changes) else ""
        parts.append(f"adapts {', '.join(dict.fromkeys(c.kind for c in planned.changes))}{lossy}")
    if planned.note:
        parts.append(f"({planned.note})")
    return "  ".join(parts)
