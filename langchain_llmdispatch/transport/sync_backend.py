"""A network backend for httpcore's sync pool: one bounded time for a name's lookup and all its addresses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore

from langchain_llmdispatch.transport.tcp import Lookup, connect_to_any


class SyncBackend(httpcore.NetworkBackend):
    """Connects to one address of a host after the other, within the time given for them all.

    httpcore's own gives the whole time to each address, and looks names up without a bound.

    Args:
        lookup: Finds the addresses of a host; see `connect_to_any`.
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

        def connect(address: str, share: float | None) -> httpcore.NetworkStream:
            try:
                return self._backend.connect_tcp(address, port, share, local_address, socket_options)
            except httpcore.ConnectTimeout as error:
                raise TimeoutError(str(error)) from error
            except httpcore.ConnectError as error:
                raise OSError(str(error)) from error

        try:
            return connect_to_any(host, port, timeout, connect, self._lookup)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
