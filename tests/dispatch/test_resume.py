"""Joining a resumed stream, without a server."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch.dispatch.resume import Splicer, resumable
from langchain_llmdispatch.errors import SpliceError
from tests.models import summed


@given(st.text(min_size=1), st.text(), st.lists(st.integers(1, 5)), st.lists(st.integers(1, 5)))
def test_the_joined_text_is_whole(first: str, second: str, cuts: list[int], others: list[int]) -> None:
    """However both answers were cut into chunks, the caller's text is the whole one."""
    delivered = [AIMessageChunk(content=piece) for piece in _cut(first, cuts)]
    splicer, out = Splicer(delivered), ""
    for piece in _cut(first + second, others):
        joined = splicer.join(AIMessageChunk(content=[{"type": "text", "text": piece, "index": 0}]))
        out += joined.text if joined is not None else ""
    assert out == second


@given(st.text(min_size=1), st.text(), st.lists(st.integers(1, 5)))
def test_no_other_text_is_joined(delivered: str, other: str, cuts: list[int]) -> None:
    """Either the new answer begins with what was delivered, or nothing of it is handed over."""
    splicer, out = Splicer([AIMessageChunk(content=delivered)]), []
    chunks = [AIMessageChunk(content=piece) for piece in _cut(other, cuts)]
    chunks.append(AIMessageChunk(content="", chunk_position="last"))
    try:
        out = [joined.text for chunk in chunks if (joined := splicer.join(chunk)) is not None]
    except SpliceError:
        assert not other.startswith(delivered)
    else:
        assert delivered + "".join(out) == other


def test_reasoning_of_the_new_answer_is_dropped() -> None:
    """The old answer's reasoning stands before the same text already; later blocks get free places."""
    delivered = [
        AIMessageChunk(content=[{"type": "thinking", "thinking": "hm", "index": 0}]),
        AIMessageChunk(content=[{"type": "text", "text": "Yes", "index": 1}]),
    ]
    assert resumable(delivered)
    assert not resumable(delivered[:1])
    splicer = Splicer(delivered)
    assert splicer.join(AIMessageChunk(content="", additional_kwargs={"reasoning_content": "other"})) is None
    rest = splicer.join(AIMessageChunk(content="Yes, indeed"))
    image = splicer.join(AIMessageChunk(content=[{"type": "image", "url": "x", "index": 0}]))
    assert rest is not None
    assert image is not None
    whole = summed([*delivered, rest, image])
    assert whole.content == [
        {"type": "thinking", "thinking": "hm", "index": 0},
        {"type": "text", "text": "Yes, indeed", "index": 1},
        {"type": "image", "url": "x", "index": 2},
    ]


def _cut(text: str, sizes: list[int]) -> list[str]:
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    return [piece for piece in [*pieces, text] if piece]
