"""What a call cannot exceed: requests, dollars, seconds."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.routing.decision import Decision, RoutingRequest
from langchain_llmdispatch.vendors.base import Vendor


@dataclass(frozen=True, slots=True)
class Bound:
    """What a call cannot exceed, whatever fails.

    Attributes:
        requests: Requests that leave the process at most.
        usd: Dollars at most, by the estimate of the prompt's size; None if some price is unknown.
        seconds: Seconds at most, or None if nothing bounds them.
    """

    requests: int
    usd: Decimal | None
    seconds: float | None

    def __str__(self) -> str:
        """Return it in one line."""
        dollars = "an unknown price" if self.usd is None else f"${self.usd:.6f}"
        time = "no time limit" if self.seconds is None else f"{self.seconds:g} s"
        return f"at most {self.requests} requests, {dollars}, {time}"


def bound_of(routing: RoutingRequest, decision: Decision, policy: CallPolicy, *, repeats: bool) -> Bound:
    """Return the bound of a call.

    Args:
        routing: What was decided on.
        decision: The targets that are tried.
        policy: What bounds the call.
        repeats: Whether a deployment may be tried more often than its retries allow (a resumed stream).
    """
    tries = policy.max_attempts if repeats else policy.retries.max_retries + 1
    attempts = min(policy.max_attempts, tries * len(decision.targets))
    # A LangChain model may send several requests per attempt.
    requests = attempts * max((_requests_of(target) for target in decision.targets), default=1)
    usd = _repeated(routing, decision, attempts) if repeats else _dollars(routing, decision, attempts, tries)
    if routing.limit is not None:
        usd = routing.limit if usd is None else min(usd, routing.limit)
    return Bound(requests, usd, _seconds(routing, decision, policy, attempts))


def _dollars(routing: RoutingRequest, decision: Decision, attempts: int, tries: int) -> Decimal | None:
    """Return the most expensive way to spend `attempts`, each deployment tried at most `tries` times."""
    costs = [_worst(routing, target) for target in decision.targets]
    known = sorted((cost for cost in costs if cost is not None), reverse=True)
    if len(known) < len(costs):
        return None
    left, total = attempts, Decimal(0)
    for cost in known:
        total += cost * min(tries, left)
        left -= min(tries, left)
    return total


def _repeated(routing: RoutingRequest, decision: Decision, attempts: int) -> Decimal | None:
    """Return the most expensive way if each attempt may be on any target and continue all before it."""
    targets, total = decision.targets, Decimal(0)
    most = max((routing.forecast.most_output(target) or 0 for target in targets), default=0)
    for number in range(attempts):
        costs = [_worst(routing, t, continued=number * most if _continues(t) else 0) for t in targets]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):
            return None
        total += max(known, default=Decimal(0))
    return total


def _continues(target: Target) -> bool:
    return target.facts.prefill or target.vendor.pauses


def _worst(routing: RoutingRequest, target: Target, *, continued: int = 0) -> Decimal | None:
    worst = routing.worst(target, continued=continued).usd
    return None if worst is None else worst * _requests_of(target)


def _requests_of(target: Target) -> int:
    return getattr(target.vendor, "requests", 1)


def _seconds(routing: RoutingRequest, decision: Decision, policy: CallPolicy, attempts: int) -> float | None:
    """Return the deadline of the call, or the sum over its attempts where it is shorter."""
    deadline = policy.times.deadline
    times = [target.limits(policy.times).timeout for target in decision.targets]
    known = [time for time in times if time is not None]
    if routing.request.stream or len(known) < len(times) or any(map(_may_queue, decision.targets)):
        return deadline
    pause = max(policy.retries.max_delay, policy.retries.max_retry_after)
    waits = max(decision.waits, default=0.0)
    total = attempts * max(known, default=0.0) + max(0, attempts - 1) * pause + waits
    return total if deadline is None else min(total, deadline)


def _may_queue(target: Target) -> bool:
    """Return whether a request may have to wait: for limits, or because of the vendor's headers."""
    return target.limited or type(target.vendor).limits is not Vendor.limits
