"""What the vendors' error tables share: classes by status, code and words, texts, the guard of error bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core import exceptions as core

from langchain_llmdispatch import errors
from langchain_llmdispatch.errors import VendorError
from langchain_llmdispatch.vendors.base import ErrorBody
from langchain_llmdispatch.vendors.errors import (
    ErrorContext,
    class_of_phrase,
    class_of_status,
    json_or_text,
    message_of,
)
from tests.cases import each
from tests.vendors.error_bodies import EVENTS, GATEWAYS, WHOLE, interruption, refusal
from tests.vendors.samples import ODD, OPENAI, SAMPLES, Sample, variants


@each(
    ("status", "cls"),
    [
        (401, errors.AuthenticationError),
        (418, errors.VendorError),
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


@each("status", [400, 429, 503])
@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_errors_of_another_shape(sample: Sample, status: int) -> None:
    """An error response is an error of its status, whatever its body."""
    for odd in (sample.error, *ODD, *variants(sample.error)):
        body = json.dumps(odd).encode()
        error = sample.codec.decode_error(sample.call(), status, {"x-request-id": "r1"}, body)
        assert isinstance(error, errors.VendorError)
        assert error.status_code == status


# -- refusals of one target, in each vendor's form and in those of gateways, whole and streamed -----------

REFUSALS: dict[str, type[VendorError]] = {
    "Invalid 'tools': array too long. Expected an array with maximum length 128, but got 150.": errors.RequestTooLargeError,
    "Too many images in the request: 30 of 20": errors.RequestTooLargeError,
    "image exceeds 5 MB maximum: 6801234 bytes > 5242880 bytes": errors.RequestTooLargeError,
    "The image's width must be at most 8000 pixels": errors.RequestTooLargeError,
    "This audio file is too long, the limit is 25 minutes": errors.RequestTooLargeError,
    "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'": errors.UnsupportedParameterError,
    "parameters.required[1]: property is not defined": errors.UnsupportedParameterError,
    "Invalid schema for response_format 'X': schema must have a 'type' key.": errors.UnsupportedParameterError,
    "Unsupported MIME type: image/heic": errors.UnsupportedParameterError,
    "role must be one of [system, user, assistant]": errors.UnsupportedParameterError,
    "unknown variant `image_url`, expected `text`": errors.UnsupportedParameterError,
    "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens": errors.UnsupportedParameterError,
    "This model's maximum context length is 4096 tokens.": errors.ContextOverflowError,
    "Corrupted thought signature.": errors.ForeignSignatureError,
    "File not found: file_1": errors.ItemNotFoundError,
}  # fmt: skip


@each("text", REFUSALS)
@pytest.mark.parametrize("vendor", WHOLE)
def test_refusals_in_each_vendors_form(vendor: str, text: str) -> None:
    """What speaks of one target's limits or dialect is not the caller's fault: another target may serve."""
    error = refusal(vendor, WHOLE[vendor](text))
    assert type(error) is REFUSALS[text]
    assert (error.falls_back, error.is_retryable, error.blame) == (True, False, "none")
    assert text in error.message


@each("text", REFUSALS)
@pytest.mark.parametrize("vendor", EVENTS)
def test_refusals_inside_a_stream(vendor: str, text: str) -> None:
    """The words mean the same in a stream that began with status 200."""
    assert type(interruption(vendor, EVENTS[vendor](text))) is REFUSALS[text]


@each("status", [400, 422])
@each("form", GATEWAYS)
@pytest.mark.parametrize("vendor", WHOLE)
def test_refusals_in_the_forms_of_gateways(vendor: str, form: str, status: int) -> None:
    """Proxies answer in forms of their own, whatever vendor's API they offer; inputs that they repeat stay out."""
    for text, cls in REFUSALS.items():
        error = refusal(vendor, GATEWAYS[form](text), status)
        assert type(error) is cls, text
        assert text in error.message
        assert "prompt" not in error.message


@pytest.mark.parametrize("vendor", WHOLE)
@each("text", ["temperature must be between 0 and 1", "messages: at least one message is required"])
def test_the_callers_own_mistakes(vendor: str, text: str) -> None:
    """They end the call; inside a stream, whose request was accepted, they are the vendor's failure."""
    for body in (WHOLE[vendor](text), *(form(text) for form in GATEWAYS.values())):
        error = refusal(vendor, body)
        assert type(error) is errors.InvalidRequestError
        assert error.falls_back is False
    inside = interruption(vendor, EVENTS[vendor](text))
    own = errors.InvalidRequestError  # where the event names it
    assert type(inside) in {
        own if vendor in {"anthropic", "google"} else errors.ServerError,
        errors.MalformedResponseError,
    }


