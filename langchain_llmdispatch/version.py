"""The package's version, looked up once."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("langchain-llmdispatch")
except PackageNotFoundError:  # a checkout on the path, not installed
    __version__ = "0.0.0"
