"""What an error of the OpenAI family means: its structured code first, its type, its status, its text last.

    code or type                     meaning                 source
    -------------------------------  ----------------------  -------------------------------------------
    context_length_exceeded          ContextOverflow         OpenAI, Azure, Groq (recorded)
    insufficient_quota, *_limit_...  QuotaExceeded           OpenAI help 6614457, 5955604
    rate_limit_exceeded, 1300, ...   RateLimit               OpenAI, Groq, Mistral, Cerebras (recorded)
    model_not_found, Deployment...   ModelNotFound           OpenAI, Azure, GitHub Models (recorded)
    unsupported_parameter, ...       UnsupportedParameter    OpenAI (recorded)
    array_above_max_length, ...      RequestTooLarge         OpenAI (recorded), its API description
    image_*, ...                     several                 OpenAI's API description, `ResponseErrorCode`
    content_filter, ...              ContentFilter           Azure (recorded), OpenAI
    invalid_encrypted_content        ForeignSignature        OpenAI Responses
    tool_use_failed, ...             MalformedResponse       Groq (recorded): the model's call was no call
    server_is_overloaded, ...        Overloaded              OpenAI, Azure AI Foundry
    1261, 1301                       several                 Zhipu, docs.bigmodel.cn/cn/faq/api-code
    base_resp:1002, ...              several                 MiniMax, api-reference/errorcode: in a 200

What they leave open is decided by words: "Request too large" shares its code with the 429 that passes, and
most compatible servers send no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.errors import ErrorTable, json_or_text, message_of

if TYPE_CHECKING:
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor
    from langchain_llmdispatch.vendors.errors import ErrorContext

_CODES: dict[str, type[VendorError]] = {
    "context_length_exceeded": errors.ContextOverflowError,
    "exceed_context_size_error": errors.ContextOverflowError,  # llama.cpp
    "model_max_prompt_tokens_exceeded": errors.ContextOverflowError,  # GitHub Copilot
    "context_window_exceeded": errors.ContextOverflowError,
    "model_context_window_exceeded": errors.ContextOverflowError,  # Z.ai
    "token_limit_exceeded": errors.ContextOverflowError,  # OpenRouter
    "1261": errors.ContextOverflowError,  # Zhipu
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
    "invalid_function_parameters": errors.UnsupportedParameterError,
    "invalid_image_format": errors.UnsupportedParameterError,
    "invalid_image_mode": errors.UnsupportedParameterError,
    "unsupported_image_media_type": errors.UnsupportedParameterError,
    "unsupported_file": errors.UnsupportedParameterError,
    "unsupported_api_for_model": errors.UnsupportedParameterError,  # GitHub Copilot
    "max_tokens_exceeded": errors.UnsupportedParameterError,  # OpenRouter: of the output
    "content_filter": errors.ContentFilterError,
    "content_policy_violation": errors.ContentFilterError,
    "image_content_policy_violation": errors.ContentFilterError,
    "responsibleaipolicyviolation": errors.ContentFilterError,
    "invalid_prompt": errors.ContentFilterError,
    "data_inspection_failed": errors.ContentFilterError,  # DashScope
    "1301": errors.ContentFilterError,  # Zhipu
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
    "tokens_limit_reached": errors.RequestTooLargeError,  # GitHub Models: of the plan, not of the model
    "array_above_max_length": errors.RequestTooLargeError,
    "string_above_max_length": errors.RequestTooLargeError,
    "string_too_long": errors.RequestTooLargeError,  # OpenRouter
    "object_above_max_properties": errors.RequestTooLargeError,
    "image_too_large": errors.RequestTooLargeError,
    "image_too_small": errors.RequestTooLargeError,
    "image_file_too_large": errors.RequestTooLargeError,
    "image_file_not_found": errors.ItemNotFoundError,
    "failed_to_download_image": errors.ItemNotFoundError,
    "previous_response_not_found": errors.ItemNotFoundError,
    "container_expired": errors.ItemNotFoundError,
    "empty_array": errors.InvalidRequestError,
    "missing_required_parameter": errors.InvalidRequestError,
    "invalid_type": errors.InvalidRequestError,
    "decimal_above_max_value": errors.InvalidRequestError,
    "decimal_below_min_value": errors.InvalidRequestError,
    "integer_below_min_value": errors.InvalidRequestError,
    "invalid_base64_image": errors.InvalidRequestError,
    "empty_image_file": errors.InvalidRequestError,
    "server_is_overloaded": errors.OverloadedError,
    "engine_overloaded": errors.OverloadedError,
    "overloaded_error": errors.OverloadedError,
    "overloaded": errors.OverloadedError,  # TGI
    "nocapacity": errors.OverloadedError,  # Azure AI Foundry, a 429
    "server_error": errors.ServerError,
    "internal_server_error": errors.ServerError,
    "internal_error": errors.ServerError,
    "vector_store_timeout": errors.ServerError,
    "base_resp:1002": errors.RateLimitError,
    "base_resp:1039": errors.RateLimitError,  # tokens per minute
    "base_resp:1041": errors.RateLimitError,  # connections
    "base_resp:1004": errors.AuthenticationError,
    "base_resp:2049": errors.AuthenticationError,
    "base_resp:1008": errors.QuotaExceededError,
    "base_resp:2056": errors.QuotaExceededError,
    "base_resp:1026": errors.ContentFilterError,
    "base_resp:1027": errors.ContentFilterError,
    "base_resp:1042": errors.UnsupportedParameterError,
    "base_resp:2013": errors.UnsupportedParameterError,
    "base_resp:1000": errors.ServerError,
    "base_resp:1001": errors.ServerError,
    "base_resp:1024": errors.ServerError,
    "base_resp:1033": errors.ServerError,
}

_TABLE = ErrorTable(_CODES)


def error_of(vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
    """Return the error that a response with an error status means."""
    error = error_body(json_or_text(body))
    cls = _TABLE.class_of(error, status)
    return vendor_error(cls, vendor, call, error, status=status, headers=headers, wait=_wait(error))


def is_inner_failure(reply: Mapping[str, Any]) -> bool:
    """Whether MiniMax's status inside a successful response is that of an error."""
    return _inner_status(reply) != 0


