"""What the vendors' errors share: classes by HTTP status, by code and by words, and errors inside an answer.

A vendor's own table (`<vendor>/errors.py`) comes first: its structured codes and types. The status is the
next resort, for front ends and proxies that answer in HTML or with nothing. What both leave open is decided
by words: the vendor's own phrases, then the shared ones (`wordings.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from langchain_llmdispatch import errors
from langchain_llmdispatch.internal.json_format import parse_json, part_of
from langchain_llmdispatch.vendors.base import ErrorBody, vendor_error
from langchain_llmdispatch.vendors.wordings import narrowed

if TYPE_CHECKING:
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import Vendor

Method = TypeVar("Method", bound=Callable[..., Any])
Phrases: TypeAlias = tuple[tuple[str, type["VendorError"]], ...]
"""Lower-case phrases and the classes that they stand for; the first match wins."""

STATUSES: Mapping[int, type[VendorError]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.QuotaExceededError,
    403: errors.PermissionDeniedError,
    404: errors.ModelNotFoundError,
    405: errors.ModelNotFoundError,  # no POST there: the path is wrong
    407: errors.AuthenticationError,  # to a proxy
    408: errors.ServerError,
    409: errors.ServerError,
    410: errors.ModelNotFoundError,  # retired
    413: errors.RequestTooLargeError,
    414: errors.RequestTooLargeError,
    415: errors.UnsupportedParameterError,  # a media type
    421: errors.ServerError,  # the wrong server behind a connection: another connection may do
    422: errors.InvalidRequestError,
    423: errors.ServerError,
    424: errors.ServerError,  # Azure AI Foundry: its model failed
    425: errors.ServerError,  # too early
    429: errors.RateLimitError,
    431: errors.RequestTooLargeError,
    444: errors.ServerError,  # nginx closed without an answer
    449: errors.ServerError,  # IIS: retry with
    451: errors.PermissionDeniedError,
    460: errors.ServerError,  # AWS's balancer: closed too soon
    499: errors.ServerError,  # nginx and Google: cancelled, not by us
    501: errors.UnsupportedParameterError,
    503: errors.OverloadedError,
    529: errors.OverloadedError,
}
"""What a status means to every vendor."""


def class_of_status(
    status: int | None, own: Mapping[int, type[VendorError]] | None = None
) -> type[VendorError]:
    """Return the class that a status alone stands for.

    Of those in no table, a 2xx or 3xx is no answer, a 4xx may be this server's view alone (neither retried
    nor the caller's fault for certain), anything else a failure.

    Args:
        status: The HTTP status; None for an error inside an answer, which was a request accepted.
        own: The vendor's own statuses; they come before the common ones.
    """
    if status is None:
        return errors.ServerError
    if found := (own or {}).get(status) or STATUSES.get(status):
        return found
    if status < HTTPStatus.BAD_REQUEST:
        return errors.MalformedResponseError
    return errors.VendorError if status < HTTPStatus.INTERNAL_SERVER_ERROR else errors.ServerError


def class_of_phrase(phrases: Iterable[tuple[str, type[VendorError]]], text: str) -> type[VendorError] | None:
    """Return the class of the first phrase that is in `text`, whatever its case, or None."""
    text = text.lower()
    return next((cls for phrase, cls in phrases if phrase in text), None)


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """What a vendor's codes, statuses and phrases mean.

    Attributes:
        codes: Classes by code or type, in lower case. No words narrow an `InvalidRequestError` of these.
        statuses: Classes by HTTP status, where the common ones do not fit.
        phrases: Phrases by the class, of code or status, that they narrow.
    """

    codes: Mapping[str, type[VendorError]] = field(default_factory=dict)
    statuses: Mapping[int, type[VendorError]] = field(default_factory=dict)
    phrases: Mapping[type[VendorError], Phrases] = field(default_factory=dict)

    def class_of(self, error: ErrorBody, status: int | None) -> type[VendorError]:
        """Return the class of an error; `status` is None for one without, inside an answer."""
        inner = error.details.get("innererror")
        words = (error.code, error.type, inner.get("code") if isinstance(inner, dict) else "")
        by_code = next((cls for word in words if (cls := self.codes.get(str(word).lower()))), None)
        if by_code is errors.InvalidRequestError:
            return by_code
        cls = by_code or class_of_status(status, self.statuses)
        return class_of_phrase(self.phrases.get(cls, ()), error.message) or narrowed(cls, error.message)

    def class_inside(self, error: ErrorBody, status: int | None = None) -> type[VendorError]:
        """Return the class of an error inside an answer with status 200.

        The request was accepted, so an unspecific "bad request" is the vendor's failure, not the caller's.

        Args:
            error: The error.
            status: The HTTP status that it names, if any.
        """
        if status is None and error.type.replace("_", "") in _BAD_REQUEST:
            status = HTTPStatus.BAD_REQUEST
        cls = self.class_of(error, status)
        return errors.ServerError if cls is errors.InvalidRequestError else cls


_BAD_REQUEST = frozenset({"invalidrequesterror", "badrequesterror", "badrequest", "validationerror"})


# -- texts ---------------------------------------------------------------------------------------------


def json_or_text(body: bytes) -> Any:
    """Return the JSON value in an error's body, or its text where proxies answered in another format."""
    try:
        return parse_json(body)
    except ValueError:
        return body.decode("utf-8", "replace").strip()


