"""For notebooks: displays of answers, tables of answers, and plots that return their axes.

    from langchain_llmdispatch import notebook

    notebook.show(message)                      # the attempts behind an answer, on a timeline
    table = notebook.to_pandas(messages)        # one row per answer: add a column with your own scores
    notebook.plot_latency(model.get_stats())
    notebook.plot_cost(model.get_stats())
    notebook.plot_savings(model.get_stats())
    notebook.plot_tradeoff(table, x="cost_usd", y="score")
    notebook.plot_attempts(message)

Plots need matplotlib, tables pandas: `pip install 'langchain-llmdispatch[notebook]'`. Colours are Okabe and
Ito's, distinguishable by colour-blind readers; labels stand beside their marks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import AIMessage, BaseMessage

from langchain_llmdispatch.internal.extras import needs
from langchain_llmdispatch.internal.html import BAD, BLUE, QUIET, SKY, Markup, dollars, plural, seconds
from langchain_llmdispatch.notebook.answer import LEGEND, TimedAttempt, answer_html, attempts_of, timed
from langchain_llmdispatch.notebook.figures import axes, axis_label, finish, log_seconds, seconds_on_an_axis
from langchain_llmdispatch.stats.quantiles import middle_of
from langchain_llmdispatch.stats.stats import DIMENSIONS, Stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from langchain_llmdispatch.stats.quantiles import Distribution
    from langchain_llmdispatch.stats.stats import By
    from langchain_llmdispatch.stats.tally import Tally

_ALPHA = {"waited": 0.8, "overtaken": 0.5}
# Share, mark, size of the mark, and the least number of answers for it to be meaningful.
_PERCENTILES = ((0.5, "o", 8, 1), (0.95, "D", 7, 20), (0.99, "|", 13, 100))
_SMOOTH = 5  # the standard deviation of the smoothing Gaussian, in buckets of two per cent
_LEAST = 0.004  # the least width of a piece on a timeline, as a share of the whole
_COLUMNS = (
    *("vendor", "deployment", "model", "route", "attempts", "fallback", "latency_s", "ttft_s", "queue_s"),
    *("total_s", "input_tokens", "output_tokens", "cost_usd", "finish_reason"),
)


class Display:
    """HTML that a notebook shows."""

    def __init__(self, html: str) -> None:
        self._html = html

    def _repr_html_(self) -> str:
        return self._html


def show(thing: Any) -> Display:
    """Return a display of an answer, an error of a call, statistics, a plan, or a model.

    Raises:
        TypeError: There is no display of this kind of object.
    """
    if isinstance(thing, (BaseMessage, BaseException)):
        return Display(answer_html(thing))
    if callable(html := getattr(thing, "_repr_html_", None)):
        return Display(str(Markup(html())))
    raise TypeError(f"there is no display of a {type(thing).__name__}")


def to_pandas(messages: Iterable[BaseMessage]) -> pd.DataFrame:
    """Return a table with one row per answer: deployment, durations, tokens, cost.

    Args:
        messages: Answers, as from `batch`; other messages of a conversation, and failures, are left out.

    Raises:
        ImportError: pandas is not installed.
    """
    with needs("notebook", "to_pandas() needs pandas"):
        import pandas as pd
    rows = [_row(m) for m in messages if isinstance(m, AIMessage) and m.response_metadata.get("llmdispatch")]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _row(message: AIMessage) -> dict[str, Any]:
    attempts, facts = attempts_of(message)
    last, usage = attempts[-1] if attempts else {}, message.usage_metadata
    cost, first = facts.get("cost_usd"), last.get("ttft_ms")
    return {
        **{name: facts.get(name) for name in ("vendor", "deployment", "route", "fallback")},
        "model": message.response_metadata.get("model_name"),
        "attempts": len(attempts),
        "latency_s": last.get("latency_ms", 0) / 1000,
        "ttft_s": None if first is None else first / 1000,
        "queue_s": facts.get("queue_ms", 0) / 1000,
        "total_s": max((one.end for one in timed(attempts)), default=0.0),
        "input_tokens": usage.get("input_tokens") if usage else None,
        "output_tokens": usage.get("output_tokens") if usage else None,
        "cost_usd": None if cost is None else float(cost),
        "finish_reason": message.response_metadata.get("normalized_finish_reason"),
    }


# -- plots ---------------------------------------------------------------------------------------------


def plot_latency(
    stats: Stats, *, by: By = "deployment", of: Literal["latency", "first_token"] = "latency", ax: Any = None
) -> Axes:
    """Plot how long answers took: the distribution as a shape, median and percentiles as marks.

    Args:
        stats: The statistics.
        by: What a line stands for.
        of: Whole answers, or the time to the first content of streams.
        ax: Where to plot; default: a new figure.
    """
    groups = {name: getattr(tally, of) for name, tally in stats.groups[by].items()}
    groups = {name: spread for name, spread in groups.items() if spread.count}
    ax = ax or axes(height=1.1 + 0.62 * max(len(groups), 1))
    names = sorted(groups, key=lambda name: groups[name].quantile(0.5), reverse=True)
    for line, name in enumerate(names):
        _spread(ax, line, groups[name])
    labels = [f"{name}\n{plural(groups[name].count, 'answer')}" for name in names]
    ax.set_yticks(range(len(names)), labels, parse_math=False)
    ax.set_ylim(-0.6, len(names) - 0.4)
    what = "answered in" if of == "latency" else "first token after"
    if names:
        log_seconds(ax)
    ax.set_title(f"{what}   (● median, ◆ 95 %, | 99 %)", loc="left", fontsize=10)
    return finish(ax, grid="x", empty=not names)


def _spread(ax: Any, line: int, spread: Distribution) -> None:
    """Draw a distribution's shape on its line, and its percentiles where there are enough samples."""
    at, high = _outline(spread)
    ax.fill_between(
        at, [line - h for h in high], [line + h for h in high], color=SKY, alpha=0.45, linewidth=0
    )
    for share, mark, size, enough in _PERCENTILES:
        if spread.count < enough:
            continue
        value, thin = spread.quantile(share), mark == "|"
        style = {"color": BLUE, "markersize": size, "markeredgewidth": 2.5 if thin else 1}
        ax.plot(value, line, mark, markeredgecolor=BLUE if thin else "white", **style)
        if not thin:
            where = {"xytext": (0, -25), "textcoords": "offset points", "ha": "center", "fontsize": 8.5}
            ax.annotate(seconds(value), (value, line), **where)


