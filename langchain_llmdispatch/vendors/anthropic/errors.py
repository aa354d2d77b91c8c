"""What Anthropic's errors mean: by type and status, and by text only where one type covers many causes.

Sources: platform.claude.com/docs/en/api/errors (types and status codes), the official SDK's
`details.error_code` (spend limits), and recorded responses for the texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    ForeignSignatureError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RequestTooLargeError,
    ServerError,
    UnsupportedParameterError,
    VendorError,
)
from langchain_llmdispatch.framing import parse_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

# `error.details.error_code`: the SDK's advice is to branch on it. `ramp_limit_exceeded` is an ordinary 429.
_CODES: Mapping[str, type[VendorError]] = {
    "enforced_spend_limit_reached": QuotaExceededError,
    "contract_spend_limit_reached": QuotaExceededError,
    "linked_organization_spend_limit_reached": QuotaExceededError,
    "organization_on_hold": QuotaExceededError,
}

# `error.type`, as the error page lists them. `invalid_request_error` is told apart by text below.
_TYPES: Mapping[str, type[VendorError]] = {
    "authentication_error": AuthenticationError,
    "billing_error": QuotaExceededError,
    "permission_error": PermissionDeniedError,
    "not_found_error": ModelNotFoundError,
    "conflict_error": ServerError,
    "request_too_large": RequestTooLargeError,
    "rate_limit_error": RateLimitError,
    "api_error": ServerError,
    "timeout_error": ServerError,
    "overloaded_error": OverloadedError,
}

# The status, for bodies that are not Anthropic's (proxies answer 403, 413, 502 and 503 in HTML or text).
_STATUSES: Mapping[int, type[VendorError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: ServerError,
    409: ServerError,
    413: RequestTooLargeError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}

# `invalid_request_error` has no code: these texts are all that tells its causes apart. First match wins,
# lower case, backticks and quotes removed.
_TEXTS: tuple[tuple[str, type[VendorError]], ...] = (
    # As in "prompt is too long: 200016 tokens > 200000 maximum".
    ("prompt is too long", ContextOverflowError),
    # As in "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000".
    ("exceed context limit", ContextOverflowError),
    ("exceeds the context window", ContextOverflowError),
    # "Your credit balance is too low to access the Anthropic API."
    ("credit balance is too low", QuotaExceededError),
    # "You have reached your specified API usage limits. You will regain access on ..."
    ("usage limits", QuotaExceededError),
    ("content filtering policy", ContentFilterError),
    # As in "messages.1.content.0: Invalid `signature` in `thinking` block".
    ("invalid signature in thinking", ForeignSignatureError),
    ("invalid data in redacted_thinking", ForeignSignatureError),
    # "... `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified."
    ("latest assistant message cannot be modified", ForeignSignatureError),
    # "Expected `thinking` or `redacted_thinking`, but found `tool_use`": the history is another model's.
    ("expected thinking or redacted_thinking", ForeignSignatureError),
    # "`temperature` is deprecated for this model.", "adaptive thinking is not supported on this model",
    # "`temperature` and `top_p` cannot both be specified for this model."
    ("for this model", UnsupportedParameterError),
    ("on this model", UnsupportedParameterError),
    ("with this model", UnsupportedParameterError),
    ("this model does not", UnsupportedParameterError),
    ("does not support", UnsupportedParameterError),
    ("not supported", UnsupportedParameterError),
    # "`temperature` may only be set to 1 when thinking is enabled."
    ("may only be set to", UnsupportedParameterError),
    ("when thinking is enabled", UnsupportedParameterError),
    # "temperature: Extra inputs are not permitted": API versions without sampling parameters say this.
    ("extra inputs are not permitted", UnsupportedParameterError),
)
_QUOTES = str.maketrans("", "", "`'\"")
_RATE_LIMITED = 429


def read_body(body: bytes | str) -> tuple[ErrorBody, str | None]:
    """Return what an error's body says, and the request id in it; any text serves."""
    try:
        said = parse_json(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        return ErrorBody(text.strip()), None
    return read_error(said)


def read_error(said: Mapping[str, Any]) -> tuple[ErrorBody, str | None]:
    """Return what `{"type": "error", "error": {...}, "request_id": ...}` says, and the request id."""
    error, request = said.get("error"), said.get("request_id")
    if not isinstance(error, dict):
        error = {"message": error or said.get("message") or said.get("detail") or ""}
    details = error.get("details")
    details = details if isinstance(details, dict) else {}
    body = ErrorBody(
        message=str(error.get("message") or ""),
        type=str(error.get("type") or "").lower(),
        code=str(details.get("error_code") or ""),
        details=details,
    )
    return body, request if isinstance(request, str) else None


def error_class(body: ErrorBody, status: int | None, headers: Mapping[str, str]) -> type[VendorError]:
    """Return the class of an error; `status` is None for errors inside a stream."""
    cls = _CODES.get(body.code) or _TYPES.get(body.type) or _by_status(status)
    if cls is RateLimitError and status == _RATE_LIMITED and _is_hopeless(headers):
        return RequestTooLargeError
    if cls is InvalidRequestError or (status is None and body.type == "invalid_request_error"):
        return _by_text(body.message)
    return cls


def _by_status(status: int | None) -> type[VendorError]:
    if status is None:
        return ServerError
    return _STATUSES.get(status, InvalidRequestError if status < 500 else ServerError)  # noqa: PLR2004


def _is_hopeless(headers: Mapping[str, str]) -> bool:
    # Recorded: a single request above the account's whole limit says "false" and names no time.
    return headers.get("x-should-retry") == "false" and "retry-after" not in headers


def _by_text(message: str) -> type[VendorError]:
    text = message.lower().translate(_QUOTES)
    return next((cls for words, cls in _TEXTS if words in text), InvalidRequestError)


def make_error(
    vendor: Vendor,
    call: Call,
    said: tuple[ErrorBody, str | None],
    *,
    status: int | None,
    headers: Mapping[str, str],
) -> VendorError:
    """Return the error that `said` and `status` stand for."""
    body, request = said
    error = vendor_error(
        error_class(body, status, headers), vendor, call, body, status=status, headers=headers
    )
    error.request_id = error.request_id or request
    return error
