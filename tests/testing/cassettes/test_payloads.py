"""Bodies survive the file: JSON, events and anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.framing import SSEDecoder
from langchain_llmdispatch.testing.cassettes.file import dump_yaml, load_yaml
from langchain_llmdispatch.testing.cassettes.payloads import pack, unpack

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _sse(events: list[tuple[str, Any]], newline: str, separators: tuple[str, str]) -> str:
    lines = []
    for name, value in events:
        data = value if isinstance(value, str) else json.dumps(value, separators=separators)
        head = f"event: {name}{newline}" if name else ""
        lines.append(f"{head}data: {data}{newline}{newline}")
    return "".join(lines)


@given(
    st.lists(st.tuples(st.sampled_from(["", "delta"]), _JSON | st.just("[DONE]")), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_event_streams_survive_the_file(
    events: list[tuple[str, Any]], newline: str, separators: tuple[str, str]
) -> None:
    """What is written to YAML and read again has the same events with the same data."""
    events = [(name, v if not isinstance(v, str) else "[DONE]") for name, v in events]
    body = _sse(events, newline, separators).encode()
    again, _ = unpack(_through_file(body, "text/event-stream"))
    assert _events(again) == _events(body)


def _through_file(body: bytes, kind: str) -> dict[str, Any]:
    text = dump_yaml({"interactions": [{"response": pack(body, kind)}]})
    held: dict[str, Any] = load_yaml(text)["interactions"][0]["response"]
    return held


def _events(body: bytes) -> list[Any]:
    decoder = SSEDecoder()
    found = [*decoder.feed(body), *decoder.close()]
    return [(e.event, e.data if e.data == "[DONE]" else json.loads(e.data)) for e in found]


@given(st.lists(_JSON, min_size=1, max_size=6), st.sampled_from(["application/json", "application/x-ndjson"]))
def test_json_survives_the_file(values: list[Any], kind: str) -> None:
    """JSON and NDJSON come back with the same values; nearly always with the same bytes."""
    lines = values if kind.endswith("ndjson") else values[:1]
    body = "\n".join(json.dumps(value) for value in lines).encode()
    held = _through_file(body, kind)
    again, _ = unpack(held)
    assert [json.loads(line) for line in again.splitlines() if line] == lines


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_survives_the_file(body: bytes) -> None:
    """What is neither JSON nor events comes back byte for byte."""
    for kind in ("text/plain", "text/event-stream", "application/x-ndjson"):
        held = _through_file(body, kind)
        again, _ = unpack(held)
        if kind == "text/plain" and "body" not in held:
            assert again == body


@pytest.mark.parametrize(
    ("kind", "whole"), [("text/event-stream", "events"), ("application/x-ndjson", "lines")]
)
def test_a_stream_that_breaks_off_is_still_events(kind: str, whole: str) -> None:
    """What came whole is structure, the rest is text; all of it comes back, the rest as a piece of its own."""
    start, end = ("data: ", "\n\n") if whole == "events" else ("", "\n")
    body = "".join(f'{start}{{"n":{n},"text":"word"}}{end}' for n in range(4)) + start + '{"n":4,"te'
    packed = pack(body.encode(), kind)
    assert len(packed[whole]) == 4
    assert packed["after"] == start + '{"n":4,"te'
    back, ends = unpack(packed)
    assert back.decode() == body
    assert len(ends) == 5
