"""What Cohere's errors mean, and the limits in its headers.

Bodies are `{"message": str, "id"?: str, "error_type"?: str}`; `error_type` is rare, so most causes are
distinguished by status and then by text. Sources: docs.cohere.com/reference/errors (statuses and example
texts), the API description (498, 499), recorded exchanges.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import LimitState
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import ErrorTable, Phrases, json_or_text, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

# `error_type`, where it is sent (recorded: TOO_MANY_TOKENS).
_TYPES: Mapping[str, type[VendorError]] = {"too_many_tokens": errors.ContextOverflowError}

_STATUSES: Mapping[int, type[VendorError]] = {
    498: errors.ContentFilterError,  # "a request or response contains a deny-listed token"
    499: errors.VendorError,  # "cancelled by the user": not by us, and nothing to retry
}
_PHRASES: Mapping[type[VendorError], Phrases] = {
    # Of the parameter: "too many tokens: max tokens must be less than or equal to 4096, the maximum ..."
    errors.ContextOverflowError: (("max tokens must be", errors.UnsupportedParameterError),),
    # "You are using a Trial key, which is limited to 1000 API calls / month": no wait helps
    errors.RateLimitError: (("calls / month", errors.QuotaExceededError),),
}
_TABLE = ErrorTable(_TYPES, _STATUSES, _PHRASES)

_FAILED: Mapping[str, type[VendorError]] = {
    "ERROR": errors.MalformedResponseError,
    "TIMEOUT": errors.ServerError,
}
"""Finish reasons of answers that failed."""


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    error = _parts(json_or_text(body))
    cls = _TABLE.class_of(error, status)
    return vendor_error(cls, vendor, call, error, status=status, headers=headers, wait=_until_reset(headers))


def error_inside(context: ErrorContext, reason: Any, value: Mapping[str, Any]) -> VendorError | None:
    """Return the error that a finish reason, or an error inside a 200, stands for; None for an answer.

    Args:
        context: The answer.
        reason: The finish reason.
        value: The object that would hold `error` and `error_type`.
    """
    message = value.get("error")
    if reason not in _FAILED and not message:
        return None
    error = _parts({**value, "message": message or f"the answer failed: {reason}"})
    # Cohere sends a status with no error inside an answer: of a bad request, the words are read.
    cls = _TABLE.class_inside(error, HTTPStatus.BAD_REQUEST)
    return context.error(_FAILED.get(reason, cls) if cls is errors.ServerError else cls, error)


def _parts(value: Any) -> ErrorBody:
    if not isinstance(value, dict):
        return ErrorBody(message_of(value))
    kind = str(value.get("error_type") or "")
    return ErrorBody(message_of(value) or str(value), type=kind.lower(), code=kind)


# -- limits --------------------------------------------------------------------------------------------


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until `x-ratelimit-reset`, a Unix time, read against the response's own date."""
    try:
        reset = float(headers["x-ratelimit-reset"])
        return max(0.0, reset - parsedate_to_datetime(headers["date"]).timestamp())
    except (KeyError, TypeError, ValueError):
        return None


def limits(headers: Mapping[str, str]) -> Sequence[LimitState]:
    """Return what `x-ratelimit-*`, or a trial key's own headers, report of requests per minute."""
    for prefix in ("x-ratelimit", "x-trial-endpoint-call"):
        limit, remaining = _count(headers.get(f"{prefix}-limit")), _count(headers.get(f"{prefix}-remaining"))
        if remaining is not None:
            return [LimitState("requests", remaining, limit, _until_reset(headers))]
    return ()


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
