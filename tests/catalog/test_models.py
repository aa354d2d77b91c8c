"""The catalog: which model is meant, what it can do, and what several models share."""

from __future__ import annotations

import json
import runpy
import sys
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models.model_profile import ModelProfile

import langchain_llmdispatch
from langchain_llmdispatch.catalog import models as catalog
from langchain_llmdispatch.catalog.files import read_data
from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.models import ModelFacts, facts, profile, shared_profile
from tests.cases import each
from tests.catalog.listings import listing

SCRIPT = Path(__file__).parents[2] / "scripts" / "refresh_catalog.py"
PACKAGE = Path(langchain_llmdispatch.__file__).parent  # CI tests an installed package
DATA = read_data("facts.json")
NAMES = [(vendor, name) for vendor, models in catalog._data().profiles.items() for name in models]


@each(
    ("vendor", "written", "meant"),
    [
        ("openai", "gpt-6-luna", "GPT-6 Luna"),
        ("openai", "GPT-6-Luna", "GPT-6 Luna"),
        ("openai", "openai/gpt-6-luna", "GPT-6 Luna"),
        ("openai", "openai:gpt-6-luna", "GPT-6 Luna"),
        ("openai", "gpt-6-luna-2026-09-01", "GPT-6 Luna"),
        ("openai", "gpt-4o-2024-08-06", "GPT-4o (2024-08-06)"),
        ("openai", "gpt-4-0613", "GPT-4"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", "GPT-4o mini"),
        ("azure", "gpt-6-luna", "GPT-6 Luna"),
        ("azure", "gpt-35-turbo", "GPT-3.5-turbo"),
        ("anthropic", "anthropic/claude-haiku-5-5", "Claude Haiku 5.5"),
        ("anthropic", "claude-haiku-5-5-20261007", "Claude Haiku 5.5"),
        ("anthropic", "claude-haiku-5-5-latest", "Claude Haiku 5.5"),
        ("anthropic", "claude-sonnet-4-6@20260217", "Claude Sonnet 4.6"),
        ("google", "models/gemini-4-argon", "Gemini 4 Argon"),
        ("google", "google_genai/gemini-4-argon", "Gemini 4 Argon"),
        ("google", "projects/p/locations/l/publishers/google/models/gemini-4-argon", "Gemini 4 Argon"),
        ("google", "gemini-2.5-flash-001", "Gemini 2.5 Flash"),
        ("google", "gemini-2.5-flash-preview-09-2025", "Gemini 2.5 Flash"),
    ],
)
def test_a_model_is_known_however_it_is_written(vendor: str, written: str, meant: str) -> None:
    """Case, prefixes, dates, aliases and variants lead to the same profile."""
    found = profile(listing(vendor), written)
    assert found is not None
    assert found["name"] == meant


@each(
    ("vendor", "model", "tokens"),
    [
        ("cohere", "command-a-03-2025", 256_000),
        ("cohere", "command-r7b-12-2024", 128_000),
        ("ollama", "llama3.1:8b", 131_072),
        ("ollama", "llama3.1:8b-instruct-q4_K_M", 131_072),
        ("local", "llama3.1", 131_072),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct:groq", 131_072),
        ("huggingface", "hf/openai/gpt-oss-20b", 131_072),
    ],
)
def test_vendors_without_a_partner_package_are_in_the_overlay(vendor: str, model: str, tokens: int) -> None:
    """Cohere, Ollama and Hugging Face models come from the hand-written overlay."""
    found = profile(listing(vendor), model)
    assert found is not None
    assert found["max_input_tokens"] == tokens
    assert facts(listing(vendor), model).context_window == tokens


@each(
    ("vendor", "model"),
    [
        ("openai", "gpt-99"),
        ("openai", ""),
        ("openai", "gpt-6-luna-mine"),
        ("openai", "text-embedding-3-small"),
        ("azure", "prod-chat"),
        ("anthropic", "gpt-6-luna"),
        ("ollama", "mine:latest"),
        ("unknown", "gpt-6-luna"),
    ],
)
def test_an_unknown_model_has_no_profile(vendor: str, model: str) -> None:
    """Nothing is guessed from a name that merely resembles another."""
    assert profile(listing(vendor), model) is None


@each("vendor", ["openai", "azure", "google", "cohere", "huggingface", "ollama", "compatible"])
def test_an_unknown_model_is_assumed_able(vendor: str) -> None:
    """Unknown models take temperature, schemas and JSON mode, with unknown limits and media."""
    able = facts(listing(vendor), "brand-new-model")
    assert able.temperature == "any"
    assert able.structured_output
    assert able.json_mode
    assert able.responses_api == "never"
    assert (able.context_window, able.max_output_tokens, able.images) == (None, None, None)


def test_a_profile_speaks_only_langchains_keys() -> None:
    """No profile holds a key that `ModelProfile` does not declare."""
    declared = set(get_type_hints(ModelProfile))
    for vendor, name in NAMES:
        found = profile(listing(vendor), name)
        assert found is not None, (vendor, name)
        assert set(found) <= declared


def test_a_profile_is_the_callers_own() -> None:
    """Changing a profile, or a list in it, changes no other's."""
    mine = profile(listing("openai"), "gpt-6-luna")
    assert mine is not None
    mine["reasoning_effort_levels"].clear()
    mine["name"] = "mine"
    again = profile(listing("openai"), "gpt-6-luna")
    assert again is not None
    assert again["name"] == "GPT-6 Luna"
    assert again["reasoning_effort_levels"][0] == "none"
    assert facts(listing("openai"), "gpt-6-luna").effort_levels[0] == "none"


FACTS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "openai",
        "gpt-6-luna",
        {"temperature": "with_effort_none", "responses_api": "tools", "reasoning": True},
    ),
    ("openai", "gpt-6-astra", {"temperature": "default_only", "responses_api": "tools"}),
    ("openai", "gpt-6.1-sol-2026-10-26", {"temperature": "default_only", "responses_api": "tools"}),
    (
        "openai",
        "gpt-6.1-terra",
        {"temperature": "with_effort_none", "max_tokens_field": "max_completion_tokens"},
    ),
    ("openai", "gpt-5.5-pro", {"responses_api": "always", "temperature": "default_only"}),
    ("openai", "gpt-5.3-codex", {"responses_api": "always"}),
    ("openai", "gpt-5-chat-latest", {"temperature": "any", "reasoning": False, "responses_api": "never"}),
    ("openai", "gpt-5.1-chat-latest", {"temperature": "default_only"}),
    (
        "openai",
        "gpt-5-mini",
        {"temperature": "default_only", "responses_api": "never", "system_role": "system"},
    ),
    (
        "openai",
        "o3",
        {"system_role": "developer", "parallel_tool_calls": False, "temperature": "default_only"},
    ),
    ("openai", "gpt-4o-mini", {"temperature": "any", "structured_output": True, "images": True}),
    ("openai", "gpt-4", {"structured_output": False, "json_mode": False}),
    ("openai", "gpt-4-turbo", {"structured_output": False, "json_mode": True}),
    ("azure", "gpt-4o", {"max_tokens_field": "max_tokens"}),
    ("azure", "gpt-35-turbo", {"max_tokens_field": "max_tokens", "structured_output": False}),
    ("azure", "gpt-6-luna", {"max_tokens_field": "max_completion_tokens", "responses_api": "tools"}),
    ("azure", "prod-chat", {"max_tokens_field": "max_completion_tokens"}),
    (
        "anthropic",
        "claude-haiku-5-5",
        {"thinking": "adaptive", "prefill": False, "temperature": "default_only"},
    ),
    ("anthropic", "claude-haiku-5-5", {"forced_tool_choice": True, "structured_output": True}),
    ("anthropic", "claude-sonnet-5-5", {"forced_tool_choice": False, "thinking": "adaptive"}),
    ("anthropic", "claude-opus-5-5", {"forced_tool_choice": False}),
    ("anthropic", "claude-opus-5", {"forced_tool_choice": True, "thinking": "adaptive"}),
    ("anthropic", "claude-sonnet-4-6", {"temperature": "any", "prefill": False, "thinking": "adaptive"}),
    ("anthropic", "claude-haiku-4-5", {"temperature": "any", "prefill": True, "thinking": "budget"}),
    ("anthropic", "claude-next-9", {"temperature": "default_only", "thinking": "adaptive"}),
    ("google", "gemini-4-argon", {"thinking": "level", "thought_signatures": True, "prefill": False}),
    ("google", "gemini-3.8-flash", {"temperature": "default_only", "prefill": False}),
    ("google", "gemini-3.5-flash", {"temperature": "any", "thought_signatures": True, "prefill": True}),
    ("google", "gemini-2.5-flash", {"thinking": "budget", "thought_signatures": False, "audio": True}),
    ("cohere", "command-a-reasoning-08-2025", {"thinking": "budget", "reasoning": True}),
    ("cohere", "command-r-08-2024", {"forced_tool_choice": False, "structured_output": True}),
    ("ollama", "llama3.1:8b", {"max_tokens_field": "num_predict", "forced_tool_choice": False}),
    ("ollama", "gpt-oss:20b", {"thinking": "level", "effort_levels": ("low", "medium", "high")}),
    ("ollama", "qwen3:8b", {"thinking": "adaptive"}),
    ("ollama", "qwen3-coder:30b", {"thinking": "none"}),
]


