"""One LangChain chat model over every vendor: routing, retry, fallback, limits and costs.

Example:
    ```python
    from langchain_llmdispatch import DispatcherChatModel

    model = DispatcherChatModel(models=["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"])
    print(model.invoke("What is the capital of France?").text)
    ```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.version import __version__

if TYPE_CHECKING:
    from langchain_llmdispatch.budgets.budget import Budget
    from langchain_llmdispatch.callbacks.usage import UsageCallbackHandler, get_usage_callback
    from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
    from langchain_llmdispatch.config.schema import DispatcherConfig
    from langchain_llmdispatch.deployments.deployment import Deployment, VendorConfig
    from langchain_llmdispatch.dispatch.retries import RetryPolicy
    from langchain_llmdispatch.errors import (
        AllDeploymentsFailedError,
        ConfigurationError,
        DispatchError,
        StreamInterruptedError,
    )
    from langchain_llmdispatch.health.health import Health
    from langchain_llmdispatch.limits.limiter import Limiter
    from langchain_llmdispatch.routing import RoutingRule
    from langchain_llmdispatch.routing.plan import Plan
    from langchain_llmdispatch.stats.stats import Stats
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.compile.history import compile_history

__all__ = [
    "AllDeploymentsFailedError",
    "Budget",
    "ConfigurationError",
    "Deployment",
    "DispatchError",
    "DispatcherChatModel",
    "DispatcherConfig",
    "Health",
    "Limiter",
    "Plan",
    "RetryPolicy",
    "RoutingRule",
    "Stats",
    "StreamInterruptedError",
    "UsageCallbackHandler",
    "Vendor",
    "VendorConfig",
    "__version__",
    "compile_history",
    "get_usage_callback",
]

# Where each name lives: it is imported when it is first used, so that pytest, which loads the testing kit's
# plugin in every run, and the command line's help do not pay for LangChain.
_ROOMS = {
    "AllDeploymentsFailedError": "errors",
    "Budget": "budgets.budget",
    "ConfigurationError": "errors",
    "Deployment": "deployments.deployment",
    "DispatchError": "errors",
    "DispatcherChatModel": "chat_model.chat_model",
    "DispatcherConfig": "config.schema",
    "Health": "health.health",
    "Limiter": "limits.limiter",
    "Plan": "routing.plan",
    "RetryPolicy": "dispatch.retries",
    "RoutingRule": "routing",
    "Stats": "stats.stats",
    "StreamInterruptedError": "errors",
    "UsageCallbackHandler": "callbacks.usage",
    "Vendor": "vendors.base",
    "VendorConfig": "deployments.deployment",
    "compile_history": "vendors.compile.history",
    "get_usage_callback": "callbacks.usage",
}


def __getattr__(name: str) -> Any:
    """Import a name's module when the name is first used."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    return value


def __dir__() -> list[str]:
    """Name what can be imported, loaded or not."""
    return sorted({*globals(), *__all__})
