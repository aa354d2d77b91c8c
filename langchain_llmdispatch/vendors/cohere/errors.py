"""What Cohere's errors mean, and what its headers say about limits.

Bodies are `{"message": str, "id"?: str, "error_type"?: str}`; `error_type` is rare, so most causes are told
apart by status and then by text. Sources: docs.cohere.com/reference/errors (statuses and example texts), the
API description (498, 499), recorded exchanges.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    InvalidRequestError,
    MalformedResponseError,
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
from langchain_llmdispatch.types import LimitState
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

# `error_type`, where it is sent (recorded: TOO_MANY_TOKENS).
_TYPES: Mapping[str, type[VendorError]] = MappingProxyType({"too_many_tokens": ContextOverflowError})

_STATUSES: Mapping[int, type[VendorError]] = MappingProxyType(
    {
        401: AuthenticationError,
        402: QuotaExceededError,
        403: PermissionDeniedError,
        404: ModelNotFoundError,
        408: ServerError,
        409: ServerError,
        413: RequestTooLargeError,
        429: RateLimitError,
        498: ContentFilterError,  # "a request or response contains a deny-listed token"
        499: VendorError,  # "cancelled by the user": not by us, and nothing to retry
        501: UnsupportedParameterError,  # "the requested feature is not implemented"
        503: OverloadedError,
        529: OverloadedError,
    }
)

# Lower case, first match wins, only under these statuses (None is an error inside a stream).
_BAD = frozenset({400, 422, None})
_TEXTS: tuple[tuple[str, frozenset[int | None], type[VendorError]], ...] = (
    # Of the parameter: "too many tokens: max tokens must be less than or equal to 4096, the maximum ..."
    ("max tokens must be", _BAD, UnsupportedParameterError),
    # Of the prompt: "too many tokens: size limit exceeded by 11326 tokens. Try using shorter inputs."
    ("too many tokens", _BAD, ContextOverflowError),
    # Such as "unknown field: parameter name is not a valid field."
    ("unknown field", _BAD, UnsupportedParameterError),
    # Such as "response_format is not supported with RAG", "model 'x' is not supported by the ... API"
    ("not supported", _BAD, UnsupportedParameterError),
    ("does not support", _BAD, UnsupportedParameterError),
    # Such as "only one of 'presence_penalty' and 'frequency_penalty' can be specified for this model"
    ("for this model", _BAD, UnsupportedParameterError),
    # "You are using a Trial key, which is limited to 1000 API calls / month": no wait helps
    ("calls / month", frozenset({429}), QuotaExceededError),
)

_FAILED: Mapping[str, type[VendorError]] = MappingProxyType(
    {"ERROR": MalformedResponseError, "TIMEOUT": ServerError}
)
"""Finish reasons that mean there is no answer."""


def decode_failure(
    vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes
) -> VendorError:
    """Return the error that a response with an error status means."""
    said = read_error(body)
    cls = _error_class(status, said)
    return vendor_error(cls, vendor, call, said, status=status, headers=headers, wait=_until_reset(headers))


def failed_answer(
    vendor: Vendor, call: Call, headers: Mapping[str, str], reason: Any, said: Mapping[str, Any]
) -> VendorError | None:
    """Return the error that a finish reason, or an error inside a 200, stands for; None for an answer.

    Args:
        vendor: Who answered.
        call: What was asked.
        headers: Response headers.
        reason: The finish reason.
        said: Where `error` and `error_type` would be.
    """
    message = said.get("error")
    if reason not in _FAILED and not message:
        return None
    kind = str(said.get("error_type") or "")
    body = ErrorBody(str(message or f"the answer failed: {reason}"), type=kind.lower(), code=kind)
    cls = _TYPES.get(body.type) or _text_class(None, body.message) or _FAILED.get(reason, ServerError)
    return vendor_error(cls, vendor, call, body, headers=headers)


def read_error(body: bytes) -> ErrorBody:
    """Return the parts of an error body, whoever wrote it."""
    try:
        said = parse_json(body)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return ErrorBody(body.decode("utf-8", "replace").strip())
    kind = str(said.get("error_type") or "")
    message = said.get("message") or said.get("error") or said.get("detail") or said
    return ErrorBody(str(message), type=kind.lower(), code=kind)


def _error_class(status: int, said: ErrorBody) -> type[VendorError]:
    cls = _TYPES.get(said.type) or _text_class(status, said.message) or _STATUSES.get(status)
    return cls or (ServerError if status >= 500 else InvalidRequestError)  # noqa: PLR2004


def _text_class(status: int | None, message: str) -> type[VendorError] | None:
    text = message.lower()
    return next((cls for needle, statuses, cls in _TEXTS if needle in text and status in statuses), None)


# -- limits --------------------------------------------------------------------------------------------


def _until_reset(headers: Mapping[str, str]) -> float | None:
    """Return the seconds until `x-ratelimit-reset`, a Unix time, read against the response's own date."""
    try:
        reset = float(headers["x-ratelimit-reset"])
        return max(0.0, reset - parsedate_to_datetime(headers["date"]).timestamp())
    except (KeyError, TypeError, ValueError):
        return None


def read_limits(headers: Mapping[str, str]) -> Sequence[LimitState]:
    """Return what `x-ratelimit-*`, or a trial key's own headers, say about requests per minute."""
    for prefix in ("x-ratelimit", "x-trial-endpoint-call"):
        limit, remaining = _count(headers.get(f"{prefix}-limit")), _count(headers.get(f"{prefix}-remaining"))
        if remaining is not None:
            return [LimitState("requests", remaining, limit, _until_reset(headers))]
    return ()


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
