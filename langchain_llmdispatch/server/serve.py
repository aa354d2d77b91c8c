"""`serve`: the application behind uvicorn, on this machine unless configured otherwise."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import SecretStr

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.server.access import Access, check_address

GRACE = 30
"""Seconds that answers under way have when the server is stopped."""


def serve(
    model: DispatcherChatModel,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    api_keys: Iterable[str | SecretStr] = (),
) -> None:
    """Serve OpenAI's endpoints until the process is stopped; see `create_app`.

    SIGTERM and Ctrl-C end it gracefully: no new requests, `GRACE` seconds for those under way.

    Args:
        model: What answers.
        host: The address to bind; other machines reach the server by `0.0.0.0`, which needs `api_keys`.
        port: The port to bind.
        api_keys: Keys of clients.

    Raises:
        ConfigurationError: The address can be reached from other machines and there are no keys, or the extra
            `[server]` is not installed.
    """
    keys = [key if isinstance(key, SecretStr) else SecretStr(key) for key in api_keys]
    check_address(host, Access(keys))
    try:
        import uvicorn  # noqa: PLC0415 - an extra

        from langchain_llmdispatch.server.app import create_app  # noqa: PLC0415 - needs starlette, of the extra
    except ImportError as error:
        hint = "serving needs the extra: pip install 'langchain-llmdispatch[server]'"
        raise ConfigurationError(f"{hint} ({error.name} is missing).") from None
    app = create_app(model, api_keys=keys)
    uvicorn.run(app, host=host, port=port, timeout_graceful_shutdown=GRACE, log_level="warning")