def _outline(spread: Distribution) -> tuple[list[float], list[float]]:
    """Return positions and heights (at most 0.32) of a distribution, smoothed with a Gaussian."""
    reach = 3 * _SMOOTH
    bell = [math.exp(-0.5 * (n / _SMOOTH) ** 2) for n in range(-reach, reach + 1)]
    heights: dict[int, float] = {}
    for bucket, number in spread.buckets.items():
        for n, weight in enumerate(bell, bucket - reach):
            heights[n] = heights.get(n, 0.0) + weight * number
    at, most = range(max(0, min(heights)), max(heights) + 1), max(heights.values())
    return [middle_of(n) for n in at], [0.32 * heights.get(n, 0.0) / most for n in at]


def plot_cost(stats: Stats, *, by: By = "vendor", ax: Any = None) -> Axes:
    """Plot dollars spent, those of failed requests set apart.

    Args:
        stats: The statistics.
        by: What a bar stands for.
        ax: Where to plot; default: a new figure.
    """
    tallies = sorted(stats.groups[by].items(), key=lambda item: item[1].cost)
    ax = ax or axes(height=1.1 + 0.45 * max(len(tallies), 1))
    longest = max((tally.cost_usd for _, tally in tallies), default=0.0) or 1.0
    for line, (_, tally) in enumerate(tallies):
        useful = tally.cost_usd - tally.wasted_usd
        ax.barh(line, useful, color=BLUE, height=0.62, label="answers" if line == 0 else None)
        ax.barh(line, tally.wasted_usd, left=useful, color=BAD, hatch="//", height=0.62,
                edgecolor="white", label="failed requests" if line == 0 else None)  # fmt: skip
        place = tally.cost_usd + longest * 0.015, line
        ax.text(*place, _spent(tally), va="center", fontsize=8.5, parse_math=False)
    ax.set_yticks(range(len(tallies)), [name for name, _ in tallies], parse_math=False)
    ax.set_xlim(0, longest * 1.6)
    ax.set_xlabel("US dollars")
    if any(tally.wasted for _, tally in tallies):
        ax.legend(frameon=False, fontsize=8.5, loc="lower right")
    ax.set_title(f"cost by {by}", loc="left", fontsize=10)
    return finish(ax, grid="x", empty=not tallies)


