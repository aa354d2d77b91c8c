"""The chart of a replay: how long calls took, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import ConfigurationError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from langchain_llmdispatch.testing.policy_replay.results import PolicyResult


def draw(policies: Sequence[PolicyResult], path: str | os.PathLike[str] | None) -> Any:
    """Return the axes of two plots: the share of calls over by a time, and dollars per configuration.

    Raises:
        ConfigurationError: matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigurationError(
            'plots need matplotlib: pip install "langchain-llmdispatch[notebook]"'
        ) from error
    figure = Figure(figsize=(10, 4), layout="constrained")
    times, costs = figure.subplots(1, 2, width_ratios=[3, 2])
    for policy in policies:
        seconds = sorted(call.seconds for call in policy.calls if call.error is None)
        shares = [(number + 1) / max(1, len(policy.calls)) for number in range(len(seconds))]
        times.step(seconds, shares, where="post", label=policy.name)
    times.set(xlabel="seconds (log)", ylabel="share of calls answered", xscale="log", ylim=(0, 1.02))
    times.legend(frameon=False)
    bars = costs.barh([p.name for p in policies], [float(p.cost_usd) for p in policies], color="tab:grey")
    costs.bar_label(bars, [f"${p.cost_usd:.4f}, {p.failed} failed" for p in policies], padding=3)
    costs.invert_yaxis()
    costs.set(xlabel="US dollars, all requests")
    costs.margins(x=0.4)
    for axes in (times, costs):
        axes.spines[["top", "right"]].set_visible(False)
    if path is not None:
        try:
            figure.savefig(path, dpi=120)
        except (OSError, ValueError) as error:  # a folder that is missing, a format that is unknown
            raise ConfigurationError(f"the picture cannot be written to {path}: {error}") from error
    return times, costs
