"""HTML for notebooks: plain tables and bars for light and dark, everything escaped, no scripts, no keys.

Colours are Okabe and Ito's, which colour-blind people can tell apart, and never carry a meaning alone. Text
takes the notebook's own colour, lines and backgrounds are translucent, so one style sheet serves every theme.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmdispatch.callbacks import Usage, UsageCallbackHandler
    from langchain_llmdispatch.stats import Stats
    from langchain_llmdispatch.tallies import Tally

GOOD, WARN, BAD, QUIET = "#009E73", "#E69F00", "#D55E00", "#888888"
"""Okabe and Ito's bluish green, orange and vermilion; grey for what waits."""
BLUE, SKY = "#0072B2", "#56B4E9"
NOTHING = "\N{EN DASH}"

_STYLE = """<style>
.llmd{font:13px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:inherit;
max-width:80em;overflow-x:auto}
.llmd table{border-collapse:collapse;margin:.5em 0;font-size:12.5px;border:0}
.llmd th,.llmd td{padding:.28em .75em;white-space:nowrap;
text-align:left!important;border:0;vertical-align:middle;
background:none!important;color:inherit}
.llmd th{font-weight:600;opacity:.72;border-bottom:1px solid rgba(128,128,128,.5);white-space:nowrap}
.llmd tr+tr td{border-top:1px solid rgba(128,128,128,.18)}
.llmd .n{text-align:right!important;font-variant-numeric:tabular-nums;white-space:nowrap}
.llmd .h{font-size:15px;font-weight:600;margin:.1em 0 .3em}
.llmd .q{opacity:.65}
.llmd .c{display:flex;flex-wrap:wrap;gap:.5em;margin:.45em 0}
.llmd .c div{padding:.35em .8em;border-radius:6px;background:rgba(128,128,128,.12)}
.llmd .c b{display:block;font-size:15px;font-variant-numeric:tabular-nums;white-space:nowrap}
.llmd .c span{font-size:11.5px;opacity:.7;white-space:nowrap}
.llmd .d{display:inline-block;width:.62em;height:.62em;border-radius:50%;margin-right:.42em}
.llmd .t{position:relative;height:1.15em;width:24em;background:rgba(128,128,128,.1);border-radius:3px;
overflow:hidden}
.llmd .t i{position:absolute;top:0;bottom:0;min-width:2px}
.llmd summary{cursor:pointer;opacity:.8}
</style>"""

Cell = str | int | float | None


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
    quiet = f' <span class="q" style="font-weight:400">{text(note)}</span>' if note else ""
    return Markup(f'<div class="h">{text(title)}{quiet}</div>')


