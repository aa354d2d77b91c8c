r"""Halves of surrogate pairs, as JSON escapes in two frames of a stream, are joined."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.framing import SSEvent
from langchain_llmdispatch.internal.json_format import parse_json
from langchain_llmdispatch.vendors.surrogates import PairJoiner
from tests.cases import each

HIGH, LOW = "\ud83d", "\ude00"
SMILE = "\N{GRINNING FACE}"


def joined(frames: list[Any]) -> list[str]:
    """Return the texts of frames, which come one by one, after joining."""
    joiner, out = PairJoiner(), []
    for frame in frames:
        out += joiner.join([frame])
    return [frame.data if isinstance(frame, SSEvent) else str(frame) for frame in [*out, *joiner.close()]]


def delta(text: str, **fields: Any) -> str:
    """Return a delta as JSON, in ASCII."""
    return json.dumps({"delta": {"text": text, **fields}})


def texts(*deltas: str) -> list[str]:
    """Return the texts of events with these deltas, joined and read."""
    events = [SSEvent("e", delta(text)) for text in deltas]
    return [parse_json(data)["delta"]["text"] for data in joined(events)]


@each(
    ("deltas", "expected"),
    [
        ((f"a{HIGH}", f"{LOW}b"), [f"a{SMILE}", "b"]),
        ((HIGH, LOW), [SMILE, ""]),
        ((HIGH, LOW + HIGH, LOW), [SMILE, SMILE, ""]),
        ((f"a{HIGH}",), ["a\ufffd"]),
        ((f"a{HIGH}", "b"), ["a\ufffd", "b"]),
        ((f"a{HIGH}", HIGH, f"{LOW}b"), ["a\ufffd", SMILE, "b"]),
        (("a", f"{LOW}b"), ["a", "\ufffdb"]),
        ((f"a{SMILE}", "é"), [f"a{SMILE}", "é"]),
        ((r"a\ud83d", r"\ude00"), [r"a\ud83d", r"\ude00"]),
        ((r'"\ud83d', r"\ude00"), [r'"\ud83d', r"\ude00"]),
    ],
)
def test_deltas(deltas: tuple[str, ...], expected: list[str]) -> None:
    """A half waits for the next frame and is joined to its half, or replaced; whole characters do not wait."""
    assert texts(*deltas) == expected


def test_frames_that_are_whole_pass_at_once() -> None:
    """Only a frame that ends with half a character is kept, and it keeps its type."""
    joiner = PairJoiner()
    events = [SSEvent("a", delta("x")), SSEvent("b", delta(SMILE)), SSEvent("c", delta(HIGH))]
    assert list(joiner.join(events)) == events[:2]
    assert [event.event for event in joiner.join([SSEvent("d", delta(LOW))])] == ["c", "d"]
    assert list(joiner.close()) == []


def test_lines() -> None:
    """Lines of JSON are joined like events."""
    assert [
        json.loads(text)["delta"]["text"] for text in joined([delta(HIGH).encode(), delta(LOW).encode()])
    ] == [
        SMILE,
        "",
    ]


def test_other_strings_of_the_frame_stay() -> None:
    """Only the half moves, wherever the text stands in the frame."""
    frames = [SSEvent("", delta(f"a{HIGH}", id=r"\ud83d", last="é")), SSEvent("", delta(LOW, id="x"))]
    first, second = map(json.loads, joined(frames))
    assert first == {"delta": {"text": f"a{SMILE}", "id": r"\ud83d", "last": "é"}}
    assert second == {"delta": {"text": "", "id": "x"}}


@given(st.text(st.sampled_from([*'ab\\"u8\n', "é", SMILE, "\N{CAT FACE}"]), max_size=12), st.data())
def test_any_text_survives_cuts_between_units(text: str, data: st.DataObject) -> None:
    """A text whose UTF-16 units are spread over deltas in any way is read again."""
    units = [chr(unit) for unit in memoryview(text.encode("utf-16-le")).cast("H")]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units)), max_size=5)))
    deltas = ["".join(units[a:b]) for a, b in zip([0, *cuts], [*cuts, len(units)], strict=True) if a < b]
    assert "".join(texts(*deltas)) == text
