"""What Gemini's errors mean.

Sources: the table of canonical codes at https://ai.google.dev/gemini-api/docs/troubleshooting, the details of
`google.rpc` (ErrorInfo, QuotaFailure, RetryInfo), and recorded answers. A class is chosen by
`ErrorInfo.reason`, else by `error.status`, else by the HTTP status. Gemini sends one status,
INVALID_ARGUMENT, for very different faults and no code beside it; only there text decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import Phrases, class_of_phrase, class_of_status, json_or_text

if TYPE_CHECKING:
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

# google.api.ErrorReason. A bad key comes as HTTP 400 INVALID_ARGUMENT (recorded).
_REASONS: dict[str, type[VendorError]] = {
    "API_KEY_INVALID": errors.AuthenticationError,
    "CREDENTIALS_MISSING": errors.AuthenticationError,
    "ACCESS_TOKEN_EXPIRED": errors.AuthenticationError,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": errors.AuthenticationError,
    "ACCOUNT_STATE_INVALID": errors.AuthenticationError,
    "BILLING_DISABLED": errors.QuotaExceededError,
    "SERVICE_DISABLED": errors.PermissionDeniedError,
    "API_KEY_SERVICE_BLOCKED": errors.PermissionDeniedError,
    "CONSUMER_SUSPENDED": errors.PermissionDeniedError,
    "LOCATION_POLICY_VIOLATED": errors.PermissionDeniedError,
}
# google.rpc.Code.
_STATUSES: dict[str, type[VendorError]] = {
    "UNAUTHENTICATED": errors.AuthenticationError,
    "PERMISSION_DENIED": errors.PermissionDeniedError,
    "NOT_FOUND": errors.ModelNotFoundError,
    "RESOURCE_EXHAUSTED": errors.RateLimitError,
    "UNIMPLEMENTED": errors.UnsupportedParameterError,
    "UNAVAILABLE": errors.OverloadedError,
    "INTERNAL": errors.ServerError,
    "UNKNOWN": errors.ServerError,
    "ABORTED": errors.ServerError,
    "CANCELLED": errors.ServerError,
    "DEADLINE_EXCEEDED": errors.ServerError,
    "INVALID_ARGUMENT": errors.InvalidRequestError,
    "FAILED_PRECONDITION": errors.InvalidRequestError,
    "OUT_OF_RANGE": errors.InvalidRequestError,
}
_HTTP_STATUSES: dict[int, type[VendorError]] = {499: errors.ServerError}  # cancelled, not by us
# Text of errors that have no code of their own; lower case. Recorded, or seen in many public reports.
_INVALID: Phrases = (
    ("exceeds the maximum number of tokens", errors.ContextOverflowError),
    ("thought_signature", errors.ForeignSignatureError),
    ("thought signature", errors.ForeignSignatureError),
    ("responsible ai practices", errors.ContentFilterError),
    # "Gemini API free tier is not available in your country", "User location is not supported".
    ("user location", errors.PermissionDeniedError),
    ("in your country", errors.PermissionDeniedError),
    ("unknown name", errors.UnsupportedParameterError),
    ("not enabled for", errors.UnsupportedParameterError),
    ("unsupported", errors.UnsupportedParameterError),
    ("not supported", errors.UnsupportedParameterError),
    ("does not support", errors.UnsupportedParameterError),
    ("only works in thinking mode", errors.UnsupportedParameterError),
)
_EXHAUSTED: Phrases = (
    ("prepayment credits are depleted", errors.QuotaExceededError),
    ("monthly spending cap", errors.QuotaExceededError),
)
_PHRASES: dict[type[VendorError], Phrases] = {
    errors.InvalidRequestError: _INVALID,
    errors.RateLimitError: _EXHAUSTED,
}
"""Phrases by the class that they narrow."""


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    error = _error_object(json_or_text(body)) or {"message": _readable(status, body)}
    cls, parts, wait = _meaning(error, status)
    return vendor_error(cls, vendor, call, parts, status=status, headers=headers, wait=wait)


def error_inside(context: ErrorContext, error: Any) -> VendorError:
    """Return the error that the `error` of an answer with status 200 means."""
    cls, parts, wait = _meaning(error if isinstance(error, Mapping) else {"message": str(error)})
    result = context.error(cls, parts)
    result.retry_after = wait
    return result


def _meaning(
    error: Mapping[str, Any], status: int | None = None
) -> tuple[type[VendorError], ErrorBody, float | None]:
    """Return class, parts and seconds to wait of an `error` object; `status` is None inside an answer."""
    details = [item for item in error.get("details") or () if isinstance(item, Mapping)]
    message = str(error.get("message") or "")
    word = str(error.get("status") or "")
    reason = next((str(item["reason"]) for item in details if item.get("reason")), "")
    number = error.get("code") if status is None else status
    cls = _class_of(reason, word, number if isinstance(number, int) else None, message)
    if cls is errors.RateLimitError and _is_daily(details):
        cls = errors.QuotaExceededError
    return cls, ErrorBody(message, type=word.lower(), code=reason or word), _wait(details, message)


def _class_of(reason: str, word: str, status: int | None, message: str) -> type[VendorError]:
    cls = _REASONS.get(reason) or _STATUSES.get(word) or class_of_status(status, _HTTP_STATUSES)
    return class_of_phrase(_PHRASES.get(cls, ()), message) or cls


def _error_object(document: Any) -> Mapping[str, Any] | None:
    if isinstance(document, list):  # streams without `alt=sse` wrap it
        document = document[0] if document else None
    error = document.get("error") if isinstance(document, Mapping) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, Mapping) else None


def _readable(status: int, body: bytes) -> str:
    text = body[:2000].decode("utf-8", "replace").strip()
    if text.startswith("<"):
        title = re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1].strip() if title else "an HTML page"
    return text or f"HTTP {status} without a body"


def _is_daily(details: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a quota of the day is used up: no wait within a call cures that."""
    return any(
        "PerDay" in str(violation.get("quotaId"))
        for item in details
        for violation in item.get("violations") or ()
        if isinstance(violation, Mapping)
    )


_RETRY_IN = re.compile(r"retry in (\d+(?:\.\d+)?)(ms|s)\b")


def _wait(details: Sequence[Mapping[str, Any]], message: str) -> float | None:
    """Return the seconds of `RetryInfo`, else those in the text; there is no header."""
    for item in details:
        delay = re.fullmatch(r"(\d+(?:\.\d+)?)s", str(item.get("retryDelay")))
        if delay:
            return float(delay[1])
    found = _RETRY_IN.search(message)
    return float(found[1]) / (1000 if found[2] == "ms" else 1) if found else None
