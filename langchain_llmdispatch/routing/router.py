"""The router: which targets a call tries, in which order, and which are left out.

`Router.decide` filters, applies rules, and orders, in that order. It is pure: what it needs of the moment is
in the `RoutingRequest`. `explain()` shows the same decision with every prediction filled in (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import ToolMessage

from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.routing.candidate import Candidate
from langchain_llmdispatch.routing.decision import Decision, Exclusion, RoutingRequest
from langchain_llmdispatch.routing.filters import available, below_ceilings, fitting
from langchain_llmdispatch.routing.fleet import Fleet
from langchain_llmdispatch.routing.rules import RoutingRule
from langchain_llmdispatch.routing.strategies import Criteria, Strategy, lowest_cost, order_of, weighs_cost
from langchain_llmdispatch.settings import nearest
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.history.threads import Thread

if TYPE_CHECKING:
    from langchain_llmdispatch.vendors import deep_requests
else:
    deep_requests = LateModule("langchain_llmdispatch.vendors.deep_requests")

_MOST_FLEETS = 64


class Router:
    """The model's fields that route requests, prepared once.

    Args:
        strategy: How candidates are ordered.
        rules: Which requests prefer which deployments.
        default_vendor: The vendor whose deployments are tried first.
        fallback_vendor: The vendor whose deployments are tried last.
        allowed_vendors: The only vendors that may see a conversation, or None.
    """

    def __init__(
        self,
        strategy: Strategy = "ordered",
        *,
        rules: Sequence[RoutingRule] = (),
        default_vendor: str | None = None,
        fallback_vendor: str | None = None,
        allowed_vendors: Sequence[str] | None = None,
    ) -> None:
        self.strategy, self._order = strategy, order_of(strategy)
        self._rules = sorted((rule for rule in rules if rule.enabled), key=lambda rule: -rule.priority)
        self._default, self._fallback = default_vendor, fallback_vendor
        self._allowed = allowed_vendors
        self._weighs_cost = weighs_cost(strategy)
        ceilings = isinstance(self._order, Criteria) and self._order.has_ceilings
        self._ceilings = self._order if isinstance(self._order, Criteria) and ceilings else None
        prefers = default_vendor is not None or fallback_vendor is not None
        self._keeps_order = strategy == "ordered" and not (
            self._rules or prefers or allowed_vendors is not None
        )
        self._fleets: dict[int, Fleet] = {}  # by the identity of their targets
        self.takes_turns = strategy == "round_robin"

    def check(self, pool: Sequence[Target], routes: Mapping[str, object]) -> None:
        """Check that every rule names a deployment or route that exists.

        Raises:
            ConfigurationError: A rule does not.
        """
        names = {word for target in pool for word in (target.name, *target.deployment.tags)}
        for rule in self._rules:
            for word, known in ((rule.deployment, names), (rule.route, routes)):
                if word is not None and word not in known:
                    hint = nearest(word, known)
                    raise ConfigurationError(f"routing_rules: there is no {rule.destination!r}.{hint}")

    def decide(self, routing: RoutingRequest) -> Decision:
        """Return the targets to try, in order, and those that are left out.

        Raises:
            InvalidRequestError: The request is nested too deeply.
        """
        try:
            if self._keeps_order and _is_plain(routing) and self._fits_all(routing):
                return Decision(routing.targets)
            return self._decide(routing)
        except RecursionError as error:
            raise deep_requests.deep_request(routing.request, error) from None

    def _decide(self, routing: RoutingRequest) -> Decision:
        rule, preferred, targets = self._prefer(routing)
        excluded: list[Exclusion] = []
        candidates = fitting(routing, self._fleet_of(targets), self._allowed, excluded)
        resorts: list[Candidate] = []
        troubled = routing.health is not None and not routing.health.all_available
        if routing.health is not None and troubled:
            candidates, resorts = available(routing, routing.health, candidates, excluded)
        if self._ceilings is not None:
            candidates = below_ceilings(self._ceilings, candidates, excluded)
            resorts = below_ceilings(self._ceilings, resorts, excluded)
        ordered = self._ordered(routing, candidates, excluded)
        if resorts:
            chosen_resorts = set(map(id, self._ordered(routing, resorts, excluded)))
            resorts = [candidate for candidate in resorts if id(candidate) in chosen_resorts]
        if preferred:
            ordered = sorted(ordered, key=lambda candidate: candidate.name not in preferred)
        ordered, pinned = self._pin(routing, ordered, preferred)
        waits: Sequence[float] = ()
        if troubled and any(candidate.wait for candidate in ordered):
            ordered = _soonest_first(ordered, routing.patience)
            waits = tuple([candidate.wait for candidate in (*ordered, *resorts)])
        chosen = tuple([candidate.target for candidate in (*ordered, *resorts)])
        return Decision(chosen, waits, tuple(excluded), rule, pinned, len(resorts))

    def matches_run(self, request: ChatRequest) -> Sequence[bool]:
        """Return for each rule whether a run is one that it is for; see `RoutingRule.matches_run`."""
        return [rule.matches_run(request) for rule in self._rules]

    def _fits_all(self, routing: RoutingRequest) -> bool:
        """Return whether the request fits every target, by the catalog."""
        targets = routing.targets
        return len(targets) == 1 or self._fleet_of(targets).meets(routing.needs)

    def _fleet_of(self, targets: Sequence[Target]) -> Fleet:
        """Return the fleet of these targets: the same one while the same targets are given."""
        fleet = self._fleets.get(id(targets))
        if fleet is None or fleet.targets is not targets:
            if len(self._fleets) >= _MOST_FLEETS:
                self._fleets.clear()
            fleet = self._fleets[id(targets)] = Fleet(targets)
        return fleet

    def _prefer(self, routing: RoutingRequest) -> tuple[RoutingRule | None, frozenset[str], Sequence[Target]]:
        """Return the rule that matches, the names that it prefers, and the targets with those among them."""
        for rule in self._rules:
            if not rule.matches(routing.needs, routing.model):
                continue
            if rule.route is not None:
                found = list(routing.routes.get(rule.route, ()))
            else:
                found = [target for target in routing.targets if rule.prefers(target)]
                found = found or [target for target in routing.pool if rule.prefers(target)]
            if found:
                names = frozenset(target.name for target in found)
                own = {target.name for target in routing.targets}
                more = [target for target in found if target.name not in own]
                return rule, names, (*routing.targets, *more) if more else routing.targets
        return None, frozenset(), routing.targets

    def _ordered(
        self, routing: RoutingRequest, candidates: list[Candidate], excluded: list[Exclusion]
    ) -> Sequence[Candidate]:
        """Return the candidates in the strategy's order, but by default and fallback vendor first."""
        chosen = self._order(candidates, routing.rng) if candidates else candidates
        if routing.cheaper:
            chosen = lowest_cost(list(chosen), routing.rng)
        if len(chosen) < len(candidates):
            kept = {id(candidate) for candidate in chosen}
            left_out = [candidate for candidate in candidates if id(candidate) not in kept]
            excluded += [Exclusion(c.name, "strategy", "the strategy leaves it out") for c in left_out]
        if self.strategy == "weighted" and any(candidate.probes for candidate in chosen):
            # Or chance would decide when a deployment that has recovered gets its share again.
            chosen = sorted(chosen, key=lambda candidate: not (candidate.probes and candidate.weight))
        if self._default is None and self._fallback is None:
            return chosen
        return sorted(chosen, key=self._vendor_rank)

    def _vendor_rank(self, candidate: Candidate) -> int:
        if self._default is not None and candidate.target.is_of(self._default):
            return 0
        return 2 if self._fallback is not None and candidate.target.is_of(self._fallback) else 1

    def _pin(
        self, routing: RoutingRequest, candidates: Sequence[Candidate], preferred: frozenset[str]
    ) -> tuple[Sequence[Candidate], str]:
        """Put the deployment first that answered last in a tool loop or a thread, unless switching pays."""
        name, why = routing.needs.tool_loop_deployment, "tool loop"
        if name is None and routing.affinity is not None and routing.thread is not None:
            name, why = routing.affinity.deployment_of(routing.thread, routing.now), "thread"
        if name is None or not candidates or (preferred and name not in preferred):
            return candidates, ""
        pinned = next((c for c in candidates if c.name == name and c.wait <= routing.patience), None)
        if pinned is None or (pinned is not candidates[0] and self._pays(routing, pinned, candidates[0])):
            return candidates, ""
        return [pinned, *(c for c in candidates if c is not pinned)], why

    def _pays(self, routing: RoutingRequest, pinned: Candidate, other: Candidate) -> bool:
        """Return whether `other` costs less although the whole prompt is new to its cache."""
        if not (self._weighs_cost or routing.cheaper):
            return False
        known = routing.warmth is not None and routing.thread is not None
        warm = routing.warm_tokens(pinned.target) if known else routing.needs.prefix_tokens
        stay = routing.forecast.cost(pinned.target, cached_tokens=warm)
        switch = routing.forecast.cost(other.target, cached_tokens=routing.warm_tokens(other.target))
        return stay is not None and switch is not None and switch < stay


def _soonest_first(candidates: Sequence[Candidate], patience: float) -> Sequence[Candidate]:
    """Return the candidates, the soonest first; but the first one stays first if its wait is short."""
    first = candidates[0] if candidates and candidates[0].wait <= patience else None
    return sorted(candidates, key=lambda candidate: 0.0 if candidate is first else candidate.wait)


def _is_plain(routing: RoutingRequest) -> bool:
    """Return whether nothing about the call or the moment can change the configured order."""
    request, health = routing.request, routing.health
    if routing.limit is not None or routing.left_on is not None:
        return False
    if routing.thread is not None or routing.allowed_vendors is not None:
        return False
    if request.server_tools or request.extra:
        return False
    if request.unsupported_params == "raise":
        return False
    if not (health is None or health.all_available):
        return False
    for message in () if request.messages.__class__ is Thread else request.messages:
        if type(message.content) is not str:
            return False
    return not (request.messages and isinstance(request.messages[-1], ToolMessage))
