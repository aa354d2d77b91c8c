"""What Gemini's errors mean.

Sources: the table of canonical codes at https://ai.google.dev/gemini-api/docs/troubleshooting, the details of
`google.rpc` (ErrorInfo, QuotaFailure, RetryInfo), and recorded answers. A class is chosen by
`ErrorInfo.reason`, else by `error.status`, else by the HTTP status. Gemini sends one status,
INVALID_ARGUMENT, for very different faults and no code beside it; only there text decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.internal.json_format import part_of
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import ErrorTable, Phrases, json_or_text, message_of

if TYPE_CHECKING:
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

# google.api.ErrorReason. A bad key comes as HTTP 400 INVALID_ARGUMENT (recorded).
_REASONS: Mapping[str, type[VendorError]] = {
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
_BAD_REQUESTS = dict.fromkeys(("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"), 400)
"""Of google.rpc.Code, those that mean no more than their HTTP status."""
# The others of google.rpc.Code.
_CODES: Mapping[str, type[VendorError]] = {
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
}
# Phrases by the class that they narrow; recorded, or seen in many public reports.
_PHRASES: Mapping[type[VendorError], Phrases] = {
    errors.InvalidRequestError: (
        # "Gemini API free tier is not available in your country", "User location is not supported".
        ("user location", errors.PermissionDeniedError),
        ("in your country", errors.PermissionDeniedError),
    ),
    errors.RateLimitError: (
        ("prepayment credits are depleted", errors.QuotaExceededError),
        ("monthly spending cap", errors.QuotaExceededError),
    ),
}
_TABLE = ErrorTable(
    {word.lower(): cls for word, cls in (*_REASONS.items(), *_CODES.items())}, phrases=_PHRASES
)


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    document = json_or_text(body)
    cls, parts, wait = _meaning(document, status)
    parts = parts if parts.message else replace(parts, message=f"HTTP {status} without a text")
    return vendor_error(cls, vendor, call, parts, status=status, headers=headers, wait=wait)


def error_inside(context: ErrorContext, error: Any) -> VendorError:
    """Return the error that the `error` of an answer with status 200 means."""
    cls, parts, wait = _meaning({"error": error}, None)
    result = context.error(cls, parts)
    result.retry_after = wait
    return result


def _meaning(document: Any, status: int | None) -> tuple[type[VendorError], ErrorBody, float | None]:
    """Return class, parts and seconds to wait of an error; `status` is None inside an answer."""
    error = _error_object(document)
    details = [item for item in error.get("details") or () if isinstance(item, Mapping)]
    word = str(error.get("status") or "")
    reason = next((str(item["reason"]) for item in details if item.get("reason")), "")
    parts = ErrorBody(message_of(document), type=word.lower(), code=reason or word)
    if status is None:
        number = error.get("code")
        status = number if isinstance(number, int) else _BAD_REQUESTS.get(word)
    cls = _TABLE.class_of(parts, status)
    if cls is errors.RateLimitError and _is_daily(details):
        cls = errors.QuotaExceededError
    return cls, parts, _wait(details, parts.message)


def _error_object(document: Any) -> Mapping[str, Any]:
    if isinstance(document, list):  # streams without `alt=sse` wrap it
        document = document[0] if document else None
    return part_of(document, "error")


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
