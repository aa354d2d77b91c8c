"""What encoders of requests share."""

from __future__ import annotations

import math
import pickle
from typing import Any

import httpx
import pytest

from langchain_llmdispatch.internal.json_format import UnwritableError
from langchain_llmdispatch.types import Endpoint, ToolSpec
from langchain_llmdispatch.vendors.request import custom_headers, function_tool, json_request, merged
from tests.cases import each


def test_the_callers_fields_win() -> None:
    """They replace ours, objects are merged field by field, and some are not sent."""
    body = {"a": 1, "b": {"x": 1, "y": {"z": 1}}, "c": {"x": 1}}
    extra = {"a": 2, "b": {"y": {"w": 2}}, "c": 3, "d": 4, "secret": 5}
    assert merged(body, extra, without={"secret"}) == {
        "a": 2,
        "b": {"x": 1, "y": {"z": 1, "w": 2}},
        "c": 3,
        "d": 4,
    }


def test_a_tool_as_a_function() -> None:
    """Name, description and parameters, and nothing else."""
    assert function_tool(ToolSpec("f", "does", {"type": "object"}, strict=True, extras={"x": 1})) == {
        "type": "function",
        "function": {"name": "f", "description": "does", "parameters": {"type": "object"}},
    }


def test_custom_headers_are_in_lower_case() -> None:
    """So that they replace those of the codec."""
    assert custom_headers(Endpoint("https://x.test", headers={"X-Key": "A"})) == {"x-key": "A"}


@each("value", [{1}, math.nan, b"x"])
def test_credentials_are_unwrapped_after_the_body_is_written(value: Any) -> None:
    """A body that cannot be written raises before any key is in a variable."""

    def headers() -> dict[str, str]:
        raise AssertionError("a key is unwrapped")

    with pytest.raises(UnwritableError, match=r"a\[0\] is"):
        json_request("https://x.test", headers, {"a": [value], "b": None})
    request = json_request("https://x.test", lambda: {"authorization": "Bearer k"}, {1: None})
    assert (request.content, request.headers["authorization"]) == (b'{"1":null}', "Bearer k")


def request_of(headers: dict[str, str]) -> httpx.Request:
    return json_request("https://host.test/v1?a=b", headers, {"a": 1})


def test_a_request_has_the_headers_of_httpx() -> None:
    """Those that httpx would send, in any case of their names; the caller's win."""
    made = request_of({"authorization": "Bearer k", "user-agent": "mine"})
    plain = httpx.Request("POST", "https://host.test/v1?a=b", content=b'{"a":1}')
    assert (made.method, made.url, made.content) == (plain.method, plain.url, plain.content)
    assert made.headers["Host"] == plain.headers["host"]
    assert made.headers["Content-Length"] == plain.headers["content-length"]
    assert made.headers["User-Agent"] == "mine"
    assert b"".join(made.stream) == plain.content


def test_changed_headers_are_those_that_are_sent() -> None:
    """A layer that changes a header changes the request: there are no two versions."""
    made = request_of({"authorization": "Bearer k"})
    made.headers["authorization"] = "Bearer other"
    assert made.fields is None
    assert made.headers["authorization"] == "Bearer other"


def test_a_request_is_copied_and_shown_without_its_key() -> None:
    """Whatever holds on to it."""
    made = pickle.loads(pickle.dumps(request_of({"authorization": "Bearer canary"})))
    assert made.headers["authorization"] == "Bearer canary"
    assert made.content == b'{"a":1}'
    assert "canary" not in repr(made)
