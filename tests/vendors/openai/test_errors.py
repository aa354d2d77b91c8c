"""What errors of the OpenAI family mean."""

from __future__ import annotations

from typing import Any

from langchain_llmdispatch import errors
from tests.cases import each
from tests.vendors.openai.calls import KEY, error


@each(
    ("status", "raw", "cls"),
    [
        (400, {"code": "context_length_exceeded"}, errors.ContextOverflowError),
        (400, {"code": "unsupported_value"}, errors.UnsupportedParameterError),
        (400, {"code": "invalid_prompt"}, errors.ContentFilterError),
        (400, {"code": "string_above_max_length", "message": "context window"}, errors.RequestTooLargeError),
        (400, {"code": "empty_array", "message": "prompt too long"}, errors.InvalidRequestError),
        (400, {"code": "invalid_encrypted_content"}, errors.ForeignSignatureError),
        (400, {"code": None, "message": "The encrypted content x could not"}, errors.ForeignSignatureError),
        (
            400,
            {
                "code": None,
                "message": "'response_format' of type 'json_schema' is not supported with this model",
            },
            errors.UnsupportedParameterError,
        ),
        (401, {"code": "invalid_api_key"}, errors.AuthenticationError),
        (402, {}, errors.QuotaExceededError),
        (403, {"code": "unsupported_country_region_territory"}, errors.PermissionDeniedError),
        (404, {"code": "model_not_found"}, errors.ModelNotFoundError),
        (409, {}, errors.ServerError),
        (413, "too big", errors.RequestTooLargeError),
        (422, {}, errors.InvalidRequestError),
        (429, {"code": "rate_limit_exceeded", "type": "tokens"}, errors.RateLimitError),
        (429, {"code": "slow_down"}, errors.RateLimitError),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, errors.QuotaExceededError),
        (429, {"type": "insufficient_quota", "code": None}, errors.QuotaExceededError),
        (429, {"code": "project_spend_limit_exceeded"}, errors.QuotaExceededError),
        (
            429,
            {"code": "rate_limit_exceeded", "message": "Request too large for gpt-x on tokens per min"},
            errors.RequestAboveRateLimitError,
        ),
        (500, {"type": "server_error"}, errors.ServerError),
        (502, "<html>Bad gateway</html>", errors.ServerError),
        (503, {"code": "server_is_overloaded"}, errors.OverloadedError),
        (503, "upstream connect error", errors.OverloadedError),
        (504, "", errors.ServerError),
    ],
)
def test_errors(status: int, raw: Any, cls: type[errors.VendorError]) -> None:
    """Status and code decide; prose only where there is no code."""
    assert type(error(status, raw)) is cls


def test_error_carries_the_details() -> None:
    """Wait, code, request id and the vendor's word on retrying, but never the key."""
    headers = {
        "retry-after-ms": "1500",
        "retry-after": "9",
        "x-request-id": "req_1",
        "x-should-retry": "false",
    }
    raw = error(429, {"code": "rate_limit_exceeded", "message": f"Slow down, {KEY}"}, headers)
    assert (raw.retry_after, raw.code, raw.request_id) == (1.5, "rate_limit_exceeded", "req_1")
    assert raw.is_retryable is False
    assert KEY not in str(raw)
