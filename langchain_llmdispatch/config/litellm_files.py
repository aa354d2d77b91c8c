"""A LiteLLM configuration with the files that it includes.

Lists of an included file are appended to those before; other fields replace them. Source: docs.litellm.ai,
`/docs/proxy/config_management`, and `proxy/common_utils/config_includes.py` of litellm 1.110.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_llmdispatch.config.files import bounded, parsed
from langchain_llmdispatch.config.litellm_report import list_of
from langchain_llmdispatch.errors import ConfigurationError

_MOST_FILES = 100


def with_included(source: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of a file or a mapping, with all that it includes.

    Paths are relative to the file that names them; for a mapping, to the working directory.

    Raises:
        ConfigurationError: A file is missing or malformed, or there are too many.
    """
    whole = dict(bounded(parsed(source)))
    root = Path() if isinstance(source, Mapping) else Path(source).resolve()
    pending = _included(whole, root)
    read = {root}
    while pending:
        path = pending.pop(0)
        if path in read:
            continue
        read.add(path)
        if len(read) > _MOST_FILES:
            raise ConfigurationError(f"include: more than {_MOST_FILES} files.")
        more = dict(bounded(parsed(path)))
        pending += _included(more, path)
        whole |= {name: _joined(whole.get(name), value) for name, value in more.items()}
    return whole


def _included(config: dict[str, Any], file: Path) -> list[Path]:
    """Take `include` out of a configuration, and return its paths."""
    names = list_of(config.pop("include", None), "include")
    if not all(isinstance(name, str) for name in names):
        raise ConfigurationError("include: a list of paths of files is expected.")
    folder = file.parent if file.is_file() else file
    return [(folder / name).resolve() for name in names]


def _joined(base: Any, value: Any) -> Any:
    return [*base, *value] if isinstance(base, list) and isinstance(value, list) else value
