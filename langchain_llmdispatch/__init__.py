"""One LangChain chat model over every vendor: routing, retry, fallback, limits and costs.

Example:
    ```python
    from langchain_llmdispatch import DispatcherChatModel

    model = DispatcherChatModel(models=["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"])
    print(model.invoke("What is the capital of France?").text)
    ```
"""

from __future__ import annotations

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
from langchain_llmdispatch.version import __version__

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
