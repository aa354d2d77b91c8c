"""`wait_for_preferred`: a call waits for its rate-limited first choice where the wait fits, in every colour."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError, DispatcherChatModel, DispatcherConfig
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of


def limited(seconds: float) -> Fault:
    """Return a 429 that names a time."""
    return Fault.error("rate_limit", headers={"retry-after-ms": f"{seconds * 1000:g}"})


def answered_by(message: Any) -> list[str]:
    """Return the deployments that a call tried, in order."""
    return [each["deployment"] for each in message.response_metadata["llmdispatch"]["attempts"]]


@each("colour", COLOURS)
@each(("patience", "seconds", "tried"), [(0, 2, "ab"), (1.5, 2, "ab"), (2, 2, "aa"), (2, 0.5, "aa")])
def test_a_retry_after_is_waited_for_where_it_fits(
    server: LoopbackServer, colour: str, patience: float, seconds: float, tried: str
) -> None:
    """The first choice is tried again after its time; a longer one sends the call on at once."""
    server.script("openai", [limited(seconds)], "a")
    fleet = [deployment(server, "openai", name) for name in "ab"]
    with model_of(*fleet, wait_for_preferred=patience) as model:
        assert answered_by(COLOURS[colour](model, "hello")) == list(tried)
        slept = sum(model.clock.slept)
    assert slept == (seconds if tried == "aa" else 0)


def test_a_call_has_patience_once() -> None:
    """Two waits of a second each fit two seconds; a third one does not."""
    with LoopbackServer() as server:
        server.script("openai", [limited(1)] * 3, "a")
        fleet = [deployment(server, "openai", name) for name in "ab"]
        with model_of(*fleet, wait_for_preferred=2.5, max_retries=5) as model:
            assert answered_by(model.invoke("hello")) == ["a", "a", "a", "b"]


@each("colour", COLOURS)
def test_a_cooldown_of_an_earlier_call_is_waited_for(server: LoopbackServer, colour: str) -> None:
    """So is what is left of another call's Retry-After; `explain` shows it; one run may have other patience."""
    server.script("openai", [limited(4)], "a")
    fleet = [deployment(server, "openai", name) for name in "ab"]
    with model_of(*fleet, wait_for_preferred=2) as model:
        assert answered_by(COLOURS[colour](model, "hello")) == ["a", "b"]
        assert answered_by(COLOURS[colour](model, "hello")) == ["b"]
        model.clock.advance(2.5)
        first, second = model.explain("hello").candidates
        assert (first.deployment, first.why, first.wait_s) == ("a", ("waited for",), 1.5)
        assert second.wait_s == 0
        impatient = {"configurable": {"wait_for_preferred": 1}}
        assert [each.deployment for each in model.explain("hello", impatient).candidates] == ["b", "a"]
        assert answered_by(model.invoke("hello", impatient)) == ["b"]
        assert answered_by(COLOURS[colour](model, "hello")) == ["a"]
        assert sum(model.clock.slept) == 1.5


@pytest.mark.parametrize("patience", [0.0, 30.0])
def test_our_own_limits_are_waited_for(server: LoopbackServer, patience: float) -> None:
    """An rpm that is used up sends the call on, or lets it queue; `explain` names the same deployment first."""
    fleet = [deployment(server, "openai", "a", rpm=10), deployment(server, "openai", "b")]
    with model_of(*fleet, wait_for_preferred=patience) as model:
        order = []
        for _ in range(3):
            planned = model.explain("hello").candidates[0].deployment
            order += answered_by(model.invoke("hello"))
            assert planned == order[-1]
    assert order == (["a", "a", "a"] if patience else ["a", "b", "b"])


def test_it_is_a_field_of_files_and_is_checked() -> None:
    """Files and runs hold it; negative seconds are refused with the field's name."""
    assert DispatcherConfig.load({"wait_for_preferred": 2}).wait_for_preferred == 2
    with pytest.raises(ValueError, match="wait_for_preferred"):
        DispatcherChatModel(models=["compatible:m"], wait_for_preferred=-1)
    with LoopbackServer() as server, model_of(deployment(server, "openai")) as model:
        with pytest.raises(ConfigurationError, match="wait_for_preferred=-1"):
            model.invoke("hi", {"configurable": {"wait_for_preferred": -1}})
