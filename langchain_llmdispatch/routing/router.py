"""The decision of one call: who may serve it, who goes first, who is left out and why.

`Router.decide` filters, applies rules, and orders, in that order. It is pure: what it knows of the moment is
in the `Ask` that it is handed. `explain` shows the same decision with every prediction filled in (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from langchain_llmdispatch.errors import (
    BudgetExceededError,
    ConfigurationError,
    DispatchError,
    NoDeploymentError,
)
from langchain_llmdispatch.health.breaker import PROBE_LEASE
from langchain_llmdispatch.routing.candidate import Candidate
from langchain_llmdispatch.routing.forecast import Outlook
from langchain_llmdispatch.routing.rules import RoutingRule, is_vendor
from langchain_llmdispatch.routing.strategies import Criteria, Strategy, order_of, weighs_cost
from langchain_llmdispatch.settings import nearest

if TYPE_CHECKING:
    from decimal import Decimal

    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.health.health import Health
    from langchain_llmdispatch.routing.affinity import Affinity
    from langchain_llmdispatch.routing.forecast import Forecast
    from langchain_llmdispatch.routing.needs import Needs

Kind: TypeAlias = Literal["vendor", "unfit", "doubt", "budget", "health", "ceiling", "strategy"]
Check: TypeAlias = Callable[["Target"], "str | None"]


class Exclusion(NamedTuple):
    """A deployment that was left out.

    Attributes:
        deployment: Its name.
        kind: A stable word for the reason.
        reason: The reason, for people.
    """

    deployment: str
    kind: Kind
    reason: str


class Ask(NamedTuple):
    """Everything one decision depends on.

    Attributes:
        needs: What the request needs.
        targets: Whom the call may go to, in configured order.
        forecast: Predictions as of now.
        rng: The source of randomness.
        health: What is known of the deployments.
        model: The model, route or deployment asked for, for rules.
        allowed_vendors: The only vendors that this run allows, or None.
        thread: What the conversation is known by, or None.
        limit: Dollars that the call may cost at worst, or None.
        longest_wait: Seconds of a vendor's Retry-After that are worth waiting for.
        affinity: Which deployment answered which thread last.
        pool: All targets, where rules may point.
        routes: Targets by route, where rules may point.
    """

    needs: Needs
    targets: Sequence[Target]
    forecast: Forecast
    rng: Random
    health: Health | None = None
    model: str = ""
    allowed_vendors: Sequence[str] | None = None
    thread: str | None = None
    limit: Decimal | None = None
    longest_wait: float = 60.0
    affinity: Affinity | None = None
    pool: Sequence[Target] = ()
    routes: Mapping[str, Sequence[Target]] = MappingProxyType({})


class Decision(NamedTuple):
    """Who is tried, in order, and who is not.

    Attributes:
        targets: Whom to try, best first.
        waits: Seconds until each may be asked, in the same order; empty if all may be now.
        excluded: Who was left out and why.
        rule: The rule that matched, or None.
        pinned: Why the first one stays where it was: `tool loop` or `thread`; empty if it does not.
        panic: Whether every breaker was open and the one nearest to closing is tried.
    """

    targets: Sequence[Target]
    waits: Sequence[float] = ()
    excluded: Sequence[Exclusion] = ()
    rule: RoutingRule | None = None
    pinned: str = ""
    panic: bool = False

    def error(self) -> DispatchError:
        """Return the error of a decision that leaves nobody."""
        if not self.excluded:
            return NoDeploymentError("there is no deployment")
        listed = "; ".join(f"{each.deployment}: {each.reason}" for each in self.excluded)
        if any(each.kind == "budget" for each in self.excluded):
            return BudgetExceededError(f"no deployment's worst case fits the budget: {listed}")
        return NoDeploymentError(f"no deployment can serve this request: {listed}")


class Router:
    """What a model's fields say about routing, made ready once.

    Args:
        strategy: How candidates are ordered.
        rules: Who serves which requests.
        default_vendor: Whose deployments go first.
        fallback_vendor: Whose deployments go last.
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
        self._criteria = self._order if isinstance(self._order, Criteria) else None
        prefers = default_vendor is not None or fallback_vendor is not None
        self._plain = strategy == "ordered" and not self._rules and allowed_vendors is None and not prefers
        self.takes_turns = strategy == "round_robin"

    def check(self, pool: Sequence[Target], routes: Mapping[str, object]) -> None:
        """Check that rules point somewhere.

        Raises:
            ConfigurationError: A rule names a deployment or route that there is not.
        """
        names = {word for target in pool for word in (target.name, *target.deployment.tags)}
        for rule in self._rules:
            for word, known in ((rule.deployment, names), (rule.route, routes)):
                if word is not None and word not in known:
                    hint = nearest(word, known)
                    raise ConfigurationError(f"routing_rules: there is no {rule.destination!r}.{hint}")

    def decide(self, ask: Ask) -> Decision:
        """Return who is tried, in order, and who is left out and why."""
        if self._plain and self._is_plain(ask):
            return Decision(ask.targets)
        rule, led, targets = self._led(ask)
        excluded: list[Exclusion] = []
        able, panic = self._sift(ask, targets, excluded)
        candidates = self._ordered(ask, self._capped(able, excluded), excluded)
        if led:
            candidates = _in_front(candidates, led)
        candidates, pinned = self._pinned(ask, candidates, led)
        waits: Sequence[float] = ()
        if any(candidate.wait for candidate in candidates):
            candidates = sorted(candidates, key=lambda c: c.wait)  # who can go sooner, goes
            waits = tuple(candidate.wait for candidate in candidates)
        chosen = tuple([candidate.target for candidate in candidates])
        return Decision(chosen, waits, tuple(excluded), rule, pinned, panic)

    @staticmethod
    def _is_plain(ask: Ask) -> bool:
        """Whether nothing about the call or the moment can change the configured order."""
        needs, request = ask.needs, ask.needs.request
        if ask.limit is not None or ask.thread is not None or ask.allowed_vendors is not None:
            return False
        if needs.is_demanding:
            return False
        if request.unsupported_params == "raise" or needs.answered_by is not None:
            return False
        if ask.health is not None and not ask.health.quiet:
            return False
        return len(ask.targets) == 1 or not any(needs.doubted_by(target) for target in ask.targets)

    # -- rules -------------------------------------------------------------------------------------

    def _led(self, ask: Ask) -> tuple[RoutingRule | None, frozenset[str], Sequence[Target]]:
        """Return the rule that matches, whom it leads to, and the targets with those among them."""
        for rule in self._rules:
            if not rule.matches(ask.needs, ask.model):
                continue
            if rule.route is not None:
                found = list(ask.routes.get(rule.route, ()))
            else:
                found = [t for t in ask.targets if rule.leads_to(t)]
                found = found or [t for t in ask.pool if rule.leads_to(t)]
            if found:
                names = frozenset(target.name for target in found)
                own = {target.name for target in ask.targets}
                return rule, names, (*ask.targets, *(t for t in found if t.name not in own))
        return None, frozenset(), ask.targets

    # -- filters -----------------------------------------------------------------------------------

    def _sift(
        self, ask: Ask, targets: Sequence[Target], excluded: list[Exclusion]
    ) -> tuple[list[Candidate], bool]:
        fit: list[Candidate] = []
        doubtful: list[tuple[Candidate, str]] = []
        checks, doubted_by, outlook = self._checks(ask), ask.needs.doubted_by, Outlook(ask.forecast, targets)
        for rank, target in enumerate(targets):
            for kind, check in checks:
                if (reason := check(target)) is not None:
                    excluded.append(Exclusion(target.name, kind, reason))
                    break
            else:
                candidate = Candidate(target, rank, outlook)
                if (reason := doubted_by(target)) is None:
                    fit.append(candidate)
                else:
                    doubtful.append((candidate, reason))
        if not fit:  # where nobody seems able, the vendors have the last word
            fit, doubtful = [candidate for candidate, _ in doubtful], []
        excluded += [Exclusion(c.name, "doubt", reason) for c, reason in doubtful]
        if ask.health is None or ask.health.quiet:
            return fit, False
        return self._healthy(ask, ask.health, fit, excluded)

    def _checks(self, ask: Ask) -> list[tuple[Kind, Check]]:
        """Return what can rule a deployment out for good, in this call."""
        checks: list[tuple[Kind, Check]] = []
        if self._allowed is not None:
            checks.append(("vendor", partial(_forbidden, self._allowed)))
        if ask.allowed_vendors is not None:
            checks.append(("vendor", partial(_forbidden, ask.allowed_vendors)))
        if ask.needs.may_be_refused:
            checks.append(("unfit", ask.needs.refused_by))
        if ask.limit is not None:
            checks.append(("budget", partial(_too_dear, ask.forecast, ask.limit)))
        return checks

    @staticmethod
    def _healthy(
        ask: Ask, health: Health, fit: list[Candidate], excluded: list[Exclusion]
    ) -> tuple[list[Candidate], bool]:
        """Leave out whose breaker is open; what only cools down may be waited for."""
        now = ask.forecast.now
        kept: list[Candidate] = []
        out: list[tuple[float, bool, Candidate]] = []
        for candidate in fit:
            left, cooling = health.blocked(candidate.target, now)
            if left <= 0 and health.probing(candidate.target, now):
                out.append((PROBE_LEASE, False, candidate))
            elif left <= 0:
                kept.append(candidate)
            elif cooling and left <= ask.longest_wait:
                candidate.wait = left
                kept.append(candidate)
            else:
                out.append((left, cooling, candidate))
        panic = not kept and bool(out)
        if panic:
            left, cooling, candidate = nearest_to_closing = min(out, key=lambda each: (each[0], each[2].rank))
            out.remove(nearest_to_closing)
            candidate.wait = left if cooling else 0.0
            kept = [candidate]
        for left, cooling, candidate in out:
            excluded.append(Exclusion(candidate.name, "health", _out(candidate, left, cooling=cooling)))
        return kept, panic

    def _capped(self, candidates: list[Candidate], excluded: list[Exclusion]) -> list[Candidate]:
        criteria = self._criteria
        if criteria is None or not criteria.has_ceilings:
            return candidates
        kept = []
        for candidate in candidates:
            reason = criteria.refuses(candidate)
            if reason is None:
                kept.append(candidate)
            else:
                excluded.append(Exclusion(candidate.name, "ceiling", reason))
        return kept

    # -- order -------------------------------------------------------------------------------------

    def _ordered(
        self, ask: Ask, candidates: list[Candidate], excluded: list[Exclusion]
    ) -> Sequence[Candidate]:
        chosen = self._order(candidates, ask.rng) if candidates else candidates
        if len(chosen) < len(candidates):
            kept = {id(candidate) for candidate in chosen}
            excluded += [
                Exclusion(c.name, "strategy", "the strategy leaves it out")
                for c in candidates
                if id(c) not in kept
            ]
        if self._default is None and self._fallback is None:
            return chosen
        return sorted(chosen, key=self._preference)

    def _preference(self, candidate: Candidate) -> int:
        if self._default is not None and is_vendor(candidate.target, self._default):
            return 0
        return 2 if self._fallback is not None and is_vendor(candidate.target, self._fallback) else 1

    def _pinned(
        self, ask: Ask, candidates: Sequence[Candidate], led: frozenset[str]
    ) -> tuple[Sequence[Candidate], str]:
        """Put first who answered last, in a tool loop or a thread, unless leaving pays."""
        name, why = ask.needs.answered_by, "tool loop"
        if name is None and ask.affinity is not None and ask.thread is not None:
            name, why = ask.affinity.bound(ask.thread, ask.forecast.now), "thread"
        if name is None or not candidates or (led and name not in led):
            return candidates, ""
        held = next((c for c in candidates if c.name == name and not c.wait), None)
        if held is None or (held is not candidates[0] and self._leaving_pays(ask, held, candidates[0])):
            return candidates, ""
        return [held, *(c for c in candidates if c is not held)], why

    def _leaving_pays(self, ask: Ask, held: Candidate, other: Candidate) -> bool:
        """Whether the other is cheaper although it has to read the whole prompt anew."""
        if not self._weighs_cost:
            return False
        stay = ask.forecast.cost(held.target, cached_tokens=ask.needs.prefix_tokens)
        leave = ask.forecast.cost(other.target)
        return stay is not None and leave is not None and leave < stay


