"""How deep values are nested."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_llmdispatch import ConfigurationError, Deployment, DispatcherConfig
from langchain_llmdispatch.chat_model.structured_output import structured_output
from langchain_llmdispatch.internal.depth import deep_place
from langchain_llmdispatch.internal.json_format import MAX_DEPTH
from langchain_llmdispatch.vendors.compile.neutral_tools import bound_tools
from tests.cases import each

TOOL = {"name": "weather", "description": "the weather"}
MODEL: Any = FakeListChatModel(responses=[])
OPTIONS: dict[str, Any] = {"include_raw": False, "method": None, "strict": None, "kwargs": {}}


def nested(depth: int, value: Any = "x") -> Any:
    """Return a value in as many mappings."""
    for _ in range(depth):
        value = {"a": value}
    return value


@each("value", [5, "text", {}, [], nested(MAX_DEPTH), {"wide": [nested(9)] * 500}])
def test_what_json_can_hold_has_no_deep_place(value: Any) -> None:
    """All that is within the limit passes."""
    assert deep_place(value, "value") is None


@each("depth", [MAX_DEPTH + 1, 50_000])
def test_the_place_is_named(depth: int) -> None:
    """As far as it helps to find it, not to the last level."""
    place = deep_place({"plain": nested(5), "deep": [1, nested(depth)]}, "metadata")
    assert place is not None
    assert place.startswith("metadata.deep[1].a.a.")
    assert len(place) < 80


def test_a_value_within_itself_is_endless() -> None:
    """Its levels are as few as its parts, however often each of them stands."""
    value: list[Any] = []
    value += [value] * 100
    assert deep_place(value, "value") is not None


@each(
    ("make", "place"),
    [
        (lambda deep: Deployment("openai:gpt-5.4", params=deep), r"params: a\.a\.a"),
        (lambda deep: DispatcherConfig(vendor_params={"openai": deep}), r"vendor_params: openai\.a\.a"),
        (lambda deep: bound_tools([{**TOOL, "parameters": deep}]), r"tools\[0\]\.a\.a"),
        (lambda deep: bound_tools([{"type": "web_search", "filters": deep}]), r"tools\[0\]\.filters\.a"),
        (lambda deep: structured_output(MODEL, {"title": "City", **deep}, **OPTIONS), r"schema\.a\.a"),
    ],
)
def test_what_is_configured_or_bound_is_checked_at_once(make: Callable[[Any], Any], place: str) -> None:
    """The error comes before any call, and names the field."""
    with pytest.raises(ConfigurationError, match=place):
        make(nested(5000))