def _spent(tally: Tally) -> str:
    if not tally.cost and tally.unpriced_requests and tally.unpriced_requests >= tally.successes:
        return "price unknown"
    each = tally.cost_usd / tally.successes * 1000 if tally.successes else 0.0
    words = [dollars(tally.cost), f"{dollars(each)} per 1,000 answers" if each else ""]
    words.append(f"{tally.unpriced_requests} of unknown price" if tally.unpriced_requests else "")
    return ", ".join(filter(None, words))


def plot_tradeoff(
    data: Stats | pd.DataFrame,
    *,
    x: str = "cost_usd",
    y: str = "latency_s",
    by: str = "deployment",
    best: Literal["low", "high"] | None = None,
    ax: Any = None,
) -> Axes:
    """Plot one quantity against another, with the Pareto front: points not beaten in both.

    Args:
        data: Statistics (cost per answer, latency), or a table as of `to_pandas`, with columns of your own.
        x: The column across; less is better.
        y: The column upwards.
        by: What a point stands for; rows of a table are averaged by it.
        best: Whether low or high is good in `y`; None: low for seconds and dollars, high for anything else.
        ax: Where to plot; default: a new figure.

    Raises:
        ValueError: A column is missing.
    """
    points = _points_of_stats(data, by) if isinstance(data, Stats) else _points_of_table(data, x, y, by)
    ax = ax or axes(height=4.2)
    high = best == "high" or (best is None and not y.endswith(("_s", "_usd", "_ms", "_tokens")))
    front = _front(points, high=high)
    _draw_points(ax, points, front, high=high)
    ax.set_xlabel("cost per answer (US dollars)" if isinstance(data, Stats) else axis_label(x))
    ax.set_ylabel("median latency (seconds)" if isinstance(data, Stats) else axis_label(y))
    corner = "upper left" if high else "lower left"
    ax.set_title(
        f"{corner} is better; the line joins the points that no other beats in both", loc="left", fontsize=10
    )
    ax.margins(0.15)
    if x.endswith(("_s", "_usd", "_ms", "_tokens")):
        ax.set_xlim(left=min(0, -0.03 * ax.get_xlim()[1]))
    if not high:
        ax.set_ylim(bottom=0)
    return finish(ax, grid="both", empty=not points)


def _points_of_stats(stats: Stats, by: str) -> list[tuple[str, float, float]]:
    if by not in DIMENSIONS:
        raise ValueError(f"by={by!r}: statistics are kept by {', '.join(DIMENSIONS)}")
    return [
        (name, tally.cost_usd / tally.successes, tally.p50_latency)
        for name, tally in stats.groups[by].items()
        if tally.successes and tally.unpriced_requests < tally.successes
    ]


def _points_of_table(table: pd.DataFrame, x: str, y: str, by: str) -> list[tuple[str, float, float]]:
    missing = [name for name in (x, y, by) if name not in table.columns]
    if missing:
        raise ValueError(f"the table has no column {', '.join(map(repr, missing))}")
    means = table[[by, x, y]].dropna().groupby(by).mean()
    return [(str(name), float(row[x]), float(row[y])) for name, row in means.iterrows()]


