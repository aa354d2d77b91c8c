"""TCP for threads: one bounded time for a name's lookup and all its addresses; probes of a silent peer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias, TypeVar

from langchain_llmdispatch.transport.worker import within

T = TypeVar("T")
Lookup: TypeAlias = Callable[..., Sequence[tuple[Any, ...]]]
"""Returns the addresses of a host and port: what `socket.getaddrinfo` does."""


def connected(host: str, port: int, seconds: float) -> socket.socket:
    """Return a socket that is connected to a host.

    Raises:
        TimeoutError: It took too long.
        OSError: There is no connection.
    """
    return connect_to_any(host, port, seconds, lambda address, share: _opened((address, port), share))


def connect_to_any(
    host: str,
    port: int,
    seconds: float | None,
    connect: Callable[[str, float | None], T],
    lookup: Lookup | None = None,
) -> T:
    """Return what `connect` returns for the first address of a host to which it can connect.

    Args:
        host: A name or an address.
        port: The port.
        seconds: The time for the lookup and all addresses; None for no bound.
        connect: Connects to an address in so many seconds, or raises an `OSError`.
        lookup: Finds the addresses of a host; default: `socket.getaddrinfo`. It runs in a worker thread,
            since it cannot be interrupted.

    Raises:
        TimeoutError: It took too long.
        OSError: The host is not known, or no address accepts.
    """
    until = None if seconds is None else time.monotonic() + seconds
    addresses = [host] if is_address(host) else _addresses(host, port, seconds, lookup)
    failure: OSError | None = None
    for place, address in enumerate(addresses):
        share = None if until is None else (until - time.monotonic()) / (len(addresses) - place)
        if share is not None and share <= 0:
            break
        try:
            return connect(address, share)
        except OSError as error:
            failure = error
    raise failure or TimeoutError("timed out")


def _addresses(host: str, port: int, seconds: float | None, lookup: Lookup | None) -> list[str]:
    find = lookup or socket.getaddrinfo
    try:
        found = within(seconds, lambda: find(host, port, 0, socket.SOCK_STREAM))
    except TimeoutError as error:
        raise TimeoutError("timed out looking up the host's name") from error
    except UnicodeError as error:
        raise OSError(str(error)) from error
    if not found:
        raise OSError("the host's name has no address")
    return list(dict.fromkeys(address[0] for *_, address in found))


def _opened(address: tuple[str, int], seconds: float | None) -> socket.socket:
    opened = socket.create_connection(address, seconds)
    try:
        for option in (*KEEP_ALIVE, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)):
            opened.setsockopt(*option)
    except OSError:
        opened.close()
        raise
    return opened


def is_address(host: str) -> bool:
    """Return whether a host is an address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _option(name: str) -> Any:
    return getattr(socket, name, None)


_IDLE = (
    60  # seconds after which an idle connection is probed, and between two probes; NAT forgets it after 120
)
_PROBES = 5
KEEP_ALIVE: tuple[tuple[int, int, int], ...] = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, option, value)
        for option, value in (
            (_option("TCP_KEEPIDLE") or _option("TCP_KEEPALIVE"), _IDLE),  # the latter is macOS's name
            (_option("TCP_KEEPINTVL"), _IDLE),
            (_option("TCP_KEEPCNT"), _PROBES),
        )
        if option is not None
    ),
)
"""Socket options by which a silent connection is kept open, and a dead one noticed."""
