"""Connections of threads: what is closed or has been answered is not fresh, whatever the system offers to look."""

from __future__ import annotations

import gc
import select
import socket
import time

import httpx
import pytest

from langchain_llmdispatch.transport.sync_connection import SyncConnection, SyncPool
from tests.transport.servers import answer, deadline, exchanged, leave, listening, origin, post, silent


@pytest.mark.parametrize("polls", [True, False])
def test_a_connection_is_fresh_until_something_arrives(polls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `poll`, and where there is none: on Windows, and under gevent."""
    if not polls:
        monkeypatch.delattr(select, "poll", raising=False)
    with listening(leave) as port:
        connection = SyncConnection()
        connection.open(origin(port), None, deadline())
        assert connection.is_fresh()
        connection.send(b"GET / HTTP/1.1\r\n\r\n", deadline())
        until = time.monotonic() + 60
        while connection.is_fresh() and time.monotonic() < until:
            pass
        assert not connection.is_fresh()
        connection.close()
        assert not connection.is_fresh()
        assert connection.fileno() == -1


def test_a_response_that_is_dropped_closes_its_connection() -> None:
    """Ctrl-C at any moment comes to the same."""
    with listening(answer) as port:
        pool = SyncPool(origin(port), None)
        response = pool.handle_request(post(origin(port), "/900000"), deadline())
        assert len(pool.busy) == 1
        del response
        gc.collect()
        assert pool.opened == []


def test_a_connection_that_breaks_is_a_read_error() -> None:
    """A reset while the answer is waited for, and an end of input, are distinguished from a timeout."""
    with listening(silent) as port:
        connection = SyncConnection()
        connection.open(origin(port), None, deadline())
        connection.close()
        with pytest.raises(httpx.ReadError):
            connection.read(deadline())
        assert not connection.send(b"x", deadline())


def test_a_body_that_the_system_does_not_take_at_once_is_sent_whole() -> None:
    """What there is no room for waits for it, and no byte is sent twice."""
    body = bytes(range(256)) * 16 * 1024
    with listening(answer) as port:
        found = exchanged("sync", origin(port), post(origin(port), content=body))
    assert found.responses[0].content == body


def test_a_server_that_reads_nothing_is_not_waited_for_longer_than_the_deadline() -> None:
    """Nothing is accepted of the end of a body that is larger than all buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = SyncConnection()
        connection.open(origin(listener.getsockname()[1]), None, deadline())
        with pytest.raises(httpx.WriteTimeout):
            connection.send(bytes(32 * 1024 * 1024), deadline(0.02))
        connection.close()
