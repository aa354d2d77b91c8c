"""JSON values in answers' texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.vendors.json_text import partial_value, whole_value
from tests.cases import each

_VALUE = {"name": "Bob", "tags": ["a", {"b": "}"}]}
_JSON = json.dumps(_VALUE)


@each(
    "text",
    [
        _JSON,
        f"\n  {_JSON}\n",
        json.dumps(_VALUE, indent=2),
        f"```json\n{_JSON}\n```",
        f"```\n{_JSON}\n```",
        f"```JSON\n{_JSON}",
        f"<think>It may be {{this}} or {{'that'}}.</think>\n{_JSON}",
        f"<think>\n\n</think>\n\n```json\n{_JSON}\n```",
        f"Well, let me see {{...}}.\n</think>\n{_JSON}",
        f'<think>A draft: {{"name": "Al"}}</think>{_JSON}',
        f'<thinking>A tag </thinking> and {{"x": 1}}</thinking>{_JSON}',
        f"[THINK]hm[/THINK]{_JSON}",
        f"<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{_JSON}",
        f"Sure! Here it is: {_JSON}",
        f"As [1] and {{the other}} show:\n\n```json\n{_JSON}\n```\nAnything else?",
        f"{_JSON}\n\nI hope this helps.",
    ],
)
def test_the_value_is_read_past_what_stands_around_it(text: str) -> None:
    """Reasoning in any model's tags, fences, and prose before or after."""
    assert whole_value(text) == _VALUE


def test_control_characters_in_strings_are_read() -> None:
    """Raw newlines and tabs, as some models write them."""
    assert whole_value('{"a": "one\n\ttwo"}') == {"a": "one\n\ttwo"}


@each(
    "text",
    [
        "",
        "no JSON at all",
        '{"amount": 12',
        '{"order": {"amount": 12}',
        '{"order": {"amount": 12}, "more": [1, 2]',
        '```json\n{"amount": 12',
        '<think>hm</think>{"order": {"amount": 12}',
        '<think>A draft: {"amount": 1}',
        'Here: {"order": {"amount": 12}, "note": "a brace }',
        '{"html": "<p></think>{}',
        '{"a": 1} or {"a": 2}',
        '{"a": {"b": 1} "c": 2}',
    ],
)
def test_no_value_is_made_up(text: str) -> None:
    """What is open at its end has none, nor a part of it; of several, none is chosen."""
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
        whole_value(text)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1), _values, min_size=1), st.data())
def test_a_prefix_of_an_object_is_no_value(value: dict[str, Any], data: st.DataObject) -> None:
    """However much of it there is; the whole is."""
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    assert whole_value(text) == value
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
        whole_value(text[: data.draw(st.integers(0, len(text) - 1))])


def test_a_part_grows_by_whole_numbers() -> None:
    """Strings as far as they came; a number only when it is known to have ended."""
    text = '<think>hm</think>{"name": "Bob", "amount": 1250, "ok": true}'
    seen = [partial_value(text[:end]) for end in range(len(text) + 1)]
    amounts = {value["amount"] for value in seen if isinstance(value, dict) and "amount" in value}
    assert amounts == {1250}
    assert {"name": "B"} in seen
    assert seen[-1] == {"name": "Bob", "amount": 1250, "ok": True}
    assert partial_value("<think>hm") is None
