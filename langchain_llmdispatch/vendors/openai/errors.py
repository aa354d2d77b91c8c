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

Prose is read only where no code tells: "Request too large" shares its code with the 429 that passes, and
most compatible servers send none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import (
    AuthenticationError,
    ContentFilterError,
    ContextOverflowError,
    ForeignSignatureError,
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
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

_CODES: dict[str, type[VendorError]] = {
    "context_length_exceeded": ContextOverflowError,
    "exceed_context_size_error": ContextOverflowError,  # llama.cpp
    "insufficient_quota": QuotaExceededError,
    "billing_hard_limit_reached": QuotaExceededError,
    "billing_not_active": QuotaExceededError,
    "credit_balance_exhausted": QuotaExceededError,
    "organization_spend_limit_exceeded": QuotaExceededError,
    "project_spend_limit_exceeded": QuotaExceededError,
    "organization_usage_limit_exceeded": QuotaExceededError,
    "rate_limit_exceeded": RateLimitError,
    "rate_limit_error": RateLimitError,
    "ratelimitreached": RateLimitError,  # Azure AI Foundry, GitHub Models
    "rate_limited": RateLimitError,  # Mistral
    "request_quota_exceeded": RateLimitError,  # Cerebras: requests per second
    "token_quota_exceeded": RateLimitError,  # Cerebras: tokens per minute
    "slow_down": RateLimitError,
    "model_not_found": ModelNotFoundError,
    "model_decommissioned": ModelNotFoundError,  # Groq
    "deploymentnotfound": ModelNotFoundError,
    "unknown_model": ModelNotFoundError,  # GitHub Models
    "unavailable_model": ModelNotFoundError,  # GitHub Models
    "model_not_supported": ModelNotFoundError,  # Hugging Face's router: no provider serves it
    "invalid_model": ModelNotFoundError,  # Mistral
    "unsupported_parameter": UnsupportedParameterError,
    "unsupported_value": UnsupportedParameterError,
    "unknown_parameter": UnsupportedParameterError,
    "extra_forbidden": UnsupportedParameterError,  # Mistral, FastAPI servers
    "template_error": UnsupportedParameterError,  # TGI: the model has no chat or tool template
    "content_filter": ContentFilterError,
    "content_policy_violation": ContentFilterError,
    "image_content_policy_violation": ContentFilterError,
    "responsibleaipolicyviolation": ContentFilterError,
    "invalid_prompt": ContentFilterError,
    "content_filter_error": ServerError,  # Azure: the filter did not run
    "invalid_encrypted_content": ForeignSignatureError,
    "tool_use_failed": MalformedResponseError,
    "json_validate_failed": MalformedResponseError,  # Groq
    "incomplete_generation": MalformedResponseError,  # TGI
    "invalid_api_key": AuthenticationError,
    "wrong_api_key": AuthenticationError,  # Cerebras
    "authentication_error": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "unsupported_country_region_territory": PermissionDeniedError,
    "request_too_large": RequestTooLargeError,  # Groq
    "server_is_overloaded": OverloadedError,
    "engine_overloaded": OverloadedError,
    "overloaded_error": OverloadedError,
    "overloaded": OverloadedError,  # TGI
    "nocapacity": OverloadedError,  # Azure AI Foundry, a 429
    "server_error": ServerError,
    "internal_server_error": ServerError,
    "internal_error": ServerError,
    "vector_store_timeout": ServerError,
}

_STATUSES: dict[int, type[VendorError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: ServerError,
    409: ServerError,
    413: RequestTooLargeError,
    424: ServerError,  # Azure AI Foundry: the model behind the gateway failed
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}

# Said by OpenAI itself although a code is there (the code is shared) or is null.
_TOO_LARGE = "Request too large for"
# Said where there is no code: vLLM, llama.cpp, TGI, DeepSeek, OpenRouter, xAI; older OpenAI errors.
_PHRASES: tuple[tuple[str, type[VendorError]], ...] = (
    ("maximum context length", ContextOverflowError),
    ("exceeds the context window", ContextOverflowError),
    ("context window", ContextOverflowError),
    ("context size", ContextOverflowError),
    ("prompt is too long", ContextOverflowError),
    ("`inputs` tokens + `max_new_tokens`", ContextOverflowError),
    ("`inputs` must have less than", ContextOverflowError),
    ("encrypted content", ForeignSignatureError),  # Azure sends no code for it
    ("encrypted_content", ForeignSignatureError),
    ("incorrect api key", AuthenticationError),
    ("model not found", ModelNotFoundError),  # xAI, a 400
    ("unrecognized request argument", UnsupportedParameterError),
    ("not supported with this model", UnsupportedParameterError),
    ("not supported on this model", UnsupportedParameterError),
    ("does not support", UnsupportedParameterError),
    ("unsupported parameter", UnsupportedParameterError),
    ("are not used by the model", UnsupportedParameterError),
)
# Codes that say no more than the status does, so that prose may still be read.
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
    said = error_body(_parsed(body))
    cls = _class_of(said, status)
    return vendor_error(cls, vendor, call, said, status=status, headers=headers, wait=_wait(said))


def error_inside(vendor: Vendor, call: Call, said: ErrorBody) -> VendorError:
    """Return the error that an answer with status 200 turned into.

    The request was accepted, so an unspecific "bad request" is the vendor's failure, not the caller's.
    """
    code = said.code or str(said.details.get("status_code") or "")
    cls = _class_of(said, int(code) if code.isdigit() else 500)
    if cls is InvalidRequestError:
        cls = ServerError
    return vendor_error(cls, vendor, call, said)


def _class_of(said: ErrorBody, status: int) -> type[VendorError]:
    if _TOO_LARGE in said.message and status == 429:  # noqa: PLR2004 - the code is that of any other 429
        return RequestTooLargeError
    inner = said.details.get("innererror")
    words = (said.code, said.type, inner.get("code") if isinstance(inner, Mapping) else "")
    for word in words:
        if cls := _CODES.get(str(word).lower()):
            return cls
    if 400 <= status < 500 and status not in _STATUSES:  # noqa: PLR2004 - client errors
        return _by_phrase(said)
    return _STATUSES.get(status) or (ServerError if status >= 500 else InvalidRequestError)  # noqa: PLR2004


def _by_phrase(said: ErrorBody) -> type[VendorError]:
    if said.code.lower() not in _VAGUE and not said.code.isdigit() and " " not in said.code:
        return InvalidRequestError
    text = said.message.lower()
    return next((cls for phrase, cls in _PHRASES if phrase in text), InvalidRequestError)


def _wait(said: ErrorBody) -> float | None:
    # Hugging Face says how long a model needs to load.
    seconds = said.details.get("estimated_time")
    return float(seconds) if isinstance(seconds, int | float) else None


# -- shapes --------------------------------------------------------------------------------------------


def _parsed(body: bytes) -> Any:
    try:
        return parse_json(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()


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
