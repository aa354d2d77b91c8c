"""Cohere: what errors mean."""

from __future__ import annotations

import json

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import LimitState
from tests.cases import each
from tests.vendors.cohere.calls import KEY, VENDOR, call

TRIAL = "You are using a Trial key, which is limited to"
ERRORS = [
    (400, "too many tokens: size limit exceeded by 5 tokens.", errors.ContextOverflowError, False),
    (400, "too many tokens: max tokens must be less than 4096", errors.UnsupportedParameterError, False),
    (
        400,
        "invalid request: response_format is not supported with RAG.",
        errors.UnsupportedParameterError,
        False,
    ),
    (400, "invalid request: message must be at least 1 token long", errors.InvalidRequestError, False),
    (401, "invalid api token", errors.AuthenticationError, False),
    (402, "add a payment method", errors.QuotaExceededError, False),
    (403, "forbidden", errors.PermissionDeniedError, False),
    (404, "model 'x' was removed", errors.ModelNotFoundError, False),
    (413, "too large", errors.RequestTooLargeError, False),
    (422, "unknown field: parameter name is not a valid field.", errors.UnsupportedParameterError, False),
    (422, "something else", errors.InvalidRequestError, False),
    (429, f"{TRIAL} 20 API calls / minute.", errors.RateLimitError, True),
    (429, f"{TRIAL} 1000 API calls / month.", errors.QuotaExceededError, False),
    (498, "blocked", errors.ContentFilterError, False),
    (499, "cancelled", errors.VendorError, False),
    (500, "internal server error", errors.ServerError, True),
    (501, "not implemented", errors.UnsupportedParameterError, False),
    (503, "overloaded", errors.OverloadedError, True),
    (504, "timeout", errors.ServerError, True),
]


@each(("status", "raw", "cls", "retryable"), ERRORS)
def test_errors(status: int, raw: str, cls: type[errors.VendorError], retryable: bool) -> None:
    """Status decides, text only where Cohere sends nothing else; a body of any kind will do."""
    for data in (json.dumps({"id": "x", "message": raw}).encode(), raw.encode()):
        error = VENDOR.decode_error(call(), status, {"x-debug-trace-id": "t1"}, data)
        assert type(error) is cls
        assert error.is_retryable is retryable
        assert (error.status_code, error.vendor, error.request_id) == (status, "cohere", "t1")
        assert raw in error.message


def test_error_type() -> None:
    """The structured code decides before the text."""
    data = json.dumps({"error_type": "TOO_MANY_TOKENS", "message": "no"}).encode()
    error = VENDOR.decode_error(call(), 400, {}, data)
    assert isinstance(error, errors.ContextOverflowError)
    assert error.code == "TOO_MANY_TOKENS"


def test_no_key_in_errors() -> None:
    """A key that is echoed does not get into the error."""
    error = VENDOR.decode_error(call(), 401, {}, json.dumps({"message": f"bad key {KEY}"}).encode())
    assert KEY not in str(error) + repr(error)


DATE = "Thu, 01 Jan 1970 00:16:40 GMT"  # second 1000


def test_waiting() -> None:
    """`retry-after` wins; else the reset time counts, read against the response's own date."""
    reset = {"x-ratelimit-reset": "1007", "date": DATE}
    assert VENDOR.decode_error(call(), 429, reset, b"{}").retry_after == 7
    assert VENDOR.decode_error(call(), 429, {**reset, "retry-after": "3"}, b"{}").retry_after == 3
    assert VENDOR.decode_error(call(), 429, {"x-ratelimit-reset": "1007"}, b"{}").retry_after is None


def test_limits() -> None:
    """What the headers report as left; a limit alone reports nothing."""
    raw = {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-limit": "500",
        "x-ratelimit-reset": "1007",
        "date": DATE,
    }
    assert VENDOR.limits(raw) == [LimitState("requests", 0, 500, 7.0)]
    trial = {"x-trial-endpoint-call-limit": "20", "x-trial-endpoint-call-remaining": "19"}
    assert VENDOR.limits(trial) == [LimitState("requests", 19, 20, None)]
    assert list(VENDOR.limits({"x-trial-endpoint-call-limit": "20"})) == []
