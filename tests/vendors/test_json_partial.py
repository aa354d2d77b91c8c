"""JSON while it is streamed: what is shown of it was sent, and nothing that was shown is taken back."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.vendors.json_partial import PartialJson
from tests.cases import each

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def grown(before: Any, after: Any) -> bool:
    """Return whether a value is an earlier one with more of it."""
    if isinstance(before, str):
        return isinstance(after, str) and after.startswith(before)
    if isinstance(before, list):
        return len(before) <= len(after) and all(map(grown, before, after))
    if isinstance(before, dict):
        return all(name in after and grown(value, after[name]) for name, value in before.items())
    return bool(before == after)


@given(value=st.lists(VALUES) | st.dictionaries(st.text(), VALUES), data=st.data())
def test_a_value_only_grows(value: Any, data: st.DataObject) -> None:
    """Wherever the text is cut into pieces; at its end the value is whole."""
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.none() | st.just(1)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    reader, before = PartialJson(), None
    for start, stop in zip((0, *cuts), (*cuts, len(text)), strict=True):
        reader.add(text[start:stop])
        after = reader.value()
        assert before is None or grown(before, after)
        before = after
    assert before == value
    assert not reader.broken


@each(
    ("text", "wanted"),
    [
        ("", None),
        ("{", {}),
        ('{"a', {}),
        ('{"a":', {}),
        ('{"a": 12', {}),
        ('{"a": 12,', {"a": 12}),
        ('{"a": true', {"a": True}),
        ('{"a": tru', {}),
        ('{"a": "x ', {"a": "x "}),
        (r'{"a": "x\\', {"a": "x\\"}),
        (r'{"a": "x\u00', {"a": "x"}),
        (r'{"a": "x\ud83d', {"a": "x"}),
        (r'{"a": "x\ud83d\ude0', {"a": "x"}),
        (r'{"a": "x\ud83d\ude00', {"a": "x\U0001f600"}),
        ('[{"a": [1, "}', [{"a": [1, "}"]}]),
        ('{"a": 1} and more {"b"', {"a": 1}),
        ('{"a": 1]', None),
    ],
)
def test_what_is_open_is_closed(text: str, wanted: Any) -> None:
    """A number that may go on, a half word, a half escape and a name without value are left out."""
    for size in (1, 2, len(text) or 1):
        reader = PartialJson()
        for start in range(0, len(text), size):
            reader.add(text[start : start + size])
        assert reader.value() == wanted