@pytest.mark.parametrize("vendor", WHOLE)
@each(
    ("status", "text", "cls"),
    [
        (404, "Item with id 'rs_1' not found.", errors.ItemNotFoundError),
        (404, "Conversation with id 'conv_1' not found.", errors.ItemNotFoundError),
        (404, "Vector store with id ['vs_1'] not found.", errors.ItemNotFoundError),
        (404, "Container is expired.", errors.ItemNotFoundError),
        (404, "Prompt with id 'pmpt_1' not found.", errors.ItemNotFoundError),
        (403, "You do not have permission to access the File f1 or it may not exist.", errors.ItemNotFoundError),
        (403, "CachedContent not found (or permission denied)", errors.ItemNotFoundError),
        (404, "The model `m` does not exist or you do not have access to it.", errors.ModelNotFoundError),
        (404, "Not Found", errors.ModelNotFoundError),
        (403, "Project `p` does not have access to model `m`", errors.PermissionDeniedError),
        (403, "Content violates usage guidelines.", errors.ContentFilterError),
        (404, "No endpoints found that support tool use.", errors.UnsupportedParameterError),
        (413, "This model's maximum context length is 4096 tokens.", errors.ContextOverflowError),
        (500, "Requested input length 99009 exceeds maximum input length 8192", errors.ContextOverflowError),
        (500, "image input is not supported by this server", errors.UnsupportedParameterError),
        (429, "Request too large for m in organization o on tokens per min (TPM)", errors.RequestAboveRateLimitError),
        (413, "Request too large for m in organization o on tokens per minute (TPM)", errors.RequestAboveRateLimitError),
    ],
)  # fmt: skip
def test_words_under_other_statuses(vendor: str, status: int, text: str, cls: type[VendorError]) -> None:
    """A file or stored item is not the model; an exceeded window may come with any status."""
    for body in (GATEWAYS["vLLM"](text), GATEWAYS["FastAPI, a text"](text), text):
        error = refusal(vendor, body, status)
        assert type(error) is cls
        assert error.is_retryable is False


def test_a_request_above_a_whole_rate_limit() -> None:
    """It is a rate limit to LangChain's callers, goes elsewhere and is not repeated, whatever the headers say."""
    error = refusal(
        "openai",
        {"error": {"message": "Request too large for m", "type": "tokens", "code": "rate_limit_exceeded"}},
        429,
        {"x-should-retry": "true", "retry-after": "9"},
    )
    assert isinstance(error, core.ModelRateLimitError)
    assert (error.is_retryable, error.falls_back, error.blame) == (False, True, "none")
    final = errors.AllDeploymentsFailedError.of([error], [])
    assert isinstance(final, core.ModelRateLimitError)


STATUSES: dict[int, type[VendorError]] = {
    100: errors.MalformedResponseError,
    101: errors.MalformedResponseError,
    201: errors.MalformedResponseError,
    202: errors.MalformedResponseError,
    204: errors.MalformedResponseError,
    206: errors.MalformedResponseError,
    304: errors.MalformedResponseError,
    405: errors.ModelNotFoundError,
    406: errors.VendorError,
    407: errors.AuthenticationError,
    410: errors.ModelNotFoundError,
    411: errors.VendorError,
    414: errors.RequestTooLargeError,
    415: errors.UnsupportedParameterError,
    418: errors.VendorError,
    421: errors.ServerError,
    423: errors.ServerError,
    424: errors.ServerError,
    425: errors.ServerError,
    426: errors.VendorError,
    431: errors.RequestTooLargeError,
    444: errors.ServerError,
    451: errors.PermissionDeniedError,
    460: errors.ServerError,
    497: errors.VendorError,
    511: errors.ServerError,
    520: errors.ServerError,
    530: errors.ServerError,
    999: errors.ServerError,
}


@pytest.mark.parametrize("vendor", WHOLE)
@each("status", [*STATUSES, 499])
def test_statuses_of_the_way(vendor: str, status: int) -> None:
    """What proxies and balancers answer is no fault of the caller's: each falls back, and what may pass is retried."""
    for body in ("", "<html><title>no</title></html>", {"message": "no"}, {"id": "an answer"}):
        error = refusal(vendor, body, status)
        assert error.falls_back is True
        if status != 499:  # Cohere documents it
            assert type(error) is STATUSES[status]


@each(
    ("value", "text"),
    [
        (None, ""),
        (7, ""),
        ({}, ""),
        ({"a": "b"}, ""),
        (["a", {"msg": "b"}, None], "a; b"),
        ({"detail": [{"loc": ["body", "x", 0], "msg": "no", "input": "y"}]}, "body.x.0: no"),
        ({"message": "", "error": "no"}, "no"),
        ({"base_resp": {"status_code": 2013, "status_msg": "no"}}, "no"),
        ("<html><head><title> Bad\nGateway </title>", "Bad\nGateway"),
        ("<html>", "an HTML page"),
        ('{"error": {"message": "no"}}', "no"),
        ('{"x": 1}', '{"x": 1}'),
        ({"message": "A", "metadata": {"raw": "B"}}, "A: B"),
        ({"message": "A", "metadata": {"raw": ["B"]}}, "A: B"),
    ],
)
def test_texts_of_errors(value: Any, text: str) -> None:
    """The text for people is found wherever servers keep it."""
    assert message_of(value) == text


def test_deep_errors_end() -> None:
    """An error is read to a depth."""
    deep: Any = "no"
    for _ in range(100):
        deep = {"error": deep}
    assert message_of(deep) == ""
