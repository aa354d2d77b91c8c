"""What an error of the OpenAI family means: its structured code first, its type, its status, its text last.

    code or type                     meaning                 source
    -------------------------------  ----------------------  -------------------------------------------
    context_length_exceeded          ContextOverflow         OpenAI, Azure, Groq (recorded)
    insufficient_quota, *_limit_...  QuotaExceeded           OpenAI help 6614457, 5955604
    rate_limit_exceeded, 1300, ...   RateLimit               OpenAI, Groq, Mistral, Cerebras (recorded)
    model_not_found, Deployment...   ModelNotFound           OpenAI, Azure, GitHub Models (recorded)
    unsupported_parameter, ...       UnsupportedParameter    OpenAI (recorded)
    content_filter, ...              ContentFilter           Azure (recorded), OpenAI
    invalid_encrypted_content        ForeignSignature        OpenAI Responses
    tool_use_failed, ...             MalformedResponse       Groq (recorded): the model's call was no call
    server_is_overloaded, ...        Overloaded              OpenAI, Azure AI Foundry

Prose is read only where there is no code: "Request too large" shares its code with the 429 that passes, and
most compatible servers send none.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import Phrases, class_of_phrase, class_of_status, json_or_text

if TYPE_CHECKING:
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

_CODES: dict[str, type[VendorError]] = {
    "context_length_exceeded": errors.ContextOverflowError,
    "exceed_context_size_error": errors.ContextOverflowError,  # llama.cpp
    "insufficient_quota": errors.QuotaExceededError,
    "billing_hard_limit_reached": errors.QuotaExceededError,
    "billing_not_active": errors.QuotaExceededError,
    "credit_balance_exhausted": errors.QuotaExceededError,
    "organization_spend_limit_exceeded": errors.QuotaExceededError,
    "project_spend_limit_exceeded": errors.QuotaExceededError,
    "organization_usage_limit_exceeded": errors.QuotaExceededError,
    "rate_limit_exceeded": errors.RateLimitError,
    "rate_limit_error": errors.RateLimitError,
    "ratelimitreached": errors.RateLimitError,  # Azure AI Foundry, GitHub Models
    "rate_limited": errors.RateLimitError,  # Mistral
    "request_quota_exceeded": errors.RateLimitError,  # Cerebras: requests per second
    "token_quota_exceeded": errors.RateLimitError,  # Cerebras: tokens per minute
    "slow_down": errors.RateLimitError,
    "model_not_found": errors.ModelNotFoundError,
    "model_decommissioned": errors.ModelNotFoundError,  # Groq
    "deploymentnotfound": errors.ModelNotFoundError,
    "unknown_model": errors.ModelNotFoundError,  # GitHub Models
    "unavailable_model": errors.ModelNotFoundError,  # GitHub Models
    "model_not_supported": errors.ModelNotFoundError,  # Hugging Face's router: no provider serves it
    "invalid_model": errors.ModelNotFoundError,  # Mistral
    "unsupported_parameter": errors.UnsupportedParameterError,
    "unsupported_value": errors.UnsupportedParameterError,
    "unknown_parameter": errors.UnsupportedParameterError,
    "extra_forbidden": errors.UnsupportedParameterError,  # Mistral, FastAPI servers
    "template_error": errors.UnsupportedParameterError,  # TGI: the model has no chat or tool template
    "content_filter": errors.ContentFilterError,
    "content_policy_violation": errors.ContentFilterError,
    "image_content_policy_violation": errors.ContentFilterError,
    "responsibleaipolicyviolation": errors.ContentFilterError,
    "invalid_prompt": errors.ContentFilterError,
    "content_filter_error": errors.ServerError,  # Azure: the filter did not run
    "invalid_encrypted_content": errors.ForeignSignatureError,
    "tool_use_failed": errors.MalformedResponseError,
    "json_validate_failed": errors.MalformedResponseError,  # Groq
    "incomplete_generation": errors.MalformedResponseError,  # TGI
    "invalid_api_key": errors.AuthenticationError,
    "wrong_api_key": errors.AuthenticationError,  # Cerebras
    "authentication_error": errors.AuthenticationError,
    "permission_error": errors.PermissionDeniedError,
    "unsupported_country_region_territory": errors.PermissionDeniedError,
    "request_too_large": errors.RequestTooLargeError,  # Groq
    "server_is_overloaded": errors.OverloadedError,
    "engine_overloaded": errors.OverloadedError,
    "overloaded_error": errors.OverloadedError,
    "overloaded": errors.OverloadedError,  # TGI
    "nocapacity": errors.OverloadedError,  # Azure AI Foundry, a 429
    "server_error": errors.ServerError,
    "internal_server_error": errors.ServerError,
    "internal_error": errors.ServerError,
    "vector_store_timeout": errors.ServerError,
}

_STATUSES: dict[int, type[VendorError]] = {424: errors.ServerError}  # Azure AI Foundry: its model failed

# Sent by OpenAI itself although there is a code, which is shared, or null.
_TOO_LARGE = "Request too large for"
# Sent where there is no code: vLLM, llama.cpp, TGI, DeepSeek, OpenRouter, xAI; older OpenAI errors.
_PHRASES: Phrases = (
    ("maximum context length", errors.ContextOverflowError),
    ("exceeds the context window", errors.ContextOverflowError),
    ("context window", errors.ContextOverflowError),
    ("context size", errors.ContextOverflowError),
    ("prompt is too long", errors.ContextOverflowError),
    ("`inputs` tokens + `max_new_tokens`", errors.ContextOverflowError),
    ("`inputs` must have less than", errors.ContextOverflowError),
    ("encrypted content", errors.ForeignSignatureError),  # Azure sends no code for it
    ("encrypted_content", errors.ForeignSignatureError),
    ("incorrect api key", errors.AuthenticationError),
    ("model not found", errors.ModelNotFoundError),  # xAI, a 400
    ("unrecognized request argument", errors.UnsupportedParameterError),
    ("not supported with this model", errors.UnsupportedParameterError),
    ("not supported on this model", errors.UnsupportedParameterError),
    ("does not support", errors.UnsupportedParameterError),
    ("unsupported parameter", errors.UnsupportedParameterError),
    ("are not used by the model", errors.UnsupportedParameterError),
)
# Codes that mean no more than the status, so that prose may still be read.
_VAGUE = frozenset(
    {
        "",
        "invalid_request_error",
        "badrequest",
        "bad_request",
        "invalid_argument",
        "invalid-argument",  # xAI
        "validation",
    }
)


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    error = error_body(json_or_text(body))
    cls = _class_of(error, status)
    return vendor_error(cls, vendor, call, error, status=status, headers=headers, wait=_wait(error))


def error_inside(context: ErrorContext, error: ErrorBody) -> VendorError:
    """Return the error that an answer with status 200 turned into.

    The request was accepted, so an unspecific "bad request" is the vendor's failure, not the caller's.
    """
    code = error.code or str(error.details.get("status_code") or "")
    cls = _class_of(error, int(code) if code.isdigit() else HTTPStatus.INTERNAL_SERVER_ERROR)
    return context.error(errors.ServerError if cls is errors.InvalidRequestError else cls, error)


def _class_of(error: ErrorBody, status: int) -> type[VendorError]:
    if _TOO_LARGE in error.message and status == HTTPStatus.TOO_MANY_REQUESTS:
        return errors.RequestTooLargeError  # its code is that of any other 429
    inner = error.details.get("innererror")
    for code in (error.code, error.type, inner.get("code") if isinstance(inner, Mapping) else ""):
        if cls := _CODES.get(str(code).lower()):
            return cls
    by_status = class_of_status(status, _STATUSES)
    if by_status is errors.InvalidRequestError and _is_vague(error.code):
        return class_of_phrase(_PHRASES, error.message) or by_status
    return by_status


def _is_vague(code: str) -> bool:
    return code.lower() in _VAGUE or code.isdigit() or " " in code


def _wait(error: ErrorBody) -> float | None:
    # Hugging Face sends the time that a model needs to load.
    seconds = error.details.get("estimated_time")
    return float(seconds) if isinstance(seconds, int | float) else None


# -- shapes --------------------------------------------------------------------------------------------


def error_body(value: Any) -> ErrorBody:
    """Return the parts of an error in any of the family's shapes.

    `{"error": {...}}`, `{"error": "text"}` or a list of texts (TGI), `{"message", "type", "code"}` (vLLM,
    Mistral), `{"code", "error": "text"}` (xAI), `{"detail": [...]}` (FastAPI), a list of one, or plain text.
    """
    if isinstance(value, list) and value:
        return error_body(value[0])
    if not isinstance(value, Mapping):
        return ErrorBody(str(value or ""))
    inner = value.get("error")
    if isinstance(inner, Mapping):
        return _from_object(inner)
    if isinstance(detail := value.get("detail"), list) and detail and isinstance(detail[0], Mapping):
        return ErrorBody(_text(detail), type=str(detail[0].get("type") or "").lower(), details=value)
    return _from_object({**value, "message": inner or value.get("message") or detail})


def _from_object(error: Mapping[str, Any]) -> ErrorBody:
    kind = error.get("type") or error.get("error_type") or ""
    code = error.get("code")
    return ErrorBody(
        _text(error.get("message")),
        type=str(kind).lower(),
        code="" if code is None else str(code),
        details=error,
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    if isinstance(value, Mapping):
        return str(value.get("msg") or value.get("message") or dict(value))
    return str(value or "")
