"""Headers of responses from our own pools, as our code and as httpx reads them."""

from __future__ import annotations

import gzip
import pickle
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.transport.body import whole
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.pooled_response import PooledResponse, ResponseFields

NAMES = st.sampled_from(["A", "a", "X-One", "x-one", "Set-Cookie", "content-type"])
LINES = st.lists(st.tuples(NAMES, st.text("abc ,é", max_size=4)), max_size=6)


def response(*lines: tuple[str, str], encoding: str = "ascii") -> PooledResponse:
    return PooledResponse(200, ResponseFields(lines, encoding), httpx.ByteStream(b"{}"), {})


@given(LINES)
def test_headers_are_those_that_httpx_would_have(lines: list[tuple[str, str]]) -> None:
    """By any case of a name, joined by commas, in the order and spelling of the server."""
    made, plain = response(*lines, encoding="utf-8"), httpx.Headers(lines, encoding="utf-8")
    fields: Any = made.fields
    assert dict(fields) == dict(plain)
    for name in ("a", "A", "X-ONE", "set-cookie", "other"):
        assert fields.get(name) == plain.get(name)
        assert (name in fields) == (name in plain)
    assert made.headers.raw == plain.raw
    assert made.headers.multi_items() == plain.multi_items()


@pytest.mark.parametrize("name", ["content-type", "Content-Type"])
def test_a_name_is_found_in_any_case(name: str) -> None:
    """As in httpx's headers; a missing one is a KeyError."""
    fields = ResponseFields([("Content-Type", "text/plain")])
    assert fields[name] == "text/plain"
    assert fields.get("other", "none") == "none"
    with pytest.raises(KeyError, match="other"):
        fields["other"]


def test_changed_headers_are_those_of_the_response() -> None:
    """A layer that changes a header changes what is decoded: there are no two versions."""
    made = response(("content-type", "text/plain"))
    made.headers["content-type"] = "application/json"
    assert made.fields is None
    assert made.headers["content-type"] == "application/json"
    made.headers = httpx.Headers({"a": "1"})
    assert dict(made.headers) == {"a": "1"}


def test_it_is_read_and_pickled_like_any_response() -> None:
    """Whatever holds on to it."""
    made = response(("content-type", "application/json"))
    made.read()
    copied = pickle.loads(pickle.dumps(made))
    assert copied.json() == {}
    assert copied.headers["content-type"] == "application/json"


@pytest.mark.parametrize("changed", ["nothing", "stream", "headers"])
def test_a_layer_that_changes_a_response_changes_what_is_read(changed: str) -> None:
    """Its stream and its headers count, although the body had arrived with the head."""
    made = PooledResponse(200, ResponseFields(), httpx.ByteStream(b""), {}, b"as sent")
    if changed == "stream":
        made.stream = httpx.ByteStream(b"another")
    elif changed == "headers":
        made.headers["content-encoding"] = "gzip"
        made.stream = httpx.ByteStream(gzip.compress(b"another"))
    found = whole(made, ReadDeadline(Clock(), float("inf"), "the answer"), 100)
    assert found == (b"as sent" if changed == "nothing" else b"another")
