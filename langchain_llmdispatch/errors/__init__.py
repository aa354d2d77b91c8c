"""The tree of errors, on LangChain's `ModelError`.

    langchain_core.exceptions.ModelError
    └── DispatchError                        vendor, deployment, status_code, code, request_id, retry_after
        ├── VendorError                      an error response, or an answer that is not one
        │   ├── AuthenticationError          401                    (+ ModelAuthenticationError)
        │   ├── PermissionDeniedError        403                    (+ ModelPermissionDeniedError)
        │   ├── QuotaExceededError           402, billing 429       (+ ModelRateLimitError)
        │   ├── RateLimitError               429                    (+ ModelRateLimitError)
        │   ├── ModelNotFoundError           404                    (+ ModelNotFoundError)
        │   ├── InvalidRequestError          400, 422               (+ ModelInvalidRequestError)
        │   │   ├── UnsupportedParameterError    this target cannot take it
        │   │   ├── ForeignSignatureError        reasoning of another model in the history
        │   │   ├── ItemNotFoundError            a file or stored item that the request names is not there
        │   │   └── RequestTooLargeError         413, or more than this target's limits allow
        │   │       └── RequestAboveRateLimitError   more than a whole rate limit (+ ModelRateLimitError)
        │   ├── ContextOverflowError                                (+ ContextOverflowError)
        │   ├── ContentFilterError           refused with an HTTP error (+ ModelInvalidRequestError)
        │   ├── ServerError                  5xx, 408, 409, 425     (+ ModelAPIError)
        │   │   └── OverloadedError          503, 529
        │   └── MalformedResponseError       an answer that makes no sense (+ ModelAPIError)
        │       ├── EmptyAnswerError         nothing in it
        │       ├── ResponseTooLargeError    more bytes than `max_response_bytes`
        │       ├── TruncatedToolCallError   a tool call whose JSON is cut
        │       └── TruncatedStreamError     no end marker
        ├── ConnectionFailedError            no connection, or it broke  (+ ModelConnectionError)
        ├── AttemptTimeoutError              one attempt took too long   (+ ModelTimeoutError)
        ├── StreamInterruptedError           broke after content was delivered; carries `partial`
        ├── UnsupportedFeatureError          cannot be expressed to this target (+ ModelInvalidRequestError)
        ├── SpliceError                      a resumed answer differs from what was delivered
        ├── UnusableDeploymentError          its own settings cannot be used (+ ConfigurationError)
        ├── LocalModelError                  a model on this machine cannot run (+ RuntimeError)
        ├── LimitTimeoutError                a wait for our own limits took too long (+ ModelTimeoutError)
        ├── DeadlineExceededError            the whole call took too long (+ ModelTimeoutError)
        ├── PendingAnswerError               a background answer is still to come (+ ModelTimeoutError)
        ├── BudgetExceededError              the worst-case cost does not fit the budget
        ├── BreakerOpenError                 the breaker is open, and another deployment is left to try
        ├── NoDeploymentError                nothing can serve this request (+ ModelInvalidRequestError)
        └── AllDeploymentsFailedError        every deployment was tried; `.attempts`, `.errors`

    ValueError
    └── ConfigurationError                   a setting is wrong; names field, value, nearest right one
        └── MissingKeyError              a deployment has no key or no address

Policy reads three class attributes and nothing else: `is_retryable` (the same deployment may succeed),
`falls_back` (another deployment may succeed) and `blame` (what is counted against the deployment). Codecs
choose the class by status and structured code; a vendor's own retry hint is set on the instance. Whatever a
policy is, an error with the code `unconfirmed` is not retried: the vendor may be at work on the answer.
No error holds a request, headers or a key.

Owns: the classes of all errors, and what policy reads of them.

Must not know: what raises them.
"""

from langchain_llmdispatch.errors.all_failed import AllDeploymentsFailedError
from langchain_llmdispatch.errors.base import DispatchError
from langchain_llmdispatch.errors.call import (
    AttemptTimeoutError,
    BreakerOpenError,
    BudgetExceededError,
    ConfigurationError,
    ConnectionFailedError,
    DeadlineExceededError,
    LimitTimeoutError,
    LocalModelError,
    MissingKeyError,
    NoDeploymentError,
    PendingAnswerError,
    SpliceError,
    StreamInterruptedError,
    UnsupportedFeatureError,
    UnusableDeploymentError,
)
from langchain_llmdispatch.errors.vendor import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    EmptyAnswerError,
    ForeignSignatureError,
    InvalidRequestError,
    ItemNotFoundError,
    MalformedResponseError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RequestAboveRateLimitError,
    RequestTooLargeError,
    ResponseTooLargeError,
    ServerError,
    TruncatedStreamError,
    TruncatedToolCallError,
    UnsupportedParameterError,
    VendorError,
)

__all__ = [
    "AllDeploymentsFailedError",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BreakerOpenError",
    "BudgetExceededError",
    "ConfigurationError",
    "ConnectionFailedError",
    "ContentFilterError",
    "ContextOverflowError",
    "DeadlineExceededError",
    "DispatchError",
    "EmptyAnswerError",
    "ForeignSignatureError",
    "InvalidRequestError",
    "ItemNotFoundError",
    "LimitTimeoutError",
    "LocalModelError",
    "MalformedResponseError",
    "MissingKeyError",
    "ModelNotFoundError",
    "NoDeploymentError",
    "OverloadedError",
    "PendingAnswerError",
    "PermissionDeniedError",
    "QuotaExceededError",
    "RateLimitError",
    "RequestAboveRateLimitError",
    "RequestTooLargeError",
    "ResponseTooLargeError",
    "ServerError",
    "SpliceError",
    "StreamInterruptedError",
    "TruncatedStreamError",
    "TruncatedToolCallError",
    "UnsupportedFeatureError",
    "UnsupportedParameterError",
    "UnusableDeploymentError",
    "VendorError",
]
