"""What Anthropic's errors mean: by type and status, and by text only where one type covers many causes.

Sources: platform.claude.com/docs/en/api/errors (types and status codes), the official SDK's
`details.error_code` (spend limits), and recorded responses for the texts.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import Phrases, class_of_phrase, class_of_status, json_or_text

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

# `error.type`, as the error page lists them. `invalid_request_error` is divided by text below.
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

# `invalid_request_error` has no code: only these texts distinguish its causes. First match wins,
# lower case, backticks and quotes removed.
_PHRASES: Phrases = (
    # As in "prompt is too long: 200016 tokens > 200000 maximum".
    ("prompt is too long", errors.ContextOverflowError),
    # As in "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000".
    ("exceed context limit", errors.ContextOverflowError),
    ("exceeds the context window", errors.ContextOverflowError),
    # "Your credit balance is too low to access the Anthropic API."
    ("credit balance is too low", errors.QuotaExceededError),
    # "You have reached your specified API usage limits. You will regain access on ..."
    ("usage limits", errors.QuotaExceededError),
    ("content filtering policy", errors.ContentFilterError),
    # As in "messages.1.content.0: Invalid `signature` in `thinking` block".
    ("invalid signature in thinking", errors.ForeignSignatureError),
    ("invalid data in redacted_thinking", errors.ForeignSignatureError),
    # "... `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified."
    ("latest assistant message cannot be modified", errors.ForeignSignatureError),
    # "Expected `thinking` or `redacted_thinking`, but found `tool_use`": the history is another model's.
    ("expected thinking or redacted_thinking", errors.ForeignSignatureError),
    # "`temperature` is deprecated for this model.", "adaptive thinking is not supported on this model",
    # "`temperature` and `top_p` cannot both be specified for this model."
    ("for this model", errors.UnsupportedParameterError),
    ("on this model", errors.UnsupportedParameterError),
    ("with this model", errors.UnsupportedParameterError),
    ("this model does not", errors.UnsupportedParameterError),
    ("does not support", errors.UnsupportedParameterError),
    ("not supported", errors.UnsupportedParameterError),
    # "`temperature` may only be set to 1 when thinking is enabled."
    ("may only be set to", errors.UnsupportedParameterError),
    ("when thinking is enabled", errors.UnsupportedParameterError),
    # "temperature: Extra inputs are not permitted": from API versions without sampling parameters.
    ("extra inputs are not permitted", errors.UnsupportedParameterError),
)
_QUOTES = str.maketrans("", "", "`'\"")


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means; any text serves as a body."""
    value = json_or_text(body)
    parts = _parts(value)
    cls = _class_of(parts, status, headers)
    return _with_id(vendor_error(cls, vendor, call, parts, status=status, headers=headers), value)


def error_inside(context: ErrorContext, value: Mapping[str, Any]) -> VendorError:
    """Return the error that an answer with status 200, or an event of one, holds."""
    parts = _parts(value)
    return _with_id(context.error(_class_of(parts, None, {}), parts), value)


def _with_id(error: VendorError, value: Any) -> VendorError:
    if error.request_id is None and isinstance(value, dict) and isinstance(value.get("request_id"), str):
        error.request_id = value["request_id"]
    return error


def _parts(value: Any) -> ErrorBody:
    """Return the parts of `{"type": "error", "error": {...}, "request_id": ...}`, or of a text."""
    if not isinstance(value, dict):
        return ErrorBody(str(value))
    error = value.get("error")
    if not isinstance(error, dict):
        error = {"message": error or value.get("message") or value.get("detail") or ""}
    details = error.get("details")
    details = details if isinstance(details, dict) else {}
    return ErrorBody(
        message=str(error.get("message") or ""),
        type=str(error.get("type") or "").lower(),
        code=str(details.get("error_code") or ""),
        details=details,
    )


def _class_of(body: ErrorBody, status: int | None, headers: Mapping[str, str]) -> type[VendorError]:
    cls = _CODES.get(body.code) or _TYPES.get(body.type) or class_of_status(status)
    if cls is errors.RateLimitError and status == HTTPStatus.TOO_MANY_REQUESTS and _is_hopeless(headers):
        return errors.RequestTooLargeError
    if cls is errors.InvalidRequestError or (status is None and body.type == "invalid_request_error"):
        return class_of_phrase(_PHRASES, body.message.translate(_QUOTES)) or errors.InvalidRequestError
    return cls


def _is_hopeless(headers: Mapping[str, str]) -> bool:
    # Recorded: a single request above the account's whole limit has "false" here, and no time to wait.
    return headers.get("x-should-retry") == "false" and "retry-after" not in headers
