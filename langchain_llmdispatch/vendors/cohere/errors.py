"""What Cohere's errors mean, and the limits in its headers.

Bodies are `{"message": str, "id"?: str, "error_type"?: str}`; `error_type` is rare, so most causes are
distinguished by status and then by text. Sources: docs.cohere.com/reference/errors (statuses and example
texts), the API description (498, 499), recorded exchanges.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import LimitState
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import Phrases, class_of_phrase, class_of_status, json_or_text

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
    501: errors.UnsupportedParameterError,  # "the requested feature is not implemented"
}

_BAD_REQUEST: Phrases = (
    # Of the parameter: "too many tokens: max tokens must be less than or equal to 4096, the maximum ..."
    ("max tokens must be", errors.UnsupportedParameterError),
    # Of the prompt: "too many tokens: size limit exceeded by 11326 tokens. Try using shorter inputs."
    ("too many tokens", errors.ContextOverflowError),
    # Such as "unknown field: parameter name is not a valid field."
    ("unknown field", errors.UnsupportedParameterError),
    # Such as "response_format is not supported with RAG", "model 'x' is not supported by the ... API"
    ("not supported", errors.UnsupportedParameterError),
    ("does not support", errors.UnsupportedParameterError),
    # Such as "only one of 'presence_penalty' and 'frequency_penalty' can be specified for this model"
    ("for this model", errors.UnsupportedParameterError),
)
_PHRASES: Mapping[int | None, Phrases] = {
    400: _BAD_REQUEST,
    422: _BAD_REQUEST,
    None: _BAD_REQUEST,
    # "You are using a Trial key, which is limited to 1000 API calls / month": no wait helps
    429: (("calls / month", errors.QuotaExceededError),),
}
"""Phrases by the status under which they are read; None is an error inside an answer."""

_FAILED: Mapping[str, type[VendorError]] = {
    "ERROR": errors.MalformedResponseError,
    "TIMEOUT": errors.ServerError,
}
"""Finish reasons of answers that failed."""


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    error = _parts(json_or_text(body))
    cls = _class_of(error, status) or class_of_status(status, _STATUSES)
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
    return context.error(_class_of(error, None) or _FAILED.get(reason, errors.ServerError), error)


def _parts(value: Any) -> ErrorBody:
    if not isinstance(value, dict):
        return ErrorBody(str(value))
    kind = str(value.get("error_type") or "")
    message = value.get("message") or value.get("error") or value.get("detail") or value
    return ErrorBody(str(message), type=kind.lower(), code=kind)


def _class_of(error: ErrorBody, status: int | None) -> type[VendorError] | None:
    return _TYPES.get(error.type) or class_of_phrase(_PHRASES.get(status, ()), error.message)


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
