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
        ├── BudgetExceededError              the worst-case cost does not fit the budget
        ├── BreakerOpenError                 the breaker is open, and another deployment is left to try
        ├── NoDeploymentError                nothing can serve this request (+ ModelInvalidRequestError)
        └── AllDeploymentsFailedError        every deployment was tried; `.attempts`, `.errors`

    ValueError
    └── ConfigurationError                   a setting is wrong; names field, value, nearest right one

Policy reads three class attributes and nothing else: `is_retryable` (the same deployment may succeed),
`falls_back` (another deployment may succeed) and `blame` (what is counted against the deployment). Codecs
choose the class by status and structured code; a vendor's own retry hint is set on the instance.
No error holds a request, headers or a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, cast

from langchain_core import exceptions as core

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk

    from langchain_llmdispatch.types import AttemptRecord

Blame: TypeAlias = Literal["none", "health", "limits", "configuration"]


class DispatchError(core.ModelError):
    """Base of everything a call can raise.

    Attributes:
        vendor: The vendor's name, or None before one was chosen.
        deployment: The deployment's name, or None before one was chosen.
        status_code: The HTTP status, or None where no answer came.
        code: The vendor's structured error code, or None.
        request_id: The vendor's id for the request, or None.
        retry_after: Seconds to wait before a retry, as the vendor states them, or None.
        attempts: Records of every attempt of the call, in order; empty until the call ends.
        llmdispatch: The facts of the call that it ended, as in `response_metadata["llmdispatch"]`; empty
            until the call ends.
    """

    is_retryable: bool = False
    falls_back: bool = True
    blame: ClassVar[Blame] = "none"

    def __init__(
        self,
        message: str,
        *,
        vendor: str | None = None,
        deployment: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.vendor, self.deployment = vendor, deployment
        self.status_code, self.code = status_code, code
        self.request_id, self.retry_after = request_id, retry_after
        self.attempts: Sequence[AttemptRecord] = ()
        self.llmdispatch: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return the deployment, the message and the HTTP status."""
        where, status = self.deployment or self.vendor, self.status_code
        return f"{where}: " * bool(where) + self.message + f" (HTTP {status})" * bool(status)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and attributes: errors cross process borders in batch jobs."""
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(cls: type[DispatchError], message: str, state: dict[str, Any]) -> DispatchError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class VendorError(DispatchError):
    """A vendor's response was an error, or its answer was none; see the tree above."""


class AuthenticationError(VendorError, core.ModelAuthenticationError):
    """The key is missing, wrong or revoked (401)."""

    blame = "configuration"


class PermissionDeniedError(VendorError, core.ModelPermissionDeniedError):
    """The key may not do this (403)."""

    blame = "configuration"


class QuotaExceededError(VendorError, core.ModelRateLimitError):
    """Money or quota is used up (402, and 429s that do not pass with time)."""

    is_retryable = False
    blame = "configuration"


class RateLimitError(VendorError, core.ModelRateLimitError):
    """Too many requests or tokens for now (429)."""

    is_retryable = True
    blame = "limits"


class ModelNotFoundError(VendorError, core.ModelNotFoundError):
    """The vendor has no such model or deployment (404)."""

    blame = "configuration"


class InvalidRequestError(VendorError, core.ModelInvalidRequestError):
    """The request is wrong for every deployment (400, 422): neither retried nor sent elsewhere.

    Its subclasses are wrong for one target only.
    """

    falls_back = False


class UnsupportedParameterError(InvalidRequestError):
    """This target does not take a parameter or feature; another one may."""

    falls_back = True


class ForeignSignatureError(InvalidRequestError):
    """The target rejects reasoning that another model signed; another one may not."""

    falls_back = True


class ItemNotFoundError(InvalidRequestError):
    """A file, stored item or cache that the request names is not there; the deployment stays in use."""

    falls_back = True


class RequestTooLargeError(InvalidRequestError):
    """The request has too many bytes (413), tools, images, pages or characters for this target."""

    falls_back = True


class RequestAboveRateLimitError(RequestTooLargeError, core.ModelRateLimitError):
    """One request needs more tokens than the account's whole limit per minute (429): no wait helps."""


class ContextOverflowError(VendorError, core.ContextOverflowError):
    """The conversation does not fit the model's window; only a larger window helps."""


class ContentFilterError(VendorError, core.ModelInvalidRequestError):
    """The vendor's filter refused the prompt with an HTTP error."""

    falls_back = False


class ServerError(VendorError, core.ModelAPIError):
    """The vendor, or a server on the way to it, failed (5xx, 408, 409, 421, 425, 499)."""

    is_retryable = True
    blame = "health"


class OverloadedError(ServerError):
    """The vendor has no capacity for now (503, 529)."""


class MalformedResponseError(VendorError, core.ModelAPIError):
    """The response holds no valid answer."""

    is_retryable = True
    blame = "health"


class EmptyAnswerError(MalformedResponseError):
    """The answer ended normally and holds nothing."""


class ResponseTooLargeError(MalformedResponseError):
    """The response, or one event of a stream, has more bytes than `max_response_bytes` allows."""

    is_retryable = False


class TruncatedToolCallError(MalformedResponseError):
    """A tool call's arguments are not whole JSON."""


class TruncatedStreamError(MalformedResponseError):
    """The stream ended without the vendor's end marker."""


class ConnectionFailedError(DispatchError, core.ModelConnectionError):
    """No connection could be made, or it broke before the answer was whole."""

    is_retryable = True
    blame = "health"


class AttemptTimeoutError(DispatchError, core.ModelTimeoutError):
    """One attempt took longer than its timeout."""

    is_retryable = True
    blame = "health"


class StreamInterruptedError(DispatchError):
    """A stream broke after content had been delivered. It is not retried: no text is delivered twice.

    Attributes:
        partial: Everything delivered before the break, as one `AIMessageChunk`.
    """

    falls_back = False
    blame = "health"

    def __init__(self, message: str, *, partial: AIMessageChunk, **where: Any) -> None:
        super().__init__(message, **where)
        self.partial = partial


class UnsupportedFeatureError(DispatchError, core.ModelInvalidRequestError):
    """The request uses a feature that this target's API cannot express."""


class SpliceError(DispatchError):
    """A resumed answer differs from what was delivered, so the two cannot be joined."""


class ConfigurationError(ValueError):
    """A setting is wrong. The message names the field, the value and the nearest right one."""


class UnusableDeploymentError(DispatchError, ConfigurationError):
    """One deployment cannot be used as configured: its proxy, certificates, client or `api_key` function."""

    blame = "health"


class LocalModelError(DispatchError, RuntimeError):
    """A model on this machine cannot run. One line: what failed and what to do."""

    blame = "health"


class LimitTimeoutError(DispatchError, core.ModelTimeoutError):
    """The wait for our own limits did not end within the time that was left."""

    is_retryable = False


class DeadlineExceededError(DispatchError, core.ModelTimeoutError):
    """The whole call took longer than its deadline."""

    is_retryable = False
    falls_back = False


class BudgetExceededError(DispatchError):
    """The call's worst-case cost does not fit the budget; nothing was sent."""


class BreakerOpenError(DispatchError):
    """The deployment has failed too often recently; nothing was sent to it."""


class NoDeploymentError(DispatchError, core.ModelInvalidRequestError):
    """No deployment can serve this request; the message has the reason for each."""

    falls_back = False


class AllDeploymentsFailedError(DispatchError):
    """Every deployment that could serve the request was tried, and failed.

    It is also an instance of the LangChain class that all its errors share, so that an `except` clause for
    `ModelRateLimitError` or `ContextOverflowError` still matches. Retrying from outside would multiply
    what was already retried, so `is_retryable` is true only if a single attempt was made.

    Attributes:
        errors: The error of each attempt, in order.
        attempts: The record of each attempt, in order.
    """

    falls_back = False

    def __init__(
        self,
        message: str,
        *,
        errors: Sequence[DispatchError] = (),
        attempts: Sequence[AttemptRecord] = (),
        **where: Any,
    ) -> None:
        super().__init__(message, **where)
        self.errors, self.attempts = tuple(errors), tuple(attempts)
        self.is_retryable = len(self.errors) == 1 and self.errors[0].is_retryable

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the public class; the shared LangChain class is found again."""
        return (_rebuild_all_failed, (self.message, self.errors, {**self.__dict__, "errors": self.errors}))

    @classmethod
    def of(cls, errors: Sequence[DispatchError], attempts: Sequence[AttemptRecord]) -> Self:
        """Make the final error of a call from the errors of its attempts."""
        return cast("type[Self]", _with_shared_class(errors))(
            _summary(errors),
            errors=errors,
            attempts=attempts,
            **{name: _shared(errors, name) for name in _WHERE},
        )


_WHERE = ("vendor", "deployment", "status_code", "code", "request_id", "retry_after")
_CORE_CLASSES = (
    core.ModelAuthenticationError,
    core.ModelPermissionDeniedError,
    core.ModelNotFoundError,
    core.ModelRateLimitError,  # before the next one: a request above a rate limit is both
    core.ModelInvalidRequestError,
    core.ModelAPIError,
    core.ModelConnectionError,
    core.ModelTimeoutError,
    core.ContextOverflowError,
    ConfigurationError,
)
_FAILED_AS: dict[type[Exception], type[AllDeploymentsFailedError]] = {
    shared: type("AllDeploymentsFailedError", (AllDeploymentsFailedError, shared), {"__module__": __name__})
    for shared in _CORE_CLASSES
}


def _with_shared_class(errors: Sequence[DispatchError]) -> type[AllDeploymentsFailedError]:
    fitting = (cls for shared, cls in _FAILED_AS.items() if all(isinstance(e, shared) for e in errors))
    return next(fitting, AllDeploymentsFailedError) if errors else AllDeploymentsFailedError


def _rebuild_all_failed(message: str, errors: Sequence[DispatchError], state: dict[str, Any]) -> Any:
    error = _with_shared_class(errors)(message, errors=errors)
    error.__dict__.update(state)
    return error


def _shared(errors: Sequence[DispatchError], name: str) -> Any:
    values = {getattr(error, name) for error in errors}
    return values.pop() if len(values) == 1 else None


def _summary(errors: Sequence[DispatchError]) -> str:
    if len(errors) == 1:
        return errors[0].message
    lines = "; ".join(f"{n}. {type(e).__name__} {e}" for n, e in enumerate(errors, 1))
    return f"all {len(errors)} attempts failed: {lines}"
