"""Errors in OpenAI's form: status, type and code by which OpenAI's clients choose their exceptions.

Source: platform.openai.com/docs/guides/error-codes; the shape is that of `APIError` in OpenAI's own clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core import exceptions as core
from starlette.responses import JSONResponse

from langchain_llmdispatch import errors


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a client of OpenAI reads it.

    Attributes:
        status: The HTTP status.
        type: The kind of the error.
        message: What is wrong, for people.
        code: What programs tell apart, or None.
        retry_after: Seconds that the client should wait, or None.
    """

    status: int
    type: str
    message: str
    code: str | None = None
    retry_after: float | None = None

    def body(self) -> dict[str, Any]:
        """Return the JSON object, as it also stands in a stream."""
        return {"error": {"message": self.message, "type": self.type, "param": None, "code": self.code}}

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """Return the HTTP response."""
        wait = {} if self.retry_after is None else {"retry-after": f"{max(0, round(self.retry_after))}"}
        return JSONResponse(self.body(), self.status, headers={**(headers or {}), **wait})


def invalid(message: str, code: str | None = None) -> Failure:
    """Return the failure of a request that is wrong."""
    return Failure(400, "invalid_request_error", message, code)


_OUR_KEY = (core.ModelAuthenticationError, core.ModelPermissionDeniedError)
# The first class that fits decides.
_KINDS: tuple[tuple[type[BaseException], int, str, str | None], ...] = (
    (errors.BudgetExceededError, 429, "insufficient_quota", "insufficient_quota"),
    (core.ContextOverflowError, 400, "invalid_request_error", "context_length_exceeded"),
    (errors.ContentFilterError, 400, "invalid_request_error", "content_filter"),
    (errors.RequestTooLargeError, 413, "invalid_request_error", "request_too_large"),
    (errors.DeadlineExceededError, 504, "timeout_error", "deadline_exceeded"),
    (errors.LimitTimeoutError, 429, "rate_limit_error", "rate_limit_exceeded"),
    (core.ModelRateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    (core.ModelNotFoundError, 502, "server_error", "vendor_has_no_such_model"),
    (errors.NoDeploymentError, 400, "invalid_request_error", "no_deployment"),
    (core.ModelInvalidRequestError, 400, "invalid_request_error", None),
    (errors.ConfigurationError, 400, "invalid_request_error", None),
    (core.ModelTimeoutError, 504, "timeout_error", None),
    (core.ModelError, 502, "server_error", None),
    (ValueError, 400, "invalid_request_error", None),
    (TypeError, 400, "invalid_request_error", None),
)


def failure_of(error: BaseException) -> Failure:
    """Return what a client is shown of an error; a bug of ours shows nothing of itself."""
    if isinstance(error, _OUR_KEY):  # a vendor's words about our key are none of the client's business
        return Failure(
            502, "server_error", "a vendor refused the server's own credentials", "vendor_refused_key"
        )
    for cls, status, kind, code in _KINDS:
        if isinstance(error, cls):
            return Failure(status, kind, str(error), code, getattr(error, "retry_after", None))
    return Failure(500, "server_error", "the server failed", "internal_error")
