"""The `thinking` setting: each vendor's form of it read, and written as another vendor takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Form: TypeAlias = Literal["anthropic", "google", "cohere", "switch", "type"]

_FIELDS: Mapping[Form, frozenset[str]] = {
    "anthropic": frozenset({"type", "budget_tokens", "display"}),
    "cohere": frozenset({"type", "token_budget"}),
    "google": frozenset(
        {"thinking_budget", "thinkingBudget", "thinking_level", "thinkingLevel", "include_thoughts"}
        | {"includeThoughts"}
    ),
    "type": frozenset({"type", "clear_thinking"}),
    "switch": frozenset(),
}
_ON: Mapping[Form, frozenset[str]] = {
    "anthropic": frozenset({"enabled", "disabled", "adaptive", "between_tools"}),
    "cohere": frozenset({"enabled", "disabled"}),
    "type": frozenset({"enabled", "disabled", "auto"}),
}
_BUDGETS = ("budget_tokens", "token_budget", "thinking_budget", "thinkingBudget")
_EFFORTS = ("effort", "thinking_level", "thinkingLevel")
_LEAST_BUDGET = 1024  # Anthropic's
_EFFORT_BUDGETS = ((2048, "low"), (8192, "medium"))


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a `thinking` setting means.

    Attributes:
        on: Whether the model thinks.
        budget: Tokens of thinking at most; None if open.
        level: The word for the effort; empty if there is none.
    """

    on: bool
    budget: int | None = None
    level: str = ""

    @property
    def effort(self) -> str:
        """The word for reasoning effort that comes nearest."""
        if not self.on:
            return "none"
        if self.level or self.budget is None:
            return self.level or "medium"
        budget = self.budget
        return next((word for most, word in _EFFORT_BUDGETS if budget <= most), "high")


def thinking_of(value: Any) -> Thinking | None:
    """Return what a setting of any vendor's form means, or None if it means nothing.

    Forms: a boolean or a word (Ollama), a number of tokens, `{"type", "budget_tokens"}` (Anthropic),
    `{"type", "token_budget"}` (Cohere), `{"thinking_budget", "thinking_level", "include_thoughts"}` (Gemini),
    `{"type"}` (DeepSeek).
    """
    if isinstance(value, bool):
        return Thinking(value)
    if isinstance(value, int):
        return Thinking(value != 0, value if value > 0 else None)
    if isinstance(value, str):
        return Thinking(value.lower() not in {"none", "off", "disabled"}, level=value.lower())
    if not isinstance(value, Mapping):
        return None
    if value.get("type") == "disabled":
        return Thinking(on=False)
    budget = next((value[name] for name in _BUDGETS if isinstance(value.get(name), int)), None)
    level = next((str(value[name]).lower() for name in _EFFORTS if value.get(name)), "")
    if budget is not None and budget < 0:  # Gemini: as the model sees fit
        budget = None
    return Thinking(budget != 0 and level != "none", budget or None, level)


def is_in_form(value: Any, form: Form) -> bool:
    """Return whether a setting has a vendor's own form already."""
    if form == "switch":
        return isinstance(value, (bool, str))
    if not isinstance(value, Mapping) or not value.keys() <= _FIELDS[form]:
        return False
    return form == "google" or value.get("type") in _ON[form]


def written(thinking: Thinking, form: Form, *, budgets: bool) -> Any:
    """Return a setting in a vendor's form; None where an effort expresses it better.

    Args:
        thinking: What it means.
        form: The vendor's form.
        budgets: Whether the model takes a budget of tokens.
    """
    if form == "switch":
        return thinking.level or thinking.on
    if form == "type":
        return {"type": "enabled" if thinking.on else "disabled"}
    if not thinking.on:
        return None if form == "google" else {"type": "disabled"}
    if thinking.budget is None or not budgets:
        return None
    if form == "google":
        return {"thinkingBudget": thinking.budget, "includeThoughts": True}
    if form == "cohere":
        return {"type": "enabled", "token_budget": thinking.budget}
    return {"type": "enabled", "budget_tokens": max(thinking.budget, _LEAST_BUDGET)}
