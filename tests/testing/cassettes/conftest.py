"""What tests of cassettes share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the test's cassette goes."""
    return tmp_path / "cassette.yaml"
