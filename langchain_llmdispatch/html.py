"""HTML for notebooks: plain tables and bars for light and dark, everything escaped, no scripts, no keys.

Colours are Okabe and Ito's, which colour-blind people can tell apart, and never carry a meaning alone. Text
takes the notebook's own colour, lines and backgrounds are translucent, so one style sheet serves every theme.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_llmdispatch.callbacks.usage import Usage, UsageCallbackHandler
    from langchain_llmdispatch.health.health import HealthView
    from langchain_llmdispatch.stats.stats import Stats
    from langchain_llmdispatch.stats.tally import Tally

GOOD, WARN, BAD, QUIET = "#009E73", "#E69F00", "#D55E00", "#888888"
"""Okabe and Ito's bluish green, orange and vermilion; grey for what waits or is of no use any more."""
BLUE, SKY = "#0072B2", "#56B4E9"
NOTHING = "\N{EN DASH}"
MOST_ROWS = 25
"""Rows of a table that are open to see; the rest is folded."""

_GOOD_SHARE = 0.8  # below it a breaker thinks of opening
_EMPTY = (None, "", NOTHING)
# JupyterLab, VS Code and Colab style tables of their own accord: hence the exclamation marks.
_STYLE = """<style>
.llmd{font:13px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:inherit;
overflow-x:auto}
.llmd table{border-collapse:collapse;margin:.5em 0!important;font-size:12.5px;border:0;
table-layout:auto!important;width:auto!important}
.llmd tr{background:none!important}
.llmd th,.llmd td{padding:.28em .75em;white-space:nowrap;text-align:left!important;border:0;
vertical-align:middle;background:none!important;color:inherit}
.llmd th{font-weight:600;opacity:.72;border-bottom:1px solid rgba(128,128,128,.5)}
.llmd tr+tr td{border-top:1px solid rgba(128,128,128,.18)}
.llmd .n{text-align:right!important;font-variant-numeric:tabular-nums}
.llmd .l{white-space:normal;min-width:11em;max-width:34em}
.llmd .h{font-size:15px;font-weight:600;margin:.1em 0 .3em}
.llmd .h .q{font-weight:400}
.llmd .q{opacity:.65}
.llmd .c{display:flex;flex-wrap:wrap;gap:.5em;margin:.45em 0}
.llmd .c div{padding:.35em .8em;border-radius:6px;background:rgba(128,128,128,.12)}
.llmd .c b{display:block;font-size:15px;font-variant-numeric:tabular-nums;white-space:nowrap}
.llmd .c span{font-size:11.5px;opacity:.7;white-space:nowrap}
.llmd .d{display:inline-block;width:.62em;height:.62em;border-radius:50%;margin-right:.42em}
.llmd .g{border:1px solid rgba(128,128,128,.6);border-radius:.7em;padding:0 .5em;font-size:11px;
margin-left:.4em}
.llmd .t{position:relative;height:1.15em;width:clamp(8em,24vw,24em);background:rgba(128,128,128,.1);
border-radius:3px;overflow:hidden}
.llmd .t i{position:absolute;top:0;bottom:0;min-width:2px}
.llmd .k{display:inline-block;width:1.5em;height:.7em;border-radius:2px;margin:0 .42em 0 0}
.llmd .k~.k{margin-left:1.2em}
.llmd details{display:inline-block;vertical-align:top;margin-right:1.4em}
.llmd details[open]{display:block;margin:0}
.llmd summary{cursor:pointer;opacity:.8}
@media (max-width:640px){.llmd th,.llmd td{padding:.28em .4em}.llmd .t{width:7em}}
</style>"""


class Markup(str):
    """Text that is HTML already; everything else is escaped."""

    __slots__ = ()


def page(*parts: str) -> Markup:
    """Return a display: the style sheet, and parts that are HTML already."""
    return Markup(f'{_STYLE}<div class="llmd">{"".join(parts)}</div>')


def text(value: Any) -> Markup:
    """Return a value as HTML, escaped unless it is Markup."""
    return value if isinstance(value, Markup) else Markup(escape(NOTHING if value is None else str(value)))


def heading(title: Any, note: Any = "") -> Markup:
    """Return a title, with a quieter note beside it."""
    return Markup(f'<div class="h">{text(title)}{f" {soft(note)}" if note else ""}</div>')


def soft(words: Any) -> Markup:
    """Return words in the background, within a line."""
    return Markup(f'<span class="q">{text(words)}</span>')


def quiet(words: Any) -> Markup:
    """Return words in the background, on a line of their own."""
    return Markup(f'<div class="q">{text(words)}</div>')


