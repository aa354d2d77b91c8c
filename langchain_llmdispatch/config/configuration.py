"""`DispatcherConfig`: what a configuration file holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_llmdispatch.config.environment import environment
from langchain_llmdispatch.config.files import read_config
from langchain_llmdispatch.config.schema import DispatchFields
from langchain_llmdispatch.config.server import ServerConfig
from langchain_llmdispatch.settings import Settings, without_variables


class DispatcherConfig(DispatchFields, Settings):
    """What a configuration file holds: the fields of `DispatcherChatModel` without its objects.

    Attributes:
        server: How `llmdispatch serve` serves it; a model does not read it.
    """

    server: ServerConfig | None = None

    @classmethod
    @without_variables
    def load(cls, source: Any, variables: Mapping[str, str] | None = None) -> DispatcherConfig:
        """Return the configuration in a YAML or JSON file or a mapping, `${ENV}` references resolved.

        Args:
            source: A path, a mapping, or a `DispatcherConfig` (returned as it is).
            variables: Where references are looked up; default: the environment over `.env`.

        Raises:
            ConfigurationError: The file is missing or malformed, a variable is not set, or a field is wrong.
        """
        if isinstance(source, cls):
            return source
        variables = environment() if variables is None else variables
        loaded = cls.checked(read_config(source, variables))
        if not isinstance(source, Mapping):
            for config in loaded.vendors.values():
                config.read_from(str(source))
        return loaded

    @classmethod
    @without_variables
    def checked(cls, fields: Mapping[str, Any]) -> DispatcherConfig:
        """Return the configuration with these fields.

        Raises:
            ConfigurationError: A field is wrong; one line each, never with a value that may be a key.
        """
        return cls(**fields)
