"""Budgets as HTML: what was spent of each, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_llmdispatch.internal.html import NOTHING, Markup, count, dollars, table

_COLUMNS = ("budget", "of", "spent", "held", "left", "tokens spent", "tokens left", "resets")


def budgets_html(states: Sequence[Any]) -> Markup:
    """Return a table of `BudgetState`s; empty without any."""
    rows = [
        (
            state.budget,
            state.account or NOTHING,
            dollars(state.spent_usd),
            dollars(state.held_usd) if state.held_usd else NOTHING,
            NOTHING if state.left_usd is None else dollars(state.left_usd),
            count(state.spent_tokens),
            NOTHING if state.left_tokens is None else count(state.left_tokens),
            NOTHING if state.resets_at is None else state.resets_at.strftime("%Y-%m-%d %H:%M UTC"),
        )
        for state in states
    ]
    return table(_COLUMNS, rows, kinds="wwnnnnnl") if rows else Markup("")
