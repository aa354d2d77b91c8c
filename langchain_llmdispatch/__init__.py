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
    from langchain_llmdispatch.chat_model import DispatcherChatModel
    from langchain_llmdispatch.config import DispatcherConfig
    from langchain_llmdispatch.deployments import Deployment, VendorConfig
    from langchain_llmdispatch.errors import (
        AllDeploymentsFailedError,
        ConfigurationError,
        DispatchError,
        StreamInterruptedError,
    )
    from langchain_llmdispatch.retries import RetryPolicy
    from langchain_llmdispatch.routing import RoutingRule
    from langchain_llmdispatch.vendors.base import Vendor

__all__ = [
    "AllDeploymentsFailedError",
    "ConfigurationError",
    "Deployment",
    "DispatchError",
    "DispatcherChatModel",
    "DispatcherConfig",
    "RetryPolicy",
    "RoutingRule",
    "StreamInterruptedError",
    "Vendor",
    "VendorConfig",
    "__version__",
]

# Where each name lives: it is imported when it is first used, so that pytest, which loads the testing kit's
# plugin in every run, and the command line's help do not pay for LangChain.
_ROOMS = {
    "AllDeploymentsFailedError": "errors",
    "ConfigurationError": "errors",
    "Deployment": "deployments",
    "DispatchError": "errors",
    "DispatcherChatModel": "chat_model",
    "DispatcherConfig": "config",
    "RetryPolicy": "retries",
    "RoutingRule": "routing",
    "StreamInterruptedError": "errors",
    "Vendor": "vendors.base",
    "VendorConfig": "deployments",
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
