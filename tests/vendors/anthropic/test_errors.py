"""Anthropic: what errors mean."""

from __future__ import annotations

import json
from typing import Any

from langchain_llmdispatch import errors
from tests.cases import each
from tests.vendors.anthropic.calls import KEY, VENDOR, call


def refused(status: int, raw: Any, headers: dict[str, str] | None = None) -> errors.VendorError:
    """Return the error of a response."""
    data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    return VENDOR.decode_error(call(), status, headers or {}, data)


def error(kind: str, message: str = "m", **details: Any) -> dict[str, Any]:
    """Return an error body."""
    inner = {"type": kind, "message": message, **({"details": details} if details else {})}
    return {"type": "error", "error": inner, "request_id": "req_body"}


@each(
    ("status", "raw", "cls", "retryable"),
    [
        (400, error("invalid_request_error"), errors.InvalidRequestError, False),
        (401, error("authentication_error"), errors.AuthenticationError, False),
        (402, error("billing_error"), errors.QuotaExceededError, False),
        (403, error("permission_error"), errors.PermissionDeniedError, False),
        (404, error("not_found_error"), errors.ModelNotFoundError, False),
        (409, error("conflict_error"), errors.ServerError, True),
        (413, error("request_too_large"), errors.RequestTooLargeError, False),
        (429, error("rate_limit_error"), errors.RateLimitError, True),
        (
            429,
            error("rate_limit_error", error_code="enforced_spend_limit_reached"),
            errors.QuotaExceededError,
            False,
        ),
        (429, error("rate_limit_error", error_code="ramp_limit_exceeded"), errors.RateLimitError, True),
        (500, error("api_error"), errors.ServerError, True),
        (504, error("timeout_error"), errors.ServerError, True),
        (529, error("overloaded_error"), errors.OverloadedError, True),
        (408, b"", errors.ServerError, True),
        (413, b"<html>413 Request Entity Too Large</html>", errors.RequestTooLargeError, False),
        (422, {"detail": "x"}, errors.InvalidRequestError, False),
        (502, b"Bad Gateway", errors.ServerError, True),
        (503, b"upstream connect error", errors.OverloadedError, True),
    ],
)
def test_errors_by_type_and_status(
    status: int, raw: Any, cls: type[errors.VendorError], retryable: bool
) -> None:
    """Anthropic's types, its codes, and the statuses of proxies that send no JSON."""
    found = refused(status, raw)
    assert type(found) is cls
    assert found.is_retryable is retryable
    assert found.status_code == status


@each(
    ("message", "cls"),
    [
        ("prompt is too long: 200016 tokens > 200000 maximum", errors.ContextOverflowError),
        ("input length and `max_tokens` exceed context limit: 1 + 2 > 2", errors.ContextOverflowError),
        ("Your credit balance is too low to access the Anthropic API.", errors.QuotaExceededError),
        ("You have reached your specified API usage limits.", errors.QuotaExceededError),
        ("Output blocked by content filtering policy", errors.ContentFilterError),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", errors.ForeignSignatureError),
        (
            "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
            errors.ForeignSignatureError,
        ),
        (
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
            errors.ForeignSignatureError,
        ),
        ("`temperature` is deprecated for this model.", errors.UnsupportedParameterError),
        ("adaptive thinking is not supported on this model", errors.UnsupportedParameterError),
        ("This model does not support assistant message prefill.", errors.UnsupportedParameterError),
        ("temperature: Extra inputs are not permitted", errors.UnsupportedParameterError),
        (
            "`temperature` may only be set to 1 when thinking is enabled.",
            errors.UnsupportedParameterError,
        ),
        ("messages.0.content: Input should be a valid list", errors.InvalidRequestError),
        ("`max_tokens` must be greater than `thinking.budget_tokens`.", errors.InvalidRequestError),
    ],
)
def test_errors_by_text(message: str, cls: type[errors.VendorError]) -> None:
    """One type covers many causes; its texts distinguish those that another target may not have."""
    assert type(refused(400, error("invalid_request_error", message))) is cls


@each(
    ("status", "kind", "headers", "cls", "retryable", "after"),
    [
        (
            429,
            "rate_limit_error",
            {"retry-after": "7", "x-should-retry": "true"},
            errors.RateLimitError,
            True,
            7.0,
        ),
        (429, "rate_limit_error", {"x-should-retry": "true"}, errors.RateLimitError, True, None),
        (
            429,
            "rate_limit_error",
            {"x-should-retry": "false"},
            errors.RequestAboveRateLimitError,
            False,
            None,
        ),
        (500, "api_error", {"x-should-retry": "false"}, errors.ServerError, False, None),
        (529, "overloaded_error", {"retry-after-ms": "250"}, errors.OverloadedError, True, 0.25),
    ],
)
def test_the_vendors_header_on_retrying(
    status: int, kind: str, headers: dict[str, str], cls: type[Any], retryable: bool, after: float | None
) -> None:
    """`x-should-retry` and `retry-after` are believed."""
    found = refused(status, error(kind), headers)
    assert (type(found), found.is_retryable, found.retry_after) == (cls, retryable, after)


def test_request_ids_and_keys_in_errors() -> None:
    """The header's id wins over the body's; a key that the vendor repeats is blotted out."""
    assert refused(400, error("invalid_request_error")).request_id == "req_body"
    assert refused(400, error("api_error"), {"request-id": "req_head"}).request_id == "req_head"
    assert KEY not in str(refused(401, error("authentication_error", f"bad key {KEY}")))
