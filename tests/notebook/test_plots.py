"""Notebook displays and plots: right numbers, all escaped, no scripts, no keys; plots return their axes."""

from __future__ import annotations

import pickle
import re
from functools import reduce
from html.parser import HTMLParser
from operator import add
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmdispatch import AllDeploymentsFailedError, DispatcherChatModel
from langchain_llmdispatch.callbacks.usage import UsageCallbackHandler
from langchain_llmdispatch.html import NOTHING, aligned, dollars, page, seconds, share, text
from langchain_llmdispatch.notebook import plots as notebook
from langchain_llmdispatch.notebook.answer import attempts_of, timed
from langchain_llmdispatch.stats.stats import Stats
from tests.end_to_end.test_failover import deployment, model_of
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

mpl.use("Agg")

KEY, NASTY = "sk-very-secret-key", "<script>alert('x')</script>&\"nasty"
VOID = {"br", "meta"}


class Checker(HTMLParser):
    """Reads HTML as a browser would: tags that close, no scripts, no event handlers, nothing loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Check a tag."""
        assert tag not in {"script", "iframe", "img", "link", "object"}
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that it closes what is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        if self.open[-1:] != ["style"]:
            self.words += f" {data}"


def words(html: str) -> str:
    """Return what a reader sees, after checking the HTML."""
    checker = Checker()
    checker.feed(str(html))
    checker.close()
    assert checker.open == []
    assert KEY not in html
    assert "url(" not in html
    return re.sub(r"\s+", " ", checker.words)


@pytest.fixture
def model(server: LoopbackServer) -> DispatcherChatModel:
    """Return a model with a nasty name, a limit, and a price of its own."""
    first = deployment(server, "openai", rpm=500, input_price=3, output_price=9)
    return model_of(
        first.model_copy(update={"name": NASTY, "api_key": lambda: KEY}), deployment(server, "anthropic")
    )


def test_a_model_shows_its_deployments(model: DispatcherChatModel) -> None:
    """Names, states, limits, prices as of a date; a nasty name is only a name."""
    shown = words(model._repr_html_())
    assert NASTY in shown
    assert "500 rpm" in shown
    assert re.search(r"claude-haiku-4-5 .* 200.000", shown)
    assert re.search(r"prices: genai-prices [\d.]+", shown)


def test_a_model_shows_how_its_deployments_do(model: DispatcherChatModel, server: LoopbackServer) -> None:
    """Before any request nothing is claimed; then who is well, who is out, for how long and why."""
    assert words(model._repr_html_()).count("not tried yet") == 2
    server.script("openai", [Fault.error("auth")])
    model.invoke("hello")
    shown = words(model._repr_html_())
    assert re.search(r"gpt-5.4-mini breaker open \d+ (s|min) \(AuthenticationError\)", shown)
    assert re.search(r"claude-haiku-4-5 good", shown)


def test_a_plan_looks_like_the_rest(model: DispatcherChatModel) -> None:
    """Who is first, what it costs at worst, how all of them do; escaped, in the same style sheet."""
    html = str(model.explain("hello")._repr_html_())
    shown = words(html)
    assert f"{NASTY} first choice" in shown
    assert "at most" in shown
    assert "not tried yet" in shown
    assert "50 requests" in shown
    assert html.startswith(str(page())[:200])


def test_large_fleets_are_folded(server: LoopbackServer) -> None:
    """Of a hundred deployments the first 25 are open to see, in models, plans and statistics."""
    fleet = [deployment(server, "openai", f"d{n}") for n in range(100)]
    model = model_of(*fleet, strategy="round_robin")
    for n in range(40):
        model.invoke("hello", model=f"d{n}")
    for shown in (words(model._repr_html_()), words(model.explain("hello")._repr_html_())):
        assert "75 more" in shown
        assert "d99" in shown
    assert "15 more" in words(model.get_stats()._repr_html_())


def test_statistics_show_what_was_counted(model: DispatcherChatModel, server: LoopbackServer) -> None:
    """Totals and a row per deployment; before any request it says that there is nothing."""
    assert words(model.get_stats()._repr_html_()).endswith("UTC nothing counted yet")
    server.script("openai", [Fault.error("overloaded")])
    model.invoke("hello")
    shown = words(model.get_stats()._repr_html_())
    assert "2 requests 50.0% answered" in shown
    assert "1 retries 0 fallbacks" in shown
    assert NASTY in shown
    assert "by vendor" in shown