@each(("vendor", "model", "row"), FACTS)
def test_facts_of_well_known_models(vendor: str, model: str, row: dict[str, Any]) -> None:
    """The facts that codecs depend on, model by model."""
    found = facts(listing(vendor), model)
    assert {name: getattr(found, name) for name in row} == row


def test_facts_are_cached_and_hashable() -> None:
    """The same question gets the very same answer, which can key a cache."""
    assert facts(listing("openai"), "gpt-6-luna") is facts(listing("openai"), "gpt-6-luna")
    assert hash(facts(listing("openai"), "gpt-6-luna")) == hash(
        facts(listing("openai"), "gpt-6-luna-2026-09-01")
    )


def _rows() -> list[tuple[str, dict[str, Any]]]:
    return [(vendor, row) for vendor, rules in DATA["vendors"].items() for row in rules["rows"]]


def test_every_row_names_its_source_and_only_known_facts() -> None:
    """A row is data with a reason: globs in lower case, known fields, legal values, a source."""
    hints = get_type_hints(ModelFacts)
    groups = [DATA["common"], *(rules["defaults"] for rules in DATA["vendors"].values())]
    for vendor, row in _rows():
        assert row["source"], (vendor, row)
        assert all(glob == glob.lower() for glob in row["models"])
    for group in [*groups, *(row["facts"] for _, row in _rows())]:
        for name, value in group.items():
            allowed = get_args(hints[name])
            assert not allowed or value in allowed or type(value) in (*allowed, list), (name, value)


