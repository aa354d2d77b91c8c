"""Errors as logs name them: by class, status and where they come from, never by their text.

A vendor's text may quote the prompt, and so may that of any other exception.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from traceback import walk_tb

from langchain_llmdispatch.errors import DispatchError

_OURS, _TESTING = "langchain_llmdispatch", "langchain_llmdispatch.testing"
_USED = sys.stdlib_module_names | {
    *(_OURS, "aiolimiter", "anyio", "dotenv", "genai_prices", "h11", "httpcore", "httpx", "httpx2"),
    *("jsonschema", "langchain_core", "orjson", "pydantic", "pydantic_core", "redis", "sniffio", "tenacity"),
    *("jsonpatch", "langsmith", "typing_extensions", "uvloop", "yaml"),
}
"""Packages whose exceptions come from what this package does with them."""


def error_name(error: BaseException | None) -> str:
    """Return the class of an error, that of the one behind it, and the HTTP status."""
    status, cause = getattr(error, "status_code", None), error.__cause__ if error is not None else None
    because = f", {type(cause).__name__}" if isinstance(cause, DispatchError) else ""
    return f"{type(error).__name__}{because}{f' (HTTP {status})' if status else ''}"


def is_of_testing(error: BaseException | None) -> bool:
    """Return whether the testing kit has raised an exception: a recording is missing, a host is closed."""
    if error is None:
        return False
    *_, last = ["", *(name for name in _modules(error) if name.partition(".")[0] == _OURS)]
    return f"{type(error).__module__}.".startswith(f"{_TESTING}.") or last.startswith(f"{_TESTING}.")


def handed_in(error: BaseException | None) -> str:
    """Return the module of a user's own code that an exception comes from, such as that of a strategy.

    It is empty where the exception has passed no code but that of this package and what it uses.
    """
    if error is None:
        return ""
    return next((name for name in _modules(error) if name and name.partition(".")[0] not in _USED), "")


def _modules(error: BaseException) -> Iterator[str]:
    """Yield the modules of the frames that an exception has passed, from the first one of this package on."""
    names = [str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(error.__traceback__)]
    ours = (number for number, name in enumerate(names) if name.partition(".")[0] == _OURS)
    yield from names[next(ours, len(names)) :]
