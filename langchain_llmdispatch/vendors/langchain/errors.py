"""The errors of LangChain's integrations, as errors of our tree.

First by LangChain's own `ModelError` classes, then by HTTP status and structured code, last by the names
of classes, so that no SDK needs to be imported. The original is not kept: it holds the request, and with
it the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from langchain_core import exceptions as core
from pydantic import SecretStr

from langchain_llmdispatch import errors
from langchain_llmdispatch.errors import DispatchError, VendorError
from langchain_llmdispatch.internal.json_format import part_of
from langchain_llmdispatch.vendors.base import retry_after
from langchain_llmdispatch.vendors.errors import class_of_status
from langchain_llmdispatch.vendors.redaction import credentials, header_secrets, proxy_passwords, redact
from langchain_llmdispatch.vendors.word_secrets import secrets_in
from langchain_llmdispatch.vendors.wordings import narrowed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

_BY_CORE: tuple[tuple[type[core.ModelError], type[DispatchError]], ...] = (
    (core.ContextOverflowError, errors.ContextOverflowError),
    (core.ModelAuthenticationError, errors.AuthenticationError),
    (core.ModelPermissionDeniedError, errors.PermissionDeniedError),
    (core.ModelNotFoundError, errors.ModelNotFoundError),
    (core.ModelRateLimitError, errors.RateLimitError),
    (core.ModelTimeoutError, errors.AttemptTimeoutError),
    (core.ModelConnectionError, errors.ConnectionFailedError),
    (core.ModelInvalidRequestError, errors.InvalidRequestError),
    (core.ModelAPIError, errors.ServerError),
)
_ERROR_STATUSES = range(400, 600)
_BY_CODE: Mapping[str, type[DispatchError]] = {
    "insufficient_quota": errors.QuotaExceededError,
    "billing_hard_limit_reached": errors.QuotaExceededError,
    "billing_error": errors.QuotaExceededError,
    "context_length_exceeded": errors.ContextOverflowError,
    "unsupported_parameter": errors.UnsupportedParameterError,
    "unsupported_value": errors.UnsupportedParameterError,
    "content_filter": errors.ContentFilterError,
    "overloaded_error": errors.OverloadedError,
    # Bedrock's exceptions have codes for names.
    "ThrottlingException": errors.RateLimitError,
    "ServiceQuotaExceededException": errors.QuotaExceededError,
    "AccessDeniedException": errors.PermissionDeniedError,
    "UnrecognizedClientException": errors.AuthenticationError,
    "ExpiredTokenException": errors.AuthenticationError,
    "ResourceNotFoundException": errors.ModelNotFoundError,
    "ValidationException": errors.InvalidRequestError,
    "ModelTimeoutException": errors.AttemptTimeoutError,
    "ModelNotReadyException": errors.OverloadedError,
    "ServiceUnavailableException": errors.OverloadedError,
    "InternalServerException": errors.ServerError,
    "ModelErrorException": errors.ServerError,
    "ModelStreamErrorException": errors.ServerError,
}


_NAMES: Mapping[type[DispatchError], str] = {
    errors.AttemptTimeoutError: "APITimeoutError TimeoutException TimeoutError Timeout ReadTimeoutError"
    " ConnectTimeoutError DeadlineExceeded",
    errors.ConnectionFailedError: "APIConnectionError ConnectionError TransportError EndpointConnectionError"
    " ConnectionClosedError",
    errors.RateLimitError: "RateLimitError ResourceExhausted TooManyRequestsError",
    errors.AuthenticationError: "AuthenticationError UnauthorizedError Unauthenticated NoCredentialsError",
    errors.PermissionDeniedError: "PermissionDeniedError PermissionDenied ForbiddenError",
    errors.ModelNotFoundError: "NotFoundError NotFound",
    errors.InvalidRequestError: "BadRequestError InvalidArgument UnprocessableEntityError",
    errors.OverloadedError: "ServiceUnavailable ServiceUnavailableError OverloadedError",
    errors.ServerError: "InternalServerError ServerError",
    errors.UnsupportedFeatureError: "NotImplementedError",
}
_BY_NAME = {name: cls for cls, names in _NAMES.items() for name in names.split()}


def translated(error: Exception, model: BaseChatModel) -> DispatchError:
    """Return what an error of an integration means, without the original in its chain.

    Args:
        error: What the model raised. An unknown error is a `VendorError`: not retried, but another
            deployment may serve.
        model: The model; its keys are removed from the text.
    """
    if isinstance(error, DispatchError) and not isinstance(error, errors.AllDeploymentsFailedError):
        return error
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    status = _status(error) or _status(cause)
    code, headers = _code(error) or _code(cause), _headers(error) or _headers(cause)
    text = str(getattr(error, "message", "") or error) or "no message"
    cls = _class_of(error, status, code)
    if issubclass(cls, VendorError):
        cls = narrowed(cls, text)
    shown = f"{type(error).__name__}: {text}" if cls is VendorError else text
    request_id = (
        getattr(error, "request_id", None) or headers.get("x-request-id") or headers.get("request-id")
    )
    return cls(
        redact(shown, *model_secrets(model)),
        vendor="langchain",
        status_code=status,
        code=code,
        request_id=str(request_id) if request_id else None,
        retry_after=retry_after(headers),
    )


def _class_of(error: Exception, status: int | None, code: str | None) -> type[DispatchError]:
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    by_status = None if status is None else class_of_status(status)
    for theirs, ours in _BY_CORE:
        if isinstance(error, theirs):
            # A status that means a narrower case of the same is preferred.
            return by_status if by_status and issubclass(by_status, ours) else ours
    if by_status is not None:
        return by_status
    named = (_BY_NAME.get(cls.__name__) for cls in type(error).__mro__)
    return next((cls for cls in named if cls is not None), VendorError)


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    botocore = part_of(response, "ResponseMetadata")
    found = (
        getattr(error, "status_code", None),
        getattr(error, "http_status", None),
        botocore.get("HTTPStatusCode"),
        getattr(response, "status_code", None),
        getattr(error, "code", None),
    )
    return next((n for n in found if isinstance(n, int) and n in _ERROR_STATUSES), None)


def _code(error: Exception) -> str | None:
    response, body = getattr(error, "response", None), getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    inner = inner if isinstance(inner, dict) else {}
    botocore = part_of(response, "Error")
    found = (getattr(error, "code", None), inner.get("code"), inner.get("type"), botocore.get("Code"))
    return next((word for word in found if isinstance(word, str) and word), None)


def _headers(error: Exception) -> dict[str, str]:
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    try:
        return {str(name).lower(): str(value) for name, value in headers.items()} if headers else {}
    except (AttributeError, TypeError, ValueError):
        return {}


def model_secrets(model: BaseChatModel) -> Iterator[str]:
    """Yield the keys that a model's fields hold, what its headers and words hold, and a proxy's password."""
    for name in type(model).model_fields:
        value = getattr(model, name, None)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif "headers" in name and isinstance(value, Mapping):
            yield from header_secrets({str(key): str(item) for key, item in value.items()})
        elif isinstance(value, Mapping):
            yield from credentials({f"auth {n}": text for n, text in enumerate(secrets_in(value, name))})
        elif "proxy" in name and isinstance(value, str):
            yield from proxy_passwords(value)
