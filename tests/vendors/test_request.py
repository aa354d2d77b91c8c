"""What encoders of requests share."""

from __future__ import annotations

import math
from typing import Any

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
