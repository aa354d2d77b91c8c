"""Cohere: from a whole answer to a message."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import errors
from tests.cases import each
from tests.models import summed
from tests.vendors.cohere.calls import (
    ASKED,
    DONE,
    RESULT,
    START,
    USAGE,
    VENDOR,
    answer,
    call,
    decode,
    delta,
    end,
    events,
    stream,
    text,
    tool,
    turn,
)


def test_metadata() -> None:
    """Tokens are usage, whole numbers, cached and reasoning ones in the details."""
    thought = {"type": "thinking", "thinking": "hm"}
    message = decode({**answer(content=[thought, text("hi")]), "logprobs": [{"token_ids": [1]}]})
    assert message.content == "hi"
    assert message.additional_kwargs == {"reasoning_content": "hm"}
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert message.usage_metadata == {
        "input_tokens": 70,
        "output_tokens": 30,
        "total_tokens": 100,
        "input_token_details": {"cache_read": 16},
        "output_token_details": {"reasoning": 9},
    }
    assert message.response_metadata == {
        "model_provider": "cohere", "model_name": "command-a-03-2025", "finish_reason": "COMPLETE",
        "normalized_finish_reason": "stop", "finish_state": "complete", "stop_reason": "COMPLETE", "id": "a1", "usage": USAGE,
        "logprobs": [{"token_ids": [1]}],
    }  # fmt: skip


USAGES: list[tuple[Any, tuple[int, int] | None]] = [
    (None, None),
    ({}, None),
    ({"tokens": {}}, None),
    ({"billed_units": {"input_tokens": 4, "output_tokens": 3}}, (4, 3)),
    ({"tokens": {"input_tokens": 4}}, (4, 0)),
]


@each(("usage", "counts"), USAGES)
def test_usage(usage: Any, counts: tuple[int, int] | None) -> None:
    """No usage is invented."""
    found = decode({**answer(content=[text("hi")]), "usage": usage}).usage_metadata
    assert (found and (found["input_tokens"], found["output_tokens"])) == counts


FINISHES = [
    ("COMPLETE", "stop"), ("STOP_SEQUENCE", "stop"), ("MAX_TOKENS", "length"), ("TOOL_CALL", "tool_call"),
]  # fmt: skip


@each(("raw", "finish"), FINISHES)
def test_finish(raw: str, finish: str) -> None:
    """Finish reasons in LangChain's words."""
    assert decode(answer(raw, content=[text("hi")])).response_metadata["normalized_finish_reason"] == finish
    data = events(START, delta("content-delta", 0, content={"text": "hi"}), end(raw)) + DONE
    assert stream(data)[-1].response_metadata["normalized_finish_reason"] == finish


FAILURES = [
    ("ERROR", {}, errors.MalformedResponseError),
    ("ERROR", {"error": "something broke", "error_type": "INTERNAL"}, errors.MalformedResponseError),
    ("ERROR", {"error": "too many tokens", "error_type": "TOO_MANY_TOKENS"}, errors.ContextOverflowError),
    ("TIMEOUT", {}, errors.ServerError),
    (None, {"error": "something broke"}, errors.ServerError),
]


@each(("reason", "fields", "cls"), FAILURES)
def test_failed_answer(reason: str | None, fields: dict[str, Any], cls: type[errors.VendorError]) -> None:
    """A finish reason that means failure is an error, in a 200 too."""
    raw = (START, delta("content-delta", 0, content={"text": "hi"}))
    last = {"type": "message-end", "delta": {"finish_reason": reason, "usage": {}, **fields}}
    decoder = VENDOR.stream_decoder(call(), {})
    assert len(decoder.feed(events(*raw, last))) == 1
    with pytest.raises(cls) as raised:
        decoder.close()
    assert type(raised.value) is cls
    with pytest.raises(cls):
        decode({"id": "a1", "finish_reason": reason, "message": {"content": []}, **fields})


def test_plan_is_text() -> None:
    """The tool plan is the text beside the calls, and goes back as the plan."""
    message = decode(answer("TOOL_CALL", tool_plan="I look.", tool_calls=[tool('{"city":"Oslo"}')]))
    assert message.content == "I look."
    sent = turn(message)
    assert sent["tool_plan"] == "I look."
    assert sent["tool_calls"] == [tool('{"city":"Oslo"}')]


ARGUMENTS = [("", {}), ("null", {}), ("{}", {}), (' {"a": 1}', {"a": 1})]


@each("pieces", [1, 2])
@each(("raw", "args"), ARGUMENTS)
def test_arguments(raw: str, args: dict[str, Any], pieces: int) -> None:
    """A tool without arguments gets `null` or nothing at all; both are none."""
    assert decode(answer("TOOL_CALL", tool_calls=[tool(raw)])).tool_calls[0]["args"] == args
    parts = [raw] if pieces == 1 else list(raw)
    begun = delta("tool-call-start", 0, tool_calls=tool(""))
    deltas = [delta("tool-call-delta", 0, tool_calls={"function": {"arguments": part}}) for part in parts]
    total = summed(
        stream(events(START, begun, *deltas, {"type": "tool-call-end", "index": 0}, end("TOOL_CALL")))
    )
    assert [(item["args"], item["id"]) for item in total.tool_calls] == [(args, "c0")]
    assert not total.invalid_tool_calls
    assert [block["type"] for block in total.content_blocks] == ["tool_call"]


