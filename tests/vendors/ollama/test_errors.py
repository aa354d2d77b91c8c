"""Ollama: what errors mean."""

from __future__ import annotations

import json
from typing import Any

from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.types import Endpoint
from tests.cases import each
from tests.vendors.ollama.calls import KEY, VENDOR, call

ERRORS = [
    (404, {"error": "model 'x' not found"}, errors.ModelNotFoundError, False),
    (404, "404 page not found", errors.ModelNotFoundError, False),
    (400, {"error": '"llama3" does not support tools'}, errors.UnsupportedParameterError, False),
    (400, {"error": '"llama3" does not support thinking'}, errors.UnsupportedParameterError, False),
    (
        400,
        {"error": 'think value "low" is not supported for this model'},
        errors.UnsupportedParameterError,
        False,
    ),
    (400, {"error": "the input length exceeds the context length"}, errors.ContextOverflowError, False),
    (
        400,
        {"error": {"message": "prompt too long; exceeded max context length"}},
        errors.ContextOverflowError,
        False,
    ),
    (400, {"error": "invalid role"}, errors.InvalidRequestError, False),
    (401, {"error": "unauthorized"}, errors.AuthenticationError, False),
    (402, {"error": "payment"}, errors.QuotaExceededError, False),
    (403, {"error": "this model requires a subscription"}, errors.PermissionDeniedError, False),
    (413, "too large", errors.RequestTooLargeError, False),
    (429, {"error": "too many requests"}, errors.RateLimitError, True),
    (429, {"error": "you have reached your weekly usage limit"}, errors.QuotaExceededError, False),
    (500, {"error": "model runner has unexpectedly stopped"}, errors.ServerError, True),
    (502, "<html>Bad Gateway</html>", errors.ServerError, True),
    (503, {"error": "server busy, please try again."}, errors.OverloadedError, True),
    (418, "", errors.VendorError, False),
]


@each(("status", "raw", "cls", "retryable"), ERRORS)
def test_errors(status: int, raw: Any, cls: type[errors.VendorError], retryable: bool) -> None:
    """Status decides, text only where Ollama sends nothing else."""
    data = raw.encode() if isinstance(raw, str) else json.dumps(raw).encode()
    error = VENDOR.decode_error(call(), status, {"retry-after": "7"}, data)
    assert type(error) is cls
    assert error.is_retryable is retryable
    assert (error.status_code, error.vendor, error.retry_after) == (status, "ollama", 7.0)


def test_no_key_in_errors() -> None:
    """A key that a proxy echoes does not get into the error."""
    secret = call(endpoint=Endpoint("https://ollama.com", SecretStr(KEY)))
    error = VENDOR.decode_error(secret, 401, {}, json.dumps({"error": f"bad key {KEY}"}).encode())
    assert KEY not in str(error) + repr(error)
