"""A bench for the tests of limits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.limits.bench import Bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Return a bench whose thread ends with the test."""
    made = Bench()
    yield made
    made.limiter.close()
