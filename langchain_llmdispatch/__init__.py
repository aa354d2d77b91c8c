"""One LangChain chat model over every vendor: routing, retry, fallback, limits and costs.

Example:
    ```python
    from langchain_llmdispatch import DispatcherChatModel

    model = DispatcherChatModel(models=["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"])
    print(model.invoke("What is the capital of France?").text)
    ```
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "AllDeploymentsFailedError": "errors",
    "Budget": "budgets.budget",
    "BudgetExceededError": "errors",
    "BudgetMiddleware": "chat_model.budget_middleware",
    "BudgetState": "budgets.state",
    "ConfigurationError": "errors",
    "Deployment": "deployments.deployment",
    "DispatchError": "errors",
    "DispatcherChatModel": "chat_model.chat_model",
    "DispatcherConfig": "config.schema",
    "Health": "health.health",
    "Limiter": "limits.limiter",
    "Plan": "routing.plan",
    "RetryPolicy": "dispatch.retries",
    "RetryQuota": "dispatch.retry_quota",
    "RoutingRule": "routing.rules",
    "Stats": "stats.stats",
    "StreamInterruptedError": "errors",
    "UsageCallbackHandler": "callbacks.usage",
    "Vendor": "vendors.base",
    "VendorConfig": "deployments.deployment",
    "__version__": "types",
    "compile_history": "vendors.compile.history",
    "get_usage_callback": "callbacks.usage",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
