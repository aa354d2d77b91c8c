"""Listings: what is written around a model's name, and where the data files list it."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.catalog.listing import Listing, undated
from tests.cases import each
from tests.catalog.listings import VENDORS, listing


@each(
    ("vendor", "written", "plain"),
    [
        ("openai", " OpenAI/GPT-6-Luna ", "gpt-6-luna"),
        ("openai", "openai:gpt-6-luna", "gpt-6-luna"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", "gpt-4o-mini-2024-07-18"),
        ("openai", "openai/", "openai/"),
        ("azure", "azure/openai/gpt-35-turbo", "gpt-3.5-turbo"),
        ("anthropic", "anthropic.claude-haiku-5-5", "claude-haiku-5-5"),
        ("google", "projects/p/locations/l/publishers/google/models/gemini-4-argon", "gemini-4-argon"),
        ("huggingface", "hf/meta-llama/Llama-3.3-70B-Instruct:groq", "meta-llama/llama-3.3-70b-instruct"),
        ("ollama", "registry.ollama.ai/library/llama3.1:8b", "llama3.1:8b"),
        ("compatible", "openai/gpt-6-luna", "openai/gpt-6-luna"),
    ],
)
def test_what_is_written_around_a_name_is_left_out(vendor: str, written: str, plain: str) -> None:
    """Case, spaces, prefixes, resource names, fine-tunes, and the vendor's own spelling."""
    assert listing(vendor).plain_name(written) == plain


def test_a_colon_is_part_of_a_name_or_a_tag_or_a_seller() -> None:
    """Each vendor's listing states which."""
    assert list(Listing("x").profile_names("a:b")) == ["a:b", "a:b"]
    assert list(Listing("x", colon="tag").profile_names("a:b")) == ["a:b", "a", "a"]
    served = Listing("x", colon="seller")
    assert list(served.profile_names("a:b")) == ["a", "a"]
    assert (served.seller_of("a:b"), Listing("x", seller="y").seller_of("a:b")) == ("x_b", "y")


def test_names_of_profiles_lose_date_and_variant() -> None:
    """The most exact name comes first."""
    names = list(dict.fromkeys(listing("google").profile_names("gemini-2.5-flash-preview-09-2025")))
    assert names == ["gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash-preview", "gemini-2.5-flash"]


def test_names_of_prices_keep_what_was_written() -> None:
    """genai-prices matches some names with their prefix; then without, and without the date."""
    names = listing("openai").price_names("openai/gpt-6-luna-2026-09-22")
    assert names == ("openai/gpt-6-luna-2026-09-22", "gpt-6-luna-2026-09-22", "gpt-6-luna")
    assert listing("huggingface").price_names("org/model:groq") == ("org/model",)


@given(st.sampled_from(["gpt-6-luna", "claude-haiku-5-5", "gemini-4-argon"]), st.dates(date(2000, 1, 1)))
def test_any_date_is_left_out(name: str, day: date) -> None:
    """A snapshot's date, whether it is listed or not."""
    if day.year < 2100:
        assert undated(f"{name}-{day.isoformat()}") == undated(f"{name}@{day:%Y%m%d}") == name


@given(st.sampled_from(sorted(VENDORS)), st.text(max_size=60))
def test_any_text_is_a_name(vendor: str, model: str) -> None:
    """Names come from users: none of them raises, and a plain name stays as it is."""
    own = listing(vendor)
    assert all(isinstance(name, str) for name in own.profile_names(model))
    assert isinstance(own.seller_of(model), str)
    assert own.price_names(model)
