"""Error bodies as the vendors write them, for faults that a codec must read like real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    402: "insufficient_quota",
    403: "invalid_request_error",
    404: "invalid_request_error",
    408: "server_error",
    409: "server_error",
    429: "rate_limit_exceeded",
}
_OPENAI_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "api_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _is_of_request(status: int) -> bool:
    """Return whether a status without a word of its own blames the request."""
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


def _openai(status: int, code: str | None, message: str) -> Body:
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if _is_of_request(status) else "server_error")
    return {
        "error": {"message": message, "type": kind, "param": None, "code": code or _OPENAI_CODES.get(status)}
    }


def _anthropic(status: int, code: str | None, message: str) -> Body:
    kind = code or _ANTHROPIC_TYPES.get(
        status, "invalid_request_error" if _is_of_request(status) else "api_error"
    )
    return {"type": "error", "error": {"type": kind, "message": message}}


def _google(status: int, code: str | None, message: str) -> Body:
    word = code or _GOOGLE_STATUSES.get(status, "INVALID_ARGUMENT" if _is_of_request(status) else "UNKNOWN")
    return {"error": {"code": status, "message": message, "status": word}}


def _cohere(_: int, code: str | None, message: str) -> Body:
    return {"message": message, **({"code": code} if code else {})}


def _ollama(_: int, __: str | None, message: str) -> Body:
    return {"error": message}


_BODIES: Mapping[str, Callable[[int, str | None, str], Body]] = {
    "anthropic": _anthropic,
    "google": _google,
    "cohere": _cohere,
    "ollama": _ollama,
}


def error_body(vendor: str, status: int, code: str | None = None, message: str | None = None) -> Body:
    """Return what a vendor answers with an error status.

    Args:
        vendor: The vendor's name; any other has OpenAI's form.
        status: The HTTP status.
        code: The vendor's own error code, where the status is ambiguous.
        message: The error's text.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Overloaded"
    return _BODIES.get(vendor, _openai)(status, code, message or f"{phrase} (injected)")
