"""Threads, loops, repeated `asyncio.run`, notebooks: one model serves them all."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_llmdispatch import DispatcherChatModel, errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.clock import Clock
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL, deployment, model_of


def test_repeated_asyncio_run_and_sync_between(server: LoopbackServer) -> None:
    """Each `asyncio.run` has its own loop; the third works like the first, and sync calls in between too."""
    with model_of(deployment(server, "openai")) as model:
        for _ in range(3):
            assert asyncio.run(model.ainvoke("hello")).text
            assert model.invoke("hello").text
    gc.collect()


def test_asyncio_run_leaves_no_connection_open(server: LoopbackServer) -> None:
    """When a loop ends, its connections are closed with it."""
    model = model_of(deployment(server, "openai"))
    before = server.open_connections

    async def many() -> None:
        await asyncio.gather(*(model.ainvoke("hello") for _ in range(5)))

    asyncio.run(many())
    deadline = Clock().monotonic() + 60
    while server.open_connections > before and Clock().monotonic() < deadline:
        threading.Event().wait(0.01)
    assert server.open_connections <= before


def test_sync_calls_work_inside_a_running_loop(server: LoopbackServer) -> None:
    """A notebook cell may call `invoke` although a loop is running."""
    with model_of(deployment(server, "openai")) as model:

        async def cell() -> str:
            return model.invoke("hello").text + (await model.ainvoke("hello")).text

        assert asyncio.run(cell()).count("Hello!") == 2


def test_threads_and_loops_share_one_model(server: LoopbackServer) -> None:
    """Eight threads, half of them with a loop of their own, get their own answers."""
    with model_of(deployment(server, "anthropic")) as model:

        def sync(n: int) -> str:
            return model.invoke(f"number {n}").text

        def loop(n: int) -> str:
            return asyncio.run(model.ainvoke(f"number {n}")).text

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: (sync if n % 2 else loop)(n), range(40)))
    assert all(f"number {n}" in answer for n, answer in enumerate(answers))


def test_many_async_calls_at_once(server: LoopbackServer) -> None:
    """A hundred concurrent calls each get their own answer."""
    with model_of(deployment(server, "openai")) as model:

        async def many() -> list[str]:
            messages = await asyncio.gather(*(model.ainvoke(f"number {n}!") for n in range(100)))
            return [message.text for message in messages]

        answers = asyncio.run(many())
    assert all(f"number {n}!" in answer for n, answer in enumerate(answers))


@pytest.mark.parametrize("streamed", [False, True])
def test_cancelling_is_not_an_attempts_failure(server: LoopbackServer, *, streamed: bool) -> None:
    """A cancelled call raises CancelledError, sends nothing more, and the model still works."""
    server.script("openai", [Fault.stall(after_events=0)], account="a")
    model = model_of(deployment(server, "openai", "a"), deployment(server, "openai", "b"))

    async def call() -> None:
        if streamed:
            async for _ in model.astream("hello"):
                pass
        else:
            await model.ainvoke("hello")

    async def cancel() -> None:
        task = asyncio.create_task(call())
        while not server.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await model.ainvoke("again")).text

    asyncio.run(cancel())
    assert [received.account for received in server.requests] == ["a", "a"]


SLOW = {
    "stall": Fault.stall(after_events=0),
    "slow head": Fault.slow_head(600.0),
    "drip": Fault.drip(1, seconds=0.02),
    "keep-alives": Fault.keepalives(6_000, seconds=0.1),
}


@pytest.mark.parametrize("colour", ONE_CALL)
@pytest.mark.parametrize("fault", SLOW)
def test_the_deadline_holds_whatever_the_server_does(server: LoopbackServer, colour: str, fault: str) -> None:
    """A server that stalls, drips or only sends keep-alives cannot outlive the deadline (real clock).

    Nothing else would end the call for minutes, and its error would be another.
    """
    if fault in {"drip", "keep-alives"} and "invoke" in colour:
        pytest.skip("only streams drip")
    server.script("openai", [SLOW[fault]], account="a", repeat=True)
    limits = {"deadline": 0.1, "timeout": 600.0, "stream_idle_timeout": 600.0}
    model = model_of(deployment(server, "openai", "a"), clock=Clock(), **limits)
    with pytest.raises((errors.DeadlineExceededError, errors.StreamInterruptedError)):
        COLOURS[colour](model, "hello " * 200)


def _locks_of(model: DispatcherChatModel, budget: Budget) -> dict[str, Any]:
    """Return every lock that the end of an abandoned stream takes, by whose it is."""
    queue = next(iter(model._engine.limiter._queues.values()))
    return {
        "pool": next(iter(model._engine.transport._sync.values()))._freed,
        "queue": queue._lock,
        "bucket": queue._requests._lock,
        "health": model._engine.health._lock,
        "counters": model._engine.counters._lock,
        "budget": budget._lock,
    }


@pytest.mark.parametrize("held", ["pool", "queue", "bucket", "health", "counters", "budget"])
def test_a_stream_that_the_garbage_collector_closes_blocks_nobody(server: LoopbackServer, held: str) -> None:
    """It may do so within any allocation, and so while its thread holds the very lock that the end needs."""
    budget = Budget(1.0)
    model = model_of(
        deployment(server, "openai", rpm=1000, max_concurrency=1),
        clock=Clock(),
        budget=budget,
        max_tokens=10,
    )
    config = {"configurable": {"thread_id": "t"}}

    def abandon() -> None:
        stream = model.stream("hello", config)
        next(stream)
        cycle: list[Any] = [stream]
        cycle.append(cycle)

    def collect() -> None:
        with _locks_of(model, budget)[held]:
            gc.collect()

    gc.disable()
    try:
        abandon()
        thread = threading.Thread(target=collect, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    finally:
        gc.enable()
    assert model.invoke("again").text
    model._engine.limiter.close()
    model.close()


_FIRST_CALL = """
import asyncio, sys, threading
from langchain_core.language_models import FakeListChatModel
from langchain_llmdispatch import DispatcherChatModel

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "genai_prices":
            print("loaded by the loop's thread:", threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Watch())
model = DispatcherChatModel(models=[FakeListChatModel(responses=["hello"])], env={})
print("threads:", threading.active_count())

async def run():
    return [chunk async for chunk in model.astream("hi")] if sys.argv[1] == "astream" else await model.ainvoke("hi")

asyncio.run(run())
"""


@pytest.mark.parametrize("colour", ["ainvoke", "astream"])
def test_the_price_data_is_not_loaded_on_the_event_loop(colour: str) -> None:
    """It takes 0.1 s at the first call of a process; a thread does it, and there is none before."""
    command = [sys.executable, "-c", _FIRST_CALL, colour]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == ["threads: 1", "loaded by the loop's thread: False"]
