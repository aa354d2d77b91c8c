"""Requests match by what they mean: random ids, ignored paths and the order of keys do not count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmdispatch.testing import (
    Cassette,
    UnmatchedRequestError,
)
from langchain_llmdispatch.testing.cassettes.matching import Matcher
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of


def test_matching_overlooks_what_does_not_count(server: LoopbackServer, path: Path) -> None:
    """Random ids of tool calls, ignored paths and the order of keys do not matter; everything else does."""

    def thread(ident: str, result: str = "22") -> list[Any]:
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": ident, "type": "tool_call"}
        return [
            HumanMessage("weather?"),
            AIMessage("", tool_calls=[call]),
            ToolMessage(result, tool_call_id=ident),
        ]

    for vendor in ("openai", "anthropic", "cohere"):
        with model_of(deployment(server, vendor)) as model:
            with Cassette(path, mode="rewrite"):
                model.invoke(thread("call_abc123"), user="someone")
            with Cassette(path, ignore=["user", "metadata.user_id"]):
                model.invoke(thread("call_xyz987"), user="another one")
            with pytest.raises(UnmatchedRequestError), Cassette(path, ignore=["user", "metadata.user_id"]):
                model.invoke(thread("call_abc123", "23"))


@each(
    ("path", "value", "expected"),
    [
        ("a.b", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ("$.list.*.t", {"list": [{"t": 1, "u": 2}, {"t": 3}]}, {"list": [{"u": 2}, {}]}),
        ("list.1", {"list": [1, 2, 3]}, {"list": [1, None, 3]}),
        ("**.at", {"at": 1, "x": [{"at": 2, "y": {"at": 3, "z": 4}}]}, {"x": [{"y": {"z": 4}}]}),
        ("absent.b", {"a": 1}, {"a": 1}),
    ],
)
def test_ignored_paths(path: str, value: Any, expected: Any) -> None:
    """A path names what is left out of the comparison."""
    assert Matcher([path]).canonical(value) == expected
