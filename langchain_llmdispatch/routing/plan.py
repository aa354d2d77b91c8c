"""The plan of one call, for people: who would be tried, at what cost, who is left out, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from langchain_llmdispatch.routing import plan_html
from langchain_llmdispatch.types import Change
from langchain_llmdispatch.vendors.base import Vendor

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.retries import RetryPolicy
    from langchain_llmdispatch.health.health import HealthView
    from langchain_llmdispatch.routing.router import Ask, Decision, Exclusion, Router
    from langchain_llmdispatch.types import TimeLimits


@dataclass(frozen=True, slots=True)
class PlannedDeployment:
    """One deployment that would be tried.

    Attributes:
        deployment: Its name.
        vendor: The vendor's name.
        model: The vendor's model id.
        why: What put it in its place, besides the strategy: `rule`, `tool loop`, `thread`, `panic`.
        wait_s: Seconds until it may be asked.
        cost_usd: Predicted dollars of one answer, or None if the price is unknown.
        worst_usd: Dollars that one request can cost at most, or None if unknown.
        latency_s: Predicted seconds of one answer, or None if nothing was learned yet.
        health: How it is doing.
        headroom: What its limits leave, by kind (`requests`, `tokens`); empty without limits.
        changes: What history, parameters and tools would have to be altered.
        doubt: Why it may not be able to, by what is known of the model; empty if nothing speaks against it.
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
        }


