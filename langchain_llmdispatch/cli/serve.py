"""The command `serve`: the router as an endpoint that clients of OpenAI can use."""

from __future__ import annotations

import argparse

from langchain_llmdispatch.cli.answer import model_of
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.config.schema import DispatcherConfig
from langchain_llmdispatch.config.server import ServerConfig
from langchain_llmdispatch.server.serve import serve


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until the process is stopped.

    Raises:
        ConfigurationError: The configuration is wrong, or the address needs keys.
    """
    config = DispatcherConfig.load(options.config).server if options.config else None
    settings = config or ServerConfig()
    host = settings.host if options.host is None else options.host
    port = settings.port if options.port is None else options.port
    model = model_of(options)
    terminal.write(f"serving on http://{host}:{port}/v1")
    serve(model, host=host, port=port, api_keys=settings.api_keys)
    return 0
