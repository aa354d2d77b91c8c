"""Limits in real calls: slots, waits, settlement and sharing, through the whole engine."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, errors
from langchain_llmdispatch.limits.limiter import Limiter
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer


def model_of(server: LoopbackServer, *deployments: Deployment, **fields: Any) -> DispatcherChatModel:
    """Return a model in virtual time."""
    return DispatcherChatModel(
        models=deployments,
        clock=FakeClock(),
        rng=random.Random(1),
        env={},
        retry_policy=RetryPolicy(jitter=False, max_retries=0),
        **fields,
    )


def deployment(server: LoopbackServer, name: str, **fields: Any) -> Deployment:
    """Return a deployment on the loopback server."""
    url = server.base_url("openai", name)
    return Deployment("openai:gpt-5.4-mini", name=name, base_url=url, api_key="key", **fields)


def _leave_stream(model: DispatcherChatModel) -> None:
    for _ in model.stream("hi"):
        break


async def _aleave_stream(model: DispatcherChatModel) -> None:
    stream = model.astream("hi")
    async for _ in stream:
        break
    await stream.aclose()


CALLS: dict[str, Any] = {
    "invoke": lambda model: model.invoke("hi"),
    "stream": lambda model: list(model.stream("hi")),
    "leave": _leave_stream,
    "ainvoke": lambda model: asyncio.run(model.ainvoke("hi")),
    "aleave": lambda model: asyncio.run(_aleave_stream(model)),
}


@each("call", CALLS)
def test_every_way_out_frees_the_slot(server: LoopbackServer, call: str) -> None:
    """Success, failure, and a consumer that leaves: one slot serves them all, one after the other."""
    model = model_of(server, deployment(server, "a", max_concurrency=1, tpm=100_000), deadline=5.0)
    for fault in (None, Fault(status=500), None, Fault(status=429), None):
        if fault is not None:
            server.script("openai", [fault], "a")
            with pytest.raises(errors.DispatchError):
                CALLS["ainvoke" if call.startswith("a") else "invoke"](model)
        else:
            CALLS[call](model)
    model._engine.limiter.close()


def test_a_busy_deployment_is_passed_over(server: LoopbackServer) -> None:
    """If another deployment can be tried sooner, it is; the call does not wait."""
    model = model_of(server, deployment(server, "a", rpm=10), deployment(server, "b"))
    names = [model.invoke("hi").response_metadata["llmdispatch"]["deployment"] for _ in range(3)]
    assert names == ["a", "b", "b"]
    assert model.clock.monotonic() == 0.0
    model.clock.advance(6.0)
    assert model.invoke("hi").response_metadata["llmdispatch"]["deployment"] == "a"
    model._engine.limiter.close()


def test_waiting_is_in_the_metadata(server: LoopbackServer) -> None:
    """`queue_ms` and the attempt's `wait_ms` hold what the limits cost."""
    model = model_of(server, deployment(server, "a", rpm=10))
    model.invoke("hi")
    report = model.invoke("hi").response_metadata["llmdispatch"]
    assert report["queue_ms"] == pytest.approx(6000, abs=5)
    assert report["attempts"][0]["wait_ms"] == report["queue_ms"]
    model._engine.limiter.close()


def test_real_usage_settles_reservations(server: LoopbackServer) -> None:
    """After answers the bucket holds what they used, not what was reserved."""
    model = model_of(server, deployment(server, "a", tpm=100_000))
    used = sum(model.invoke("hi").usage_metadata["total_tokens"] for _ in range(5))
    done = threading.Event()
    model._engine.limiter._loop.post(done.set)
    assert done.wait(60)
    left = model._engine.limiter.headroom(model.deployments()[0])["tokens"]
    assert left == pytest.approx(10_000 - used)
    model._engine.limiter.close()


def test_models_share_a_limiter_that_they_are_handed(server: LoopbackServer) -> None:
    """Two models with one limiter have one limit."""
    clock = FakeClock()
    limiter = Limiter(clock=clock)
    models = [
        DispatcherChatModel(models=[deployment(server, "a", rpm=10)], limiter=limiter, clock=clock, env={})
        for _ in range(2)
    ]
    waits = [model.invoke("hi").response_metadata["llmdispatch"]["queue_ms"] for model in models]
    assert waits == [0, pytest.approx(6000, abs=5)]
    limiter.close()