_TEXTS = (
    "message",
    "msg",
    "error",
    "detail",
    "errors",
    "Message",
    "error_message",
    "status_msg",
    "base_resp",
)
"""Where servers keep the text of an error, the most telling first."""
_DEEPEST, _MOST = 6, 10  # levels and items of a list that are read
_TITLE = re.compile(r"<title>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def message_of(value: Any, depth: int = 0) -> str:
    """Return the text for people in an error of whatever shape in JSON, or an empty text.

    A list of pydantic's (`{"loc", "msg"}`) keeps its places and leaves its inputs out. A gateway's own text
    is followed by that of the vendor behind it (`metadata.raw`). JSON within a text is read; of an HTML page,
    the title.
    """
    if depth >= _DEEPEST:
        return ""
    if isinstance(value, str):
        return _readable(value.strip(), depth)
    if isinstance(value, list):
        return "; ".join(text for item in value[:_MOST] if (text := message_of(item, depth + 1)))
    if not isinstance(value, dict):
        return ""
    text = ""
    for name in _TEXTS:
        if name in value and (text := message_of(value[name], depth + 1)):
            break
    return ": ".join(filter(None, (_place(value.get("loc")), text, _behind(value, depth))))


def _readable(text: str, depth: int) -> str:
    if text.startswith("<"):
        title = _TITLE.search(text)
        return title[1].strip() if title else "an HTML page"
    inner = json_or_text(text.encode()) if text.startswith("{") else None
    return message_of(inner, depth + 1) or text if isinstance(inner, dict) else text


def _place(loc: Any) -> str:
    return ".".join(map(str, loc)) if isinstance(loc, list) else ""


def _behind(error: Mapping[str, Any], depth: int) -> str:
    """Return the text of the vendor behind a gateway (OpenRouter)."""
    return message_of(part_of(error, "metadata").get("raw"), depth + 1)


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
    """Return a vendor's `decode_error` that goes by the status alone for a body of another shape.

    A 2xx other than 200 is no answer, whatever its body has (a 204 of a balancer, a 202 of a queue).
    """

    @wraps(decode)
    def guarded(
        vendor: Vendor, call: Call, status: int, headers: Mapping[str, str], body: bytes
    ) -> VendorError:
        if status < HTTPStatus.BAD_REQUEST:
            odd = ErrorBody("a status that is no answer")
            malformed = errors.MalformedResponseError
            return vendor_error(malformed, vendor, call, odd, status=status, headers=headers)
        try:
            error: VendorError = decode(vendor, call, status, headers, body)
        except Exception:  # noqa: BLE001 - JSON of another shape raises anything
            odd, cls = ErrorBody("an error of an unknown shape"), class_of_status(status)
            return vendor_error(cls, vendor, call, odd, status=status, headers=headers)
        return error

    return cast("Method", guarded)
