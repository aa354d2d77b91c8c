"""What Anthropic's errors mean: by type and status, and by text only where one type covers many causes.

Sources: platform.claude.com/docs/en/api/errors (types and status codes), the official SDK's
`details.error_code` (spend limits), and recorded responses for the texts.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.internal.json_format import part_of
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import ErrorTable, Phrases, json_or_text, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

# `error.details.error_code`: the SDK's advice is to branch on it. `ramp_limit_exceeded` is an ordinary 429.
_CODES: Mapping[str, type[VendorError]] = {
    "enforced_spend_limit_reached": errors.QuotaExceededError,
    "contract_spend_limit_reached": errors.QuotaExceededError,
    "linked_organization_spend_limit_reached": errors.QuotaExceededError,
    "organization_on_hold": errors.QuotaExceededError,
}

# `error.type`, as the error page lists them. `invalid_request_error` is divided by text.
_TYPES: Mapping[str, type[VendorError]] = {
    "authentication_error": errors.AuthenticationError,
    "billing_error": errors.QuotaExceededError,
    "permission_error": errors.PermissionDeniedError,
    "not_found_error": errors.ModelNotFoundError,
    "conflict_error": errors.ServerError,
    "request_too_large": errors.RequestTooLargeError,
    "rate_limit_error": errors.RateLimitError,
    "api_error": errors.ServerError,
    "timeout_error": errors.ServerError,
    "overloaded_error": errors.OverloadedError,
}

# `invalid_request_error` has no code: only texts distinguish its causes. Others are in the shared wordings.
_PHRASES: Mapping[type[VendorError], Phrases] = {
    errors.InvalidRequestError: (
        # "Your credit balance is too low to access the Anthropic API."
        ("credit balance is too low", errors.QuotaExceededError),
        # "You have reached your specified API usage limits. You will regain access on ..."
        ("usage limits", errors.QuotaExceededError),
    ),
}
_TABLE = ErrorTable({**_CODES, **_TYPES}, phrases=_PHRASES)


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means; any text serves as a body."""
    value = json_or_text(body)
    parts = _parts(value)
    cls = _TABLE.class_of(parts, status)
    if cls is errors.RateLimitError and status == HTTPStatus.TOO_MANY_REQUESTS and _is_hopeless(headers):
        cls = errors.RequestAboveRateLimitError
    return _with_id(vendor_error(cls, vendor, call, parts, status=status, headers=headers), value)


def error_inside(context: ErrorContext, value: Mapping[str, Any]) -> VendorError:
    """Return the error that an answer with status 200, or an event of one, holds."""
    parts = _parts(value)
    status = HTTPStatus.BAD_REQUEST if parts.type == "invalid_request_error" else None
    return _with_id(context.error(_TABLE.class_of(parts, status), parts), value)


def _with_id(error: VendorError, value: Any) -> VendorError:
    if error.request_id is None and isinstance(value, dict) and isinstance(value.get("request_id"), str):
        error.request_id = value["request_id"]
    return error


def _parts(value: Any) -> ErrorBody:
    """Return the parts of `{"type": "error", "error": {...}, "request_id": ...}`, or of a text."""
    error = part_of(value, "error")
    details = part_of(error, "details")
    return ErrorBody(
        message_of(value),
        type=str(error.get("type") or "").lower(),
        code=str(details.get("error_code") or ""),
        details=details,
    )


def _is_hopeless(headers: Mapping[str, str]) -> bool:
    # Recorded: a single request above the account's whole limit has "false" here, and no time to wait.
    return headers.get("x-should-retry") == "false" and "retry-after" not in headers
