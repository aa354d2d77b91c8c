"""Nothing empty, cut or of another shape passes for an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.answer_checks import check_answer, is_empty
from tests.cases import each
from tests.vendors.samples import ODD, SAMPLES, Sample, variants

CALL = {"name": "f", "args": {}, "id": "c1"}


@each(
    ("message", "empty"),
    [
        (AIMessage(""), True),
        (AIMessage([]), True),
        (AIMessage([""]), True),
        (AIMessage([{"type": "text", "text": "", "index": 0}]), True),
        (AIMessage([{"type": "thinking", "index": 0}]), True),
        (AIMessage([{"index": 0}]), True),
        (AIMessage("a"), False),
        (AIMessage(["a"]), False),
        (AIMessage([{"type": "text", "text": "a"}]), False),
        (AIMessage([{"type": "thinking", "signature": "S"}]), False),
        (AIMessage([{"type": "image", "url": "u"}]), False),
        (AIMessage("", tool_calls=[CALL]), False),
        (AIMessage("", invalid_tool_calls=[{**CALL, "args": "{", "error": "cut"}]), False),
        (AIMessage("", additional_kwargs={"reasoning_content": "hm"}), False),
        (AIMessageChunk("", tool_call_chunks=[{"name": None, "args": "", "id": None, "index": 0}]), False),
    ],
)
def test_what_is_empty(message: AIMessage, empty: bool) -> None:
    """Text, reasoning, media and tool calls are content; types and indices are not."""
    assert is_empty(message) is empty


@each(
    ("message", "cls"),
    [
        (AIMessage("", response_metadata={"finish_reason": "stop"}), errors.EmptyAnswerError),
        (AIMessage("", response_metadata={"finish_reason": "tool_calls"}), errors.EmptyAnswerError),
        (
            AIMessage("a", invalid_tool_calls=[{**CALL, "args": "{", "error": "cut"}]),
            errors.TruncatedToolCallError,
        ),
    ],
)
def test_answers_that_are_refused(message: AIMessage, cls: type[errors.VendorError]) -> None:
    """A normal end without content, and a call whose arguments are cut."""
    with pytest.raises(cls):
        check_answer(message)


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_other_ends_may_be_empty(finish: str) -> None:
    """A limit or a filter can leave nothing."""
    check_answer(AIMessage("", response_metadata={"finish_reason": finish}))


def decoded(sample: Sample, body: Any) -> AIMessage | errors.VendorError:
    """Return the message in a whole body, or the error; any other exception is a failure."""
    try:
        return sample.codec.decode_response(sample.call(), json.dumps(body).encode(), {})
    except errors.VendorError as error:
        return error


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_whole_answers_of_another_shape(sample: Sample) -> None:
    """Whatever stands where something else is expected: a message, or an error of the vendor."""
    assert isinstance(decoded(sample, sample.whole), AIMessage)
    for odd in (*ODD, *variants(sample.whole)):
        message = decoded(sample, odd)
        if isinstance(message, AIMessage):
            assert AIMessage(**message.model_dump(exclude={"type"})) == message
            assert isinstance(message.text, str)
            assert isinstance(message.content_blocks, list)  # what LangChain's translators make of it
