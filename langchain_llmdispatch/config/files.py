"""Configuration files: YAML and JSON, with `${ENV}` references."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import without_variables

if TYPE_CHECKING:
    import tomllib
else:
    tomllib = LateModule("tomllib")

_MOST_VALUES, _DEEPEST = 50_000, 50
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@without_variables
def read_config(source: str | Path | Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields in a YAML or JSON file, or in a mapping, their `${ENV}` references resolved.

    Args:
        source: A path ending in `.yaml`, `.yml`, `.json` or `.toml`, or a mapping.
        environment: Where `${NAME}` and `${NAME:-default}` are looked up.

    Raises:
        ConfigurationError: The file is missing or malformed, or a variable is not set.
    """
    fields = parsed(source)
    for name in fields:
        if not isinstance(name, str):
            raise ConfigurationError(f"{name!r} is no name of a field.")
    return dict(_Tree(environment).resolved(fields, ""))


def parsed(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mapping in a YAML or JSON file, or `source` if it is a mapping.

    Raises:
        ConfigurationError: The file is missing or malformed.
    """
    if isinstance(source, Mapping):
        return source
    if not isinstance(source, (str, Path)):
        raise ConfigurationError(f"a configuration is a path or a mapping, not a {type(source).__name__}.")
    path = Path(source)
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeError as error:
        raise ConfigurationError(f"{path}: {one_line(error)}") from None
    import yaml  # noqa: PLC0415 - 20 ms of an import, and only here

    problem: str | None = None
    try:
        fields = _READERS.get(path.suffix, _from_yaml)(text)
    except RecursionError:
        problem = "is nested too deeply"
    except (ValueError, yaml.YAMLError) as error:
        problem = one_line(error)
    if problem is not None:  # raised outside the handlers: errors of parsers quote the file, keys included
        raise ConfigurationError(f"{path}: {problem}")
    if not isinstance(fields, Mapping):
        kind = "is empty" if fields is None else f"holds {type(fields).__name__}"
        raise ConfigurationError(f"{path}: {kind}, not a mapping of fields.")
    return fields


def _from_toml(text: str) -> Any:
    return tomllib.loads(text)


_READERS: Mapping[str, Callable[[str], Any]] = {".json": json.loads, ".toml": _from_toml}


def _from_yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415 - 20 ms of an import, and only here

    class Loader(yaml.SafeLoader):
        """Bounds depth, and what merge keys (`<<: [*a, *a]`) copy, which grows as aliases do."""

        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > _DEEPEST:
                raise RecursionError
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            super().flatten_mapping(node)
            if len(node.value) > _MOST_VALUES:
                raise yaml.MarkedYAMLError(problem="merge keys copy too much", problem_mark=node.start_mark)

    return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader


def decoded(data: bytes) -> str:
    """Return the text in a file: UTF-8, or what its byte-order mark names (PowerShell writes UTF-16).

    Raises:
        UnicodeError: It is neither.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if b"\0" in data[:2]:  # the same, without a mark
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le")
    return data.decode("utf-8-sig")


def one_line(error: Exception) -> str:
    """Return what is wrong with a file, and where in it; never its text."""
    if isinstance(error, UnicodeDecodeError):
        return f"is no {error.encoding.upper()} text (byte {error.start}); save it as UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (line {error.lineno}, column {error.colno})"
    if isinstance(error, tomllib.TOMLDecodeError):
        place = _PLACE_IN_TOML.search(str(error))
        return f"is no TOML{place[0] if place else ''}"
    mark = getattr(error, "problem_mark", None)
    where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    problem = getattr(error, "problem", None)
    if problem is None:
        return f"{type(error).__name__}{where}"
    return f"{_OF_THE_TEXT.sub('', problem)}{where}{_hint(problem)}"


_PLACE_IN_TOML = re.compile(r" \(at [^()]*\)$")
_OF_THE_TEXT = re.compile(r""" (?:'(?!<)[^']{2,}'|"[^"]{2,}")""")
"""What YAML's errors quote of a file besides characters and kinds of tokens: names after `*`, `&` and `!`."""


def _hint(problem: str) -> str:
    """Return what to do where a value that was meant as text, such as a password, begins with a sign."""
    meant = problem.startswith(("found undefined alias", "could not determine a constructor"))
    return "; a text that begins with * & or ! stands in quotes" if meant else ""


def bounded(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a copy of fields in which no list is shared, with their strings as they are.

    Raises:
        ConfigurationError: They are too many, or nested too deeply.
    """
    copy: Mapping[str, Any] = _Tree(None).resolved(fields, "")
    return copy


class _Tree:
    """Replaces the `${ENV}` references in a tree whose size and depth are bounded.

    YAML's aliases name one list many times: a file of 300 bytes may stand for millions of values.
    """

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self._environment, self._left = environment, _MOST_VALUES

    def resolved(self, value: Any, field: str, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            limit = f"more than {_MOST_VALUES} values" if self._left < 0 else f"more than {_DEEPEST} levels"
            raise ConfigurationError(f"{field[:80]}: the configuration has {limit}, aliases counted.")
        if isinstance(value, str) and self._environment is not None:
            return _REFERENCE.sub(partial(_variable, self._environment, field), value)
        if isinstance(value, Mapping):
            inner = ((name, item, f"{field}.{name}" if field else str(name)) for name, item in value.items())
            return {name: self.resolved(item, path, depth + 1) for name, item, path in inner}
        if isinstance(value, (list, tuple)):
            return [self.resolved(item, f"{field}[{n}]", depth + 1) for n, item in enumerate(value)]
        return value


def _variable(environment: Mapping[str, str], field: str, match: re.Match[str]) -> str:
    name, default = match.groups()
    value = environment.get(name, default)
    if value is None:
        raise ConfigurationError(f"{field}: the variable {name} is not set.")
    return str(value)