def _inner_status(reply: Mapping[str, Any]) -> int:
    status = reply.get("base_resp")
    code = status.get("status_code") if isinstance(status, dict) else 0
    return code if isinstance(code, int) else 0


def error_inside(context: ErrorContext, error: ErrorBody) -> VendorError:
    """Return the error that an answer with status 200 turned into."""
    code = error.code or str(error.details.get("status_code") or "")
    status = int(code) if code.isdigit() and int(code) in _STATUSES else None
    return context.error(_TABLE.class_inside(error, status), error)


_STATUSES = range(HTTPStatus.BAD_REQUEST, 600)


def _wait(error: ErrorBody) -> float | None:
    # Hugging Face sends the time that a model needs to load.
    seconds = error.details.get("estimated_time")
    return float(seconds) if isinstance(seconds, int | float) else None


# -- shapes --------------------------------------------------------------------------------------------


def error_body(value: Any) -> ErrorBody:
    """Return the parts of an error in any of the family's shapes.

    `{"error": {...}}`, `{"error": "text"}` or a list of texts (TGI), `{"message", "type", "code"}` (vLLM,
    Mistral), `{"code", "error": "text"}` (xAI), `{"error_code", "message"}` (Databricks), `{"errors": [...]}`
    (watsonx, Cloudflare), `{"detail": ...}` (FastAPI), a list of one, or plain text.
    """
    if isinstance(value, list) and value:
        return error_body(value[0])
    if not isinstance(value, dict):
        return ErrorBody(message_of(value))
    if code := _inner_status(value):
        return ErrorBody(message_of(value), code=f"base_resp:{code}", details=value)
    for name in ("error", "detail", "errors"):
        inner = value.get(name)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict):
            return _from_object(inner, message_of(value))
    return _from_object(value, message_of(value))


def _from_object(error: Mapping[str, Any], text: str) -> ErrorBody:
    kind = error.get("type") or error.get("error_type") or ""
    code = error.get("code", error.get("error_code"))
    return ErrorBody(text, type=str(kind).lower(), code="" if code is None else str(code), details=error)
