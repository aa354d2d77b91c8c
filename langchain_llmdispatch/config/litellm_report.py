"""What of a LiteLLM configuration has no counterpart here, and what works in another way."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from langchain_llmdispatch.errors import ConfigurationError


def is_off(value: Any) -> bool:
    """Return whether a setting is as if it were not there: null, false or empty."""
    return value is None or value is False or value in ("", [], {})


class LiteLLMReport:
    """Collects the settings that are not carried over, by their places.

    Attributes:
        unsupported: Those without a counterpart, and what to do instead.
        different: Those whose effect comes about in another way.
        server: Those of LiteLLM's server, which a model does not have.
    """

    def __init__(self) -> None:
        self.unsupported: dict[str, str] = {}
        self.different: dict[str, str] = {}
        self.server: list[str] = []

    def add(self, where: str, instead: str = "") -> None:
        """Note a setting without a counterpart."""
        self.unsupported[where] = instead

    def add_unknown(self, where: str, settings: Mapping[str, Any], known: Collection[str]) -> None:
        """Note all settings that are not known, but those that are off."""
        for name, value in settings.items():
            if name not in known and not is_off(value):
                self.add(f"{where}{name}")

    def finish(self, *, strict: bool, is_empty: bool) -> None:
        """Raise what is an error, and warn of the rest.

        Args:
            strict: Whether a setting without a counterpart is an error.
            is_empty: Whether no deployment is left.

        Raises:
            ConfigurationError: There are such settings, or no deployment is left; all are listed.
        """
        text = f"LiteLLM settings without a counterpart: {_listed(self.unsupported)}"
        if self.unsupported and strict:
            raise ConfigurationError(f"{text}. strict=False (convert: --lenient) leaves them out.")
        if is_empty:
            raise ConfigurationError(f"no deployment is left. {text}")
        found = [text] if self.unsupported else []
        if self.different:
            found.append(f"LiteLLM settings that work in another way here: {_listed(self.different)}")
        if self.server:
            found.append(f"settings of LiteLLM's server, which a model does not have: {_joined(self.server)}")
        for line in found:
            warnings.warn(line, stacklevel=4)


def _listed(found: Mapping[str, str]) -> str:
    return _joined(f"{where} ({why})" if why else where for where, why in sorted(found.items()))


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


# -- values ----------------------------------------------------------------------------------------------


def mapping_of(value: Any, where: str) -> Mapping[str, Any]:
    """Return a mapping, or raise a ConfigurationError that names its place."""
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: {type(value).__name__} is no mapping.")
    return value


def list_of(value: Any, where: str) -> list[Any]:
    """Return a list (empty for None), or raise a ConfigurationError that names its place."""
    if value is not None and not isinstance(value, list):
        raise ConfigurationError(f"{where}: {type(value).__name__} is no list.")
    return value or []


def number_of(value: Any, where: str) -> float:
    """Return a number, or raise a ConfigurationError that names its place."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{where}: {type(value).__name__} is no number.") from None


class LiteLLMVariables:
    """Values that may be references to variables: `os.environ/NAME`.

    Args:
        variables: The variables.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables

    def value(self, value: Any) -> Any:
        """Return a value, references within it resolved.

        Raises:
            ConfigurationError: A variable is not set.
        """
        if isinstance(value, Mapping):
            return {name: self.value(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner) for inner in value]
        if not isinstance(value, str) or not value.startswith("os.environ/"):
            return value
        name = value.removeprefix("os.environ/")
        if name not in self.variables:
            raise ConfigurationError(f"the variable {name} is not set.")
        return self.variables[name]