def tag(words: Any) -> Markup:
    """Return a word with a frame."""
    return Markup(f'<span class="g">{text(words)}</span>')


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, kinds: str = "") -> Markup:
    """Return a table without columns that hold nothing; beyond `MOST_ROWS` rows the rest is folded.

    Args:
        columns: Their titles.
        rows: The cells; Markup is taken as it is.
        kinds: A letter per column: `w` words, `n` numbers, which stand right, `l` long words that may wrap;
            default: words in the first one, numbers in all others.
    """
    kinds, cells = kinds or "w" + "n" * (len(columns) - 1), list(rows)
    kept = [n for n in range(len(columns)) if not cells or any(row[n] not in _EMPTY for row in cells)]
    columns, kinds = [columns[n] for n in kept], "".join(kinds[n] for n in kept)
    cells = [[row[n] for n in kept] for row in cells]
    shown = MOST_ROWS if len(cells) > MOST_ROWS + 5 else len(cells)  # a few more do not matter
    opened = _table(columns, cells[:shown], kinds)
    if shown == len(cells):
        return opened
    rest = folded(f"{len(cells) - shown} more", _table(columns, cells[shown:], kinds))
    return Markup(f"{opened}<div>{rest}</div>")


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], kinds: str) -> Markup:
    marks = ["" if kind == "w" else f' class="{kind}"' for kind in kinds]
    head = "".join(f"<th{k}>{text(c)}</th>" for k, c in zip(marks, columns, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{text(c)}</td>' for k, c in zip(marks, row, strict=True))}</tr>"
        for row in rows
    )
    return Markup(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def cards(values: Mapping[str, Any]) -> Markup:
    """Return a row of numbers with their names."""
    inner = (f"<div><b>{text(v)}</b><span>{text(k)}</span></div>" for k, v in values.items())
    return Markup(f'<div class="c">{"".join(inner)}</div>')


def dot(words: Any, colour: str) -> Markup:
    """Return words with a coloured dot before them."""
    return Markup(f'<span class="d" style="background:{colour}"></span>{text(words)}')


def folded(summary: Any, *parts: str) -> Markup:
    """Return parts that open when their summary is clicked."""
    return Markup(f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>")


def standing(view: HealthView, now: float | None = None) -> Markup:
    """Return how a deployment is doing.

    Args:
        view: Its health.
        now: The moment, in monotonic seconds; None where it does not matter for how long it is out.
    """
    left = max(0.0, view.open_until - now) if now is not None else 0.0
    time, reason = f" {seconds(left)}" if left else "", f" ({view.reason})" if view.reason else ""
    if view.state == "half_open":
        return dot(f"on trial{reason}", WARN)
    if view.state == "open":
        return dot(
            f"{'cooling down' if view.cooling else 'out'}{time}{reason}", WARN if view.cooling else BAD
        )
    if not view.calls:
        return dot("not asked yet", QUIET)
    if view.success is None or view.success >= 1:
        return dot("good", GOOD)
    # Rounded down: it must not say 100 % while something fails.
    return dot(f"{math.floor(view.success * 100)} % answered", GOOD if view.success >= _GOOD_SHARE else WARN)


# -- numbers -------------------------------------------------------------------------------------------


def seconds(value: float | None) -> str:
    """Return a duration for people: `0.8 ms`, `340 ms`, `2.41 s`, `75 s`, `44 min`, `3.5 h`."""
    if not value:
        return NOTHING
    if value >= 600:  # noqa: PLR2004 - ten minutes
        return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"  # noqa: PLR2004
    if value < 0.9995:  # noqa: PLR2004 - what rounds to a second is one
        return f"{value * 1000:.0f} ms" if value >= 0.001 else f"{value * 1000:.1f} ms"  # noqa: PLR2004
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"  # noqa: PLR2004 - digits that matter


def dollars(value: Any, *, unknown: int = 0, answers: int = 0) -> str:
    """Return money for people; `unknown` of `answers` answers have no known price."""
    if value is None or (unknown and unknown >= answers and not value):
        return "unknown"
    amount = float(value)
    coarse = amount >= 1 or amount == round(amount, 2)
    shown = f"${amount:,.2f}" if coarse else f"${amount:.4f}"
    if 0 < amount < 0.001:  # noqa: PLR2004 - digits that matter
        shown = f"${amount:.7f}".rstrip("0")
    elif amount == 0:
        shown = "$0"
    return f"≥ {shown}" if unknown else shown


def aligned(values: Iterable[Any], sign: str = "$") -> list[str]:
    """Return the amounts of one column, all with the same decimals, so that they can be compared by eye.

    Args:
        values: The amounts; None where they are unknown.
        sign: What stands before each.
    """
    amounts = [None if value is None else float(value) for value in values]
    known = [amount for amount in amounts if amount]
    wanted = 1 - math.floor(math.log10(min(known, default=1.0)))  # two digits of the smallest
    room = 6 - math.floor(math.log10(max(known, default=1.0)))  # seven digits of the largest
    places = max(2, min(wanted, room))
    return [_amount(amount, places, sign) for amount in amounts]


def _amount(amount: float | None, places: int, sign: str) -> str:
    if amount is None:
        return "unknown"
    if not amount:
        return f"{sign}0"
    least = 10.0**-places
    return f"{sign}{amount:,.{places}f}" if amount >= least / 2 else f"< {sign}{least:.{places}f}"


def count(value: int) -> str:
    """Return a number with thousands apart."""
    return f"{value:,}".replace(",", "\u202f")


def many(number: int, word: str) -> str:
    """Return a number of things: `1 request`, `2 requests`."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Return a percentage, rounded down: it must not say 100 % while something fails."""
    return f"{math.floor(part / whole * 1000) / 10:.1f}%" if whole else NOTHING


# -- statistics ----------------------------------------------------------------------------------------

_STAT_COLUMNS = (
    *("requests", "failed", "retries", "rate limited", "median", "p95", "first token"),
    *("tokens in", "tokens out", "cost", "wasted"),
)


def stats_html(stats: Stats) -> Markup:
    """Return statistics: the most important numbers, a table by deployment, the rest folded."""
    total = stats.totals
    begun, until = stats.since.strftime("%Y-%m-%d %H:%M"), stats.until.strftime("%Y-%m-%d %H:%M")
    until = until[11:] if until[:10] == begun[:10] else until
    title = heading("Statistics", f"{begun} to {until} UTC")
    if not (total.requests or stats.calls.calls or stats.in_flight):
        return page(title, quiet("nothing counted yet"))
    parts = [title, cards(_summary(stats))]
    if total.requests:
        parts.append(_by("deployment", stats))
        others = [by for by in ("vendor", "model", "route", "tag") if stats.groups[by]]
        parts += [folded(f"by {by}", _by(by, stats)) for by in others]
        parts.append(quiet("latencies of answered requests; percentiles within 1 %"))
    return page(*parts)


def _summary(stats: Stats) -> dict[str, Any]:
    total = stats.totals
    values: dict[str, Any] = {
        "calls": count(stats.calls.calls),
        "requests": count(total.requests),
        "answered": share(total.successes, total.requests),
        "cost": _cost(total, dollars(total.cost)),
        "tokens": count(total.total_tokens),
        "median": seconds(total.p50_latency if total.successes else None),
        "p95": seconds(total.p95_latency if total.successes else None),
        "retries": count(total.retries),
        "fallbacks": count(total.fallbacks),
    }
    values |= {"first token": seconds(total.p50_ttft)} if total.first_token.count else {}
    extra = {"hedges": total.hedges, "in flight": stats.in_flight, "abandoned": total.abandoned}
    values |= {name: count(number) for name, number in extra.items() if number}
    values |= {"throttled": seconds(total.throttled)} if total.throttled else {}
    return values | ({"wasted": dollars(total.wasted)} if total.wasted else {})


def _by(by: str, stats: Stats) -> Markup:
    """Return a table, the most asked first."""
    groups = sorted(stats.groups[by].items(), key=lambda item: -item[1].requests)  # type: ignore[index]
    costs = aligned(tally.cost for _, tally in groups)
    wasted = aligned(tally.wasted for _, tally in groups)
    rows = [
        (
            name,
            count(tally.requests),
            dot(count(tally.failures), BAD) if tally.failures else "0",
            count(tally.retries),
            dot(count(tally.rate_limited), WARN) if tally.rate_limited else "0",
            seconds(tally.p50_latency if tally.successes else None),
            seconds(tally.p95_latency if tally.successes else None),
            seconds(tally.p50_ttft if tally.first_token.count else None),
            count(tally.input_tokens),
            count(tally.output_tokens),
            _cost(tally, cost),
            lost if tally.wasted else NOTHING,
        )
        for (name, tally), cost, lost in zip(groups, costs, wasted, strict=True)
    ]
    return table([by, *_STAT_COLUMNS], rows)


def _cost(tally: Tally, shown: str) -> str:
    """Return what is shown of a cost: it may be unknown, in part or as a whole."""
    if not tally.cost and (not tally.successes or tally.unpriced_requests >= tally.successes):
        return "unknown" if tally.successes else NOTHING
    return f"≥ {shown}" if tally.unpriced_requests else shown


# -- usage ---------------------------------------------------------------------------------------------


def usage_html(handler: UsageCallbackHandler) -> Markup:
    """Return what a chain used, altogether and by deployment."""
    total = handler.total
    shown = {
        "answers": count(total.answers),
        "cost": dollars(total.cost, unknown=total.unpriced_answers, answers=total.answers),
        "tokens in": count(total.input_tokens),
        "tokens out": count(total.output_tokens),
        "failed requests": count(total.failed_requests),
    }
    if total.wasted:
        shown["wasted"] = dollars(total.wasted)
    if total.cached_answers:
        shown["from cache"] = count(total.cached_answers)
    if handler.budget_usd is not None:
        shown["budget"] = dollars(handler.budget_usd)
    groups = sorted(handler.by_deployment.items(), key=lambda item: -item[1].cost)
    costs = aligned(usage.cost for _, usage in groups)
    rows = [_usage_row(name, usage, cost) for (name, usage), cost in zip(groups, costs, strict=True)]
    columns = ("deployment", "answers", "failed", "tokens in", "tokens out", "cost")
    return page(heading("Usage"), cards(shown), table(columns, rows) if rows else "")


def _usage_row(name: str, usage: Usage, cost: str) -> Sequence[Any]:
    if usage.unpriced_answers and not usage.cost:
        cost = "unknown"
    elif usage.unpriced_answers:
        cost = f"≥ {cost}"
    tokens = count(usage.input_tokens), count(usage.output_tokens)
    return name, count(usage.answers), count(usage.failed_requests), *tokens, cost
