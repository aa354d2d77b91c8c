"""Answers and streams of LangChain's chat models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_llmdispatch import StreamInterruptedError
from langchain_llmdispatch.vendors.langchain.answer import ChunkDecoder
from langchain_llmdispatch.vendors.langchain.integrations import integration_of
from tests.cases import each
from tests.models import ONE_CALL
from tests.vendors.langchain.models import Scripted, answered, router
from tests.vendors.samples import OPENAI


@each("colour", ONE_CALL)
def test_its_answer_is_ours(colour: str) -> None:
    """Name, vendor, reason, usage and attempts are where they are for every vendor, and usage counts once."""
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    metadata = {"stop_reason": "end_turn", "model": "scripted-1-0724"}
    inner = Scripted(steps=[AIMessage("four", usage_metadata=usage, response_metadata=metadata)])
    model = router(inner)
    answer = answered(colour, model, "2+2?")
    facts = answer.response_metadata
    assert (answer.text, facts["normalized_finish_reason"], facts["model_name"]) == (
        "four",
        "stop",
        "scripted-1-0724",
    )
    assert facts["model_provider"] == "langchain"
    assert facts["llmdispatch"]["deployment"] == "langchain:scripted-1"
    assert [a["error"] for a in facts["llmdispatch"]["attempts"]] == [None]
    assert {key: answer.usage_metadata[key] for key in usage} == usage
    assert json.dumps(facts)
    assert model.get_stats().total_requests == 1
    assert model.get_stats().input_tokens == 3


@pytest.mark.parametrize("colour", ONE_CALL)
def test_a_model_that_does_not_stream_gives_one_chunk(colour: str) -> None:
    """Streaming falls back to the whole answer, tool calls and facts included."""

    class Whole(Scripted):
        _stream = BaseChatModel._stream

    call = {"name": "magic_function", "args": {"input": 3}, "id": "c1"}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    answer = answered(
        colour, router(Whole(steps=[AIMessage("", tool_calls=[call], usage_metadata=usage)])), "Hello"
    )
    assert [(c["name"], c["args"], c["id"]) for c in answer.tool_calls] == [
        ("magic_function", {"input": 3}, "c1")
    ]
    assert answer.usage_metadata == usage


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_stream_of_a_known_integration_needs_a_finish_reason(colour: str) -> None:
    """OpenAI's integration always gives one; without it the stream was cut."""
    cut = [AIMessageChunk("half an ans")]
    model = router(
        Scripted(provider="openai", steps=[cut], streams=True), Scripted(steps=[AIMessage("whole")])
    )
    with pytest.raises(StreamInterruptedError) as caught:
        answered(colour, model, "Hello")
    assert caught.value.partial.text == "half an ans"
    # An unknown integration may simply end.
    assert answered(colour, router(Scripted(steps=[[AIMessageChunk("all")]])), "Hello").text == "all"


@pytest.mark.parametrize("colour", ONE_CALL)
@pytest.mark.parametrize(
    "bad",
    [
        AIMessage(""),
        AIMessage("", response_metadata={"finish_reason": "stop"}),
        AIMessage("", invalid_tool_calls=[{"name": "f", "args": '{"a": ', "id": "1", "error": None}]),
    ],
)
def test_no_answer_is_no_answer(colour: str, bad: AIMessage) -> None:
    """Nothing, or half a tool call, falls back."""
    if bad.invalid_tool_calls and "stream" in colour:
        pieces = [{"name": "f", "args": '{"a": ', "id": "1", "index": 0}]
        steps: list[Any] = [[AIMessageChunk("", tool_call_chunks=pieces)]]
        with pytest.raises(StreamInterruptedError):
            answered(colour, router(Scripted(steps=steps)), "Hello")
        return
    model = router(Scripted(steps=[bad]), Scripted(steps=[AIMessage("spare")]), max_retries=0)
    assert answered(colour, model, "Hello").text == "spare"


def test_finish_reasons_and_extras_of_integrations() -> None:
    """Each integration's word becomes a common one; its own metadata stays."""
    words = {"MAX_TOKENS": "length", "tool_use": "tool_call", "SAFETY": "refusal", "end_turn": "stop"}
    for theirs, ours in words.items():
        message = AIMessage("x", response_metadata={"stopReason": theirs, "guardrail": "none"})
        facts = router(Scripted(steps=[message])).invoke("Hello").response_metadata
        assert (facts["normalized_finish_reason"], facts["guardrail"]) == (ours, "none")


@pytest.mark.parametrize("colour", ONE_CALL)
@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "FinishReason.MALFORMED_RESPONSE", "error"])
def test_words_for_failed_answers_are_errors(colour: str, word: str) -> None:
    """There is no answer, and the model is tried again."""
    failed = AIMessage("so", response_metadata={"finish_reason": word})
    model = router(Scripted(steps=[failed, AIMessage("whole")]))
    if colour in {"stream", "astream"}:
        with pytest.raises(StreamInterruptedError, match=word):
            answered(colour, model, "Hello")
    else:
        assert answered(colour, model, "Hello").text == "whole"


@each("word", ["MAX_TOKENS", "FinishReason.SAFETY", "refusal", "something new"])
def test_words_of_other_vendors(word: str) -> None:
    """They mean what they mean there; an unknown one is an end of another kind."""
    step = AIMessage("so", response_metadata={"finish_reason": word})
    found = answered("invoke", router(Scripted(steps=[step])), "Hello").response_metadata[
        "normalized_finish_reason"
    ]
    assert found == {"MAX_TOKENS": "length", "something new": "other"}.get(word, "refusal")


def test_a_finish_reason_ends_no_stream() -> None:
    """Gemini's packages give one with each chunk; the stream is whole when the model stops, or marks its last."""
    call, integration = OPENAI.call(stream=True), integration_of("google_genai", "chat-google-generative-ai")
    decoder = ChunkDecoder(call, integration)
    for text in ("One, ", "two."):
        chunk = AIMessageChunk(text, response_metadata={"finish_reason": "STOP"})
        assert [c.text for c in decoder.feed(ChatGenerationChunk(message=chunk))] == [text]
        assert not decoder.finished
    assert decoder.close()[-1].response_metadata["normalized_finish_reason"] == "stop"
    decoder = ChunkDecoder(call, integration)
    decoder.feed(ChatGenerationChunk(message=AIMessageChunk("x", chunk_position="last")))
    assert decoder.finished


def test_absurd_usage_is_none() -> None:
    """Nothing is counted by numbers that cannot be true."""
    usage = {"input_tokens": -3, "output_tokens": 5, "total_tokens": 2}
    model = router(Scripted(steps=[AIMessage("x", usage_metadata=usage)]))
    assert answered("invoke", model, "a").usage_metadata is None


def test_a_tier_before_the_names_of_details_is_taken_off() -> None:
    """langchain-openai writes `flex_cache_read` for what other models call `cache_read`; the cost is the tier's."""
    details = {"flex_cache_read": 8000, "flex": 2000}
    usage = {
        "input_tokens": 10_000,
        "output_tokens": 0,
        "total_tokens": 10_000,
        "input_token_details": details,
    }
    metadata = {"finish_reason": "stop", "model_name": "gpt-6-luna", "service_tier": "flex"}
    inner = Scripted(steps=[AIMessage("four", usage_metadata=usage, response_metadata=metadata)])
    answer = answered("invoke", router(inner), "2+2?")
    assert answer.usage_metadata["input_token_details"] == {"cache_read": 8000}
