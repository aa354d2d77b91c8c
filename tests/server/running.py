"""The server of the package on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import uuid4

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.server import create_app
from langchain_llmdispatch.server.uvicorn_server import HEAD_SECONDS, GracefulServer, configured


@contextmanager
def running(model: DispatcherChatModel, **options: Any) -> Iterator[str]:
    """Serve a model; yield the address for OpenAI's clients.

    All of them are in one server of this process, each below a path of its own: uvicorn takes 0.2 s to end.
    """
    shared, path = _shared(), uuid4().hex
    shared.apps[path] = create_app(model, **options)
    try:
        yield f"{shared.address}/{path}/v1"
    finally:
        del shared.apps[path]
        asyncio.run_coroutine_threadsafe(model.aclose(), shared.loop).result(60)


@contextmanager
def running_alone(app: Any, head_seconds: float = HEAD_SECONDS) -> Iterator[str]:
    """Serve an application in a server of its own; yield the server's address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = GracefulServer(configured(app, 30, head_seconds))
    thread = threading.Thread(target=asyncio.run, args=[server.serve([listening])])
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something holds in another thread."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.002)


class _Shared:
    """One server with many applications, by the first part of their paths."""

    def __init__(self) -> None:
        self.apps: dict[str, Any] = {}
        self.loop = asyncio.new_event_loop()
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = GracefulServer(configured(self, 30))
        threading.Thread(
            target=self.loop.run_until_complete, args=[server.serve([listening])], daemon=True
        ).start()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, its path without the first part."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            return
        _, name, rest = scope["path"].split("/", 2)
        await self.apps[name]({**scope, "path": f"/{rest}"}, receive, send)


@cache
def _shared() -> _Shared:
    return _Shared()
