"""Where commands run: a folder of their own, with a key of the loopback vendor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loopback.server import LoopbackServer


@pytest.fixture
def environment(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Enter an empty folder, and set OpenAI's key and address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k-secret-123456")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url("openai"))
