"""HTML primitives for notebooks: tables, cards, bars and numbers; everything escaped, no scripts.

Colours are Okabe and Ito's, distinguishable by colour-blind readers, and never carry a meaning alone. Text
takes the notebook's own colour, lines and backgrounds are translucent, so one style sheet serves every theme.
Where style sheets are removed (GitHub, JupyterLab in a notebook that is not trusted) words stand for shapes.
Each owner of data renders it with these: `stats/html.py`, `health/html.py`, `routing/plan_html.py`, ...
"""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GOOD, WARN, BAD, QUIET = "#009E73", "#E69F00", "#D55E00", "#888888"
"""Okabe and Ito's bluish green, orange and vermilion; grey for waiting and for answers that were not used."""
BLUE, SKY = "#0072B2", "#56B4E9"
NOTHING = "\N{EN DASH}"
MOST_ROWS = 25
"""Rows of a table that are shown at once; the rest is folded."""

_EMPTY = (None, "", NOTHING)
_IGNORED = "tex2jax_ignore mathjax_ignore"  # MathJax 2's and 3's names of what they do not typeset
_TAG = re.compile(r"(<(?!br>)[^>]*>)")  # MathJax reads on over a line break
_TINY = 0.001  # dollars; smaller amounts are shown with up to seven decimals
# JupyterLab, VS Code and Colab style tables themselves: hence the exclamation marks.
_STYLE = """<style>
.llmd{font:13px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:inherit;
overflow-x:auto}
.llmd table{border-collapse:collapse;margin:.5em 0!important;font-size:12.5px;border:0;
table-layout:auto!important;width:auto!important}
.llmd tr{background:none!important}
.llmd th,.llmd td{padding:.28em .55em;white-space:nowrap;text-align:left!important;border:0;
vertical-align:middle;background:none!important;color:inherit}
.llmd th{font-weight:600;opacity:.72;white-space:normal;vertical-align:bottom;
border-bottom:1px solid rgba(128,128,128,.5)}
.llmd tr+tr td{border-top:1px solid rgba(128,128,128,.18)}
.llmd .n{text-align:right!important;font-variant-numeric:tabular-nums}
.llmd .l{white-space:normal;min-width:11em;max-width:34em}
.llmd .h{font-size:15px;font-weight:600;margin:.1em 0 .3em}
.llmd .h .q{font-weight:400}
.llmd .q{opacity:.65}
.llmd .h b{font-weight:600}
.llmd .s{display:none}
.llmd .c{display:flex;flex-wrap:wrap;gap:.5em;margin:.45em 0}
.llmd .c .v{padding:.35em .8em;border-radius:6px;background:rgba(128,128,128,.12)}
.llmd .c b{display:block;font-size:15px;font-variant-numeric:tabular-nums;white-space:nowrap}
.llmd .c i{font-style:normal;font-size:11.5px;opacity:.7;white-space:nowrap}
.llmd .d{display:inline-block;width:.62em;height:.62em;border-radius:50%;margin-right:.42em}
.llmd .g{border:1px solid rgba(128,128,128,.6);border-radius:.7em;padding:0 .5em;font-size:11px;
margin-left:.4em}
.llmd .t{position:relative;height:1.15em;width:clamp(8em,18vw,22em);background:rgba(128,128,128,.1);
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
    return Markup(f'{_STYLE}<div class="llmd {_IGNORED}">{_no_mathematics("".join(parts))}</div>')


def _no_mathematics(html: str) -> str:
    """Return HTML in which no two dollar signs are in one run of text: between two would be mathematics."""
    pieces = _TAG.split(html)
    return "".join(
        piece.replace("$", "<span>$</span>") if piece[:1] != "<" and piece.count("$") > 1 else piece
        for piece in pieces
    )


def unstyled(words: Any) -> Markup:
    """Return words that are seen only where the style sheet is not: separators, and what shapes show."""
    return Markup(f'<span class="s">{text(words)}</span>')


def text(value: Any) -> Markup:
    """Return a value as HTML, escaped unless it is Markup."""
    return value if isinstance(value, Markup) else Markup(escape(NOTHING if value is None else str(value)))


def heading(title: Any, note: Any = "") -> Markup:
    """Return a title, with a muted note beside it."""
    return Markup(f'<div class="h"><b>{text(title)}</b>{f" {muted(note)}" if note else ""}</div>')


def muted(words: Any) -> Markup:
    """Return muted words within a line."""
    return Markup(f'<span class="q">{text(words)}</span>')


def muted_line(words: Any) -> Markup:
    """Return muted words on a line of their own."""
    return Markup(f'<div class="q">{text(words)}</div>')


def tag(words: Any) -> Markup:
    """Return a word with a frame."""
    return Markup(f'<span class="g">{unstyled(" (")}{text(words)}{unstyled(")")}</span>')


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, kinds: str = "") -> Markup:
    """Return a table without its empty columns; beyond `MOST_ROWS` rows the rest is folded.

    Args:
        columns: Their titles.
        rows: The cells; Markup is taken as it is.
        kinds: A letter per column: `w` words, `n` numbers, aligned right, `l` long words that may wrap;
            default: words in the first one, numbers in all others.
    """
    kinds, cells = kinds or "w" + "n" * (len(columns) - 1), list(rows)
    kept = [n for n in range(len(columns)) if not cells or any(row[n] not in _EMPTY for row in cells)]
    columns, kinds = [columns[n] for n in kept], "".join(kinds[n] for n in kept)
    cells = [[row[n] for n in kept] for row in cells]
    shown = MOST_ROWS if len(cells) > MOST_ROWS + 5 else len(cells)  # a few more are not worth folding
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
    inner = (f'<span class="v"><b>{text(v)}</b> <i>{text(k)}</i></span>' for k, v in values.items())
    return Markup(f'<div class="c">{unstyled(" · ").join(inner)}</div>')


def dot(words: Any, colour: str) -> Markup:
    """Return words with a coloured dot before them."""
    return Markup(f'<span class="d" style="background:{colour}"></span>{text(words)}')


def bar(pieces: Iterable[tuple[float, float, str]], words: str = "") -> Markup:
    """Return a bar of pieces: the start and end of each as a share of the width (0 to 1), and its CSS.

    Args:
        pieces: The pieces.
        words: The same in words, for readers without the style sheet, and beside a pointer.
    """
    inner = "".join(
        f'<i style="left:min({start:.2%},100% - 2px);width:{max(0.0, end - start):.2%};{style}"></i>'
        for start, end, style in pieces
    )
    hint = f' title="{escape(words)}"' if words else ""
    return Markup(f'<div class="t"{hint}>{inner}{unstyled(words) if words else ""}</div>')


def legend(entries: Mapping[str, str]) -> Markup:
    """Return the meaning of a bar's pieces: CSS by word; nothing where a single one needs no explanation."""
    keys = [f'<span class="k" style="{style}"></span>{text(word)}' for word, style in entries.items()]
    return Markup(f"<div>{unstyled(', ').join(keys)}</div>" if len(keys) > 1 else "")


