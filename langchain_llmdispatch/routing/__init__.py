"""Which deployment answers: rules, filters, strategies, and the plan that `explain()` returns.

Owns: one decision per call, from the request, the health of deployments, prices and rules. Pure.
Must not know: Redis, drivers, how attempts go on after a failure.
"""

from __future__ import annotations

from langchain_llmdispatch.routing.rules import RoutingRule
from langchain_llmdispatch.routing.strategies import Strategy, check_strategy

__all__ = ["RoutingRule", "Strategy", "check_strategy"]
