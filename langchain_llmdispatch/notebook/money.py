"""Plots of dollars: what was wasted, and what was saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.internal.html import BAD, BLUE, QUIET, SKY, WARN, dollars
from langchain_llmdispatch.notebook.figures import axes, finish
from langchain_llmdispatch.stats.cost_report import SAVED, WASTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from langchain_llmdispatch.stats.stats import By, Stats

_COLOURS = dict(zip((*WASTED, *SAVED), (BAD, WARN, QUIET, BLUE, SKY, "#009E73"), strict=True))


def plot_savings(stats: Stats, *, by: By = "vendor", ax: Any = None) -> Axes:
    """Plot dollars saved (to the right) and wasted (to the left), by their causes.

    Args:
        stats: The statistics.
        by: What a bar stands for.
        ax: Where to plot; default: a new figure.
    """
    report = stats.cost_by(by)
    ax = ax or axes(height=1.3 + 0.45 * max(len(report), 1))
    labelled: set[str] = set()
    for line, tally in enumerate(report.values()):
        ends = {1: 0.0, -1: 0.0}
        for name in (*WASTED, *SAVED):
            usd = float(getattr(tally, name)) * (-1 if name in WASTED else 1)
            if not usd:
                continue
            side = 1 if usd > 0 else -1
            label = None if name in labelled else name.replace("_", ", ").replace("saved, ", "saved by ")
            ax.barh(line, usd, left=ends[side], color=_COLOURS[name], height=0.62, label=label)
            ends[side] += usd
            labelled.add(name)
        net = sum(getattr(tally, name) for name in SAVED) - tally.wasted
        ax.text(ends[1], line, f"  {dollars(net)} net", va="center", fontsize=8.5, parse_math=False)
    ax.set_yticks(range(len(report)), list(report), parse_math=False)
    ax.set_ylim(-0.6, max(len(report), 1) - 0.4)
    ax.axvline(0, color=QUIET, linewidth=0.8)
    ax.margins(x=0.25)
    ax.set_xlabel("US dollars: wasted, saved")
    if labelled:
        ax.legend(frameon=False, fontsize=8.5, loc="lower right")
    ax.set_title(f"wasted and saved by {by}", loc="left", fontsize=10)
    return finish(ax, grid="x", empty=not len(report))
