"""A replay as HTML for notebooks: the table, and what it cannot know."""

from __future__ import annotations

from langchain_llmdispatch.internal.html import (
    Markup,
    aligned,
    folded,
    heading,
    muted_line,
    page,
    plural,
    table,
)
from langchain_llmdispatch.testing.policy_replay.report import COLUMNS, Replay
from langchain_llmdispatch.testing.policy_replay.results import PolicyResult


def replay_html(replay: Replay) -> Markup:
    """Return a replay as one block of HTML."""
    results = (replay.recorded, *replay.policies)
    costs = aligned(result.cost_usd for result in results)
    rows = [_row(result, cost) for result, cost in zip(results, costs, strict=True)]
    kinds = f"w{'n' * (len(COLUMNS) - 2)}l"
    return page(
        heading("Replay", f"of {plural(len(replay.recorded.calls), 'recorded call')}"),
        table(("configuration", *COLUMNS[1:]), rows, kinds=kinds),
        folded("what this cannot know", *map(muted_line, replay.unknown)),
    )


def _row(result: PolicyResult, cost: str) -> list[str]:
    row = dict(zip(COLUMNS, result.row(), strict=True))
    unpriced = f" +{result.unpriced} unpriced" if result.unpriced else ""
    return list((row | {"cost": cost + unpriced}).values())
