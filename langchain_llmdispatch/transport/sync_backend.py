"""A network backend for httpcore's sync pool: one bounded time for a name's lookup and all its addresses."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias

import httpcore

from langchain_llmdispatch.transport.worker import within

Lookup: TypeAlias = Callable[..., Sequence[tuple[Any, ...]]]
"""Returns the addresses of a host and port: what `socket.getaddrinfo` does."""


class SyncBackend(httpcore.NetworkBackend):
    """Connects to one address of a host after the other, within the time given for them all.

    httpcore's own gives the whole time to each address, and looks names up without a bound.

    Args:
        lookup: Finds the addresses of a host; default: `socket.getaddrinfo`. It runs in a worker thread,
            since it cannot be interrupted.
    """

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._backend, self._lookup = httpcore.SyncBackend(), lookup

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection."""
        until = None if timeout is None else time.monotonic() + timeout
        addresses = [host] if is_address(host) else self._addresses(host, port, timeout)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for place, address in enumerate(addresses):
            share = None if until is None else (until - time.monotonic()) / (len(addresses) - place)
            if share is not None and share <= 0:
                break
            try:
                return self._backend.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectTimeout("timed out")

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        lookup = self._lookup or socket.getaddrinfo
        try:
            found = within(timeout, lambda: lookup(host, port, 0, socket.SOCK_STREAM))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("timed out looking up the host's name") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        if not found:
            raise httpcore.ConnectError("the host's name has no address")
        return list(dict.fromkeys(address[0] for *_, address in found))


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
