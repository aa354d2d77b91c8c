"""Bodies in tests: events are cut where they end, wherever the network cuts the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.testing.body_streams import END_MARKER, EventSplitter, pause
from langchain_llmdispatch.transport.deadline import ReadDeadline
from tests.cases import each

BODIES = {
    "text/event-stream": [b"event: a\ndata: 1\n\n", b"data: 2\r\n\r\n", b": ping\n\n", b"data: 3\r\r"],
    "application/x-ndjson": [b'{"a":1}\n', b'{"b":2}\n'],
}


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data())
def test_events_are_the_same_at_any_cut(kind: str, data: st.DataObject) -> None:
    """No byte changes, and only whole events come out before the end."""
    events = BODIES[kind]
    body, rest = b"".join(events), data.draw(st.sampled_from([b"", b"data: cut"]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=5)))
    splitter, found = EventSplitter(f"{kind}; charset=utf-8"), []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        found += splitter.feed(body[start:end])
    found += splitter.feed(rest) + splitter.close()
    assert b"".join(found) == body + rest
    assert found == [*events, *([rest] if rest else [])]


def test_a_body_that_is_no_stream_is_one_event() -> None:
    """JSON comes out whole, at its end."""
    splitter = EventSplitter("application/json")
    assert splitter.feed(b'{"a":\n\n') == []
    assert splitter.feed(b"1}") == []
    assert splitter.close() == [b'{"a":\n\n1}']


@each(
    "event",
    [
        b"data: [DONE]\n\n",
        b'data: {"choices":[{"finish_reason": "stop"}]}',
        b'data: {"candidates":[{"finishReason": "STOP"}]}',
        b'{"type":"message_stop"}',
        b'{"type":"message-end"}',
        b'{"type":"response.completed"}',
        b'{"done":true}',
    ],
)
def test_end_markers_of_all_vendors_are_found(event: bytes) -> None:
    """A recording that was left after one of them was read to its end."""
    assert END_MARKER.search(event)


def test_no_end_marker_is_found_before_the_end() -> None:
    """Null finish reasons and earlier events are not the end."""
    events = [
        b'{"finish_reason":null}',
        b'{"type":"message_start"}',
        b'{"done":false}',
        b'{"stop_reason":null}',
    ]
    assert not END_MARKER.search(b"".join(b"data: %s\n\n" % event for event in events))


def test_a_pause_ends_with_the_read_deadline() -> None:
    """It is never longer than the client waits, and one without end is an error of the test."""
    clock = FakeClock()
    assert pause(ReadDeadline(clock, 5.0, "the answer"), 2.0) == 2.0
    assert pause(ReadDeadline(clock, 5.0, "the answer"), float("inf")) == 5.0
    with pytest.raises(AssertionError, match="never end"):
        pause(ReadDeadline(clock, float("inf"), "the answer"), float("inf"))
