"""Tables and plots for notebooks: right numbers; plots return their axes."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmdispatch.notebook import plots as notebook
from langchain_llmdispatch.notebook.figures import INK
from langchain_llmdispatch.stats.stats import Stats
from tests.html_reader import nasty_model
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

mpl.use("Agg")


def test_show_takes_what_shows_itself_and_nothing_else(server: LoopbackServer) -> None:
    """Models and statistics show themselves; other models' answers and numbers do not."""
    model = nasty_model(server)
    assert "DispatcherChatModel" in notebook.show(model)._repr_html_()
    with pytest.raises(TypeError, match="no display of a int"):
        notebook.show(7)
    with pytest.raises(ValueError, match="another model made it"):
        notebook.show(AIMessage("hi"))


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
    table = notebook.to_pandas([HumanMessage("?"), ValueError("x"), *answers[1]])
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


def test_plots_are_readable_on_any_page(answers: tuple[Stats, list[Any]]) -> None:
    """A new figure has no background and grey letters; one that is handed in keeps its own."""
    ax = notebook.plot_attempts(answers[1][0])
    assert (ax.figure.patch.get_alpha(), ax.patch.get_alpha()) == (0, 0)
    ax.figure.canvas.draw()
    assert {label.get_color() for label in [*ax.get_yticklabels(), *ax.texts]} == {INK}
    across = {label.get_color() for label in ax.get_xticklabels()}
    # Labels that are all light, or all dark, to its inline backend make Jupyter put a page behind the figure.
    assert {int(INK[1:3], 16) > 127.5, *(int(colour[1:3], 16) > 127.5 for colour in across)} == {True, False}
    own = mpl.pyplot.subplots()[1]
    notebook.plot_attempts(answers[1][0], ax=own)
    assert own.figure.patch.get_alpha() is None
    assert INK not in {label.get_color() for label in [*own.get_yticklabels(), *own.texts]}
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
    """A typing error names which column is missing."""
    with pytest.raises(ValueError, match="no column 'score'"):
        notebook.plot_tradeoff(pd.DataFrame({"deployment": [], "cost_usd": []}), y="score")
    with pytest.raises(ValueError, match="kept by vendor"):
        notebook.plot_tradeoff(Stats(), by="colour")
