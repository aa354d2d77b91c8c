"""Models for several worker processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loopback.server import LoopbackServer
from tests.machines import ENV, WorkerFleet


@pytest.fixture
def worker_env(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what worker processes inherit: the key, and where the tests are."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def fleet(server: LoopbackServer, redis_url: str, worker_env: None, tmp_path: Path) -> WorkerFleet:
    """Return two models that share over Redis; their processes wait for each other in `tmp_path`."""
    return WorkerFleet.of(server, redis_url, tmp_path)
