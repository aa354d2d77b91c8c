"""Environment variables, and those of a `.env` file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from langchain_llmdispatch.config.files import decoded, one_line
from langchain_llmdispatch.deployments.variables import Variables


def environment(dotenv: str | Path | None = ".env") -> Mapping[str, str]:
    """Return the process's variables over those of a `.env` file, if there is one that can be read.

    Args:
        dotenv: The file; None for none.
    """
    if dotenv is None or not Path(dotenv).is_file():
        return os.environ
    from dotenv import dotenv_values  # noqa: PLC0415 - not imported where there is no such file

    try:
        found = dotenv_values(stream=StringIO(decoded(Path(dotenv).read_bytes())))
    except (UnicodeError, OSError) as error:
        # Most models need nothing from it; one that does names what it lacks.
        warnings.warn(f"{dotenv} is not read: {one_line(error)}", stacklevel=2)
        return os.environ
    file = {name: value for name, value in found.items() if value is not None}
    return Variables(os.environ, file, str(dotenv))