def _in_front(candidates: Sequence[Candidate], names: frozenset[str]) -> Sequence[Candidate]:
    return sorted(candidates, key=lambda candidate: candidate.name not in names)


def _out(candidate: Candidate, left: float, *, cooling: bool) -> str:
    view = candidate.health
    reason = f" ({view.reason})" if view.reason else ""
    if view.state == "half_open":
        return f"its breaker is half open, and a probe is under way{reason}"
    why = "it asked to be left alone" if cooling else "its breaker is open"
    return f"{why} for {left:.1f} s more{reason}"


def _forbidden(allowed: Sequence[str], target: Target) -> str | None:
    if any(is_vendor(target, word) for word in allowed):
        return None
    return f"{target.vendor.name} is not among allowed_vendors={list(allowed)}"


def _too_dear(forecast: Forecast, limit: Decimal, target: Target) -> str | None:
    worst = forecast.worst(target)
    if worst is None:
        if forecast.most_output(target) is None:
            return "no output limit is known, so no worst case is: set max_tokens"
        return "its price is unknown: set input_price and output_price"
    if worst <= limit:
        return None
    tokens = f"{forecast.needs.most_tokens:,} tokens in, {forecast.most_output(target):,} out"
    hint = "; max_tokens would lower it" if forecast.needs.output_limit is None else ""
    return f"up to ${worst:.6f} ({tokens}), and ${limit:.6f} are left{hint}"
