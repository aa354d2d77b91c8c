"""Environment variables, and those of a `.env` file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def environment(dotenv: str | Path | None = ".env") -> Mapping[str, str]:
    """Return the process's variables over those of a `.env` file, if there is one.

    Args:
        dotenv: The file; None for none.
    """
    if dotenv is None or not Path(dotenv).is_file():
        return os.environ
    from dotenv import dotenv_values  # noqa: PLC0415 - not imported where there is no such file

    found = dotenv_values(dotenv, encoding="utf-8")
    return {**{name: value for name, value in found.items() if value is not None}, **os.environ}
