"""The section `server` of a configuration file: for `llmdispatch serve`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from langchain_llmdispatch.settings import Settings


class ServerConfig(Settings):
    """How the configuration is served over HTTP.

    Attributes:
        host: The address to bind. Other machines reach the server by `0.0.0.0`, which needs `api_keys`.
        port: The port to bind.
        api_keys: Keys of clients, best as `${NAME}`; none leaves the server open, on this machine only.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    api_keys: Annotated[Sequence[SecretStr], AfterValidator(tuple)] = ()
