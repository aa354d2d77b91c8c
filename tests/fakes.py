"""A clock that only tests move: the testing kit's."""

from __future__ import annotations

from langchain_llmdispatch.testing.clock import FakeClock

__all__ = ["FakeClock"]
