"""What the vendors' error tables share: classes by HTTP status, by phrase, and errors inside an answer.

A vendor's own table (`<vendor>/errors.py`) comes first: its structured codes and types. The status is the
last resort, for front ends and proxies that answer in HTML or with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from langchain_llmdispatch import errors
from langchain_llmdispatch.json_format import parse_json
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error

if TYPE_CHECKING:
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Method = TypeVar("Method", bound=Callable[..., Any])
Phrases: TypeAlias = tuple[tuple[str, type["VendorError"]], ...]
"""Lower-case phrases and the classes that they stand for; the first match wins."""

STATUSES: Mapping[int, type[VendorError]] = {
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    408: errors.ServerError,
    409: errors.ServerError,
    413: errors.RequestTooLargeError,
    429: errors.RateLimitError,
    503: errors.OverloadedError,
    529: errors.OverloadedError,
}
"""What a status means to every vendor."""


def class_of_status(
    status: int | None, own: Mapping[int, type[VendorError]] | None = None
) -> type[VendorError]:
    """Return the class that a status alone stands for.

    Args:
        status: The HTTP status; None for an error inside an answer, which was a request accepted.
        own: The vendor's own statuses; they come before the common ones.
    """
    if status is None:
        return errors.ServerError
    found = (own or {}).get(status) or STATUSES.get(status)
    client = status < HTTPStatus.INTERNAL_SERVER_ERROR
    return found or (errors.InvalidRequestError if client else errors.ServerError)


def class_of_phrase(phrases: Iterable[tuple[str, type[VendorError]]], text: str) -> type[VendorError] | None:
    """Return the class of the first phrase that is in `text`, whatever its case, or None."""
    text = text.lower()
    return next((cls for phrase, cls in phrases if phrase in text), None)


def json_or_text(body: bytes) -> Any:
    """Return the JSON value in an error's body, or its text where proxies answered in another format."""
    try:
        return parse_json(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """What every error inside one answer carries: its vendor, the call, the id of the request.

    Of the response's headers only that id is read: those of a 200 describe limits (`retry-after` even), not
    an error inside the answer.
    """

    vendor: Vendor
    call: Call
    headers: Mapping[str, str]

    def error(self, cls: type[VendorError], body: ErrorBody | str) -> VendorError:
        """Return an error of class `cls`; `body` is the vendor's error, or a message of ours."""
        body = ErrorBody(body) if isinstance(body, str) else body
        error = vendor_error(cls, self.vendor, self.call, body)
        error.request_id = self.vendor.request_id(self.headers)
        return error

    def malformed(self, what: str, cause: Exception) -> VendorError:
        """Return the error of an answer of an unknown shape, which raised `cause`."""
        error = self.error(
            errors.MalformedResponseError, f"{what} has an unknown shape: {type(cause).__name__}"
        )
        error.__cause__ = cause
        return error


# -- the guard of error bodies; that of answers is in `base.py`, that of streams in `stream.py` ---


def guards_error(decode: Method) -> Method:
    """Return a vendor's `decode_error` that goes by the status alone for a body of another shape."""

    @wraps(decode)
    def guarded(
        vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes
    ) -> VendorError:
        try:
            error: VendorError = decode(vendor, call, status, headers, body)
        except Exception:  # noqa: BLE001 - JSON of another shape raises anything
            odd, cls = ErrorBody("an error of an unknown shape"), class_of_status(status)
            return vendor_error(cls, vendor, call, odd, status=status, headers=headers)
        return error

    return cast("Method", guarded)
