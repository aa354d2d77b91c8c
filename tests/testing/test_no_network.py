"""While a cassette replays, nothing leaves this machine: no socket, no look-up of a name."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langchain_llmdispatch.testing import CallLeftError, Cassette
from langchain_llmdispatch.testing.no_network import ClosedNetwork
from tests.loopback.server import LoopbackServer

# An address and a name that are reserved for documentation (RFC 5737, RFC 6761).
ADDRESS, NAME = "192.0.2.1", "db.invalid"


def _udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.sendto(b"x", (ADDRESS, 53))


def _tcp(method: str) -> None:
    with socket.socket() as made:
        getattr(made, method)((ADDRESS, 5432))


async def _resolve() -> None:
    await asyncio.get_running_loop().getaddrinfo(NAME, 443)


LEAVING: dict[str, Callable[[], Any]] = {
    "connect": lambda: _tcp("connect"),
    "connect_ex": lambda: _tcp("connect_ex"),
    "create_connection": lambda: socket.create_connection((ADDRESS, 443), timeout=0.01),
    "datagram": _udp,
    "asyncio": lambda: asyncio.run(asyncio.open_connection(ADDRESS, 443)),
    "getaddrinfo": lambda: socket.getaddrinfo(NAME, 443),
    "gethostbyname": lambda: socket.gethostbyname(NAME),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex(NAME.encode().decode()),
    "asyncio look-up": lambda: asyncio.run(_resolve()),
}


@pytest.mark.parametrize("name", LEAVING)
def test_nothing_leaves(tmp_path: Path, name: str) -> None:
    """Sockets and names are refused; the message names the place and the way out."""
    with (
        Cassette(tmp_path / "x.yaml"),
        pytest.raises(CallLeftError, match=r"x\.yaml replays.*allow_hosts=\['(192.0.2.1|db.invalid)'\]"),
    ):
        LEAVING[name]()


def test_other_threads_are_held_too(tmp_path: Path) -> None:
    """What a thread of the application sends is refused as well."""
    raised: list[BaseException] = []

    def leave() -> None:
        try:
            _tcp("connect")
        except CallLeftError as error:
            raised.append(error)

    with Cassette(tmp_path / "x.yaml"):
        thread = threading.Thread(target=leave)
        thread.start()
        thread.join()
    assert len(raised) == 1


def test_this_machine_is_reached(tmp_path: Path, server: LoopbackServer) -> None:
    """A database or a server beside the test is no network; nor is a socket of the file system."""
    port = int(server.url.rpartition(":")[2])
    with Cassette(tmp_path / "x.yaml"):
        socket.create_connection(("localhost", port), timeout=5).close()
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        assert socket.getaddrinfo(socket.gethostname(), 80)
        with socket.socket(socket.AF_UNIX) as made, pytest.raises(FileNotFoundError):
            made.connect(str(tmp_path / "none"))


def test_allowed_hosts_are_looked_up_and_reached() -> None:
    """A host that may be reached may be reached by its addresses too; others may not."""
    with ClosedNetwork("x.yaml", ["DB*"]) as network, pytest.raises(OSError, match=r"."):
        socket.getaddrinfo(NAME, 5432)  # looked up, and not found
    with network:
        assert not network.passes(ADDRESS)
        ClosedNetwork.remember("other.invalid", [ADDRESS])
        assert not network.passes(ADDRESS)
        ClosedNetwork.remember(NAME, [ADDRESS])
        assert network.passes(ADDRESS)
        assert not network.passes("192.0.2.2")


@pytest.mark.parametrize(
    "options", [{"mode": "rewrite"}, {"other_hosts": "pass"}, {"allow_hosts": ["*.invalid"]}]
)
def test_the_network_is_open_otherwise(tmp_path: Path, options: Any) -> None:
    """Recording needs it; another recorder, or the test itself, may have it."""
    with Cassette(tmp_path / "x.yaml", **options), pytest.raises(socket.gaierror):
        socket.getaddrinfo(NAME, 443)


def test_it_is_open_again_afterwards(tmp_path: Path) -> None:
    """Cassettes that overlap close it until the last one is out, in whatever order."""
    plain = socket.getaddrinfo, socket.socket.connect
    first, second = ClosedNetwork("1"), ClosedNetwork("2")
    first.__enter__()
    second.__enter__()
    first.__exit__()
    with pytest.raises(CallLeftError):
        socket.getaddrinfo(NAME, 443)
    second.__exit__()
    assert (socket.getaddrinfo, socket.socket.connect) == plain
