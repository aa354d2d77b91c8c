"""`Driver`: what both drivers do, and in which order; the verbs are recorded (`verbs.py`, `runner.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManagerForLLMRun

from langchain_llmdispatch import errors
from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.drivers.async_driver import AsyncDriver
from langchain_llmdispatch.drivers.driver import Driver
from langchain_llmdispatch.drivers.sync_driver import SyncDriver
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.testing import FakeClock
from tests.calls import steady
from tests.drivers.script import Body, Script, answered, call, events, failed, whole
from tests.targets import target

Drive = Callable[[Script, Dispatch], tuple[list[Any], list[str]]]


def recorded(driver: Driver) -> list[str]:
    """Replace a driver's verbs by ones that record their names, and return the record."""
    names: list[str] = []

    def recording(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            names.append(name)
            return verb(*args)

        return call

    verbs = driver._verbs
    made = {field.name: recording(field.name, getattr(verbs, field.name)) for field in fields(verbs)}
    driver._verbs = replace(verbs, **made)
    return names


def sync(script: Script, dispatch: Dispatch) -> tuple[list[Any], list[str]]:
    """Drive a call in this thread; return what the caller gets and the verbs."""
    driver = SyncDriver(script.transport, Limiter())
    names = recorded(driver)
    if dispatch.call.request.stream:
        return list(driver.stream(dispatch, Run(None))), names
    return driver.generate(dispatch, Run(None)).generations, names


def asynchronous(script: Script, dispatch: Dispatch) -> tuple[list[Any], list[str]]:
    """Drive a call in a task; return what the caller gets and the verbs."""
    driver = AsyncDriver(script.transport, Limiter())
    names = recorded(driver)

    async def run() -> Sequence[Any]:
        if dispatch.call.request.stream:
            return [chunk async for chunk in driver.stream(dispatch, Run(None))]
        return (await driver.generate(dispatch, Run(None))).generations

    return list(asyncio.run(run())), names


@pytest.fixture(params=[sync, asynchronous])
def drive(request: pytest.FixtureRequest) -> Drive:
    """Return a way to drive a call, in each colour."""
    return request.param


def text(outputs: list[Any]) -> str:
    """Return the text of what the caller gets."""
    return "".join(output.message.text for output in outputs)


def test_a_whole_answer(drive: Drive) -> None:
    """Permit, request, body, and the response is closed before it is decoded."""
    body = whole("fine")
    outputs, verbs = drive(Script(answered(body)), call())
    assert text(outputs) == "fine"
    assert verbs == ["acquire", "send", "body", "close"]
    assert body.closed


def test_a_streamed_answer(drive: Drive) -> None:
    """Pieces are read until the end marker, then what HTTP sends after it; pieces and response are closed."""
    body = Body(*events("one", " two"))
    outputs, verbs = drive(Script(answered(body)), call(stream=True))
    assert text(outputs) == "one two"
    assert verbs == ["acquire", "send", "pieces", *["next_piece"] * 5, "finish", "close", "close"]
    assert body.closed


@pytest.mark.parametrize("stream", [False, True])
def test_a_retry_waits_between_two_requests(drive: Drive, stream: bool) -> None:
    """Events are delivered before the wait; each response is closed before the next request."""
    first, clock = failed(503), FakeClock()
    answer = answered(Body(*events("fine")) if stream else whole("fine"))
    dispatch = call("a", steady(), stream=stream, clock=clock)
    outputs, verbs = drive(Script(first, answer), dispatch)
    assert text(outputs) == "fine"
    assert clock.slept == [0.5]
    assert verbs[:8] == ["acquire", "send", "body", "close", "announce", "sleep", "acquire", "send"]
    assert first.is_closed or first.stream.closed
    assert [record.error for record in dispatch.call.records] == ["OverloadedError", None]


@pytest.mark.parametrize(
    "pieces",
    [[*events("one", end=False), httpx.ReadError("reset")], events("one", end=False)],
    ids=["broken", "ended"],
)
def test_a_stream_that_breaks_after_content_is_an_error(drive: Drive, pieces: list[Any]) -> None:
    """It carries what was delivered, and the response is closed."""
    body = Body(*pieces)
    with pytest.raises(errors.StreamInterruptedError) as raised:
        drive(Script(answered(body)), call(stream=True))
    assert raised.value.partial.text == "one"
    assert body.closed


def test_a_stream_that_breaks_before_content_falls_back_unseen(drive: Drive) -> None:
    """Its empty head is not handed over."""
    broken = Body(events()[0], httpx.ReadError("reset"))
    policy = steady(retries={"max_retries": 0})
    outputs, _ = drive(
        Script(answered(broken), answered(Body(*events("fine")))), call(policy=policy, stream=True)
    )
    assert text(outputs) == "fine"
    assert broken.closed
    assert len([output for output in outputs if output.message.chunk_position == "last"]) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_is_closed_whatever_happens(drive: Drive, stream: bool) -> None:
    """Also when reading its body fails, or its headers do."""
    broken = Body(httpx.ReadError("reset"))
    with pytest.raises(errors.AllDeploymentsFailedError):
        drive(Script(answered(broken)), call("a", steady(retries={"max_retries": 0}), stream=stream))
    assert broken.closed


def test_a_permit_is_released_after_its_attempt(drive: Drive) -> None:
    """The next call gets it; a wait for it is recorded."""
    limited = target("a", max_concurrency=1)
    script = Script(answered(whole("one")), failed(401), answered(whole("two")))
    assert text(drive(script, call(fleet=[limited]))[0]) == "one"
    with pytest.raises(errors.DispatchError):
        drive(script, call(fleet=[limited]))
    assert text(drive(script, call(fleet=[limited]))[0]) == "two"


def test_events_are_delivered_at_the_end_of_a_call() -> None:
    """What is queued when the call ends is delivered before it returns."""
    names: list[str] = []

    class Handler(BaseCallbackHandler):
        def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
            names.append(name)

    manager = CallbackManagerForLLMRun.get_noop_manager()
    manager.handlers.append(Handler())
    run = Run(manager)
    driver = SyncDriver(Script(answered(whole())).transport, Limiter())
    driver.generate(call(observers=[run]), run)
    assert names == ["llmdispatch.attempt", "llmdispatch.usage"]
