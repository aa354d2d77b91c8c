from langchain_llmdispatch.budgets.budget import Budget as Budget
from langchain_llmdispatch.budgets.state import BudgetState as BudgetState
from langchain_llmdispatch.callbacks.usage import (
    UsageCallbackHandler as UsageCallbackHandler,
    get_usage_callback as get_usage_callback,
)
from langchain_llmdispatch.chat_model.budget_middleware import BudgetMiddleware as BudgetMiddleware
from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel as DispatcherChatModel
from langchain_llmdispatch.config.configuration import DispatcherConfig as DispatcherConfig
from langchain_llmdispatch.deployments.deployment import (
    Deployment as Deployment,
    VendorConfig as VendorConfig,
)
from langchain_llmdispatch.dispatch.retries import RetryPolicy as RetryPolicy
from langchain_llmdispatch.dispatch.retry_quota import RetryQuota as RetryQuota
from langchain_llmdispatch.errors import (
    AllDeploymentsFailedError as AllDeploymentsFailedError,
    AttemptTimeoutError as AttemptTimeoutError,
    AuthenticationError as AuthenticationError,
    BreakerOpenError as BreakerOpenError,
    BudgetExceededError as BudgetExceededError,
    ConfigurationError as ConfigurationError,
    ConnectionFailedError as ConnectionFailedError,
    ContentFilterError as ContentFilterError,
    ContextOverflowError as ContextOverflowError,
    DeadlineExceededError as DeadlineExceededError,
    DispatchError as DispatchError,
    EmptyAnswerError as EmptyAnswerError,
    ForeignSignatureError as ForeignSignatureError,
    InvalidRequestError as InvalidRequestError,
    ItemNotFoundError as ItemNotFoundError,
    LimitTimeoutError as LimitTimeoutError,
    LocalModelError as LocalModelError,
    MalformedResponseError as MalformedResponseError,
    MissingKeyError as MissingKeyError,
    ModelNotFoundError as ModelNotFoundError,
    NoDeploymentError as NoDeploymentError,
    OverloadedError as OverloadedError,
    PendingAnswerError as PendingAnswerError,
    PermissionDeniedError as PermissionDeniedError,
    QuotaExceededError as QuotaExceededError,
    RateLimitError as RateLimitError,
    RequestAboveRateLimitError as RequestAboveRateLimitError,
    RequestTooLargeError as RequestTooLargeError,
    ResponseTooLargeError as ResponseTooLargeError,
    ServerError as ServerError,
    SpliceError as SpliceError,
    StreamInterruptedError as StreamInterruptedError,
    TruncatedStreamError as TruncatedStreamError,
    TruncatedToolCallError as TruncatedToolCallError,
    UnsupportedFeatureError as UnsupportedFeatureError,
    UnsupportedParameterError as UnsupportedParameterError,
    UnusableDeploymentError as UnusableDeploymentError,
    VendorError as VendorError,
)
from langchain_llmdispatch.health.health import Health as Health
from langchain_llmdispatch.limits.limiter import Limiter as Limiter
from langchain_llmdispatch.redis.budget import RedisBudget as RedisBudget
from langchain_llmdispatch.redis.health import RedisHealth as RedisHealth
from langchain_llmdispatch.redis.limits import RedisLimits as RedisLimits
from langchain_llmdispatch.redis.state import RedisState as RedisState
from langchain_llmdispatch.routing.plan import Plan as Plan
from langchain_llmdispatch.routing.rules import RoutingRule as RoutingRule
from langchain_llmdispatch.stats.stats import Stats as Stats
from langchain_llmdispatch.testing.policy_replay.journal import Journal as Journal
from langchain_llmdispatch.vendors.base import Vendor as Vendor
from langchain_llmdispatch.vendors.compile.history import compile_history as compile_history
from langchain_llmdispatch.types import __version__ as __version__
