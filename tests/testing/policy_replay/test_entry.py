"""The lines of a journal, as they are written and read."""

from __future__ import annotations

import json

import pytest

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing.policy_replay.entry import JournalEntry
from tests.cases import each
from tests.testing.policy_replay.calls import A, B, answered, calls, failed


def test_a_line_comes_back_whole() -> None:
    """What is empty is left out of the line, and is empty again when it is read."""
    [entry] = calls(1, failed(A, "RateLimitError", 429, retry_after_s=8.0), answered(B), tags=["night"])
    line = entry.to_json()
    assert JournalEntry.from_json(line) == entry
    fields = json.loads(line)
    assert fields["v"] == 1
    assert [attempt["deployment"] for attempt in fields["tries"]] == [A, B]
    assert not {"messages", "answer", "images", "params"} & {
        k for k, v in fields.items() if v in (None, [], {})
    }


@each("line", ["", "[]", "{}", '{"v": 1}', '{"v": 1, "at": 0, "odd": 1}', "not JSON"])
def test_anything_else_is_named(line: str) -> None:
    """The error shows the line."""
    with pytest.raises(ConfigurationError, match="not a line of a journal"):
        JournalEntry.from_json(line)


def test_another_format_is_named() -> None:
    """A line of a later version is not read as if it were one of this."""
    with pytest.raises(ConfigurationError, match="format 2; this version reads 1"):
        JournalEntry.from_json('{"v": 2, "at": 0.0, "seconds": 1.0, "outcome": "answered"}')
