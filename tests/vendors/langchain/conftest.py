"""The event loop of these tests ends with them, and so do the clients of LangChain's integrations."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.vendors.langchain.models import LOOP


@pytest.fixture(autouse=True, scope="package")
def _one_loop() -> Iterator[None]:
    yield
    LOOP.close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # integrations close no connection of theirs
        gc.collect()
