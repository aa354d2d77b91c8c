"""The data files of this folder."""

from __future__ import annotations

import json
import pkgutil
from functools import cache
from typing import Any, cast


@cache
def read_data(name: str) -> dict[str, Any]:
    """Return the content of a JSON file in `catalog/data`. Each file is read once; do not change the result.

    Raises:
        FileNotFoundError: There is no such file.
    """
    content = pkgutil.get_data("langchain_llmdispatch.catalog", f"data/{name}")
    if content is None:  # a loader without data; no ordinary installation has one
        raise FileNotFoundError(name)
    return cast("dict[str, Any]", json.loads(content))