def test_no_row_hides_behind_an_earlier_one() -> None:
    """First match wins, so no glob may be wholly covered by those before it."""
    for vendor, rules in DATA["vendors"].items():
        before: list[str] = []
        for row in rules["rows"]:
            for glob in row["models"]:
                names = [glob.replace("*", filling) for filling in ("", "~")]
                assert not all(any(fnmatchcase(name, each) for each in before) for name in names), (
                    vendor,
                    glob,
                )
            before += row["models"]


@given(st.sampled_from(NAMES), st.dates())
def test_a_dated_snapshot_has_the_facts_of_its_model(known: tuple[str, str], day: Any) -> None:
    """A date that is not listed changes no facts but the profile's own."""
    vendor, name = known
    if vendor in {"ollama", "huggingface"} or day.year < 2000:
        return
    dated = f"{name}-20{day.year % 100:02d}-{day.month:02d}-{day.day:02d}"
    assert profile(listing(vendor), dated) == profile(listing(vendor), name)


@given(st.text(max_size=40), st.text(max_size=60))
def test_any_text_is_a_model(section: str, model: str) -> None:
    """Names come from users: none of them raises."""
    assert isinstance(facts(Listing(section), model), ModelFacts)
    profile(Listing(section), model)


def test_threads_share_one_load() -> None:
    """Many threads at once get the same catalog object."""
    catalog._load.cache_clear()
    with ThreadPoolExecutor(16) as pool:
        loaded = list(pool.map(lambda _: id(catalog._data()), range(200)))
    assert len(set(loaded)) == 1
    assert catalog._load.cache_info().misses == 1


