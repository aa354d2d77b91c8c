"""Plots and displays for notebooks.

Owns: matplotlib charts, the HTML of one answer's attempts.
Must not know: how a call is made; it reads messages, statistics and plans.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_llmdispatch.notebook.plots import (
        Display,
        plot_attempts,
        plot_cost,
        plot_latency,
        plot_tradeoff,
        show,
        to_pandas,
    )

__all__ = [
    "Display",
    "plot_attempts",
    "plot_cost",
    "plot_latency",
    "plot_tradeoff",
    "show",
    "to_pandas",
]


def __getattr__(name: str) -> Any:
    """Import the implementation when a name is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("langchain_llmdispatch.notebook.plots"), name)
