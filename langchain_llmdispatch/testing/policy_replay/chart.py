"""The chart of a replay: how long calls took, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.html import BAD, BLUE, GOOD, QUIET, SKY, WARN, dollars
from langchain_llmdispatch.notebook.figures import finish, log_seconds, subplots

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from langchain_llmdispatch.testing.policy_replay.results import PolicyResult

_COLOURS = (QUIET, BLUE, WARN, GOOD, BAD, SKY)
_SIZE, _RATIOS = (10.0, 3.6), (3, 2)


def draw(policies: Sequence[PolicyResult], path: str | os.PathLike[str] | None) -> Any:
    """Return the axes of two plots: the share of calls over by a time, and dollars per configuration.

    Raises:
        ConfigurationError: matplotlib is missing, or the file cannot be written.
    """
    try:
        times, costs = subplots(*_SIZE, _RATIOS) if path is None else _on_white()
    except ImportError as error:
        raise ConfigurationError(
            "plots need matplotlib: pip install 'langchain-llmdispatch[notebook]'"
        ) from error
    _draw_times(times, policies)
    _draw_costs(costs, policies)
    if path is not None:
        try:
            times.figure.savefig(path, dpi=120)
        except (OSError, ValueError) as error:  # a folder that is missing, a format that is unknown
            raise ConfigurationError(f"the picture cannot be written to {path}: {error}") from error
    return times, costs


def _on_white() -> Any:
    """Return axes for a file: no window, no notebook, a white page."""
    from matplotlib.figure import Figure

    return Figure(figsize=_SIZE, layout="constrained").subplots(1, 2, width_ratios=_RATIOS)


def _draw_times(ax: Any, policies: Sequence[PolicyResult]) -> None:
    for number, policy in enumerate(policies):
        seconds = sorted(call.seconds for call in policy.calls if call.error is None)
        shares = [(n + 1) / max(1, len(policy.calls)) for n in range(len(seconds))]
        # Each thinner than the one before: lines that coincide are all seen.
        width = 1.6 + 1.6 * (len(policies) - 1 - number)
        colour = _COLOURS[number % len(_COLOURS)]
        ax.step(seconds, shares, where="post", label=policy.name, color=colour, linewidth=width)
    log_seconds(ax)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.set_xlabel("calls answered within")
    ax.legend(frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)
    finish(ax, grid="both")


def _draw_costs(ax: Any, policies: Sequence[PolicyResult]) -> None:
    spent = [float(policy.cost_usd) for policy in policies]
    for line, (policy, usd) in enumerate(zip(policies, spent, strict=True)):
        ax.barh(line, usd, color=_COLOURS[line % len(_COLOURS)], height=0.62)
        words = f"  {dollars(usd)}, {policy.failed} failed"
        ax.text(usd, line, words, va="center", fontsize=8.5, parse_math=False)
    ax.set_yticks(range(len(policies)), [policy.name for policy in policies], parse_math=False)
    ax.invert_yaxis()
    ax.set_xlim(0, (max(spent, default=0.0) or 1.0) * 1.7)
    ax.locator_params(axis="x", nbins=4)
    ax.set_xlabel("US dollars, all requests")
    finish(ax, grid="x")
