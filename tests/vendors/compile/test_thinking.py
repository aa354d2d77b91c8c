"""The `thinking` setting in every vendor's form, written as another vendor takes it."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import HumanMessage

from langchain_llmdispatch.types import ChatRequest, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.compile.call import compile_call
from langchain_llmdispatch.vendors.compile.thinking import Thinking, is_in_form, thinking_of
from tests.cases import each

_VENDORS = builtin_vendors()
_FORMS = {
    "anthropic": {"type": "enabled", "budget_tokens": 5000},
    "cohere": {"type": "enabled", "token_budget": 5000},
    "google": {"thinking_budget": 5000},
    "switch": True,
    "type": {"type": "enabled"},
}


def params(vendor: str, model: str, thinking: Any) -> dict[str, Any]:
    """Return the parameters that a target gets for a setting."""
    request = ChatRequest([HumanMessage("hi")], params={"thinking": thinking})
    call, _ = compile_call(_VENDORS[vendor], request, model=model, endpoint=Endpoint("https://x.example"))
    return dict(call.params)


@each("form", _FORMS)
def test_each_form_is_read(form: str) -> None:
    """Budgets in each vendor's words."""
    found = thinking_of(_FORMS[form])
    assert found is not None
    assert found.on
    assert found.budget == (5000 if form in {"anthropic", "cohere", "google"} else None)
    assert is_in_form(_FORMS[form], form)


@each(
    ("vendor", "model", "written"),
    [
        ("anthropic", "claude-haiku-4-5", {"thinking": {"type": "enabled", "budget_tokens": 5000}}),
        ("anthropic", "claude-opus-5-5", {"reasoning_effort": "medium"}),
        ("google", "gemini-2.5-flash", {"thinking": {"thinkingBudget": 5000, "includeThoughts": True}}),
        ("google", "gemini-3-flash-preview", {"reasoning_effort": "medium"}),
        ("cohere", "command-a-reasoning-08-2025", {"thinking": {"type": "enabled", "token_budget": 5000}}),
        ("openai", "gpt-6-luna", {"reasoning_effort": "medium"}),
        ("ollama", "gpt-oss", {"thinking": True}),
        ("compatible", "deepseek-chat", {"thinking": {"type": "enabled"}}),
    ],
)
@each("form", ["anthropic", "google", "cohere"])
def test_a_budget_is_written_in_the_targets_form(form: str, vendor: str, model: str, written: Any) -> None:
    """Or as the effort that comes nearest."""
    if vendor == form == "google":
        written = {"thinking": _FORMS["google"]}  # its own form goes as it is
    assert params(vendor, model, _FORMS[form]) == written


@each("form", [False, {"type": "disabled"}, {"thinking_budget": 0}, "none"])
def test_switched_off_is_switched_off_everywhere(form: Any) -> None:
    """In each vendor's words."""
    assert thinking_of(form) == Thinking(on=False, level="none" if form == "none" else "")
    assert params("anthropic", "claude-haiku-4-5", form) == {"thinking": {"type": "disabled"}}
    assert params("openai", "gpt-6-luna", form) == {"reasoning_effort": "none"}
    assert params("ollama", "qwen3", form)["thinking"] in {False, "none"}


def test_a_number_is_a_budget() -> None:
    """0 switches thinking off; what is left of the output limit is for the answer."""
    old = "claude-haiku-4-5"
    assert params("anthropic", old, 5000) == {"thinking": {"type": "enabled", "budget_tokens": 5000}}
    assert params("anthropic", old, 0) == {"thinking": {"type": "disabled"}}
    assert params("google", "gemini-2.5-flash", 5000)["thinking"]["thinkingBudget"] == 5000
    assert params("anthropic", old, 10**6)["thinking"]["budget_tokens"] == 51_200


def test_gemini_before_3_takes_a_budget_for_a_level() -> None:
    """It refuses levels."""
    assert params("google", "gemini-2.5-flash", {"thinkingLevel": "high"}) == {"reasoning_effort": "high"}
    assert "thinking" in params("google", "gemini-3.8-flash", {"thinkingLevel": "high"})
