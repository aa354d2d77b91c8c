"""Progress: results in order, failures counted, tokens and dollars of all calls, silent off a terminal."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManager
from langchain_core.prompts import ChatPromptTemplate
from tqdm.std import tqdm

from langchain_llmdispatch import AllDeploymentsFailedError, DispatcherChatModel
from langchain_llmdispatch.batch.progress import Progress, abatch_with_progress, batch_with_progress
from langchain_llmdispatch.callbacks.usage import UsageCallbackHandler
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


class Screen(io.StringIO):
    """A terminal that remembers."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


def bar_on(screen: io.StringIO) -> Any:
    """Return a factory of bars that write to the screen."""

    def make(**fields: Any) -> Any:
        return tqdm(**{**fields, "file": screen, "mininterval": 0, "ncols": 120, "dynamic_ncols": False})

    return make


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_results_come_in_order_with_failures_in_place(server: LoopbackServer, colour: str) -> None:
    """The bar counts what is done and failed, tokens and dollars; results keep their places."""
    server.script("openai", [Answer(text="one"), Fault(status=400), Answer(text="three")])
    model, screen = model_of(deployment(server, "openai", input_price=1, output_price=1)), Screen()
    options: dict[str, Any] = {"return_exceptions": True, "bar": bar_on(screen)}
    config: Any = {"max_concurrency": 1}
    if colour == "sync":
        results = batch_with_progress(model, ["a", "b", "c"], config, **options)
    else:
        results = asyncio.run(abatch_with_progress(model, ["a", "b", "c"], config, **options))
    texts = [getattr(result, "text", "failed") for result in results]
    # LangChain starts the calls of an asynchronous batch in any order.
    assert texts == ["one", "failed", "three"] if colour == "sync" else min(texts) == "failed"
    last = screen.getvalue().split("\r")[-1]
    used = server.usage()["openai"]
    assert "3/3" in last
    assert f"1 failed, {used.input_tokens + used.output_tokens} tokens, $0.00" in last


def test_a_failure_is_raised_unless_it_is_to_be_returned(server: LoopbackServer) -> None:
    """Without `return_exceptions` the first failure ends the batch."""
    server.script("openai", [Fault.error("auth")], repeat=True)
    with pytest.raises(AllDeploymentsFailedError):
        model_of(deployment(server, "openai")).batch(["a", "b"], progress=True)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_model_s_batch_takes_progress(
    server: LoopbackServer, capsys: pytest.CaptureFixture[str], colour: str
) -> None:
    """With progress, batches answer as without it; off a terminal nothing is shown."""
    model = model_of(deployment(server, "openai"))

    def run(model: DispatcherChatModel, **options: Any) -> list[Any]:
        if colour == "sync":
            return model.batch([f"say {n}" for n in range(5)], **options)
        return asyncio.run(model.abatch([f"say {n}" for n in range(5)], **options))

    assert [a.text for a in run(model, progress=True)] == [a.text for a in run(model)]
    assert capsys.readouterr().err == ""


def test_chains_have_progress_too(server: LoopbackServer) -> None:
    """Any runnable is counted, and the callbacks of its config are still notified."""
    model, usage = model_of(deployment(server, "openai")), UsageCallbackHandler()
    chain = ChatPromptTemplate.from_template("say {word}") | model
    screen = Screen()
    inputs = [{"word": str(n)} for n in range(3)]
    for callbacks in ([usage], CallbackManager([usage], [usage])):
        batch_with_progress(chain, inputs, {"callbacks": callbacks}, bar=bar_on(screen))
    assert usage.answers == 6
    assert "3/3" in screen.getvalue()


def test_an_unknown_price_is_shown_as_unknown() -> None:
    """It is not shown as zero."""
    screen = Screen()
    with Progress(1, bar=bar_on(screen)) as progress:
        usage = progress.usage
        usage._add(("v", "d", "m"), usage.total.__class__(answers=1, unpriced_answers=1))
        progress.add(failed=False)
    assert "price unknown" in screen.getvalue()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_without_tqdm_nothing_is_sent(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, colour: str
) -> None:
    """The error names what to install, before any request is paid for."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    model = model_of(deployment(server, "openai"))
    with pytest.raises(ImportError, match=r"langchain-llmdispatch\[notebook\]"):
        if colour == "sync":
            model.batch(["a"], progress=True)
        else:
            asyncio.run(model.abatch(["a"], progress=True))
    assert server.requests == []


def test_sync_calls_work_inside_a_running_loop(server: LoopbackServer) -> None:
    """As in a notebook: invoke, stream and batch within a running event loop, without patching it."""
    model = model_of(deployment(server, "openai"))

    async def cell() -> list[str]:
        shown = batch_with_progress(model, ["d", "e"], bar=bar_on(Screen()))
        return [model.invoke("a").text, *(c.text for c in model.stream("b")), model.batch(["c"])[0].text] + [
            answer.text for answer in shown
        ]

    assert all(isinstance(text, str) for text in asyncio.run(cell()))
    assert len(server.requests) == 5
