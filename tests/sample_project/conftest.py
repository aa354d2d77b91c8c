"""The project's test settings: only the public testing kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest


@pytest.fixture(scope="session")
def llmdispatch_config() -> Mapping[str, Any]:
    """Return what holds for every cassette of this project."""
    return {"secrets": ["shop-password-1"], "strict": True}