def test_the_data_has_its_day() -> None:
    """`as_of` is an ISO date."""
    assert all(read_data(f"{name}.json")["as_of"] >= "2026-11-24" for name in ("facts", "profiles", "prices"))


# -- what several models share -------------------------------------------------------------------------


def test_shared_profile_promises_what_all_can_do() -> None:
    """Booleans are and-ed, limits are the lowest, efforts are common ones, names vanish."""
    shared = shared_profile(
        [
            {
                "name": "a",
                "max_input_tokens": 10,
                "image_inputs": True,
                "reasoning_effort_levels": ["low", "max"],
            },
            {"name": "b", "max_input_tokens": 5, "image_inputs": False, "reasoning_effort_levels": ["low"]},
        ]
    )
    assert shared == {"max_input_tokens": 5, "image_inputs": False, "reasoning_effort_levels": ["low"]}


def test_shared_profile_is_not_vetoed_by_the_unknown() -> None:
    """Neither a model without a profile nor a key unsaid takes a promise away."""
    assert shared_profile([None, {"tool_calling": True}, {}, {"max_output_tokens": 7}]) == {
        "tool_calling": True,
        "max_output_tokens": 7,
    }


def test_shared_profile_of_nothing_is_unknown() -> None:
    """Where nothing is known, nothing is promised."""
    assert shared_profile([]) is None
    assert shared_profile([None, None]) is None


def test_shared_profile_keeps_a_default_effort_only_if_all_take_it() -> None:
    """A default that is no common level is no default."""
    one: ModelProfile = {"reasoning_effort_levels": ["low", "high"], "reasoning_effort_default": "high"}
    other: ModelProfile = {"reasoning_effort_levels": ["low"]}
    assert "reasoning_effort_default" in (shared_profile([one, one]) or {})
    assert "reasoning_effort_default" not in (shared_profile([one, other]) or {})


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5))
def test_shared_profile_never_promises_more_than_one_model_has(names: list[tuple[str, str]]) -> None:
    """For real profiles: no boolean turns true, no limit grows, order does not matter for them."""
    profiles = [profile(listing(vendor), name) for vendor, name in names]
    shared: dict[str, Any] = dict(shared_profile(profiles) or {})
    for found in profiles:
        for key, value in (found or {}).items():
            if isinstance(value, int):  # booleans too: False < True
                assert shared[key] <= value
    assert shared_profile([shared_profile(profiles)]) == shared_profile(profiles)


# -- the refresh script --------------------------------------------------------------------------------


def _refresh(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *argv])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return int(exit_.value.code or 0)


def test_refresh_keeps_the_overlay_and_other_vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refresh from a file replaces that vendor's models, drops what is no chat model, keeps the rest."""
    source, target = tmp_path / "source.json", tmp_path / "profiles.json"
    kept = {"as_of": "2020-01-01", "sources": {}, "overlay": {"openai": {"X": {"name": "x"}}}}
    target.write_text(json.dumps({**kept, "profiles": {"google": {"g": {"name": "g"}}}}))
    source.write_text(json.dumps({"New-1": {"name": "N", "nonsense": 1}, "new-embedding": {}}))
    args = ("--from", str(source), "--vendor", "openai", "--target", str(target))
    assert _refresh(monkeypatch, *args, "--check") == 1
    assert _refresh(monkeypatch, *args) == 0
    assert _refresh(monkeypatch, *args, "--check") == 0
    made = json.loads(target.read_text())
    assert made["overlay"] == kept["overlay"]
    assert made["profiles"] == {"google": {"g": {"name": "g"}}, "openai": {"new-1": {"name": "N"}}}
    assert made["sources"] == {"openai": "source.json"}
    assert made["as_of"] > "2020-01-01"


def test_the_file_in_the_package_is_what_the_script_writes() -> None:
    """The generated part was not edited by hand, nor its form."""
    script = runpy.run_path(str(SCRIPT))
    text = (PACKAGE / "catalog" / "data" / "profiles.json").read_text(encoding="utf-8")
    assert script["render"](json.loads(text)) == text
