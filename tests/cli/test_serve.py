"""`serve`: what is refused before anything is bound, and a server that ends gracefully."""

from __future__ import annotations

from pathlib import Path

import pytest

from langchain_llmdispatch.__main__ import main

ROOT = Path(__file__).parents[2]
CONFIG = """
models:
- {{model: 'openai:gpt-6-luna', api_key: k, base_url: '{url}'}}
server:
  host: {host}
  port: 0
  api_keys: {keys}
"""


def test_another_address_needs_keys(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The message says what to set."""
    file = tmp_path / "dispatch.yaml"
    file.write_text(CONFIG.format(url="http://127.0.0.1:9", host="0.0.0.0", keys="[]"))  # noqa: S104 - it is refused
    assert main(["serve", "--config", str(file)]) == 2
    assert "set server.api_keys" in capsys.readouterr().err
    file.write_text(
        CONFIG.format(url="http://127.0.0.1:9", host="127.0.0.1", keys="[]").replace("port", "prt")
    )
    assert main(["serve", "--config", str(file)]) == 2
    assert "Did you mean 'port'" in capsys.readouterr().err
