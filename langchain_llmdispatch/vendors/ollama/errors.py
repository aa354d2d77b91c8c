"""What Ollama's errors mean: by status, and by text where one status covers many causes.

Ollama sends no codes: `{"error": "text"}` is all. The error of a stream that already began is a line of that
form with status 200. Sources: docs.ollama.com/api/errors, recorded answers of servers and of ollama.com.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.json_format import dump_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import Phrases, class_of_phrase, class_of_status, json_or_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

_STATUSES: Mapping[int, type[VendorError]] = {410: errors.ModelNotFoundError}  # ollama.com's retired models
_CONTEXT: Phrases = (
    # "the input length exceeds the context length" (`truncate: false`), the cloud's
    # "prompt too long; exceeded max context length by 1119046 tokens"
    ("context length", errors.ContextOverflowError),
    ("prompt too long", errors.ContextOverflowError),
)
_ABILITY: Phrases = (
    # "registry.ollama.ai/library/llama3:latest does not support tools" (thinking, chat, image input)
    ("does not support", errors.UnsupportedParameterError),
)
_QUOTA: Phrases = (
    # "you have reached your weekly usage limit, upgrade for higher limits" (session, hourly): no wait helps
    ("usage limit", errors.QuotaExceededError),
)
_PHRASES: Mapping[int | None, Phrases] = {
    # A level for a model that only takes on and off: 'think value "low" is not supported for this model'
    400: (*_CONTEXT, *_ABILITY, ("think value", errors.UnsupportedParameterError)),
    413: _CONTEXT,
    429: _QUOTA,
    500: (*_CONTEXT, *_ABILITY),
    None: (*_CONTEXT, *_ABILITY, *_QUOTA),
}
"""Phrases by the status under which they are read; None is an error inside an answer."""


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    error = ErrorBody(_text(json_or_text(body)))
    return vendor_error(_class_of(status, error), vendor, call, error, status=status, headers=headers)


def error_inside(context: ErrorContext, answer: Mapping[str, Any]) -> VendorError | None:
    """Return the error that an answer with status 200 holds; None if it holds none."""
    if answer.get("error") is None:
        return None
    error = ErrorBody(_text(answer))
    return context.error(_class_of(None, error), error)


def _text(value: Any) -> str:
    """Return the text of `{"error": str}`, or whatever a proxy sent."""
    value = value.get("error", value) if isinstance(value, dict) else value
    value = value.get("message", value) if isinstance(value, dict) else value
    return value if isinstance(value, str) else dump_json(value).decode()


def _class_of(status: int | None, error: ErrorBody) -> type[VendorError]:
    found = class_of_phrase(_PHRASES.get(status, ()), error.message)
    return found or class_of_status(status, _STATUSES)
