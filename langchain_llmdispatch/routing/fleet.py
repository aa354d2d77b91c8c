"""What is the same in every decision among the same targets: their keys, sizes and rates, kept ready."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

from langchain_llmdispatch.catalog.price_key import DatedPrices
from langchain_llmdispatch.catalog.prices import TieredRates
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.routing.needs import TERMS, Needs, calls_tools


class Fleet:
    """The targets of a decision, in configured order.

    Args:
        targets: The targets.

    Attributes:
        targets: The targets.
        keys: What identifies each where health is kept.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self.targets, self.keys = targets, [target.key for target in targets]
        self._rates: tuple[DatedPrices | None, Sequence[TieredRates | None]] = (None, ())

    @cached_property
    def _own_words(self) -> frozenset[str]:
        """The words for requests that some deployment has of its own."""
        return frozenset(word for target in self.targets for word in target.deployment.params)

    def limits(self, needs: Needs) -> Sequence[int | None]:
        """Return `max_tokens` on each target; empty if no answer is limited; see `Needs.output_limit_on`."""
        if needs.request.scopes is not None or "max_tokens" in self._own_words:
            return [needs.output_limit_on(target) for target in self.targets]
        return () if needs.output_limit is None else [needs.output_limit] * len(self.targets)

    def rates(self, dated: DatedPrices) -> Sequence[TieredRates | None]:
        """Return what tokens of each cost on plain terms, None where that is unknown."""
        held, rates = self._rates
        if held is not dated:
            prices = [target.price for target in self.targets]
            rates = [price.fixed or price.rates(dated) for price in prices]
            self._rates = dated, rates
        return rates

    @property
    def has_terms(self) -> bool:
        """Whether some deployment is configured with terms of sale of its own."""
        return not TERMS.isdisjoint(self._own_words)

    def meets(self, needs: Needs) -> bool:
        """Return whether every target's model has what the request needs; if not, some may have it."""
        if needs.has_blocks or needs.has_schema or needs.tokens > self._window:
            return False
        if needs.request.scopes is not None or "max_tokens" in self._own_words:
            return False
        if needs.output_limit is not None and needs.output_limit > self._most_output:
            return False
        return not needs.has_tools or self._calls_tools

    @cached_property
    def _window(self) -> float:
        return _least(target.facts.context_window for target in self.targets)

    @cached_property
    def _most_output(self) -> float:
        return _least(target.facts.max_output_tokens for target in self.targets)

    @cached_property
    def _calls_tools(self) -> bool:
        return all(map(calls_tools, self.targets))


def _least(limits: Iterable[int | None]) -> float:
    """Return the least of the limits that are known."""
    return min((limit for limit in limits if limit is not None), default=math.inf)


forks.renew_properties(Fleet)
