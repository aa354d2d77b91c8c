"""The budget of each client: the same model, which may spend no more than the client's dollars."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.server.access import Client


def with_budget(model: DispatcherChatModel, client: Client) -> DispatcherChatModel:
    """Return the model for one client: a copy with its budget beside the model's own, or the model itself.

    Over Redis, the budget is shared by all servers that share with the model: its name is the client's.

    Raises:
        ConfigurationError: It is not a period.
    """
    if client.usd is None or model.shared_state is None:
        return model
    name, per = f"client {client.name}", client.per
    period: Any = int(per) if isinstance(per, str) and per.isdigit() else per
    try:
        budget = _budget(model, name, client.usd, period)
    except ConfigurationError as error:
        text = f"server.api_keys: {client.name}: {error}"
    else:
        _, _, own = model.shared_state.parts_of(model)
        return model.model_copy(update={"budget": [*own, budget]})
    raise ConfigurationError(text)


def _budget(model: DispatcherChatModel, name: str, usd: float, per: Any) -> Budget:
    shared = None if model.shared_state is None else getattr(model.shared_state.health, "shared", None)
    if shared is None:
        return Budget(usd, per=per, name=name)
    from langchain_llmdispatch.redis.budget import RedisBudget

    return RedisBudget(shared, name, usd, per=per)
