"""Configuration files: YAML and JSON, with `${ENV}` references."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_llmdispatch.errors import ConfigurationError

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def read_config(source: str | Path | Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields in a YAML or JSON file, or in a mapping, their `${ENV}` references resolved.

    Args:
        source: A path ending in `.yaml`, `.yml` or `.json`, or a mapping.
        environment: Where `${NAME}` and `${NAME:-default}` are looked up.

    Raises:
        ConfigurationError: The file is missing or malformed, or a variable is not set.
    """
    return {name: _resolved(value, environment, name) for name, value in parsed(source).items()}


def parsed(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mapping in a YAML or JSON file, or `source` if it is a mapping.

    Raises:
        ConfigurationError: The file is missing or malformed.
    """
    if isinstance(source, Mapping):
        return source
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from None
    import yaml  # noqa: PLC0415 - 20 ms of an import, and only here

    try:
        fields = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path}: {_one_line(error)}") from None
    if not isinstance(fields, Mapping):
        raise ConfigurationError(f"{path}: holds {type(fields).__name__}, not a mapping of fields.")
    return fields


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return f"{getattr(error, 'problem', None) or error}{where}"


def _resolved(value: Any, environment: Mapping[str, str], field: str) -> Any:
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _variable(match, environment, field), value)
    if isinstance(value, Mapping):
        return {name: _resolved(item, environment, f"{field}.{name}") for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_resolved(item, environment, f"{field}[{n}]") for n, item in enumerate(value)]
    return value


def _variable(match: re.Match[str], environment: Mapping[str, str], field: str) -> str:
    name, default = match.groups()
    value = environment.get(name, default)
    if value is None:
        raise ConfigurationError(f"{field}: the variable {name} is not set.")
    return str(value)
