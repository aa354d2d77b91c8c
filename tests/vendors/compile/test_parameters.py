"""The parameters compiler: what each vendor and model takes of the neutral set."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedParameterError
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.parameters import compile_parameters, effort_of, nearest_effort
from langchain_llmdispatch.vendors.parameters import NEUTRAL
from tests.cases import each

_VENDORS = builtin_vendors()
_ANY = ModelFacts()
_REASONER = ModelFacts(reasoning=True, temperature="default_only", effort_levels=("low", "medium", "high"))
_SWITCHED = ModelFacts(
    reasoning=True, temperature="with_effort_none", effort_levels=("none", "low", "high", "max")
)


@each(
    ("vendor", "facts", "given", "taken", "kinds"),
    [
        ("openai", _ANY, {"temperature": 0.2, "seed": 1}, {"temperature": 0.2, "seed": 1}, []),
        ("anthropic", _ANY, {"seed": 1, "user": "u"}, {"user": "u"}, ["seed_dropped"]),
        ("google", _ANY, {"user": "u", "top_k": 3}, {"top_k": 3}, ["user_dropped"]),
        ("openai", _ANY, {"top_k": 3}, {}, ["top_k_dropped"]),
        ("ollama", _ANY, {"min_p": 0.1}, {"min_p": 0.1}, []),
        # aliases
        ("openai", _ANY, {"max_completion_tokens": 5, "max_tokens": 9}, {"max_tokens": 5}, []),
        ("openai", _ANY, {"stop": "a"}, {"stop": ["a"]}, []),
        # sampling
        (
            "openai",
            _REASONER,
            {"temperature": 0.2, "top_p": 0.5},
            {},
            ["temperature_dropped", "top_p_dropped"],
        ),
        ("openai", _REASONER, {"temperature": 1, "top_p": 1.0}, {}, []),
        (
            "openai",
            _REASONER,
            {"presence_penalty": 1, "stop": ["a"]},
            {},
            ["presence_penalty_dropped", "stop_dropped"],
        ),
        ("anthropic", _REASONER, {"stop": ["a"], "top_k": 2}, {"stop": ["a"]}, ["top_k_dropped"]),
        ("openai", _SWITCHED, {"temperature": 0.2}, {}, ["temperature_dropped"]),
        (
            "openai",
            _SWITCHED,
            {"temperature": 0.2, "reasoning_effort": "none"},
            {"temperature": 0.2, "reasoning_effort": "none"},
            [],
        ),
        ("anthropic", _ANY, {"temperature": 1.5}, {"temperature": 1}, ["temperature_adapted"]),
        ("anthropic", _ANY, {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, ["top_p_dropped"]),
        # stops
        ("openai", _ANY, {"stop": list("abcde")}, {"stop": list("abcd")}, ["stop_adapted"]),
        ("google", _ANY, {"stop": list("abcde")}, {"stop": list("abcde")}, []),
        ("anthropic", _ANY, {"stop": ["\n", "x"]}, {"stop": ["x"]}, ["stop_adapted"]),
        ("anthropic", _ANY, {"stop": ["\n"]}, {}, ["stop_dropped"]),
        # effort and thinking
        ("openai", _ANY, {"reasoning_effort": "low"}, {}, ["reasoning_effort_dropped"]),
        ("local", _ANY, {"reasoning_effort": "low"}, {"reasoning_effort": "low"}, []),
        (
            "openai",
            _REASONER,
            {"reasoning_effort": "xhigh"},
            {"reasoning_effort": "high"},
            ["reasoning_effort_adapted"],
        ),
        (
            "openai",
            _SWITCHED,
            {"reasoning_effort": "minimal"},
            {"reasoning_effort": "low"},
            ["reasoning_effort_adapted"],
        ),
        (
            "openai",
            _REASONER,
            {"thinking": {"type": "enabled", "budget_tokens": 4000}},
            {"reasoning_effort": "medium"},
            ["thinking_adapted"],
        ),
        (
            "openai",
            _SWITCHED,
            {"thinking": {"type": "disabled"}},
            {"reasoning_effort": "none"},
            ["thinking_adapted"],
        ),
        ("anthropic", _REASONER, {"thinking": {"type": "enabled"}}, {"thinking": {"type": "enabled"}}, []),
        # limits
        (
            "openai",
            ModelFacts(max_output_tokens=10),
            {"max_tokens": 99},
            {"max_tokens": 10},
            ["max_tokens_adapted"],
        ),
        ("openai", _ANY, {"top_logprobs": 2}, {"top_logprobs": 2, "logprobs": True}, []),
        ("cohere", _ANY, {"top_logprobs": 2}, {"logprobs": True}, ["top_logprobs_dropped"]),
        ("openai", _ANY, {"temperature": None}, {}, []),
    ],
)
def test_what_a_target_takes(
    vendor: str, facts: ModelFacts, given: dict[str, Any], taken: dict[str, Any], kinds: list[str]
) -> None:
    """Table: given, taken, and what is reported."""
    before = dict(given)
    params, changes = compile_parameters(given, _VENDORS[vendor], facts)
    assert params == taken
    assert [change.kind for change in changes] == kinds
    assert given == before


def test_raise_names_parameter_value_and_model() -> None:
    """With `raise` nothing is adapted silently."""
    with pytest.raises(UnsupportedParameterError, match=r"openai:gpt-9 does not take temperature=0\.2"):
        compile_parameters({"temperature": 0.2}, _VENDORS["openai"], _REASONER, "raise", model="gpt-9")
    with pytest.raises(UnsupportedParameterError, match="max_tokens=99"):
        compile_parameters({"max_tokens": 99}, _VENDORS["openai"], ModelFacts(max_output_tokens=10), "raise")
    assert compile_parameters({"temperature": 1}, _VENDORS["openai"], _REASONER, "raise") == ({}, [])


def test_drop_puts_nothing_in_a_parameters_place() -> None:
    """With `drop` an effort that is not there goes, limits are still cut."""
    facts = ModelFacts(reasoning=True, effort_levels=("low",), max_output_tokens=10)
    params, changes = compile_parameters(
        {"reasoning_effort": "max", "max_tokens": 99}, _VENDORS["openai"], facts, "drop"
    )
    assert params == {"max_tokens": 10}
    assert [change.kind for change in changes] == ["reasoning_effort_dropped", "max_tokens_adapted"]


def test_of_two_efforts_as_near_the_stronger_is_taken() -> None:
    """`minimal` lies between `none` and `low`."""
    assert nearest_effort("minimal", ("none", "low")) == "low"
    assert nearest_effort("max", ("low", "high")) == "high"


def test_unknown_names_are_for_the_body() -> None:
    """What is no neutral name is left out here; the compiler puts it into `extra`."""
    assert compile_parameters({"num_ctx": 1}, _VENDORS["ollama"], _ANY) == ({}, [])
    assert all(vendor.parameters.takes <= NEUTRAL for vendor in _VENDORS.values())


@each(
    ("thinking", "effort"),
    [
        (True, "medium"),
        (False, "none"),
        ({"type": "disabled"}, "none"),
        ({"type": "enabled"}, "medium"),
        ({"budget_tokens": 2048}, "low"),
        ({"thinking_budget": 8192}, "medium"),
        ({"budget_tokens": 8193}, "high"),
        ("low", "low"),
        ({"token_budget": 9000}, "high"),
        ({"thinkingLevel": "MEDIUM"}, "medium"),
        ({"thinking_budget": 0}, "none"),
        ({"type": "adaptive"}, "medium"),
        (7, "low"),
        (0, "none"),
        (7.5, None),
    ],
)
def test_a_thinking_setting_means_an_effort(thinking: Any, effort: str | None) -> None:
    """A switch, a type, or a budget of tokens."""
    assert effort_of(thinking) == effort


# -- words of one vendor for what all have -------------------------------------------------------------


@each(
    ("vendor", "tier", "taken", "kinds"),
    [
        ("openai", "standard_only", "default", ["service_tier_adapted"]),
        ("openai", "priority", "priority", []),
        ("anthropic", "priority", "auto", ["service_tier_adapted"]),
        ("anthropic", "default", "standard_only", ["service_tier_adapted"]),
        ("anthropic", "flex", None, ["service_tier_dropped"]),
        ("google", "fast", "priority", ["service_tier_adapted"]),
        ("google", "default", "standard", ["service_tier_adapted"]),
        ("compatible", "whatever", "whatever", []),
        ("cohere", "flex", None, ["service_tier_dropped"]),
    ],
)
def test_a_tier_is_written_in_the_vendors_word(
    vendor: str, tier: str, taken: str | None, kinds: list[str]
) -> None:
    """Or left out where it has no such tier: it makes no difference to an answer."""
    params, changes = compile_parameters({"service_tier": tier}, _VENDORS[vendor], _ANY)
    assert (params.get("service_tier"), [change.kind for change in changes]) == (taken, kinds)
    assert not any(change.lossy for change in changes)


@each(
    ("vendor", "given", "taken", "kinds"),
    [
        ("anthropic", {"metadata": {"user_id": "u"}}, {"user": "u"}, []),
        ("anthropic", {"metadata": {"user_id": "u", "a": "b"}}, {"user": "u"}, ["metadata_dropped"]),
        ("openai", {"metadata": {"user_id": "u"}}, {"metadata": {"user_id": "u"}}, []),
        ("cohere", {"metadata": {"user_id": "u"}}, {}, ["metadata_dropped"]),
        ("openai", {"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}, []),
        ("cohere", {"presence_penalty": -0.5}, {"presence_penalty": 0}, ["presence_penalty_adapted"]),
        ("cohere", {"frequency_penalty": 1.5}, {"frequency_penalty": 1}, ["frequency_penalty_adapted"]),
        ("openai", {"max_tokens": -1}, {}, ["max_tokens_dropped"]),
        ("ollama", {"num_predict": -1}, {"max_tokens": -1}, []),
        ("compatible", {"random_seed": 3, "effort": "low"}, {"seed": 3, "reasoning_effort": "low"}, []),
        ("cohere", {"p": 0.5, "k": 3}, {"top_p": 0.5, "top_k": 3}, []),
        (
            "cohere",
            {"top_p": 1.0, "top_k": 1000},
            {"top_p": 0.99, "top_k": 500},
            ["top_p_adapted", "top_k_adapted"],
        ),
        ("cohere", {"top_k": -1}, {}, ["top_k_dropped"]),
        ("google", {"top_k": 0}, {}, ["top_k_dropped"]),
        ("ollama", {"top_k": -1}, {"top_k": -1}, []),
        ("openai", {"metadata": {"a": "1", "b": None, "c": 2}}, {"metadata": {"a": "1", "c": "2"}}, []),
        ("anthropic", {"thinking": [1]}, {}, ["thinking_dropped"]),
    ],
)
def test_other_vendors_words_for_a_parameter(
    vendor: str, given: dict[str, Any], taken: dict[str, Any], kinds: list[str]
) -> None:
    """Users in metadata, Gemini's number of log probabilities, ranges, Ollama's no limit."""
    params, changes = compile_parameters(given, _VENDORS[vendor], _ANY)
    assert (params, [change.kind for change in changes]) == (taken, kinds)
