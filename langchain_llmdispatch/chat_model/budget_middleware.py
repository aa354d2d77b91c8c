"""`BudgetMiddleware`: an agent that runs out of budget concludes with what it has, instead of failing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import ensure_config

from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.budgets.scope import OF_TARGETS, Spender, user_of
from langchain_llmdispatch.budgets.state import BudgetState
from langchain_llmdispatch.chat_model.run_root import root_run
from langchain_llmdispatch.errors import AllDeploymentsFailedError, BudgetExceededError, ConfigurationError

try:
    from langchain.agents.middleware import AgentMiddleware
    from langchain.agents.middleware.types import ModelRequest, ModelResponse
except ImportError as error:  # pragma: no cover - the tests have it
    raise ImportError("BudgetMiddleware needs langchain: pip install langchain") from error

CONCLUDE = (
    "The budget of this run is nearly used up. Do not call any more tools. Answer now, as well as you can, "
    "with what you have found out so far, and say what is missing."
)
"""The message to the model when the agent has to conclude."""
EXHAUSTED = "The budget of this run is used up."
"""The agent's answer where not even a conclusion fits the budget."""


class BudgetMiddleware(AgentMiddleware[Any, Any, Any]):
    """Ends an agent's run within its budget: near the end its model concludes, without tools.

    Example:
        ```python
        budget = Budget(usd=0.50, per="run")
        model = DispatcherChatModel("openai:gpt-6-luna", budget=budget)
        agent = create_agent(model, tools, middleware=[BudgetMiddleware(budget)])
        ```

    Args:
        budget: The budget, which the agent's model holds as well.
        reserve: The share of it that is kept for the conclusion.
        message: The message to the model when it has to conclude.
        exhausted: The agent's answer where not even a conclusion fits.

    Raises:
        ConfigurationError: The share is not from 0 to below 1, or the budget is one of calls or deployments.
    """

    def __init__(
        self, budget: Budget, *, reserve: float = 0.1, message: str = CONCLUDE, exhausted: str = EXHAUSTED
    ) -> None:
        super().__init__()
        if not 0 <= reserve < 1:
            raise ConfigurationError(f"BudgetMiddleware: reserve={reserve!r} must be from 0 to below 1.")
        if budget.per_call or budget.scope in OF_TARGETS:
            raise ConfigurationError(f"BudgetMiddleware: {budget!r} is not one of runs, threads or users.")
        self.budget, self.reserve, self.message, self.exhausted = budget, reserve, message, exhausted

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage:
        """Call the model; conclude where only the reserve is left."""
        if (bounded := self._bounded(request)) is not None:
            try:
                return handler(bounded)
            except BudgetExceededError:
                pass
            except AllDeploymentsFailedError as error:
                if not _is_of_budget(error):
                    raise
        try:
            return handler(self._concluding(request))
        except BudgetExceededError:
            return AIMessage(self.exhausted)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        """Call the model; conclude where only the reserve is left."""
        if (bounded := self._bounded(request)) is not None:
            try:
                return await handler(bounded)
            except BudgetExceededError:
                pass
            except AllDeploymentsFailedError as error:
                if not _is_of_budget(error):
                    raise
        try:
            return await handler(self._concluding(request))
        except BudgetExceededError:
            return AIMessage(self.exhausted)

    def state(self) -> BudgetState:
        """Return the state of the run's account, as of now."""
        config = ensure_config()
        metadata, thread = config["metadata"], config["configurable"].get("thread_id")
        spender = Spender(
            root_run(metadata),
            "" if thread is None else str(thread),
            user_of({}, metadata),
            frozenset(config["tags"]),
            metadata,
        )
        accounts = spender.accounts(self.budget.scope)
        states = [self.budget.state(account=account) for account in accounts]
        return max(states, key=lambda state: state.share)

    def _bounded(self, request: ModelRequest[Any]) -> ModelRequest[Any] | None:
        """Return the request of an ordinary step, which must leave the reserve; None if only that is left."""
        state = self.state()
        if state.share >= 1 - self.reserve:
            return None
        if state.usd is None:
            return request
        most = state.usd * Decimal(str(1 - self.reserve)) - state.spent_usd
        return request.override(model_settings={**request.model_settings, "max_cost": float(most)})

    def _concluding(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        messages = [*request.messages, HumanMessage(self.message)]
        return request.override(messages=messages, tools=[], tool_choice=None)


def _is_of_budget(error: AllDeploymentsFailedError) -> bool:
    """Return whether a call failed because no deployment was left that its budget allows."""
    return any(isinstance(each, BudgetExceededError) for each in error.errors)
