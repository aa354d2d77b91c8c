"""Plots and displays for notebooks.

Owns: matplotlib charts, the HTML of one answer's attempts.
Must not know: how a call is made; it reads messages, statistics and plans.
"""

from __future__ import annotations

from langchain_llmdispatch.internal.lazy import lazy_names

_MODULES = {
    "Display": "notebook.plots",
    "plot_attempts": "notebook.plots",
    "plot_cost": "notebook.plots",
    "plot_latency": "notebook.plots",
    "plot_savings": "notebook.money",
    "plot_tradeoff": "notebook.plots",
    "show": "notebook.plots",
    "to_pandas": "notebook.plots",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _MODULES)
