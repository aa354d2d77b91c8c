"""What a vendor answers: its error responses, and answers that are not ones."""

from __future__ import annotations

from langchain_core import exceptions as core

from langchain_llmdispatch.errors.base import DispatchError


class VendorError(DispatchError):
    """A vendor's response was an error, or held no answer; see the tree above."""


class AuthenticationError(VendorError, core.ModelAuthenticationError):
    """The key is missing, wrong or revoked (401)."""

    blame = "configuration"


class PermissionDeniedError(VendorError, core.ModelPermissionDeniedError):
    """The key is not permitted to do this (403)."""

    blame = "configuration"


class QuotaExceededError(VendorError, core.ModelRateLimitError):
    """Money or quota is used up (402, and 429s that do not pass with time)."""

    is_retryable = False
    blame = "configuration"


class RateLimitError(VendorError, core.ModelRateLimitError):
    """Too many requests or tokens for now (429)."""

    is_retryable = True
    blame = "limits"


class ModelNotFoundError(VendorError, core.ModelNotFoundError):
    """The vendor has no such model or deployment (404)."""

    blame = "configuration"


class InvalidRequestError(VendorError, core.ModelInvalidRequestError):
    """The request is wrong for every deployment (400, 422): neither retried nor sent elsewhere.

    Its subclasses are wrong for one target only.
    """

    falls_back = False


class UnsupportedParameterError(InvalidRequestError):
    """This target does not take a parameter or feature; another one may."""

    falls_back = True


class ForeignSignatureError(InvalidRequestError):
    """The target rejects reasoning that another model signed; another target may take it."""

    falls_back = True


class ItemNotFoundError(InvalidRequestError):
    """A file, stored item or cache that the request names is not there; the deployment stays in use."""

    falls_back = True


class RequestTooLargeError(InvalidRequestError):
    """The request has too many bytes (413), tools, images, pages or characters for this target."""

    falls_back = True


class RequestAboveRateLimitError(RequestTooLargeError, core.ModelRateLimitError):
    """One request needs more tokens than the account's whole limit per minute (429): no wait helps."""


class ContextOverflowError(VendorError, core.ContextOverflowError):
    """The conversation does not fit the model's window; only a larger window helps."""


class ContentFilterError(VendorError, core.ModelInvalidRequestError):
    """The vendor's filter refused the prompt with an HTTP error."""

    falls_back = False


class ServerError(VendorError, core.ModelAPIError):
    """The vendor, or a server on the way to it, failed (5xx, 408, 409, 421, 425, 499)."""

    is_retryable = True
    blame = "health"


class OverloadedError(ServerError):
    """The vendor has no capacity for now (503, 529)."""


class MalformedResponseError(VendorError, core.ModelAPIError):
    """The response holds no valid answer."""

    is_retryable = True
    blame = "health"


class EmptyAnswerError(MalformedResponseError):
    """The answer ended normally and holds nothing."""


class ResponseTooLargeError(MalformedResponseError):
    """The response, or one event of a stream, has more bytes than `max_response_bytes` allows."""

    is_retryable = False


class TruncatedToolCallError(MalformedResponseError):
    """A tool call's arguments are not whole JSON."""


class TruncatedStreamError(MalformedResponseError):
    """The stream ended without the vendor's end marker."""
