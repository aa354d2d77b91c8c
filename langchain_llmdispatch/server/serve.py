"""`serve`: the application behind uvicorn, on this machine unless configured otherwise."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.config.server import KeyGiven
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.server.access import Access, check_address

GRACE = 30.0
"""Seconds that answers under way have when the server is stopped."""


def serve(
    model: DispatcherChatModel,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_keys: Iterable[KeyGiven] = (),
    grace: float = GRACE,
    max_body_bytes: int = 32 * 1024 * 1024,
    cors_origins: Sequence[str] = (),
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serve OpenAI's endpoints until the process is stopped; see `create_app`.

    SIGTERM and Ctrl-C end it gracefully: no new connections, `grace` seconds for answers under way, and the
    process goes on after this call. A second signal ends the process at once.

    Args:
        model: What answers.
        host: The address to bind; other machines reach the server by `0.0.0.0`, which needs `api_keys`.
        port: The port to bind; 0 for a free one.
        api_keys: Keys of clients; see `create_app`.
        grace: Seconds that answers under way have when the server is stopped; whole ones, at least one.
        max_body_bytes: The most bytes of a request.
        cors_origins: Origins whose pages may use the server from a browser.
        on_start: Called with the server's address, `http://127.0.0.1:8000/v1`, when it takes connections.

    Raises:
        ConfigurationError: The address can be reached from other machines and there are no keys, it cannot be
            bound, or the extra `[server]` is not installed.
    """
    keys = tuple(api_keys)
    check_address(host, Access(keys))
    try:
        from langchain_llmdispatch.server.app import create_app
        from langchain_llmdispatch.server.uvicorn_server import (
            GracefulServer,
            configured,
        )
    except ImportError as error:
        hint = "serving needs the extra: pip install 'langchain-llmdispatch[server]'"
        raise ConfigurationError(f"{hint} ({error.name} is missing).") from None
    app = create_app(model, api_keys=keys, max_body_bytes=max_body_bytes, cors_origins=cors_origins)
    with _bound(host, port) as listening:
        address = _address(host, listening.getsockname()[1])
        server = GracefulServer(
            configured(app, grace), None if on_start is None else lambda: on_start(address)
        )
        server.run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        text = f"{host}:{port} cannot be bound: {error.strerror or error}"
    raise ConfigurationError(text)


def _address(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
