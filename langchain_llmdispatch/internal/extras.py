"""Packages that come with an extra: the error where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs(extra: str, fault: str) -> Iterator[None]:
    """Let a missing package raise the command that installs it.

    Args:
        extra: The extra that the package comes with: `notebook`.
        fault: What does not work without it: `plots need matplotlib`.

    Raises:
        ImportError: An import within the block failed.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{fault}: pip install 'langchain-llmdispatch[{extra}]'") from error
