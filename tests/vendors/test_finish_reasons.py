"""Finish reasons: every vendor's words, in every dialect, whole and streamed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.vendors.finish_reasons import ending, ending_of, finish_reason_of, has_ended
from tests.cases import each
from tests.vendors.samples import SAMPLES


@each(
    ("word", "meaning"),
    [
        ("stop", "stop"),
        ("END_TURN", "stop"),
        ("eos_token", "stop"),
        ("maxTokens", "length"),
        ("Max-Tokens", "length"),
        ("max output tokens", "length"),
        ("FinishReason.MAX_TOKENS", "length"),
        ("FINISH_REASON_SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("refusal", "refusal"),
        ("guardrail_intervened", "content_filter"),
        ("tool_use", "tool_call"),
        ("function_call", "tool_call"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("abort", "error"),
        ("something new", None),
        ("", None),
        (None, None),
        (["stop"], None),
    ],
)
def test_words(word: Any, meaning: str | None) -> None:
    """Case and spelling do not matter; what is unknown has no meaning here."""
    assert ending_of(word) == meaning


def test_the_three_facts() -> None:
    """The vendor's own word, LangChain's, and whether another request is to continue the answer."""
    assert ending("pause_turn") == {
        "finish_reason": "pause_turn",
        "normalized_finish_reason": "other",
        "finish_state": "suspended",
    }
    assert ending(None) == {"normalized_finish_reason": "stop", "finish_state": "complete"}


def test_an_unknown_word_is_an_end() -> None:
    """The answer is there; calls in it must be answered next."""
    assert (finish_reason_of("something new"), finish_reason_of(None)) == ("other", "stop")
    assert [finish_reason_of(word, calls=True) for word in ("something new", "STOP")] == ["tool_call"] * 2
    assert finish_reason_of("length", calls=True) == "length"


@each("word", [None, "", "null", "None", "FINISH_REASON_UNSPECIFIED", "not_finished"])
def test_no_end(word: Any) -> None:
    """Servers stamp these on pieces before the end."""
    assert not has_ended(word)
    assert has_ended("stop")
    assert has_ended("something new")


# -- all vendors ---------------------------------------------------------------------------------------

PLACES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "openai": (("choices", 0, "finish_reason"), ("choices", 0, "finish_reason")),
    "anthropic": (("stop_reason",), ("delta", "stop_reason")),
    "google": (("candidates", 0, "finishReason"), ("candidates", 0, "finishReason")),
    "cohere": (("finish_reason",), ("delta", "finish_reason")),
    "ollama": (("done_reason",), ("done_reason",)),
    "responses": (("incomplete_details", "reason"), ("response", "incomplete_details", "reason")),
}
"""Where the word is in a whole answer, and in the event that holds it."""


def put(document: Any, path: tuple[Any, ...], word: str) -> Any:
    """Return `document` with a word in it."""
    document = copy.deepcopy(document)
    holder = document
    for key in path[:-1]:
        if key == "incomplete_details":
            holder |= {"status": "incomplete", key: {}}
        holder = holder[key]
    holder[path[-1]] = word
    return document


def answered(name: str, word: str, *, stream: bool) -> AIMessage:
    """Return the answer, or the last chunk, of a vendor's sample that ends with `word`."""
    sample, (whole, event) = SAMPLES[name], PLACES[name]
    if not stream:
        body = json.dumps(put(sample.whole, whole, word)).encode()
        return sample.codec.decode_response(sample.call(), body, {})
    *events, last = sample.events
    if name == "anthropic":
        events[-1] = put(events[-1], event, word)
    else:
        last = put(last, event, word)
    decoder = sample.codec.stream_decoder(sample.call(stream=True), {})
    chunks = [chunk for one in [*events, last] for chunk in decoder.feed(sample.frame(one))]
    return [*chunks, *decoder.close()][-1]


@each("stream", [False, True])
@each("name", PLACES)
def test_words_of_other_vendors(name: str, stream: bool) -> None:
    """A cut, refused or failed answer is no whole one in any dialect."""
    cut = ["MAX_TOKENS", "model_length"]
    # An Anthropic answer that is cut may be cut inside its last block, which here is a call.
    cut = [] if name == "anthropic" and not stream else cut
    for word in (*cut, "SAFETY", "recitation", "Refusal", "PROHIBITED_CONTENT", "contentFilter"):
        reason = answered(name, word, stream=stream).response_metadata["normalized_finish_reason"]
        refused = (name, stream) == ("openai", True)  # the sample holds a refusal
        assert reason == ("refusal" if refused else ending_of(word)), word
    for word in ("MALFORMED_FUNCTION_CALL", "error", "malformed_tool_use"):
        with pytest.raises(errors.VendorError, match=word):
            answered(name, word, stream=stream)


@each("stream", [False, True])
@each("name", ["openai", "anthropic", "cohere", "ollama"])
def test_unknown_words_are_kept(name: str, stream: bool) -> None:
    """An unknown word is an end, and the vendor's own word stays in the metadata."""
    metadata = answered(name, "something new", stream=stream).response_metadata
    assert metadata["normalized_finish_reason"] in {"other", "tool_call", "refusal"}
    assert metadata["finish_reason"] == "something new"
