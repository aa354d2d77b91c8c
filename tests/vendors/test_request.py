"""What encoders of requests share."""

from __future__ import annotations

from langchain_llmdispatch.vendors.request import merged


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
