"""What Ollama's errors mean: by status, and by text where one status covers many causes.

Ollama sends no codes: `{"error": "text"}` is all. The error of a stream that already began is a line of that
form with status 200. Sources: docs.ollama.com/api/errors, recorded answers of servers and of ollama.com.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import ErrorTable, Phrases, json_or_text, message_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

_QUOTA: Phrases = (
    # "you have reached your weekly usage limit, upgrade for higher limits" (session, hourly): no wait helps
    ("usage limit", errors.QuotaExceededError),
)
_PHRASES: Mapping[type[VendorError], Phrases] = {
    # A level for a model that only takes on and off: 'think value "low" is not supported for this model'
    errors.InvalidRequestError: (("think value", errors.UnsupportedParameterError), *_QUOTA),
    errors.RateLimitError: _QUOTA,
}
_TABLE = ErrorTable(phrases=_PHRASES)


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    error = ErrorBody(_text(json_or_text(body)))
    return vendor_error(_TABLE.class_of(error, status), vendor, call, error, status=status, headers=headers)


def error_inside(context: ErrorContext, answer: Mapping[str, Any]) -> VendorError | None:
    """Return the error that an answer with status 200 holds; None if it holds none."""
    if answer.get("error") is None:
        return None
    error = ErrorBody(_text(answer))
    return context.error(_TABLE.class_inside(error, HTTPStatus.BAD_REQUEST), error)


def _text(value: Any) -> str:
    """Return the text of `{"error": str}`, or of whatever a proxy sent."""
    return message_of(value) or (value if isinstance(value, str) else dump_json(value).decode())
