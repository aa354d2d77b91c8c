"""Ollama: from a whole answer to a message."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import errors
from tests.cases import each
from tests.models import summed
from tests.vendors.ollama.calls import VENDOR, answer, call, decode, lines, stream


def test_metadata() -> None:
    """Counters are usage, timings are whole numbers of the metadata."""
    message = decode(answer(content="hi", thinking="hm"))
    assert message.content == "hi"
    assert message.additional_kwargs == {"reasoning_content": "hm"}
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]
    assert message.usage_metadata == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert message.id is None
    assert message.response_metadata == {
        "model_provider": "ollama", "model_name": "llama3.1", "finish_reason": "stop",
        "normalized_finish_reason": "stop", "finish_state": "complete", "done_reason": "stop",
        "created_at": "2026-11-01T10:00:00Z", "total_duration": 5, "prompt_eval_count": 7, "eval_count": 3,
    }  # fmt: skip


@pytest.mark.parametrize("missing", ["prompt_eval_count", "eval_count"])
def test_missing_counter(missing: str) -> None:
    """Half a usage is none: the other half would be invented."""
    raw = answer(content="hi")
    del raw[missing]
    assert decode(raw).usage_metadata is None
    assert stream(lines(raw))[-1].usage_metadata is None


FINISHES = [("stop", "stop"), ("length", "length"), (None, "stop"), ("", "stop"), ("custom", "other")]


@each(("reason", "finish"), FINISHES)
def test_finish(reason: str | None, finish: str) -> None:
    """Old servers name no reason; the end marker is `done`."""
    raw = {**answer(content="hi"), "done_reason": reason}
    assert decode(raw).response_metadata["normalized_finish_reason"] == finish
    assert stream(lines(raw))[-1].response_metadata["normalized_finish_reason"] == finish


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_no_generation(reason: str) -> None:
    """A model that was only loaded answered nothing."""
    raw = {**answer(), "done_reason": reason}
    with pytest.raises(errors.EmptyAnswerError):
        decode(raw)
    with pytest.raises(errors.EmptyAnswerError):
        stream(lines(raw))
    assert decode({**raw, "message": {"content": "hi"}}).content == "hi"


def tool_answer(*functions: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with calls that have no id."""
    return answer(tool_calls=[{"function": function} for function in functions])


def test_ids_are_made_once_and_for_all() -> None:
    """A call without an id gets one of its own: the same each time, another in the next turn."""
    raw = tool_answer(*2 * [{"name": "weather", "arguments": {"city": "Oslo"}}])
    first, second = [item["id"] for item in decode(raw).tool_calls]
    assert first != second
    assert [item["id"] for item in decode(raw).tool_calls] == [first, second]
    assert [item["id"] for item in stream(lines(raw))[-1].tool_calls] == [first, second]
    later = decode({**raw, "created_at": "2026-11-01T10:00:09Z"})
    assert later.tool_calls[0]["id"] != first


def test_tool_names_return() -> None:
    """The caller finds the tool under its own name."""
    raw = tool_answer({"name": "weather_", "arguments": {}})
    names = {"weather_": "weather!"}
    assert decode(raw, tool_names=names).tool_calls[0]["name"] == "weather!"
    assert stream(lines(raw), tool_names=names)[-1].tool_calls[0]["name"] == "weather!"


ARGUMENTS: list[tuple[Any, dict[str, Any]]] = [({}, {}), (None, {}), ("", {}), ('{"a": 1}', {"a": 1})]


@each(("raw", "args"), ARGUMENTS)
def test_arguments(raw: Any, args: dict[str, Any]) -> None:
    """Absent arguments are no arguments; proxies send them as text."""
    whole = tool_answer({"name": "weather", "arguments": raw})
    assert decode(whole).tool_calls[0]["args"] == args
    assert stream(lines(whole))[-1].tool_calls[0]["args"] == args
    assert decode(whole).response_metadata["normalized_finish_reason"] == "tool_call"


@each("raw", ['{"a": ', "[1]", [1], "null"])
def test_bad_arguments(raw: Any) -> None:
    """Arguments that are no object never make a valid call."""
    whole = tool_answer({"name": "weather", "arguments": raw})
    message = decode(whole)
    assert not message.tool_calls
    assert message.invalid_tool_calls[0]["id"]
    with pytest.raises(errors.TruncatedToolCallError):
        stream(lines(whole))


MALFORMED = [b"", b"<html>", b"[]", b'{"done": true}', b'{"message": {"content": "hi"}, "done": false}']


@each("data", MALFORMED)
def test_malformed(data: bytes) -> None:
    """What is no whole answer is not taken for one."""
    with pytest.raises(errors.MalformedResponseError):
        VENDOR.decode_response(call(), data, {})


def test_logprobs() -> None:
    """Log probabilities of all lines arrive once, at the end."""
    token = {"token": "hi", "logprob": -0.5}
    raw = [{**answer(content="hi"), "done": False, "logprobs": [token]}, {**answer(), "logprobs": [token]}]
    chunks = stream(lines(*raw))
    assert "logprobs" not in chunks[0].response_metadata
    assert summed(chunks).response_metadata["logprobs"] == [token, token]
    assert decode({**answer(content="hi"), "logprobs": [token]}).response_metadata["logprobs"] == [token]
