"""The server of the package on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.server import create_app


@contextmanager
def running(model: DispatcherChatModel, **options: Any) -> Iterator[str]:
    """Serve a model in a thread; yield the address for OpenAI's clients."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(model, **options), log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=[server.serve([listening])])
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
