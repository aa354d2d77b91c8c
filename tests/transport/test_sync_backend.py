"""The sync backend: a name's lookup and all its addresses share one bounded time; connections are kept alive."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpcore
import pytest

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.transport.async_connection import AsyncConnection
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.sync_backend import SyncBackend
from langchain_llmdispatch.transport.sync_connection import SyncConnection
from langchain_llmdispatch.transport.tcp import is_address
from tests.transport.servers import COLOURS, listening, origin, run, silent


def found(*hosts: str, port: int) -> list[tuple[Any, ...]]:
    """Return what a lookup that found these addresses returns."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in hosts]


@pytest.fixture
def full_port() -> Iterator[int]:
    """Yield a port of 127.0.0.2 to 127.0.0.4 on which connections are neither accepted nor refused."""
    with ExitStack() as opened:
        port = 0
        for last in (2, 3, 4):
            listener = opened.enter_context(socket.socket())
            listener.bind((f"127.0.0.{last}", port))
            port = listener.getsockname()[1]
            listener.listen(0)
            for _ in range(3):
                client = opened.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex((f"127.0.0.{last}", port))
        yield port


def test_all_addresses_share_the_time(full_port: int) -> None:
    """Three addresses that do not respond take the time of one, and each is tried."""
    backend = SyncBackend(lambda *_: found("127.0.0.2", "127.0.0.3", "127.0.0.4", port=full_port))
    begun = time.monotonic()
    with pytest.raises(httpcore.ConnectTimeout):
        backend.connect_tcp("vendor.test", full_port, 0.6)
    assert time.monotonic() - begun < 0.6 * 3


def test_the_next_address_is_tried() -> None:
    """An address that refuses, and one that does not respond, do not end the search."""
    with listening(silent) as port:
        backend = SyncBackend(lambda *_: found("127.0.0.9", "127.0.0.1", port=port))
        stream = backend.connect_tcp("vendor.test", port, 60)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        stream.close()


def test_a_lookup_is_waited_for_no_longer_than_the_time() -> None:
    """A name server that does not respond is a timeout of the connection."""
    over = threading.Event()
    with pytest.raises(httpcore.ConnectTimeout):
        SyncBackend(lambda *_: over.wait() and []).connect_tcp("vendor.test", 80, 0.01)
    over.set()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label")])
def test_a_name_without_address_is_a_connect_error(error: Exception) -> None:
    """Neither an unknown name, nor an impossible one, nor an empty result is anything else."""

    def unknown(*_: Any) -> Any:
        raise error

    for lookup in (unknown, lambda *_: []):
        with pytest.raises(httpcore.ConnectError):
            SyncBackend(lookup).connect_tcp("vendor.test", 80, 60)


def test_an_address_is_not_looked_up() -> None:
    """No thread and no name server is needed for an address."""
    with listening(silent) as port:
        SyncBackend(lambda *_: 1 / 0).connect_tcp("127.0.0.1", port, 60).close()
    assert [is_address(host) for host in ("::1", "10.0.0.1", "localhost")] == [True, True, False]


def kept_alive(stream: Any) -> dict[str, int]:
    """Return the options of a connection's socket."""
    own = stream.get_extra_info("socket")
    with socket.fromfd(own.fileno(), own.family, own.type) as twin:
        return {
            "on": twin.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            "idle": twin.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        }


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="the system has another name for it")
@pytest.mark.parametrize("colour", COLOURS)
def test_connections_are_kept_alive(colour: str) -> None:
    """TCP probes a connection that is idle for a minute, so that NAT does not forget a long answer's."""
    options = dict[str, int]()
    deadline = ReadDeadline(Clock(), float("inf"), "it")

    async def main() -> None:
        connection = AsyncConnection()
        await connection.open(origin(port, host="localhost"), None, deadline)
        options.update(kept_alive(connection))
        connection.close()

    with listening(silent) as port:
        if colour == "sync":
            connection = SyncConnection()
            connection.open(origin(port, host="localhost"), None, deadline)
            options = kept_alive(connection)
            connection.close()
        else:
            run(colour, main)
    assert options == {"on": 1, "idle": 60}
