"""Owned words: data of each vendor, with their places."""

from __future__ import annotations

import pytest

from langchain_llmdispatch.vendors import VENDORS
from langchain_llmdispatch.vendors.base import OwnedWords, Vendor, Word
from langchain_llmdispatch.vendors.google import GoogleVendor
from langchain_llmdispatch.vendors.openai import OpenAIVendor


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_each_word_has_a_place(vendor: type[Vendor]) -> None:
    """A word goes into the body or a header, or steers the codec, or stands for something neutral."""
    for name, word in vendor.words.words.items():
        assert word.path or word.header or word.switch or word.as_neutral, name


def test_a_word_is_found_as_the_sdk_and_as_the_api_spell_it() -> None:
    """Gemini's `cached_content` is `cachedContent` in its body."""
    words = GoogleVendor.words
    assert words.find("cached_content") == words.find("cachedContent")
    assert words.find("image_config").path == ("generationConfig", "imageConfig")


def test_a_word_names_the_api_that_has_it() -> None:
    """Some words of OpenAI's belong to one API only."""
    words = OpenAIVendor.words
    assert words.find("prediction").apis == {"chat"}
    assert words.find("truncation").apis == {"responses"}
    assert words.find("prompt_cache_key").apis == frozenset()


def test_what_is_added_by_hand_keeps_the_place_of_the_file() -> None:
    """A description without a place describes a word of the SDK."""
    words = OwnedWords("openai/words.json", {"truncation": Word(harmless=True), "own": Word(("a", "b"))})
    assert words.find("truncation") == Word(("truncation",), frozenset({"responses"}), harmless=True)
    assert words.find("own").path == ("a", "b")
