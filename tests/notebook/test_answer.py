"""An answer in a notebook: its attempts on a timeline, of errors and hedges too."""

from __future__ import annotations

import re
from functools import reduce
from operator import add
from typing import Any

import matplotlib as mpl
import pytest
from langchain_core.messages import AIMessage

from langchain_llmdispatch import AllDeploymentsFailedError
from langchain_llmdispatch.notebook import plots as notebook
from langchain_llmdispatch.notebook.answer import attempts_of, timed
from tests.html_reader import nasty_model, words
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

mpl.use("Agg")


def test_an_answer_shows_its_attempts(server: LoopbackServer) -> None:
    """Every attempt with its outcome, waits and times; the whole on one timeline."""
    model = nasty_model(server)
    server.script("openai", [Fault.error("overloaded")] * 2 + [Fault.error("auth")])
    answer = reduce(add, model.stream("hello"))
    shown = words(notebook.show(answer)._repr_html_())
    assert "answered by anthropic after a fallback" in shown
    assert shown.count("OverloadedError (503)") == 2
    assert "AuthenticationError (401)" in shown
    assert "500 ms" in shown


def test_an_error_shows_its_attempts(server: LoopbackServer) -> None:
    """The final error of a call is shown like an answer."""
    model = nasty_model(server)
    server.script("openai", [Fault.error("auth")])
    server.script("anthropic", [Fault.error("auth")])
    with pytest.raises(AllDeploymentsFailedError) as failed:
        model.invoke("hello")
    shown = words(notebook.show(failed.value)._repr_html_())
    assert "AllDeploymentsFailedError 2 requests" in shown
    assert "spent" not in shown


def test_an_error_shows_what_it_cost(server: LoopbackServer) -> None:
    """Where useless answers were billed, the display of the error shows how much."""
    model = nasty_model(server)
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
    """Return an answer of a hedge: `a` was overtaken after 300 ms by `b`, which was sent after 100 ms."""
    attempts = [
        record("a", "LostRaceError", started_ms=0, latency_ms=300),
        record("b", None, started_ms=100, wait_ms=50, latency_ms=250, ttft_ms=150),
    ]
    facts = {"deployment": "b", "route": None, "attempts": attempts, "fallback": False, "cost_usd": "0.01"}
    metadata = {"model_name": "m", "finish_reason": "stop", "llmdispatch": facts}
    return AIMessage("hi", response_metadata=metadata)


def test_hedged_attempts_overlap_as_they_did() -> None:
    """By their own starts: the second begins while the first is open, and the one that was overtaken did not fail."""
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


def test_declined_answers_are_neither_failed_nor_the_answer(server: LoopbackServer) -> None:
    """A call that was sent on shows the answer that was declined, neither as failed nor as the answer."""
    model = model_of(
        deployment(server, "openai"),
        deployment(server, "anthropic"),
        escalate_when=lambda message: message.response_metadata["model_provider"] == "openai",
    )
    shown = words(notebook.show(model.invoke("hello"))._repr_html_())
    assert "answered by anthropic after answers that were not good enough" in shown
