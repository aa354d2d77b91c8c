"""Who answers: rules, strategies, and the plan that says it beforehand."""

from __future__ import annotations

from langchain_llmdispatch.routing.rules import RoutingRule
from langchain_llmdispatch.routing.strategies import Strategy, check_strategy

__all__ = ["RoutingRule", "Strategy", "check_strategy"]
