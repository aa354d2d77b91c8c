"""The command `serve`: the router as an endpoint that clients of OpenAI can use."""

from __future__ import annotations

import argparse

from langchain_llmdispatch.cli.answer import model_of
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.config.configuration import DispatcherConfig
from langchain_llmdispatch.config.server import ServerConfig
from langchain_llmdispatch.server.serve import serve


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until the process is stopped.

    Raises:
        ConfigurationError: The configuration is wrong, the address needs keys, or it cannot be bound.
    """
    config = DispatcherConfig.load(options.config).server if options.config else None
    settings = config or ServerConfig()
    serve(
        model_of(options),
        host=settings.host if options.host is None else options.host,
        port=settings.port if options.port is None else options.port,
        api_keys=settings.api_keys,
        grace=settings.grace,
        max_body_bytes=settings.max_body_bytes,
        cors_origins=settings.cors_origins,
        on_start=lambda address: terminal.write(f"serving on {address}"),
    )
    return 0