def test_an_answer_shows_its_attempts(model: DispatcherChatModel, server: LoopbackServer) -> None:
    """Every attempt with its outcome, waits and times; the whole on one line of time."""
    server.script("openai", [Fault.error("overloaded")] * 2 + [Fault.error("auth")])
    answer = reduce(add, model.stream("hello"))
    shown = words(notebook.show(answer)._repr_html_())
    assert "answered by anthropic after a fallback" in shown
    assert shown.count("OverloadedError (503)") == 2
    assert "AuthenticationError (401)" in shown
    assert "500 ms" in shown


def test_an_error_shows_its_attempts(model: DispatcherChatModel, server: LoopbackServer) -> None:
    """The final error of a call is shown like an answer."""
    server.script("openai", [Fault.error("auth")])
    server.script("anthropic", [Fault.error("auth")])
    with pytest.raises(AllDeploymentsFailedError) as failed:
        model.invoke("hello")
    shown = words(notebook.show(failed.value)._repr_html_())
    assert "AllDeploymentsFailedError 2 requests" in shown
    assert "spent" not in shown


def test_an_error_shows_what_it_cost(model: DispatcherChatModel, server: LoopbackServer) -> None:
    """Where useless answers were billed, the display of the error says how much."""
    server.script("openai", [Fault.empty_answer()] * 3)
    server.script("anthropic", [Fault.error("auth")])
    with pytest.raises(AllDeploymentsFailedError) as failed:
        model.invoke("hello")
    assert re.search(r"4 requests, \$0\.\d+ spent", words(notebook.show(failed.value)._repr_html_()))


def record(deployment: str, error: str | None, **times: int | None) -> dict[str, Any]:
    """Return the record of an attempt."""
    held = {"vendor": "v", "model": "m", "deployment": deployment, "status": None, "error": error}
    return {**held, "wait_ms": 0, "latency_ms": 0, "ttft_ms": None, "request_id": None, **times}


def hedged() -> AIMessage:
    """Return an answer of a hedge: `a` was overtaken after 300 ms by `b`, which was asked after 100 ms."""
    attempts = [
        record("a", "LostRaceError", started_ms=0, latency_ms=300),
        record("b", None, started_ms=100, wait_ms=50, latency_ms=250, ttft_ms=150),
    ]
    facts = {"deployment": "b", "route": None, "attempts": attempts, "fallback": False, "cost_usd": "0.01"}
    metadata = {"model_name": "m", "finish_reason": "stop", "llmdispatch": facts}
    return AIMessage("hi", response_metadata=metadata)


def test_hedged_attempts_overlap_as_they_did() -> None:
    """By their own starts: the second begins while the first is open, and who was overtaken did not fail."""
    first, second = timed(attempts_of(hedged())[0])
    assert (first.begin, first.sent, first.first, first.end) == (0.0, 0.0, None, 0.3)
    assert (second.begin, second.sent, second.end) == pytest.approx((0.1, 0.15, 0.4))
    assert first.pieces() == [("overtaken", 0.0, 0.3)]
    assert [word for word, *_ in second.pieces()] == ["waited", "until the first token", "answered"]
    shown = words(notebook.show(hedged())._repr_html_())
    assert "answered by b as a hedge" in shown
    assert "overtaken" in shown
    assert "0 to 400 ms" in shown
    assert "failed" not in shown
    assert notebook.to_pandas([hedged()])["total_s"][0] == pytest.approx(0.4)
    ax = notebook.plot_attempts(hedged())
    assert [bar.get_x() for bar in ax.patches] == pytest.approx([0.0, 0.1, 0.15, 0.3])
    mpl.pyplot.close("all")


def test_without_starts_attempts_follow_each_other() -> None:
    """Records of older versions say only how long: then one begins where the one before it ended."""
    line = timed([record("a", "ServerError", latency_ms=200), record("a", None, wait_ms=500, latency_ms=100)])
    times = [time for one in line for time in (one.begin, one.sent, one.end)]
    assert times == pytest.approx([0.0, 0.0, 0.2, 0.2, 0.7, 0.8])


def test_answers_that_were_not_good_enough_are_told_apart(server: LoopbackServer) -> None:
    """A call that was sent on shows the answer that was declined, neither as failed nor as the answer."""
    model = model_of(
        deployment(server, "openai"),
        deployment(server, "anthropic"),
        escalate_when=lambda message: message.response_metadata["model_provider"] == "openai",
    )
    shown = words(notebook.show(model.invoke("hello"))._repr_html_())
    assert "answered by anthropic after answers that were not good enough" in shown


def test_usage_shows_money(model: DispatcherChatModel) -> None:
    """A usage handler shows what was spent, of which budget."""
    usage = UsageCallbackHandler(budget_usd=1)
    model.invoke("hello", {"callbacks": [usage]})
    assert "$1.00 budget" in words(usage._repr_html_())


