"""What the vendors' error tables share, and the guard of error bodies."""

from __future__ import annotations

import json

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.base import ErrorBody
from langchain_llmdispatch.vendors.errors import (
    ErrorContext,
    class_of_phrase,
    class_of_status,
    json_or_text,
)
from tests.vendors.samples import ODD, OPENAI, SAMPLES, Sample, variants


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (401, errors.AuthenticationError),
        (418, errors.InvalidRequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (529, errors.OverloadedError),
        (None, errors.ServerError),
    ],
)
def test_class_of_a_status(status: int | None, cls: type[errors.VendorError]) -> None:
    """By the common table, else by its hundred; an error inside an answer is the server's."""
    assert class_of_status(status) is cls


def test_own_statuses_come_first() -> None:
    """A vendor's own meaning of a status is preferred."""
    assert class_of_status(429, {429: errors.OverloadedError}) is errors.OverloadedError


def test_class_of_a_phrase() -> None:
    """The first phrase in the text decides, whatever its case."""
    phrases = (("too long", errors.ContextOverflowError), ("too", errors.RateLimitError))
    assert class_of_phrase(phrases, "It is TOO LONG") is errors.ContextOverflowError
    assert class_of_phrase(phrases, "none of them") is None


def test_bodies_of_other_formats_are_text() -> None:
    """JSON is parsed, anything else is text."""
    assert json_or_text(b'{"a":1}') == {"a": 1}
    assert json_or_text(b" <html>\xff ") == "<html>\N{REPLACEMENT CHARACTER}"


def test_errors_inside_an_answer() -> None:
    """They carry the request's id; a `retry-after` of a 200 describes limits and is not read."""
    headers = {"x-request-id": "r1", "retry-after": "7", "x-should-retry": "false"}
    context = ErrorContext(OPENAI.codec, OPENAI.call(), headers)
    error = context.error(errors.ServerError, ErrorBody("down", code="c"))
    assert (error.request_id, error.retry_after, error.is_retryable) == ("r1", None, True)
    assert (error.code, error.vendor, error.message) == ("c", "openai", "down")
    cause = KeyError("x")
    odd = context.malformed("the answer", cause)
    assert isinstance(odd, errors.MalformedResponseError)
    assert odd.__cause__ is cause


@pytest.mark.parametrize("status", [400, 429, 503])
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_errors_of_another_shape(sample: Sample, status: int) -> None:
    """An error response is an error of its status, whatever its body."""
    for odd in (sample.error, *ODD, *variants(sample.error)):
        body = json.dumps(odd).encode()
        error = sample.codec.decode_error(sample.call(), status, {"x-request-id": "r1"}, body)
        assert isinstance(error, errors.VendorError)
        assert error.status_code == status
