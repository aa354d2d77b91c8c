"""The event loop of these tests ends with them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.vendors.langchain.models import LOOP


@pytest.fixture(autouse=True, scope="package")
def _one_loop() -> Iterator[None]:
    yield
    LOOP.close()