def quiet(words: Any) -> Markup:
    """Return words in the background."""
    return Markup(f'<div class="q">{text(words)}</div>')


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, words: int = 1) -> Markup:
    """Return a table.

    Args:
        columns: Their titles.
        rows: The cells; Markup is taken as it is.
        words: How many columns from the left hold words; the others hold numbers and stand right.
    """
    kind = [' class="n"' if n >= words else "" for n in range(len(columns))]
    head = "".join(f"<th{k}>{text(c)}</th>" for k, c in zip(kind, columns, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{k}>{text(c)}</td>' for k, c in zip(kind, row, strict=True))}</tr>"
        for row in rows
    )
    return Markup(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def cards(values: Mapping[str, Any]) -> Markup:
    """Return a row of numbers with their names."""
    return Markup(
        '<div class="c">'
        + "".join(f"<div><b>{text(v)}</b><span>{text(k)}</span></div>" for k, v in values.items())
        + "</div>"
    )


def dot(words: Any, colour: str) -> Markup:
    """Return words with a coloured dot before them."""
    return Markup(f'<span class="d" style="background:{colour}"></span>{text(words)}')


def folded(summary: Any, *parts: str) -> Markup:
    """Return parts that open when their summary is clicked."""
    return Markup(f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>")


def bar(pieces: Iterable[tuple[float, float, str]]) -> Markup:
    """Return a bar of pieces, each from one share of the width to another (0 to 1) in a colour."""
    inner = "".join(
        f'<i style="left:{start:.2%};width:{max(0.0, end - start):.2%};background:{colour}"></i>'
        for start, end, colour in pieces
    )
    return Markup(f'<div class="t">{inner}</div>')


# -- numbers -------------------------------------------------------------------------------------------


def seconds(value: float | None) -> str:
    """Return a duration for people: `0.8 ms`, `340 ms`, `2.41 s`, `75 s`."""
    if not value:
        return NOTHING
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"  # noqa: PLR2004 - digits
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"  # noqa: PLR2004 - digits that matter


def dollars(value: Any, *, unknown: int = 0, answers: int = 0) -> str:
    """Return money for people; `unknown` of `answers` answers have no known price."""
    if value is None or (unknown and unknown >= answers and not value):
        return "unknown"
    amount = float(value)
    coarse = amount >= 10 or amount == round(amount, 2)  # noqa: PLR2004 - digits that matter
    shown = f"${amount:,.2f}" if coarse else f"${amount:.4f}"
    if 0 < amount < 0.001:  # noqa: PLR2004 - digits that matter
        shown = f"${amount:.7f}".rstrip("0")
    elif amount == 0:
        shown = "$0"
    return f"≥ {shown}" if unknown else shown


def count(value: int) -> str:
    """Return a number with thousands apart."""
    return f"{value:,}".replace(",", "\u202f")


def share(part: int, whole: int) -> str:
    """Return a percentage."""
    return f"{part / whole:.1%}" if whole else NOTHING


# -- statistics ----------------------------------------------------------------------------------------

_STAT_COLUMNS = (
    *("requests", "failed", "retries", "rate limited", "p50", "p95", "first token"),
    *("tokens in", "tokens out", "cost", "wasted"),
)


def stats_html(stats: Stats) -> Markup:
    """Return statistics: the most important numbers, a table by deployment, the rest folded."""
    total = stats.totals
    begun = stats.since.strftime("%Y-%m-%d %H:%M")
    parts = [heading("Statistics", f"since {begun} UTC"), cards(_summary(stats))]
    if total.requests:
        parts.append(_by("deployment", stats))
        parts += [
            folded(f"by {by}", _by(by, stats))
            for by in ("vendor", "model", "route", "tag")
            if stats.groups[by]
        ]
        parts.append(quiet("latencies of answered requests; percentiles within 1 %"))
    return page(*parts)


def _summary(stats: Stats) -> dict[str, Any]:
    total = stats.totals
    values: dict[str, Any] = {
        "calls": count(stats.calls.calls),
        "requests": count(total.requests),
        "answered": share(total.successes, total.requests),
        "retries": count(total.retries),
        "fallbacks": count(total.fallbacks),
        "median": seconds(total.p50_latency if total.successes else None),
        "95th percentile": seconds(total.p95_latency if total.successes else None),
        "first token": seconds(total.p50_ttft if total.first_token.count else None),
        "tokens": count(total.total_tokens),
        "cost": _cost(total),
    }
    extra = {"hedges": total.hedges, "in flight": stats.in_flight, "abandoned": total.abandoned}
    values |= {name: count(number) for name, number in extra.items() if number}
    return values | ({"throttled": seconds(total.throttled)} if total.throttled else {})


def _by(by: str, stats: Stats) -> Markup:
    rows = [
        (
            name,
            count(tally.requests),
            dot(tally.failures, BAD) if tally.failures else "0",
            tally.retries,
            dot(tally.rate_limited, WARN) if tally.rate_limited else "0",
            seconds(tally.p50_latency if tally.successes else None),
            seconds(tally.p95_latency if tally.successes else None),
            seconds(tally.p50_ttft if tally.first_token.count else None),
            count(tally.input_tokens),
            count(tally.output_tokens),
            _cost(tally),
            dollars(tally.wasted) if tally.wasted else NOTHING,
        )
        for name, tally in stats.groups[by].items()  # type: ignore[index] # its own words
    ]
    return table([by, *_STAT_COLUMNS], rows)


def _cost(tally: Tally) -> str:
    if not tally.successes and not tally.cost:
        return NOTHING
    return dollars(tally.cost, unknown=tally.unpriced_requests, answers=tally.successes)


# -- usage ---------------------------------------------------------------------------------------------


def usage_html(handler: UsageCallbackHandler) -> Markup:
    """Return what a chain used, altogether and by deployment."""
    total = handler.total
    shown = {
        "answers": count(total.answers),
        "failed requests": count(total.failed_requests),
        "tokens in": count(total.input_tokens),
        "tokens out": count(total.output_tokens),
        "cost": dollars(total.cost, unknown=total.unpriced_answers, answers=total.answers),
    }
    if total.wasted:
        shown["wasted"] = dollars(total.wasted)
    if total.cached_answers:
        shown["from cache"] = count(total.cached_answers)
    if handler.budget_usd is not None:
        shown["budget"] = dollars(handler.budget_usd)
    rows = [_usage_row(name, usage) for name, usage in handler.by_deployment.items()]
    columns = ("deployment", "answers", "failed requests", "tokens in", "tokens out", "cost")
    return page(heading("Usage"), cards(shown), table(columns, rows) if rows else "")


def _usage_row(name: str, usage: Usage) -> Sequence[Any]:
    cost = dollars(usage.cost, unknown=usage.unpriced_answers, answers=usage.answers)
    tokens = count(usage.input_tokens), count(usage.output_tokens)
    return name, count(usage.answers), count(usage.failed_requests), *tokens, cost


# -- one answer ----------------------------------------------------------------------------------------


def answer_html(message: BaseMessage | BaseException) -> Markup:
    """Return where one answer (or the error of a call) came from: its attempts on a line of time."""
    attempts, facts = attempts_of(message)
    whole = sum(one["wait_ms"] + one["latency_ms"] for one in attempts) or 1
    rows, at = [], 0.0
    for number, one in enumerate(attempts, 1):
        rows.append(_attempt_row(number, one, at, whole))
        at += one["wait_ms"] + one["latency_ms"]
    columns = ("#", "deployment", "outcome", f"0 to {seconds(whole / 1000)}", "waited", "first token", "took")
    legend = [dot("waited", QUIET), dot("until the first token", SKY), dot("answered", GOOD)]
    return page(
        _answer_heading(message, facts, attempts),
        table(columns, rows, words=4),
        Markup(f"<div>{' &nbsp; '.join([*legend, dot('failed', BAD)])}</div>"),
    )


def attempts_of(message: BaseMessage | BaseException) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
    """Return the attempts behind an answer or an error, and the facts of the call.

    Raises:
        ValueError: It holds none: another model made it.
    """
    if isinstance(message, BaseException):
        return [record.to_dict() for record in getattr(message, "attempts", ())], {}
    facts = message.response_metadata.get("llmdispatch")
    if not facts:
        raise ValueError("this message has no response_metadata['llmdispatch']: another model made it")
    return list(facts["attempts"]), facts


def _answer_heading(
    message: BaseMessage | BaseException, facts: Mapping[str, Any], attempts: Sequence[Mapping[str, Any]]
) -> str:
    number = f"{len(attempts)} request{'' if len(attempts) == 1 else 's'}"
    if isinstance(message, BaseException):
        return heading(dot(f"{type(message).__name__}", BAD), number)
    metadata, usage = message.response_metadata, getattr(message, "usage_metadata", None)
    shown: dict[str, Any] = {"model": metadata.get("model_name"), "requests": len(attempts)}
    if usage:
        shown["tokens"] = f"{count(usage['input_tokens'])} + {count(usage['output_tokens'])}"
    shown["cost"] = dollars(facts.get("cost_usd"))
    shown["ended by"] = metadata.get("finish_reason")
    adapted = [f"{change['kind']}: {change['detail']}" for change in facts.get("adapted", ())]
    notes = quiet(Markup("<br>".join(text(note) for note in adapted))) if adapted else ""
    fallback = "after a fallback" if facts.get("fallback") else ""
    route = f"route {facts['route']}" if facts.get("route") else ""
    note = ", ".join(filter(None, (fallback, route)))
    return heading(f"answered by {facts.get('deployment')}", note) + cards(shown) + notes


def _attempt_row(number: int, one: Mapping[str, Any], at: float, whole: float) -> Sequence[Any]:
    failed = one.get("error")
    colour = BAD if failed else GOOD
    sent, ended = at + one["wait_ms"], at + one["wait_ms"] + one["latency_ms"]
    pieces = [(at / whole, sent / whole, f"{QUIET}66")]
    first = one.get("ttft_ms")
    if first is not None and not failed:
        pieces.append((sent / whole, (sent + first) / whole, SKY))
        pieces.append(((sent + first) / whole, ended / whole, colour))
    else:
        pieces.append((sent / whole, ended / whole, colour))
    outcome = f"{failed or 'answered'}{f' ({status})' if (status := one.get('status')) and failed else ''}"
    return (
        number,
        one["deployment"],
        dot(outcome, colour),
        bar(pieces),
        seconds(one["wait_ms"] / 1000),
        seconds(first / 1000 if first is not None else None),
        seconds(one["latency_ms"] / 1000),
    )
