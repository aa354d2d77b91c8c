"""Filters: which targets a call may try; the others are left out with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.health.breaker import PROBE_LEASE
from langchain_llmdispatch.health.health import Health
from langchain_llmdispatch.routing.candidate import Candidate
from langchain_llmdispatch.routing.decision import Exclusion, ExclusionKind, RoutingRequest
from langchain_llmdispatch.routing.fleet import Fleet
from langchain_llmdispatch.routing.forecast import ForecastTable
from langchain_llmdispatch.routing.strategies import Criteria

Check: TypeAlias = Callable[[Target], "str | None"]


def fitting(
    routing: RoutingRequest,
    fleet: Fleet,
    allowed: Sequence[str] | None,
    excluded: list[Exclusion],
) -> list[Candidate]:
    """Return the candidates that can serve the request; add the others to `excluded`.

    A model that lacks something, by what is known of it, is left out only if another one does not.

    Args:
        routing: What is decided.
        fleet: The targets, in configured order.
        allowed: The only vendors that the model allows, or None.
        excluded: What was left out so far.
    """
    table = ForecastTable(routing.forecast, fleet)
    checks, unmet_by = _checks(routing, allowed), routing.needs.unmet_by
    if not checks and fleet.meets(routing.needs):
        return [Candidate(target, rank, table) for rank, target in enumerate(fleet.targets)]
    fit: list[Candidate] = []
    doubtful: list[tuple[Candidate, str]] = []
    for rank, target in enumerate(fleet.targets):
        for kind, check in checks:
            if (reason := check(target)) is not None:
                excluded.append(Exclusion(target.name, kind, reason))
                break
        else:
            candidate = Candidate(target, rank, table)
            if (reason := unmet_by(target)) is None:
                fit.append(candidate)
            else:
                doubtful.append((candidate, reason))
    if not fit:
        return [candidate for candidate, _ in doubtful]
    excluded += [Exclusion(candidate.name, "doubt", reason) for candidate, reason in doubtful]
    return fit


def available(
    routing: RoutingRequest, health: Health, candidates: list[Candidate], excluded: list[Exclusion]
) -> tuple[list[Candidate], list[Candidate]]:
    """Return the candidates that may be tried, and the last resorts, whose breakers are open.

    A short cooldown is waited for; a longer one leaves out, unless everything else is left out as well.
    """
    kept: list[Candidate] = []
    resorts: list[tuple[bool, float, int, Candidate]] = []
    cooling_down: list[Candidate] = []
    for candidate in candidates:
        left, cooling = health.blocked(candidate.target, routing.now)
        probing = left <= 0 and health.probing(candidate.target, routing.now)
        if probing or (left > 0 and not cooling):
            misconfigured = candidate.health.misconfigured
            resorts.append((misconfigured, PROBE_LEASE if probing else left, candidate.rank, candidate))
            continue
        candidate.wait, candidate.probes = left, left <= 0 and candidate.health.state == "half_open"
        (kept if left <= routing.longest_wait else cooling_down).append(candidate)
    if not kept and not resorts:
        return cooling_down, []
    for candidate in cooling_down:
        view = candidate.health
        text = f"cooling down after a Retry-After, for {candidate.wait:.1f} s more ({view.reason})"
        excluded.append(Exclusion(candidate.name, "health", text))
    return kept, [each[-1] for each in sorted(resorts)]


def below_ceilings(
    criteria: Criteria, candidates: list[Candidate], excluded: list[Exclusion]
) -> list[Candidate]:
    """Return the candidates below every ceiling of the criteria; add the others to `excluded`."""
    kept = []
    for candidate in candidates:
        reason = criteria.exceeded_by(candidate)
        if reason is None:
            kept.append(candidate)
        else:
            excluded.append(Exclusion(candidate.name, "ceiling", reason))
    return kept


def _checks(routing: RoutingRequest, allowed: Sequence[str] | None) -> list[tuple[ExclusionKind, Check]]:
    """Return what can rule a target out for good, in this call."""
    checks: list[tuple[ExclusionKind, Check]] = [
        ("vendor", partial(_forbidden, vendors))
        for vendors in (allowed, routing.allowed_vendors)
        if vendors is not None
    ]
    if routing.needs.may_be_inexpressible:
        checks.append(("unfit", routing.needs.inexpressible_to))
    if routing.bounded:
        checks.append(("budget", partial(_too_expensive, routing)))
    return checks


def _forbidden(allowed: Sequence[str], target: Target) -> str | None:
    if any(target.is_of(vendor) for vendor in allowed):
        return None
    return f"{target.vendor.name} is not among allowed_vendors={list(allowed)}"


def _too_expensive(routing: RoutingRequest, target: Target) -> str | None:
    forecast, (limit, most) = routing.forecast, routing.left(target)
    worst, needed = routing.worst(target)
    if most is not None and (needed is None or needed > most):
        if needed is None:
            return "its worst case is unknown without a limit of output tokens: set max_tokens"
        return f"it may take {needed:,} tokens, and {most:,} are left"
    if limit is None:
        return None
    if worst is None:
        if forecast.most_output(target) is None:
            return "its worst case is unknown without a limit of output tokens: set max_tokens"
        return "its price is unknown: set input_price and output_price"
    if worst <= limit:
        return None
    tokens = f"{routing.needs.worst_tokens:,} tokens in, {forecast.most_output(target):,} out"
    hint = "; a lower max_tokens costs less" if routing.needs.output_limit is None else ""
    return f"it may cost ${worst:.6f} ({tokens}), and ${limit:.6f} are left{hint}"
