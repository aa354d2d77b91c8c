"""Errors in OpenAI's form: status, type and code by which OpenAI's clients choose their exceptions.

Source: platform.openai.com/docs/guides/error-codes; the shape is that of `APIError` in OpenAI's own clients,
and `x-should-retry` and `retry-after-ms` are the headers that these read before they send a request again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core import exceptions as core
from pydantic import ValidationError
from starlette.responses import JSONResponse

from langchain_llmdispatch import errors
from langchain_llmdispatch.callbacks.error_names import handed_in
from langchain_llmdispatch.settings import explain_validation

_OF_REQUEST = "invalid_request_error"
_RATE_LIMITED = 429


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a client of OpenAI reads it.

    Attributes:
        status: The HTTP status.
        type: The kind of the error.
        message: What is wrong, for people.
        code: The word by which programs distinguish errors, or None.
        param: The field of the request that is wrong, or None.
        retry_after: Seconds that the client should wait, or None.
        retry: Whether the client should send the request again, or None where the status decides it.
    """

    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: float | None = None
    retry: bool | None = None

    def body(self) -> dict[str, Any]:
        """Return the JSON object, as it also stands in a stream."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Return what a client reads before it retries."""
        found = {} if self.retry is None else {"x-should-retry": str(self.retry).lower()}
        if self.retry_after is not None:
            seconds = max(0.0, self.retry_after)
            found |= {
                "retry-after": str(math.ceil(seconds)),
                "retry-after-ms": str(math.ceil(seconds * 1000)),
            }
        return found

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """Return the HTTP response."""
        return JSONResponse(self.body(), self.status, headers={**(headers or {}), **self.headers()})


class RefusedRequestError(Exception):
    """A request that is answered with a failure before any vendor is tried.

    Args:
        failure: The answer.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def refusal(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400
) -> RefusedRequestError:
    """Return the error of a request that is wrong."""
    return RefusedRequestError(Failure(status, _OF_REQUEST, message, code, param))


_OUR_KEY = (core.ModelAuthenticationError, core.ModelPermissionDeniedError)
# What clients read instead of what vendors write of the server's account, keys and addresses.
_LIMITED, _TIMED_OUT = "the vendors' rate limits are reached", "the vendors took too long"
_NO_MODEL, _UNUSABLE = "a vendor has no such model", "a deployment cannot be used"
# The first class that fits decides: status, type, code, and the message: None for the error's own, which is
# about the request.
_KINDS: tuple[tuple[type[BaseException], int, str, str | None, str | None], ...] = (
    (errors.BudgetExceededError, 429, "insufficient_quota", "insufficient_quota", None),
    (core.ContextOverflowError, 400, _OF_REQUEST, "context_length_exceeded", None),
    (errors.ContentFilterError, 400, _OF_REQUEST, "content_filter", None),
    (errors.UnsupportedParameterError, 400, _OF_REQUEST, "unsupported_parameter", None),
    (errors.RequestTooLargeError, 413, _OF_REQUEST, "request_too_large", None),
    (errors.DeadlineExceededError, 504, "timeout_error", "deadline_exceeded", None),
    (errors.LimitTimeoutError, 429, "rate_limit_error", "rate_limit_exceeded", None),
    (core.ModelRateLimitError, 429, "rate_limit_error", "rate_limit_exceeded", _LIMITED),
    (core.ModelNotFoundError, 502, "server_error", "vendor_has_no_such_model", _NO_MODEL),
    (errors.NoDeploymentError, 400, _OF_REQUEST, "no_deployment", None),
    (core.ModelInvalidRequestError, 400, _OF_REQUEST, None, None),
    (errors.UnusableDeploymentError, 502, "server_error", "deployment_unusable", _UNUSABLE),
    (errors.ConfigurationError, 400, _OF_REQUEST, None, None),
    (core.ModelTimeoutError, 504, "timeout_error", "vendor_timeout", _TIMED_OUT),
    (core.ModelError, 502, "server_error", "vendor_error", "the vendors failed"),
    (ValueError, 400, _OF_REQUEST, None, None),
)


def failure_of(error: BaseException) -> Failure:
    """Return what a client reads of an error; a bug of ours shows nothing of itself."""
    if isinstance(error, RefusedRequestError):
        return error.failure
    if refused := _account_failure(error):
        return refused
    for cls, status, kind, code, text in () if _is_of_server(error) else _KINDS:
        if isinstance(error, cls):
            message = _own_message(error) if text is None else f"{text}{attempts_of(error)}"
            wait = getattr(error, "retry_after", None)
            return Failure(status, kind, message, code, None, wait, _should_retry(error, status, wait))
    return Failure(500, "server_error", "the server failed", "internal_error", retry=False)


def _is_of_server(error: BaseException) -> bool:
    """Return whether code of the server's operator has failed, such as a strategy; no client has erred."""
    ours = (core.ModelError, errors.ConfigurationError)
    return not isinstance(error, ours) and bool(handed_in(error))


def _account_failure(error: BaseException) -> Failure | None:
    """Return the failure of a vendor that refuses the server's key or account: neither is the client's."""
    if isinstance(error, _OUR_KEY):
        text = f"a vendor refused the server's own credentials{attempts_of(error)}"
        return Failure(502, "server_error", text, "vendor_refused_key", retry=False)
    each = getattr(error, "errors", None) or (error,)
    if isinstance(error, core.ModelRateLimitError) and all(
        isinstance(one, errors.QuotaExceededError) for one in each
    ):
        text = f"the server's own quota at its vendors is used up{attempts_of(error)}"
        return Failure(502, "server_error", text, "vendor_quota_exceeded", retry=False)
    return None


def _own_message(error: BaseException) -> str:
    return explain_validation(error) if isinstance(error, ValidationError) else str(error)


def _should_retry(error: BaseException, status: int, wait: float | None) -> bool | None:
    """Return whether another try makes sense; after a rate limit it does when its wait is over."""
    if not isinstance(error, core.ModelError) or status < _RATE_LIMITED:
        return None
    if status == _RATE_LIMITED and not isinstance(error, errors.BudgetExceededError):
        return True if wait is not None else None
    return bool(error.is_retryable)


def attempts_of(error: BaseException) -> str:
    """Return the attempts of a call by deployment and status, without a vendor's words."""
    each = getattr(error, "errors", None) or (error,)
    known = (one for one in each if isinstance(one, errors.DispatchError) and one.deployment)
    shown = [
        f"{one.deployment}: " + (f"HTTP {one.status_code}" if one.status_code else type(one).__name__)
        for one in known
    ]
    return f" ({'; '.join(dict.fromkeys(shown))})" if shown else ""
