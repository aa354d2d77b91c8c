"""Counters of tokens: what is a count, what is usage, and that it never falls within a stream."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.vendors.usage import count_of, grown_counts, sum_of, usage_of
from tests.cases import each
from tests.vendors.samples import SAMPLES


@each(
    ("value", "count"),
    [
        (0, 0), (7, 7), ("12", 12), (" 12 ", 12), (12.0, 12), (3.9, 3), ("3.5", 3), (None, None), (True, None),
        (-1, None), ("-1", None), ("many", None), ("", None), ([3], None), ({}, None), (10**12, None),
        (float("nan"), None), (float("inf"), None), ("1e999", None),
    ],
)  # fmt: skip
def test_counts(value: Any, count: int | None) -> None:
    """Numbers and numbers as text are counts; what is negative, absurd or something else is none."""
    assert count_of(value) == count


def test_sums() -> None:
    """What is absent adds nothing; what is no count makes the sum unknown."""
    assert (sum_of(), sum_of(None), sum_of(1, None, "2")) == (0, 0, 3)
    assert sum_of(1, -1) is None


def test_usage() -> None:
    """The total is the vendor's or the sum; details that are no counts are left out, zeros are kept."""
    assert usage_of(3, 2) == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    usage = usage_of("3", 2, 9, inputs={"cache_read": 0, "audio": None}, outputs={"reasoning": "x"})
    assert usage == {
        "input_tokens": 3,
        "output_tokens": 2,
        "total_tokens": 9,
        "input_token_details": {"cache_read": 0},
    }


@each(("read", "written"), [(-3, 2), (3, -2), (None, 2), (3, "much"), (3, 10**15)])
def test_absurd_usage_is_none(read: Any, written: Any) -> None:
    """Nothing is counted, and nothing is charged, by numbers that cannot be true."""
    assert usage_of(read, written) is None


def test_no_total_is_less_than_its_parts() -> None:
    """It is a mistake of the counter; some report it for the prompt alone."""
    assert usage_of(3, 2, 1) == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def test_counts_grow() -> None:
    """Zeros, nulls and smaller counts take nothing back, however deep; words and lists are replaced."""
    usage: Any = None
    for event in (
        {"in": 0, "tier": "a"},
        {"in": 9, "out": 1, "parts": {"cached": 4}, "list": [1]},
        {"in": 0, "out": 5, "parts": {"cached": 0, "more": "2"}, "tier": "b", "list": [1, 2]},
        {"in": None, "out": -1, "parts": None},
        None,
        7,
    ):
        usage = grown_counts(usage, event)
    parts = {"cached": 4, "more": "2"}
    assert usage == {"in": 9, "out": 5, "parts": parts, "tier": "b", "list": [1, 2]}


# -- all vendors ---------------------------------------------------------------------------------------

SIDES = {
    "openai": ("usage", "prompt_tokens", "completion_tokens"),
    "responses": ("usage", "input_tokens", "output_tokens"),
    "anthropic": ("usage", "input_tokens", "output_tokens"),
    "google": ("usageMetadata", "promptTokenCount", "candidatesTokenCount"),
    "cohere": ("usage", "input_tokens", "output_tokens"),
    "ollama": ("", "prompt_eval_count", "eval_count"),
}


def counters(name: str, read: Any, written: Any) -> dict[str, Any]:
    """Return the fields of an answer that report two counts."""
    holder, *sides = SIDES[name]
    counts = dict(zip(sides, (read, written), strict=True))
    counts = {"tokens": counts} if name == "cohere" else counts
    return {holder: counts} if holder else counts


def answered(name: str, read: Any, written: Any, *, stream: bool) -> AIMessage:
    """Return the answer of a vendor's sample with other counts."""
    sample = SAMPLES[name]
    fields = counters(name, read, written)
    if not stream:
        body = json.dumps({**sample.whole, **fields}).encode()
        return sample.codec.decode_response(sample.call(), body, {})
    *events, last = sample.events
    inner = {"responses": "response", "cohere": "delta"}.get(name)
    events = [without(event, SIDES[name][0]) for event in events]
    last = {**last, inner: {**last[inner], **fields}} if inner else {**last, **fields}
    decoder = sample.codec.stream_decoder(sample.call(stream=True), {})
    chunks = [chunk for event in [*events, last] for chunk in decoder.feed(sample.frame(event))]
    return [*chunks, *decoder.close()][-1]


def without(value: Any, key: str) -> Any:
    """Return an event without what it reports of usage."""
    if isinstance(value, dict):
        return {name: without(item, key) for name, item in value.items() if name != key}
    return value


@each("stream", [False, True])
@each("name", [name for name in SAMPLES if name != "anthropic"])
def test_counts_as_text_and_absurd_ones(name: str, stream: bool) -> None:
    """Every vendor's counts may be text; negative ones are no usage, and the answer stays an answer."""
    usage = answered(name, "12", 3.0, stream=stream).usage_metadata
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (12, 3, 15)
    for read, written in ((-5, 3), (5, -3), ("x", 3), (5, 10**12)):
        assert answered(name, read, written, stream=stream).usage_metadata is None


@each("counts", [[(0, 0), (9, 5)], [(9, 5), (0, 0)], [(9, 1), (9, 5)], [(9, 0), (0, 5)]])
@each("name", ["openai", "anthropic", "google"])
def test_counters_never_fall(name: str, counts: list[tuple[int, int]]) -> None:
    """Zeros first, zeros last, cumulative counts, and the sides in different events."""
    sample = SAMPLES[name]
    first, second = (counters(name, *pair) for pair in counts)
    events = {
        "openai": [
            {"choices": [{"index": 0, "delta": {"content": "a"}}], **first},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **second},
        ],
        "anthropic": [
            {"type": "message_start", "message": {"id": "m", **first}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, **second},
            {"type": "message_stop"},
        ],
        "google": [
            {"candidates": [{"content": {"parts": [{"text": "a"}]}}], **first},
            {"candidates": [{"finishReason": "STOP"}], **second},
        ],
    }[name]
    decoder = sample.codec.stream_decoder(sample.call(stream=True), {})
    chunks = [chunk for event in events for chunk in decoder.feed(sample.frame(event))]
    last = [*chunks, *decoder.close()][-1]
    assert last.usage_metadata == {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    assert decoder.used == last.usage_metadata


def test_corrections_of_the_prompt() -> None:
    """Gemini's last event corrects an estimate; Anthropic's compaction leaves the last prompt. Both recorded."""
    google = SAMPLES["google"]
    decoder = google.codec.stream_decoder(google.call(stream=True), {})
    estimate = {"promptTokenCount": 8, "totalTokenCount": 8}
    final = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
    parts = {"content": {"parts": [{"text": "a"}]}}
    decoder.feed(google.frame({"candidates": [parts], "usageMetadata": estimate}))
    decoder.feed(google.frame({"candidates": [{"finishReason": "STOP"}], "usageMetadata": final}))
    assert decoder.used == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    anthropic = SAMPLES["anthropic"]
    decoder = anthropic.codec.stream_decoder(anthropic.call(stream=True), {})
    before = {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 1}
    after = {"input_tokens": 80, "cache_read_input_tokens": 0, "output_tokens": 9, "iterations": [{}, {}]}
    decoder.feed(anthropic.frame({"type": "message_start", "message": {"usage": before}}))
    decoder.feed(anthropic.frame({"type": "message_delta", "delta": {}, "usage": after}))
    usage = decoder.used
    assert usage is not None
    assert (usage["input_tokens"], usage["output_tokens"]) == (80, 9)