def test_show_takes_what_shows_itself_and_nothing_else(model: DispatcherChatModel) -> None:
    """Models and statistics show themselves; other models' answers and numbers do not."""
    assert "DispatcherChatModel" in notebook.show(model)._repr_html_()
    with pytest.raises(TypeError, match="no display of a int"):
        notebook.show(7)
    with pytest.raises(ValueError, match="another model made it"):
        notebook.show(AIMessage("hi"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((None, NOTHING), (0.0004, "0.4 ms"), (0.34, "340 ms"), (0.9998, "1.00 s"), (2.414, "2.41 s")),
        *((75.2, "75 s"), (2640, "44 min"), (12_600, "3.5 h")),
    ],
)
def test_durations_for_people(value: float | None, shown: str) -> None:
    """Three digits at most, in the unit that reads best."""
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "unknown"), (0, "$0"), (0.000074, "$0.000074"), (0.0236, "$0.0236"), (1, "$1.00")],
)
def test_money_for_people(value: float | None, shown: str) -> None:
    """What nobody knows is unknown, never $0."""
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


# -- tables and plots ----------------------------------------------------------------------------------


@pytest.fixture
def answers(server: LoopbackServer) -> tuple[Stats, list[Any]]:
    """Return statistics and messages of some calls on three vendors, with failures."""
    server.script("openai", [Fault.error("overloaded"), Fault.empty_answer()])
    model = model_of(*(deployment(server, vendor) for vendor in ("openai", "anthropic", "ollama")))
    messages = [model.invoke("hello")]
    messages += [model.invoke("hello", model=vendor) for vendor in ("openai", "anthropic", "ollama") * 2]
    return model.get_stats(), messages


def test_a_table_of_answers(answers: tuple[Stats, list[Any]]) -> None:
    """One row per answer; other messages and failures are left out; scores can be added."""
    table = notebook.to_pandas([HumanMessage("?"), ValueError("x"), *answers[1]])  # type: ignore[list-item]
    assert len(table) == 7
    assert set(table["deployment"]) == {"openai", "anthropic", "ollama"}
    assert table["cost_usd"].notna().all()
    assert list(notebook.to_pandas([]).columns) == list(table.columns)


def test_plots_return_their_axes(answers: tuple[Stats, list[Any]]) -> None:
    """Every plot draws on new axes or on those it is given, names what it shows, and can be drawn."""
    stats, messages = answers
    table = notebook.to_pandas(messages)
    table["score"] = [n / 10 for n in range(len(table))]
    plots = {
        "anthropic": lambda **to: notebook.plot_latency(stats, **to),
        "ollama": lambda **to: notebook.plot_cost(stats, **to),
        "openai": lambda **to: notebook.plot_attempts(messages[:2], **to),
    }
    for name, plot in plots.items():
        ax = plot()
        ax.figure.canvas.draw()
        assert any(name in label.get_text() for label in ax.get_yticklabels())
        assert plot(ax=ax) is ax
    for ax in (notebook.plot_tradeoff(stats), notebook.plot_tradeoff(table, y="score")):
        ax.figure.canvas.draw()
        assert {note.get_text() for note in ax.texts} == {"openai", "anthropic", "ollama"}
    mpl.pyplot.close("all")


def test_plots_of_nothing(server: LoopbackServer) -> None:
    """Without any request the plots are empty, not broken."""
    for plot in (notebook.plot_latency, notebook.plot_cost, notebook.plot_tradeoff):
        plot(Stats()).figure.canvas.draw()
    notebook.plot_attempts([]).figure.canvas.draw()
    mpl.pyplot.close("all")


def test_the_pareto_front() -> None:
    """The front holds what nothing else beats or equals in both, whichever way is better."""
    points = [("a", 1.0, 5.0), ("b", 2.0, 3.0), ("c", 3.0, 4.0), ("d", 4.0, 1.0), ("e", 4.0, 1.5)]
    assert [name for name, *_ in notebook._front(points, high=False)] == ["a", "b", "d"]
    assert [name for name, *_ in notebook._front(points, high=True)] == ["a"]


def test_a_missing_column_is_named() -> None:
    """A typing error says which column is missing."""
    with pytest.raises(ValueError, match="no column 'score'"):
        notebook.plot_tradeoff(pd.DataFrame({"deployment": [], "cost_usd": []}), y="score")
    with pytest.raises(ValueError, match="kept by vendor"):
        notebook.plot_tradeoff(Stats(), by="colour")


def test_displays_survive_pickling(answers: tuple[Stats, list[Any]]) -> None:
    """Statistics of another process are shown the same."""
    stats = answers[0]
    again = pickle.loads(pickle.dumps(stats))  # noqa: S301 - our own
    assert words(again._repr_html_()) == words(stats._repr_html_())
