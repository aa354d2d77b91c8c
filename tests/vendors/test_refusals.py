"""Refusals in every form become refusal blocks, whole and streamed."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.vendors.refusals import completed
from tests.cases import each
from tests.vendors.test_finish_reasons import PLACES, answered

WORDS = (
    *(
        "SAFETY",
        "RECITATION",
        "PROHIBITED_CONTENT",
        "IMAGE_SAFETY",
        "content_filter",
        "refusal",
        "ERROR_TOXIC",
    ),
)
PROVIDERS = ("openai", "anthropic", "google_genai", "cohere", "ollama", "huggingface", "elsewhere")


def kinds(message: AIMessage) -> list[str]:
    """Return the types of a message's blocks, as LangChain reads them."""
    return [block["type"] for block in message.content_blocks]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("vendor", PLACES)
@pytest.mark.parametrize("word", WORDS)
def test_words_of_filters(word: str, vendor: str, stream: bool) -> None:
    """In any dialect there is one block, beside what the answer holds, and the common word is `refusal`."""
    if vendor == "cohere" and word == "ERROR_TOXIC":
        pytest.skip("Cohere's own errors are raised")
    message = completed(answered(vendor, word, stream=stream))
    if (vendor, stream) != ("responses", False):  # LangChain cannot read all of the sample's annotations
        assert kinds(message).count("refusal") == 1
    facts = message.response_metadata
    assert (facts["finish_reason"], facts["normalized_finish_reason"]) == (word, "refusal")


@each("provider", PROVIDERS)
def test_text_before_a_filter_is_kept(provider: str) -> None:
    """What came before the filter stays text, and the block follows it."""
    facts = {"model_provider": provider, "finish_reason": "content_filter"}
    whole = completed(AIMessage("So far", response_metadata=facts))
    start = AIMessageChunk("So far", response_metadata={"model_provider": provider})
    last = AIMessageChunk("", response_metadata={"finish_reason": "content_filter"}, chunk_position="last")
    last.response_metadata["model_provider"] = provider
    streamed = start + completed(last, [start])
    for message in (whole, streamed):
        assert (message.text, kinds(message)[-1]) == ("So far", "refusal")


def test_a_refusal_that_is_there_is_no_other() -> None:
    """OpenAI's text and Anthropic's stop reason are blocks already."""
    refused = AIMessage(
        "", additional_kwargs={"refusal": "No."}, response_metadata={"model_provider": "openai"}
    )
    stopped = AIMessage("", response_metadata={"model_provider": "anthropic", "stop_reason": "refusal"})
    for message in (refused, stopped):
        facts = completed(message).response_metadata
        assert facts["normalized_finish_reason"] == "refusal"
        assert kinds(message).count("refusal") == 1


def test_a_refusal_in_words_elsewhere() -> None:
    """LangChain reads the text that servers of OpenAI's format send for `openai` alone; here it is a block."""
    facts = {"model_provider": "huggingface", "finish_reason": "stop", "normalized_finish_reason": "refusal"}
    message = completed(AIMessage("", additional_kwargs={"refusal": "No."}, response_metadata=facts))
    assert [block.get("refusal") for block in message.content_blocks] == ["No."]


def test_the_facts_of_a_vendor_that_gives_its_word_alone() -> None:
    """As third parties' vendors may; an answer without any word has no facts."""
    call = {"name": "f", "args": {}, "id": "1"}
    message = completed(AIMessage("", tool_calls=[call], response_metadata={"finish_reason": "STOP"}))
    assert message.response_metadata == {
        "finish_reason": "STOP",
        "normalized_finish_reason": "tool_call",
        "finish_state": "complete",
    }
    assert completed(AIMessage("x")).response_metadata == {}
