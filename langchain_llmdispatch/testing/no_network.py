"""A closed network: no connection and no look-up of a name leaves this machine while a cassette replays.

The cassette replays HTTP requests, or refuses them with the difference. Closed here is the rest: sockets of
databases, brokers and other protocols, and DNS. Event loops that are not Python's own (uvloop) connect
without Python's sockets, which this does not cover.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from ipaddress import ip_address
from typing import Any, ClassVar, Self

from langchain_llmdispatch.testing.middleware import CallLeftError

# Servers inside the test, and tracers: neither is part of what the application exchanges with other hosts.
PASSING = ("127.*", "localhost", "::1", "testserver", "test", "*.smith.langchain.com")
_CONNECTING = ("connect", "connect_ex", "sendto")
_RESOLVING = ("getaddrinfo", "gethostbyname", "gethostbyname_ex")


class ClosedNetwork:
    """A context in which sockets reach this machine only, in every thread of the process.

    Args:
        where: The cassette, for messages.
        allow_hosts: Globs of hosts that may be reached nevertheless.

    Attributes:
        where: The cassette.
        resolved: Addresses of hosts that may be reached, as they were looked up.
    """

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _active: ClassVar[list[ClosedNetwork]] = []
    _saved: ClassVar[list[tuple[Any, str, Any]]] = []

    def __init__(self, where: str, allow_hosts: Iterable[str] = ()) -> None:
        self.where = where
        self._globs = (*PASSING, *(glob.casefold() for glob in allow_hosts))
        self.resolved: set[str] = set()

    def __enter__(self) -> Self:
        """Close it."""
        with self._lock:
            if not self._active:
                self._patch()
            self._active.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        """Open it, unless another context keeps it closed."""
        with self._lock:
            self._active.remove(self)
            if not self._active:
                while self._saved:
                    owner, name, plain = self._saved.pop()
                    setattr(owner, name, plain)

    @classmethod
    def _patch(cls) -> None:
        for owner, names, wrap in (
            (socket.socket, _CONNECTING, _connecting),
            (socket, _RESOLVING, _resolving),
        ):
            for name in names:
                plain = getattr(owner, name)
                cls._saved.append((owner, name, plain))
                setattr(owner, name, wrap(plain))

    @classmethod
    def check(cls, host: str, what: str) -> None:
        """Check that a host may be reached.

        Raises:
            CallLeftError: It must not be reached.
        """
        for network in tuple(cls._active):
            if not network.passes(host):
                raise CallLeftError(
                    f"{what} while {network.where} replays: the network is closed. "
                    f"Let the host pass (allow_hosts=[{host!r}]), or take the call out of the test."
                )

    @classmethod
    def remember(cls, host: str, addresses: Iterable[str]) -> None:
        """Allow the addresses of a host that may be reached."""
        found = set(addresses)
        for network in tuple(cls._active):
            if network.passes(host):
                network.resolved |= found

    def passes(self, host: str) -> bool:
        """Return whether a host may be reached."""
        low = host.casefold()
        return low in self.resolved or _is_local(low) or any(fnmatchcase(low, glob) for glob in self._globs)


def _is_local(host: str) -> bool:
    if host in {"", socket.gethostname().casefold()}:
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _connecting(plain: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: socket.socket, *args: Any) -> Any:
        address = args[-1] if args else None
        if isinstance(address, tuple):  # not a path on this machine
            host, port = str(address[0]), address[1] if len(address) > 1 else ""
            ClosedNetwork.check(host, f"a connection to {host}:{port} was about to be made")
        return plain(self, *args)

    return call


def _resolving(plain: Callable[..., Any]) -> Callable[..., Any]:
    def call(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
        ClosedNetwork.check(name, f"the name {name} was about to be looked up")
        found = plain(host, *args, **kwargs)
        ClosedNetwork.remember(name, _addresses(found))
        return found

    return call


def _addresses(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found]
    if isinstance(found, tuple):  # gethostbyname_ex
        return list(found[2])
    return [str(entry[4][0]) for entry in found]