@dataclass(frozen=True, slots=True)
class Bound:
    """What a call cannot exceed, whatever goes wrong.

    Attributes:
        requests: Requests that leave the process at most.
        usd: Dollars at most, by the estimate of the prompt's size; None if some price is unknown.
        seconds: Seconds at most, or None if nothing bounds them.
    """

    requests: int
    usd: Decimal | None
    seconds: float | None

    def __str__(self) -> str:
        """Say it in one line."""
        dollars = "an unknown price" if self.usd is None else f"${self.usd:.6f}"
        time = "no time limit" if self.seconds is None else f"{self.seconds:g} s"
        return f"at most {self.requests} requests, {dollars}, {time}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call would do, before it does anything. Print it, or show it in a notebook.

    Attributes:
        candidates: Who would be tried, in order.
        excluded: Who is left out and why.
        bound: What the call cannot exceed.
        strategy: How candidates are ordered.
        route: The route or model asked for, or None.
        rule: Where the rule that matched leads, or None.
        input_tokens: Tokens of the prompt, by estimate.
    """

    candidates: Sequence[PlannedDeployment]
    excluded: Sequence[Exclusion]
    bound: Bound
    strategy: str
    route: str | None
    rule: str | None
    input_tokens: int

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
            "bound": {"requests": bound.requests, "usd": _usd(bound.usd), "seconds": bound.seconds},
        }

    def __str__(self) -> str:
        """Return the plan as text."""
        asked = f" for {self.route!r}" if self.route else ""
        lines = [f"Plan{asked}: strategy {self.strategy}, about {self.input_tokens:,} input tokens"]
        if self.rule:
            lines.append(f"  rule: {self.rule}")
        lines += [f"  {n}. {line}" for n, line in enumerate(map(_line, self.candidates), 1)]
        lines += [f"  -  {each.deployment}: left out: {each.reason}" for each in self.excluded]
        return "\n".join([*lines, f"  {self.bound}"])

    def _repr_html_(self) -> str:
        return plan_html.render(self)


class Limits(Protocol):
    """What bounds a call; see `dispatch.Policy`."""

    @property
    def retries(self) -> RetryPolicy:
        """When the same deployment is asked again."""

    @property
    def max_attempts(self) -> int:
        """Requests that may leave the process."""

    @property
    def times(self) -> TimeLimits:
        """The time limits of the call."""


def make_plan(
    router: Router,
    ask: Ask,
    limits: Limits,
    *,
    headroom: Callable[[Target], Mapping[str, float]] | None = None,
    repeats: bool = False,
) -> Plan:
    """Return the plan of a call; nothing is sent, learned or reserved.

    Args:
        router: Who decides.
        ask: What is asked of whom, and when.
        limits: What bounds the call.
        headroom: Tells what a deployment's limits leave, by kind.
        repeats: Whether a deployment may be asked more often than its retries allow (a resumed stream).
    """
    decision = router.decide(ask)
    waits = decision.waits or (0.0,) * len(decision.targets)
    planned, excluded = [], list(decision.excluded)
    for rank, (target, wait) in enumerate(zip(decision.targets, waits, strict=True)):
        first, left = rank == 0, headroom(target) if headroom else {}
        planned.append(_planned(ask, decision, target, wait, left, first=first))
    request = ask.needs.request
    return Plan(
        candidates=tuple(planned),
        excluded=tuple(excluded),
        bound=_bound(ask, decision, limits, repeats=repeats),
        strategy=router.strategy if isinstance(router.strategy, str) else _named(router.strategy),
        route=request.route,
        rule=decision.rule.destination if decision.rule else None,
        input_tokens=ask.needs.tokens,
    )


def _planned(
    ask: Ask, decision: Decision, target: Target, wait: float, headroom: Mapping[str, float], *, first: bool
) -> PlannedDeployment:
    forecast = ask.forecast
    view = forecast.view(target)
    why = ["panic"] if decision.panic else []
    if decision.rule is not None and (decision.rule.leads_to(target) or (first and decision.rule.route)):
        why.append("rule")
    if decision.pinned and first:
        why.append(decision.pinned)
    return PlannedDeployment(
        deployment=target.name,
        vendor=target.vendor.name,
        model=target.model,
        why=tuple(why),
        wait_s=wait,
        cost_usd=forecast.cost(target),
        worst_usd=forecast.worst(target),
        latency_s=forecast.latency(target, view),
        health=view,
        headroom=headroom,
        changes=ask.needs.fit(target).changes,
        doubt=ask.needs.doubted_by(target) or "",
    )


# -- the bound -----------------------------------------------------------------------------------------


def _bound(ask: Ask, decision: Decision, limits: Limits, *, repeats: bool) -> Bound:
    tries = limits.max_attempts if repeats else limits.retries.max_retries + 1
    attempts = min(limits.max_attempts, tries * len(decision.targets))
    # A LangChain model may ask more than once by itself, per attempt.
    requests = attempts * max((_requests_of(target) for target in decision.targets), default=1)
    usd = _repeated(ask, decision, attempts) if repeats else _dollars(ask, decision, attempts, tries)
    if ask.limit is not None:
        usd = ask.limit if usd is None else min(usd, ask.limit)
    return Bound(requests, usd, _seconds(ask, decision, limits, attempts))


def _dollars(ask: Ask, decision: Decision, attempts: int, tries: int) -> Decimal | None:
    """Return the dearest way to spend so many attempts, each deployment tried so often at most."""
    costs = [_worst(ask, target) for target in decision.targets]
    known = sorted((cost for cost in costs if cost is not None), reverse=True)
    if len(known) < len(costs):
        return None
    left, total = attempts, Decimal(0)
    for cost in known:
        total += cost * min(tries, left)
        left -= min(tries, left)
    return total


def _repeated(ask: Ask, decision: Decision, attempts: int) -> Decimal | None:
    """Return the dearest way if anybody may be asked at any time, to continue all that was said before."""
    targets, total = decision.targets, Decimal(0)
    most = max((ask.forecast.most_output(target) or 0 for target in targets), default=0)
    for number in range(attempts):
        costs = [_worst(ask, t, said=number * most if t.facts.prefill else 0) for t in targets]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):
            return None
        total += max(known, default=Decimal(0))
    return total


def _worst(ask: Ask, target: Target, *, said: int = 0) -> Decimal | None:
    worst = ask.forecast.worst(target, said=said)
    return None if worst is None else worst * _requests_of(target)


def _requests_of(target: Target) -> int:
    return getattr(target.vendor, "requests", 1)


def _seconds(ask: Ask, decision: Decision, limits: Limits, requests: int) -> float | None:
    """Return the time limit of the call, or that of all its attempts where it is shorter."""
    deadline = limits.times.deadline
    times = [target.limits(limits.times).timeout for target in decision.targets]
    queues = any(_queues(target) for target in decision.targets)
    if ask.needs.request.stream or queues or None in times:
        return deadline
    retries = limits.retries
    pause = max(retries.max_delay, retries.max_retry_after)
    longest = max((time for time in times if time is not None), default=0.0)
    total = requests * longest + max(0, requests - 1) * pause + max(decision.waits, default=0.0)
    return total if deadline is None else min(total, deadline)


def _queues(target: Target) -> bool:
    """Return whether a request may have to wait: for limits of ours, or because the vendor says so."""
    own, shared = target.deployment, target.config
    told = type(target.vendor).limits is not Vendor.limits
    return told or any((own.rpm, own.tpm, own.max_concurrency, shared.rpm, shared.tpm))


# -- words ---------------------------------------------------------------------------------------------


def _named(strategy: object) -> str:
    if isinstance(strategy, Mapping):
        return ", ".join(f"{word} {value:g}" for word, value in strategy.items())
    return getattr(strategy, "__name__", type(strategy).__name__)


def _usd(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _line(planned: PlannedDeployment) -> str:
    cost = "price unknown" if planned.cost_usd is None else f"${planned.cost_usd:.6f}"
    time = "" if planned.latency_s is None else f", {planned.latency_s:.1f} s"
    parts = [f"{planned.deployment}: {cost}{time}, {planned.health.state.replace('_', ' ')}"]
    if planned.why:
        parts.append(f"[{', '.join(planned.why)}]")
    if planned.wait_s:
        parts.append(f"after {planned.wait_s:.1f} s")
    parts += [f"{kind} left: {value:g}" for kind, value in planned.headroom.items()]
    if planned.doubt:
        parts.append(f"although {planned.doubt}")
    if planned.changes:
        lossy = "*" if any(change.lossy for change in planned.changes) else ""
        parts.append(f"adapts {', '.join(dict.fromkeys(c.kind for c in planned.changes))}{lossy}")
    return "  ".join(parts)
