"""Figures: new ones, readable on light and dark pages, and what all plots share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from langchain_llmdispatch.internal.extras import needs
from langchain_llmdispatch.internal.html import QUIET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

INK = "#808080"
"""Of text and lines: as far from white (3.9 to 1) as from JupyterLab's dark page (4.8 to 1)."""
_INK_ACROSS = "#7f7f7f"
"""Of one axis: where all labels are light, or all dark, Jupyter puts a page of its own behind a figure."""
_WIDE = 300  # from so many times the least on, an axis has a label per power of ten only
_DEFAULT_INK = {"black", "k", "#000000"}


def axes(*, height: float) -> Any:
    """Return the axes of a new figure, eight inches wide.

    Raises:
        ImportError: matplotlib is not installed.
    """
    return subplots(8, height)[0]


def subplots(width: float, height: float, ratios: Sequence[float] = (1,)) -> list[Any]:
    """Return axes beside each other in a new figure without a background; notebooks show it by themselves.

    Args:
        width: In inches.
        height: In inches.
        ratios: The width of each, relative to the others.

    Raises:
        ImportError: matplotlib is not installed.
    """
    with needs("notebook", "plots need matplotlib"):
        from matplotlib import pyplot as plt
    figure, grid = plt.subplots(
        1, len(ratios), figsize=(width, height), layout="constrained", squeeze=False, width_ratios=ratios
    )
    figure.patch.set_alpha(0)
    for ax in grid[0]:
        ax.patch.set_alpha(0)
    return list(grid[0])


def log_seconds(ax: Any) -> None:
    """Make the axis across one of seconds, logarithmic, once all is drawn."""
    ax.set_xscale("log")
    from matplotlib.ticker import LogLocator

    low, high = ax.get_xlim()
    few = high > _WIDE * low
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(seconds_on_an_axis)
    ax.xaxis.set_minor_formatter("")


def seconds_on_an_axis(value: float, _: Any = None) -> str:
    """Return a tick's label: `2 s`, `500 ms`."""
    return f"{value:g} s" if not 0 < value < 1 else f"{value * 1000:g} ms"


def axis_label(column: str) -> str:
    """Return a column's name with its unit in words: `cost_usd` as `cost (US dollars)`."""
    name, _, unit = column.rpartition("_")
    units = {"usd": "US dollars", "s": "seconds", "ms": "milliseconds"}
    return f"{name.replace('_', ' ')} ({units[unit]})" if unit in units else column.replace("_", " ")


def finish(ax: Any, *, grid: str, empty: bool = False) -> Axes:
    """Return axes with what all plots share."""
    if empty:
        ax.set(xticks=[], yticks=[])
        ax.text(
            0.5, 0.5, "nothing to show yet", transform=ax.transAxes, ha="center", va="center", color=QUIET
        )
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, alpha=0.25)
    ax.set_axisbelow(True)
    if ax.figure.patch.get_alpha() != 0:  # a user's own figure keeps its colours
        return cast("Axes", ax)
    ax.tick_params(colors=INK)
    ax.tick_params(axis="x", labelcolor=_INK_ACROSS)
    for spine in ax.spines.values():
        spine.set_color(INK)
    for words in _texts(ax):
        if words.get_color() in _DEFAULT_INK:
            words.set_color(INK)
    return cast("Axes", ax)


def _texts(ax: Any) -> list[Any]:
    from matplotlib.text import Text

    return cast("list[Any]", ax.findobj(Text))
