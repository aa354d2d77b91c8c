"""Google: what errors mean."""

from __future__ import annotations

import json
import pickle
from typing import Any

from langchain_llmdispatch import errors
from tests.cases import each
from tests.vendors.google.calls import KEY, VENDOR, call


def failure(status: int, body: Any, headers: dict[str, str] | None = None) -> errors.VendorError:
    """Return the error of a response."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return VENDOR.decode_error(call(), status, headers or {}, raw)


def fault(status: str, message: str = "no", *details: dict[str, Any]) -> dict[str, Any]:
    """Return an error body."""
    return {"error": {"code": 400, "status": status, "message": message, "details": list(details)}}


INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


@each(
    ("status", "body", "cls"),
    [
        (400, fault("INVALID_ARGUMENT", "bad key", INFO), errors.AuthenticationError),
        (400, fault("INVALID_ARGUMENT"), errors.InvalidRequestError),
        (400, [fault("INVALID_ARGUMENT")], errors.InvalidRequestError),
        (
            400,
            fault("INVALID_ARGUMENT", "Input token count (2) exceeds the maximum number of tokens."),
            errors.ContextOverflowError,
        ),
        (
            400,
            fault("INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts."),
            errors.ForeignSignatureError,
        ),
        (
            400,
            fault("INVALID_ARGUMENT", "Thinking level is not supported for this model."),
            errors.UnsupportedParameterError,
        ),
        (400, fault("FAILED_PRECONDITION", "File is not in an ACTIVE state"), errors.InvalidRequestError),
        (
            400,
            fault("FAILED_PRECONDITION", "User location is not supported for the API use."),
            errors.PermissionDeniedError,
        ),
        (401, fault("UNAUTHENTICATED"), errors.AuthenticationError),
        (402, b"", errors.QuotaExceededError),
        (403, fault("PERMISSION_DENIED"), errors.PermissionDeniedError),
        (403, fault("PERMISSION_DENIED", "x", {"reason": "BILLING_DISABLED"}), errors.QuotaExceededError),
        (404, fault("NOT_FOUND"), errors.ModelNotFoundError),
        (404, b"", errors.ModelNotFoundError),
        (404, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", errors.ModelNotFoundError),
        (413, b"too large", errors.RequestTooLargeError),
        (429, fault("RESOURCE_EXHAUSTED"), errors.RateLimitError),
        (
            429,
            fault("RESOURCE_EXHAUSTED", "x", {"violations": [{"quotaId": "GenerateRequestsPerDay"}]}),
            errors.QuotaExceededError,
        ),
        (429, fault("RESOURCE_EXHAUSTED", "Prepayment credits are depleted."), errors.QuotaExceededError),
        (499, fault("CANCELLED"), errors.ServerError),
        (500, fault("INTERNAL"), errors.ServerError),
        (502, b"<html>", errors.ServerError),
        (503, fault("UNAVAILABLE"), errors.OverloadedError),
        (504, fault("DEADLINE_EXCEEDED"), errors.ServerError),
        (418, {"error": "teapot"}, errors.VendorError),
        (400, b"\xff\xfe", errors.InvalidRequestError),
    ],
)  # fmt: skip
def test_errors(status: int, body: Any, cls: type[errors.VendorError]) -> None:
    """Reason, status and HTTP status choose the class; text only where there is no code."""
    error = failure(status, body)
    assert type(error) is cls
    assert error.status_code == status
    assert error.vendor == "google"
    assert error.message


@each(
    ("details", "message", "headers", "wait"),
    [
        ([{"retryDelay": "34.4s"}], "", {}, 34.4),
        ([{"retryDelay": "45.837906927s"}], "Please retry in 50s.", {}, 45.837906927),
        ([], "Please retry in 48.939935699s.", {}, 48.939935699),
        ([], "Please retry in 250ms.", {}, 0.25),
        ([{"retryDelay": "soon"}], "", {}, None),
        ([{"retryDelay": "9s"}], "", {"retry-after": "3"}, 3.0),
    ],
)
def test_retry_after(
    details: list[dict[str, Any]], message: str, headers: dict[str, str], wait: float | None
) -> None:
    """The wait is in RetryInfo, else in the text; a header would win."""
    error = failure(429, fault("RESOURCE_EXHAUSTED", message, *details), headers)
    assert error.retry_after == wait
    assert error.code == "RESOURCE_EXHAUSTED"


def test_keys_never_reach_errors() -> None:
    """A key that the vendor echoes is cut out of the text."""
    error = failure(400, fault("INVALID_ARGUMENT", f"API key {KEY} not valid", INFO))
    assert KEY not in str(error)
    assert KEY not in repr(pickle.loads(pickle.dumps(error)))
    assert error.code == "API_KEY_INVALID"
