"""What encoders of requests share."""

from __future__ import annotations

from langchain_llmdispatch.types import ToolSpec
from langchain_llmdispatch.vendors.request import function_tool, merged


def test_the_callers_fields_win() -> None:
    """They replace ours, objects are merged one level deep, and some are not sent."""
    body = {"a": 1, "b": {"x": 1, "y": {"z": 1}}, "c": {"x": 1}}
    extra = {"a": 2, "b": {"y": {"w": 2}}, "c": 3, "d": 4, "secret": 5}
    assert merged(body, extra, without={"secret"}) == {
        "a": 2,
        "b": {"x": 1, "y": {"w": 2}},
        "c": 3,
        "d": 4,
    }


def test_a_tool_as_a_function() -> None:
    """Name, description and parameters, and nothing else."""
    assert function_tool(ToolSpec("f", "does", {"type": "object"}, strict=True, extras={"x": 1})) == {
        "type": "function",
        "function": {"name": "f", "description": "does", "parameters": {"type": "object"}},
    }
