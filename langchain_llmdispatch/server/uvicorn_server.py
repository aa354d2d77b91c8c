"""uvicorn, with an end at a signal that programs can rely on, and a deadline for the heads of requests.

Imported only where the extra `[server]` is installed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import uvicorn

HEAD_SECONDS = 30.0
"""Seconds in which the head of a request must have come."""
_KEEP_ALIVE = 75
"""Seconds for which an idle connection is kept: longer than load balancers keep theirs (60 s), or they send a
request into one that is closed at that moment."""


class GracefulServer(uvicorn.Server):
    """A server that ends with exit code 0 after its answers under way, and at once at a second signal.

    uvicorn itself raises the signal again after a graceful end, so that a container counts as killed, and
    takes a second SIGTERM for the first one.

    Args:
        config: uvicorn's configuration.
        on_start: Called when the server takes connections.
    """

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        """Begin to take connections."""
        await super().startup(*args, **kwargs)
        if self.started and self._on_start is not None:
            self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End gracefully at the first signal, and by the signal itself at the second."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True


def configured(app: Any, grace: float, head_seconds: float = HEAD_SECONDS) -> uvicorn.Config:
    """Return uvicorn's configuration for an application.

    Args:
        app: The application.
        grace: Seconds that answers under way have at the end.
        head_seconds: Seconds in which the head of a request must have come.
    """
    config = uvicorn.Config(
        app,
        timeout_graceful_shutdown=max(1, round(grace)),
        timeout_keep_alive=_KEEP_ALIVE,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
    )
    config.load()
    return _impatient(config, head_seconds)


def _impatient(config: Any, seconds: float) -> uvicorn.Config:
    inner = config.http_protocol_class
    config.http_protocol_class = lambda **parts: _Impatient(inner(**parts), seconds)
    return cast("uvicorn.Config", config)


class _Impatient(asyncio.Protocol):
    """A protocol of uvicorn's that loses a connection whose next request does not come whole.

    uvicorn bounds the time between two requests, but not that of a first one, nor of one that has begun.

    Args:
        inner: uvicorn's protocol.
        seconds: Seconds in which the head of a request must have come.
    """

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds
        self._transport: Any = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inner.connection_made(transport)
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)
        cycle = getattr(self._inner, "cycle", None)
        if cycle is not None and not cycle.response_complete:
            self._disarm()
        elif self._deadline is None:
            self._arm()

    def eof_received(self) -> bool | None:
        done: bool | None = self._inner.eof_received()
        return done

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._inner.connection_lost(exc)

    def _arm(self) -> None:
        if hasattr(self._inner, "cycle"):  # else it is a protocol without one request at a time
            self._deadline = asyncio.get_running_loop().call_later(self._seconds, self._close)

    def _close(self) -> None:
        if self._transport.get_protocol() is self:  # not another one that uvicorn went on with
            self._transport.close()

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
