"""Breakpoints of Anthropic's prompt cache."""

from __future__ import annotations

import copy
from typing import Any

from langchain_llmdispatch.vendors.anthropic.prompt_cache import mark
from tests.cases import each

SHORT, LONG = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}


def text(words: str, **fields: Any) -> dict[str, Any]:
    """Return a block of text."""
    return {"type": "text", "text": words, **fields}


def body(**fields: Any) -> dict[str, Any]:
    """Return a request's body: a system message, a tool, and three turns."""
    turns = [
        {"role": "user", "content": "one"},
        {
            "role": "assistant",
            "content": [text("two"), {"type": "tool_use", "id": "1", "name": "f", "input": {}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "three"}]},
    ]
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    return {"system": "be brief", "tools": tools, "messages": turns, **fields}


def marks(found: Any) -> list[Any]:
    """Return all marks in a body, in their order."""
    if isinstance(found, list):
        return [one for item in found for one in marks(item)]
    if not isinstance(found, dict):
        return []
    inner = [marks(found[name]) for name in ("tools", "system", "messages", "content") if name in found]
    own = [found["cache_control"]] if "cache_control" in found else []
    return own + [one for each in inner for one in each]


@each(("cache", "expected"), [(True, SHORT), ("5m", SHORT), ("1h", LONG)])
def test_places(cache: Any, expected: Any) -> None:
    """The tools, the system message, and the last two turns of the user's."""
    made = body()
    mark(made, cache)
    assert made["tools"][-1]["cache_control"] == expected
    assert made["system"] == [text("be brief", cache_control=expected)]
    first, answer, last = (turn["content"] for turn in made["messages"])
    assert first == [text("one", cache_control=expected)]
    assert marks(answer) == []
    assert last[-1]["cache_control"] == expected
    assert len(marks(made)) == 4


def test_none() -> None:
    """False places nothing, and takes away none of the user's own."""
    made = body(system=[text("x", cache_control=LONG)])
    before = copy.deepcopy(made)
    mark(made, False)
    assert made == before


@each("number", range(6))
def test_never_more_than_four(number: int) -> None:
    """The user's own are kept, and count."""
    own = [text(str(n), cache_control=SHORT) for n in range(number)]
    made = body(messages=[{"role": "user", "content": [*own, text("last")]}])
    mark(made, True)
    assert len(marks(made)) == max(number, min(4, number + 3))
    assert made["messages"][0]["content"][:number] == own


def test_a_mark_of_the_whole_request() -> None:
    """Anthropic itself marks the end of one with `cache_control`, which takes one of the four."""
    made = body(cache_control=SHORT)
    mark(made, True)
    assert len(marks(made)) == 4
    assert marks(made["messages"][-1]) == []


def test_lifetimes_in_their_order() -> None:
    """No longer one after a shorter: what would break that is not marked."""
    made = body(system=[text("x", cache_control=SHORT)])
    mark(made, "1h")
    assert marks(made) == [LONG, SHORT]
    made = body(system=[text("x", cache_control=LONG)])
    mark(made, "5m")
    assert marks(made) == [LONG, SHORT, SHORT]


@each(
    "content",
    ["", "  ", [], [THOUGHT], [text(" ")], [{"type": "container_upload", "file_id": "f"}], None],
)
def test_what_cannot_be_marked(content: Any) -> None:
    """Blank text, thinking and the like; the block before them is marked instead."""
    made = body(messages=[{"role": "user", "content": content}])
    mark(made, True)
    assert made["messages"] == [{"role": "user", "content": content}]
    if isinstance(content, list):
        made = body(messages=[{"role": "user", "content": [text("a"), *content]}])
        mark(made, True)
        assert made["messages"][0]["content"] == [text("a", cache_control=SHORT), *content]


def test_a_request_of_an_assistants_turn_alone() -> None:
    """There is no turn of the user's to mark."""
    made = {"messages": [{"role": "assistant", "content": "x"}]}
    mark(made, True)
    assert made == {"messages": [{"role": "assistant", "content": "x"}]}