def test_arguments_with_the_start() -> None:
    """Arguments may come with the start of a call."""
    begun = delta("tool-call-start", 0, tool_calls=tool('{"city":"Oslo"}'))
    total = summed(stream(events(START, begun, end("TOOL_CALL"))))
    assert total.tool_calls[0]["args"] == {"city": "Oslo"}


@each("raw", ['{"city": "Os', "[1]", "nul", "3"])
def test_bad_arguments(raw: str) -> None:
    """Arguments that are no object never make a valid call."""
    message = decode(answer("MAX_TOKENS", tool_calls=[tool(raw)]))
    assert not message.tool_calls
    assert message.invalid_tool_calls[0]["args"] == raw
    begun = delta("tool-call-start", 0, tool_calls=tool(""))
    data = events(START, begun, delta("tool-call-delta", 0, tool_calls={"function": {"arguments": raw}}))
    decoder = VENDOR.stream_decoder(call(), {})
    decoder.feed(data)
    with pytest.raises(errors.TruncatedToolCallError):
        decoder.feed(events(end("MAX_TOKENS")))


def test_ids_and_names() -> None:
    """A call without an id gets the answer's; the caller finds the tool under its own name."""
    raw = tool("{}", id=None)
    names = {"weather": "weather!"}
    whole = decode(answer("TOOL_CALL", tool_calls=[raw]), tool_names=names).tool_calls[0]
    begun = delta("tool-call-start", 0, tool_calls=raw)
    streamed = summed(stream(events(START, begun, end("TOOL_CALL")), tool_names=names)).tool_calls[0]
    assert whole == streamed
    assert (whole["id"], whole["name"]) == ("a1_call_0", "weather!")


MALFORMED = [b"", b"<html>", b"[]", b'{"message": "internal"}', b'{"id": "a1", "finish_reason": "COMPLETE"}']


@each("data", MALFORMED)
def test_malformed(data: bytes) -> None:
    """What is no answer is not taken for one."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), data, {})


SOURCE = {
    "type": "document",
    "id": "d1",
    "document": {"id": "d1", "title": "Sky", "url": "https://x.org", "text": "…"},
}
CITATION = {
    "start": 6,
    "end": 10,
    "text": "rain",
    "sources": [SOURCE],
    "type": "TEXT_CONTENT",
    "content_index": 1,
}
ANNOTATION = {
    "type": "citation", "start_index": 6, "end_index": 10, "title": "Sky", "url": "https://x.org",
    "extras": {"text": "rain", "sources": [SOURCE], "type": "TEXT_CONTENT"},
}  # fmt: skip
DOCUMENTS = {"documents": ["a text"]}


def without_index(content: Any) -> Any:
    """Return list content without the numbers that only streams need."""
    return [{name: block[name] for name in block if name != "index"} for block in content]


def test_citations() -> None:
    """Citations are LangChain's standard annotations, on the text they cite, streamed or not."""
    thought = {"type": "thinking", "thinking": "hm"}
    expected = [{"type": "text", "text": "Under rain.", "annotations": [ANNOTATION]}]
    whole = decode(answer(content=[thought, text("Under rain.")], citations=[CITATION]))
    assert whole.content == expected
    assert [block["type"] for block in whole.content_blocks] == ["reasoning", "text"]
    raw = [
        START,
        delta("content-start", 0, content={"type": "thinking", "thinking": ""}),
        delta("content-delta", 0, content={"thinking": "hm"}),
        {"type": "content-end", "index": 0},
        delta("content-start", 1, content={"type": "text", "text": ""}),
        delta("content-delta", 1, content={"text": "Under rain"}),
        delta("citation-start", 0, citations={k: v for k, v in CITATION.items() if k != "content_index"}),
        {"type": "citation-end", "index": 0},
        delta("content-delta", 1, content={"text": "."}),
        end(),
    ]
    total = summed(stream(events(*raw) + DONE, extra=DOCUMENTS))
    assert without_index(total.content) == expected
    assert without_index(total.content_blocks)[1:] == expected
    assert total.text == whole.text == "Under rain."


def test_unforeseen_citation() -> None:
    """A citation that was not requested does not spoil the text, and is kept."""
    raw = [
        START,
        delta("content-delta", 0, content={"text": "rain"}),
        delta("citation-start", 0, citations=CITATION),
    ]
    total = summed(stream(events(*raw, end())))
    assert total.content == "rain"
    assert total.additional_kwargs == {"citations": [CITATION]}


def test_plan_citation() -> None:
    """A plan may cite; what cites no text is kept as it came."""
    citation = {**CITATION, "type": "PLAN", "content_index": None}
    stray = {**CITATION, "type": "THINKING_CONTENT", "content_index": 0}
    message = decode(answer(tool_plan="I see rain", tool_calls=[tool("{}")], citations=[citation, stray]))
    assert message.content[0]["annotations"][0]["extras"]["type"] == "PLAN"
    assert message.additional_kwargs["citations"] == [stray]


MODES = [({}, False), (DOCUMENTS, True), ({**DOCUMENTS, "citation_options": {"mode": "OFF"}}, False)]


@each(("extra", "listed"), MODES)
def test_content_is_a_list_only_where_citations_may_come(extra: dict[str, Any], listed: bool) -> None:
    """Plain answers stream as strings."""
    data = events(START, delta("content-delta", 0, content={"text": "hi"}), end())
    assert isinstance(summed(stream(data, extra=extra)).content, list) is listed
    assert isinstance(summed(stream(data, messages=[HumanMessage("hi"), ASKED, RESULT])).content, list)
