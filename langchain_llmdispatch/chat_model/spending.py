"""What calls may spend: budgets, whose they are, and what happens near their end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, Literal, TypeAlias

from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.budgets.call_budget import CallBudget, WorstCost
from langchain_llmdispatch.budgets.scope import Spender, user_of
from langchain_llmdispatch.budgets.state import BudgetState
from langchain_llmdispatch.chat_model.run_options import RunOptions
from langchain_llmdispatch.chat_model.run_root import root_run
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.types import ChatRequest

OnBudget: TypeAlias = Literal["raise", "cheaper"] | Callable[[BudgetState], str | None]
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")


class ModelBudgets:
    """The budgets of a model, and what is done near their end.

    Args:
        budgets: The budgets.
        budget_usd: Dollars that one call may cost at worst, or None.
        on_budget: What happens near the end of a budget; see `DispatchFields.on_budget`.

    Attributes:
        bounds: Whether they bound every call.
    """

    def __init__(self, budgets: Sequence[Budget], budget_usd: float | None, on_budget: OnBudget) -> None:
        self.budgets, self._budget_usd, self._on_budget = budgets, budget_usd, on_budget
        self.bounds = bool(budgets) or budget_usd is not None
        self._names_runs = any(budget.scope == "run" for budget in budgets)

    def bounded(
        self,
        routing: RoutingRequest,
        options: RunOptions,
        route: Callable[[str], Sequence[Any]],
        manager: Any = None,
    ) -> tuple[RoutingRequest, CallBudget]:
        """Return what the decision depends on within the budgets, and what the call may spend.

        Args:
            routing: What it depends on without.
            options: The choices of the call's run.
            route: Returns the targets of a route by its name.
            manager: LangChain's manager of its run, or None.
        """
        budget = self.budget_of(routing, options, manager)
        return self.steered(routing, budget, route), budget

    def budget_of(
        self,
        routing: RoutingRequest,
        options: RunOptions,
        manager: Any = None,
        *,
        worst: WorstCost | None = None,
        run: str = "",
    ) -> CallBudget:
        """Return what a call may spend.

        Args:
            routing: What the decision about it depends on.
            options: The choices of its run.
            manager: LangChain's manager of its run, or None.
            worst: Returns the worst case of a request; None for that of a live call.
            run: The id of its outermost run, where no manager has it.
        """
        request = routing.request
        own = [Decimal(str(usd)) for usd in (self._budget_usd, options.max_cost) if usd is not None]
        spender = Spender(
            (root_run(request.metadata, manager) or run) if self._names_runs else "",
            options.thread_id or "",
            user_of(request.params, request.metadata),
            request.tags,
            request.metadata,
        )
        limit = min(own, default=None)
        return CallBudget(worst or routing.worst, limit=limit, budgets=self.budgets, spender=spender)

    def steered(
        self, routing: RoutingRequest, budget: CallBudget, route: Callable[[str], Sequence[Any]]
    ) -> RoutingRequest:
        """Return what the decision depends on, within a budget and with what is done near its end.

        Args:
            routing: What it depends on without.
            budget: What the call may spend.
            route: Returns the targets of a route by its name.
        """
        routing.limit = budget.left_on(None, routing.at).usd
        routing.left_on = partial(budget.left_on, at=routing.at)
        state = None if self._on_budget == "raise" else budget.nearest(routing.at)
        if state is None:
            return routing
        action = self._on_budget if isinstance(self._on_budget, str) else self._on_budget(state)
        if action is None or action == "raise":
            return routing
        if action != "cheaper":
            steered = replace(routing, targets=_checked(route, action), model=action)
        else:
            steered = replace(routing, request=_with_less_effort(routing.request), cheaper=True)
        budget.action = action
        return steered


def budgets_of(given: Budget | Sequence[Budget] | None) -> Sequence[Budget]:
    """Return the budgets of a model as a sequence."""
    if given is None:
        return ()
    return (given,) if isinstance(given, Budget) else tuple(given)


def _checked(route: Callable[[str], Sequence[Any]], action: Any) -> Sequence[Any]:
    """Return the targets of the route that `on_budget` names.

    Raises:
        ConfigurationError: It names none.
    """
    if not isinstance(action, str):
        raise ConfigurationError(
            f"on_budget returned {action!r}; it returns 'cheaper', 'raise', None, or the name of a route."
        )
    return route(action)


def _with_less_effort(request: ChatRequest) -> ChatRequest:
    """Return a request for one step less of reasoning; one that names no effort stays as it is."""
    effort = request.params.get("reasoning_effort")
    if effort not in _EFFORTS[2:]:
        return request
    less = _EFFORTS[_EFFORTS.index(effort) - 1]
    params = {**request.params, "reasoning_effort": less}
    return replace(request, params=params, defaults=request.defaults - {"reasoning_effort"})