def folded(summary: Any, *parts: str) -> Markup:
    """Return parts that open when their summary is clicked."""
    return Markup(f"<details><summary>{text(summary)}</summary>{''.join(parts)}</details>")


# -- numbers -------------------------------------------------------------------------------------------

# Below so many seconds: the factor, the digits and the unit. What rounds to a second is shown as one.
_DURATIONS = (
    (0.001, 1000, ".1f", "ms"),
    (0.9995, 1000, ".0f", "ms"),
    (10, 1, ".2f", "s"),
    (600, 1, ".0f", "s"),
    (7200, 1 / 60, ".0f", "min"),
    (math.inf, 1 / 3600, ".1f", "h"),
)


def seconds(value: float | None) -> str:
    """Return a duration in a fitting unit: `0.8 ms`, `340 ms`, `2.41 s`, `75 s`, `44 min`, `3.5 h`."""
    if not value:
        return NOTHING
    factor, digits, unit = next((f, d, u) for below, f, d, u in _DURATIONS if value < below)
    return f"{value * factor:{digits}} {unit}"


def dollars(value: Any, *, unknown: int = 0, answers: int = 0) -> str:
    """Return an amount of US dollars; `unknown` of `answers` answers have no known price."""
    if value is None or (unknown and unknown >= answers and not value):
        return "unknown"
    amount = float(value)
    coarse = amount >= 1 or amount == round(amount, 2)
    shown = f"${amount:,.2f}" if coarse else f"${amount:.4f}"
    if 0 < amount < _TINY:  # two digits
        shown = f"${amount:.{min(7, 1 - math.floor(math.log10(amount)))}f}".rstrip("0")
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
    needed = 1 - math.floor(math.log10(min(known, default=1.0)))  # two digits of the smallest
    most = 6 - math.floor(math.log10(max(known, default=1.0)))  # seven digits of the largest
    places = max(2, min(needed, most))
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


def plural(number: int, word: str) -> str:
    """Return a number of things: `1 request`, `2 requests`."""
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Return a percentage, rounded down: 100 % is shown only where nothing failed."""
    return f"{math.floor(part / whole * 1000) / 10:.1f}%" if whole else NOTHING