def _front(points: Sequence[tuple[str, float, float]], *, high: bool) -> list[tuple[str, float, float]]:
    """Return the points that no other one beats or equals in both, from the left."""
    sign = -1 if high else 1
    front: list[tuple[str, float, float]] = []
    for point in sorted(points, key=lambda p: (p[1], sign * p[2])):
        if not front or sign * point[2] < sign * front[-1][2]:
            front.append(point)
    return front


def _draw_points(
    ax: Any,
    points: Sequence[tuple[str, float, float]],
    front: Sequence[tuple[str, float, float]],
    *,
    high: bool,
) -> None:
    if len(front) > 1:
        ax.plot([p[1] for p in front], [p[2] for p in front], color=BLUE, linewidth=1.4, zorder=1)
    rightmost = max((point[1] for point in points), default=0.0)
    for point in points:
        good, right = point in front, point[1] > rightmost / 2
        style = {"color": BLUE if good else QUIET, "markersize": 9, "markeredgecolor": "white"}
        ax.plot(point[1], point[2], "o" if good else "X", zorder=2, **style)
        # Names stand where the front does not go: it falls to the right, or rises where high is good.
        below = high and not right
        where = {"xytext": (-9 if right else 9, -3 if below else 6), "textcoords": "offset points"}
        words = {"ha": "right" if right else "left", "va": "top" if below else "bottom", "fontsize": 9}
        colour = {} if good else {"color": QUIET}
        ax.annotate(point[0], (point[1], point[2]), parse_math=False, **where, **words, **colour)


def plot_attempts(answers: BaseMessage | BaseException | Sequence[BaseMessage], *, ax: Any = None) -> Axes:
    """Plot the attempts behind one or several answers on a timeline, each answer from its own start.

    Args:
        answers: An answer, several, or the error of a call.
        ax: Where to plot; default: a new figure.
    """
    several = [answers] if isinstance(answers, (BaseMessage, BaseException)) else list(answers)
    lines = [(n, one) for n, answer in enumerate(several, 1) for one in timed(attempts_of(answer)[0])]
    ax = ax or axes(height=1.2 + 0.42 * max(len(lines), 1))
    whole = max((one.end for _, one in lines), default=0.0) or 1.0
    for line, (number, one) in enumerate(lines):
        _draw_attempt(ax, line, one, whole)
        if line and number != lines[line - 1][0]:
            ax.axhline(line - 0.5, color=QUIET, alpha=0.4, linewidth=0.8)
    prefix = "" if len(several) == 1 else "{}. "
    names = [prefix.format(n) + one.record["deployment"] for n, one in lines]
    ax.set_yticks(range(len(lines)), names, parse_math=False)
    ax.set_ylim(max(len(lines), 1) - 0.5, -0.5)
    ax.set_xlabel("since the call began")
    ax.set_xlim(0, whole * 1.28)
    ax.xaxis.set_major_formatter(seconds_on_an_axis)
    shown = {word for _, one in lines for word, *_ in one.pieces()}
    _legend(ax, [word for word in LEGEND if word in shown])
    return finish(ax, grid="x", empty=not lines)


def _draw_attempt(ax: Any, line: int, one: TimedAttempt, whole: float) -> None:
    for word, start, end in one.pieces():
        waited, width = word == "waited", max(end - start, whole * _LEAST)
        hatched = word == "failed" and width > whole / 40
        ax.barh(line, width, left=start, color=LEGEND[word], alpha=_ALPHA.get(word, 1.0),
                height=0.08 if waited else 0.6, hatch="//" if hatched else None,
                edgecolor="white" if hatched else None, linewidth=0)  # fmt: skip
    where = {"xytext": (7, 0), "textcoords": "offset points", "va": "center", "fontsize": 8.5}
    ax.annotate(one.words, (one.end, line), parse_math=False, **where)


def _legend(ax: Any, words: Iterable[str]) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(
            facecolor=LEGEND[word],
            alpha=_ALPHA.get(word, 1.0),
            label=word,
            linewidth=0,
            hatch="//" if word == "failed" else None,
            edgecolor="white",
        )
        for word in words
    ]
    where = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": len(patches) or 1}
    ax.legend(handles=patches, frameon=False, fontsize=8.5, **where)
