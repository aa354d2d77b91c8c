"""Models in forked children, also while other threads are in calls."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

from langchain_llmdispatch import DispatcherChatModel, VendorConfig
from langchain_llmdispatch.clock import Clock
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL, deployment, model_of
from tests.processes import in_fork, start_fork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
ROOT = Path(__file__).parents[2]


def _answer(model: DispatcherChatModel, question: str, colour: str) -> str:
    return COLOURS[colour](model, question).text


@contextmanager
def _busy(model: DispatcherChatModel, colour: str) -> Iterator[None]:
    """Keep eight threads in calls of the model."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            _answer(model, "busy", colour)
            model.get_stats()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _model(server: LoopbackServer, **fields: object) -> DispatcherChatModel:
    limited = deployment(server, "openai", rpm=10_000_000, max_concurrency=64)
    return model_of(limited, clock=Clock(), deadline=20.0, **fields)


@pytest.mark.parametrize("colour", ONE_CALL)
def test_children_open_connections_of_their_own(server: LoopbackServer, colour: str) -> None:
    """Several at once, beside their parent, after a call: each gets the answers to its own questions."""
    with _model(server) as model:
        expected = _answer(model, "hello", colour)
        opened = server.accepted_connections
        waits = [start_fork(lambda: [_answer(model, "hello", colour) for _ in range(5)]) for _ in range(3)]
        assert [_answer(model, "hello", colour) for _ in range(5)] == [expected] * 5
        assert [wait() for wait in waits] == [[expected] * 5] * 3
    assert server.accepted_connections >= opened + 3


@pytest.mark.parametrize("busy", ["invoke", "ainvoke"])
@pytest.mark.parametrize("colour", ["invoke", "astream"])
def test_children_of_a_busy_process_answer(server: LoopbackServer, busy: str, colour: str) -> None:
    """They inherit no lock that a thread of the parent holds."""
    with _model(server) as model, _busy(model, busy):
        for _ in range(4):
            assert in_fork(lambda: _answer(model, "hello", colour))


def test_children_forked_during_the_first_calls_answer() -> None:
    """In a new process: its threads import what their first calls need, while it forks."""
    command = [sys.executable, "-m", "tests.first_calls"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout.split()) == (0, ["answered"] * 4), done.stderr


def test_a_child_counts_by_itself(server: LoopbackServer) -> None:
    """Its statistics begin at zero, and the parent's calls in flight are not its own."""
    with _model(server) as model:
        stream = model.stream("hello")
        next(stream)

        def child() -> tuple[int, int, float]:
            before = model.get_stats().in_flight
            _answer(model, "hello", "invoke")
            free = model._engine.limiter.headroom(model.deployments()[0])["concurrency"]
            return before, model.get_stats().total_requests, free

        assert in_fork(child) == (0, 1, 64.0)
        assert model.get_stats().in_flight == 1
        assert list(stream)


def test_a_child_leaves_its_parents_stream(server: LoopbackServer) -> None:
    """Ended in the child, or dropped, it takes nothing from the parent and nothing below zero."""
    with _model(server) as model:
        stream = model.stream("hello")
        first = next(stream)

        def child() -> tuple[int, float]:
            stream.close()
            gc.collect()
            free = model._engine.limiter.headroom(model.deployments()[0])["concurrency"]
            return model.get_stats().in_flight, free

        assert in_fork(child) == (0, 64.0)
        assert first.text + "".join(chunk.text for chunk in stream) == _answer(model, "hello", "invoke")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are read from /proc")
def test_the_parents_descriptors_are_released(server: LoopbackServer) -> None:
    """A connection that the parent closes is closed, whatever a child inherited."""
    with _model(server) as model:
        _answer(model, "hello", "invoke")
        (pool,) = model._engine.transport._sync.values()
        number = pool.idle[0].fileno()
        assert in_fork(lambda: Path(f"/proc/self/fd/{number}").readlink()) == Path(os.devnull)


@pytest.mark.parametrize("package", [httpx, httpx2], ids=lambda package: package.__name__)
@pytest.mark.parametrize("colour", ONE_CALL)
def test_clients_of_the_user_have_connections_per_process(
    server: LoopbackServer, colour: str, package: Any
) -> None:
    """Their settings stay; their connections are the parent's."""
    with package.Client() as sync:
        config = VendorConfig(http_client=sync, http_async_client=package.AsyncClient())
        with _model(server, vendors={"openai": config}) as model:
            expected = _answer(model, "hello", "invoke")
            opened = server.accepted_connections
            assert in_fork(lambda: [_answer(model, "hello", colour) for _ in range(1)]) == [expected]
            assert _answer(model, "hello", "invoke") == expected
    assert server.accepted_connections == opened + 1
