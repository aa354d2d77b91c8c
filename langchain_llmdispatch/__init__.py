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
    "AttemptTimeoutError": "errors",
    "AuthenticationError": "errors",
    "BreakerOpenError": "errors",
    "Budget": "budgets.budget",
    "BudgetExceededError": "errors",
    "BudgetMiddleware": "chat_model.budget_middleware",
    "BudgetState": "budgets.state",
    "ConfigurationError": "errors",
    "ConnectionFailedError": "errors",
    "ContentFilterError": "errors",
    "ContextOverflowError": "errors",
    "DeadlineExceededError": "errors",
    "Deployment": "deployments.deployment",
    "DispatchError": "errors",
    "DispatcherChatModel": "chat_model.chat_model",
    "DispatcherConfig": "config.configuration",
    "EmptyAnswerError": "errors",
    "ForeignSignatureError": "errors",
    "Health": "health.health",
    "InvalidRequestError": "errors",
    "ItemNotFoundError": "errors",
    "Journal": "testing.policy_replay.journal",
    "LimitTimeoutError": "errors",
    "Limiter": "limits.limiter",
    "LocalModelError": "errors",
    "MalformedResponseError": "errors",
    "MissingKeyError": "errors",
    "ModelNotFoundError": "errors",
    "NoDeploymentError": "errors",
    "OverloadedError": "errors",
    "PendingAnswerError": "errors",
    "PermissionDeniedError": "errors",
    "Plan": "routing.plan",
    "QuotaExceededError": "errors",
    "RateLimitError": "errors",
    "RedisBudget": "redis.budget",
    "RedisHealth": "redis.health",
    "RedisLimits": "redis.limits",
    "RedisState": "redis.state",
    "RequestAboveRateLimitError": "errors",
    "RequestTooLargeError": "errors",
    "ResponseTooLargeError": "errors",
    "RetryPolicy": "dispatch.retries",
    "RetryQuota": "dispatch.retry_quota",
    "RoutingRule": "routing.rules",
    "ServerError": "errors",
    "SpliceError": "errors",
    "Stats": "stats.stats",
    "StreamInterruptedError": "errors",
    "TruncatedStreamError": "errors",
    "TruncatedToolCallError": "errors",
    "UnsupportedFeatureError": "errors",
    "UnsupportedParameterError": "errors",
    "UnusableDeploymentError": "errors",
    "UsageCallbackHandler": "callbacks.usage",
    "Vendor": "vendors.base",
    "VendorConfig": "deployments.deployment",
    "VendorError": "errors",
    "__version__": "types",
    "compile_history": "vendors.compile.history",
    "get_usage_callback": "callbacks.usage",
}

_NEEDS = {"BudgetMiddleware": "langchain"}
"""Names that `import *` leaves out where another package is missing."""

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES, _NEEDS)
