"""HTML primitives: durations, money, shares, and text that is escaped."""

from __future__ import annotations

import re

from langchain_llmdispatch.internal.html import (
    NOTHING,
    aligned,
    bar,
    cards,
    dollars,
    legend,
    muted_line,
    page,
    seconds,
    share,
    table,
    tag,
    text,
)
from tests.cases import each


@each(
    ("value", "shown"),
    [
        *((None, NOTHING), (0.0004, "0.4 ms"), (0.34, "340 ms"), (0.9998, "1.00 s"), (2.414, "2.41 s")),
        *((75.2, "75 s"), (2640, "44 min"), (12_600, "3.5 h")),
    ],
)
def test_durations_have_a_fitting_unit(value: float | None, shown: str) -> None:
    """Three digits at most, in the unit that reads best."""
    assert seconds(value) == shown


@each(
    ("value", "shown"),
    [
        (None, "unknown"),
        (0, "$0"),
        (0.000074, "$0.000074"),
        (0.0000452, "$0.000045"),
        (0.0236, "$0.0236"),
        (1, "$1.00"),
    ],
)
def test_an_unknown_price_is_not_zero(value: float | None, shown: str) -> None:
    """An unknown amount is unknown, never $0; a part of it is a lower bound."""
    assert dollars(value) == shown
    assert dollars(0, unknown=3, answers=3) == "unknown"
    assert dollars(0.5, unknown=1, answers=3) == "≥ $0.50"


def test_a_column_of_money_has_the_same_decimals() -> None:
    """Two digits of the smallest amount, seven of the largest, so that the eye can compare."""
    assert aligned([None, 0, 0.000642, 0.0018]) == ["unknown", "$0", "$0.00064", "$0.00180"]
    assert aligned([0.75, 4.5], "") == ["0.75", "4.50"]
    assert aligned([1234.5, 0.000001]) == ["$1,234.500", "< $0.001"]
    assert aligned([]) == []


def test_a_share_does_not_hide_a_failure() -> None:
    """One failure in ten thousand is not 100 %."""
    assert (share(9999, 10_000), share(1, 1), share(0, 0)) == ("99.9%", "100.0%", NOTHING)


def test_text_is_escaped() -> None:
    """Only what is marked as HTML is taken as HTML."""
    assert text("<b>") == "&lt;b&gt;"


def test_a_table_has_no_empty_columns_and_folds_its_rest() -> None:
    """What holds nothing is not shown; beyond 30 rows all after the first 25 are folded."""
    html = table(["name", "nothing", "count"], [(f"<{n}>", None, n) for n in range(40)])
    assert "nothing" not in html
    assert "&lt;7&gt;" in html
    assert "<summary>15 more</summary>" in html
    assert "<details>" not in table(["name"], [("x",)] * 30)


def test_a_bar_is_made_of_shares_and_explained() -> None:
    """Pieces stand where they begin; a single kind needs no legend."""
    assert 'style="left:min(25.00%,100% - 2px);width:50.00%;background:red"' in bar(
        [(0.25, 0.75, "background:red")]
    )
    assert legend({"sent": "background:red"}) == ""
    assert "sent" in legend({"sent": "background:red", "failed": "background:blue"})


def test_money_is_not_mathematics() -> None:
    """MathJax passes over a display; where it does not, no run of text, line breaks included, has two dollar signs."""
    html = page(muted_line(text("up to $1 of $2")), muted_line("$3"), cards({"$4 a": "$5 <b>"}))
    assert 'class="llmd tex2jax_ignore mathjax_ignore"' in html
    assert ">up to <span>$</span>1 of <span>$</span>2<" in html
    assert ">$3<" in html
    assert all(run.count("$") < 2 for run in re.split(r"<(?!br>)[^>]*>", html))


def test_a_display_is_readable_without_its_style_sheet() -> None:
    """Words separate what boxes do, and say what colours and bars do; the style sheet hides them."""

    def read(html: str) -> str:
        return re.sub(r"<style>.*</style>|<[^>]+>", "", html, flags=re.DOTALL)

    assert read(page(cards({"cost": "$1", "requests": 2}))) == "$1 cost · 2 requests"
    assert read(f"a{tag('first choice')}") == "a (first choice)"
    assert read(legend({"sent": "", "failed": ""})) == "sent, failed"
    assert read(bar([(0, 1, "")], "sent 0 to 1 s")) == "sent 0 to 1 s"
    assert ".llmd .s{display:none}" in page()
