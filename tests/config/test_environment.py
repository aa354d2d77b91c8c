"""Variables of the process over those of a `.env` file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from langchain_llmdispatch.config.environment import environment


def test_dotenv_is_read_and_the_process_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of `.env` are used unless the process has them."""
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-file\nCOHERE_API_KEY=from-file\n")
    monkeypatch.setenv("OPENAI_API_KEY", "from-process")
    found = environment(tmp_path / ".env")
    assert (found["OPENAI_API_KEY"], found["COHERE_API_KEY"]) == ("from-process", "from-file")


def test_without_a_file_it_is_the_processs_own(tmp_path: Path) -> None:
    """No copy is made where there is no file."""
    assert environment(tmp_path / ".env") is os.environ
    assert environment(None) is os.environ


def test_dotenv_syntax_is_python_dotenvs(tmp_path: Path) -> None:
    """Quotes, comments, `export` and names without a value are read as that library documents them."""
    lines = ["export A_KEY='quoted'  # comment", "B_KEY=${A_KEY}-2", "C_KEY", 'D_KEY="two words"']
    (tmp_path / ".env").write_text("\n".join(lines))
    found = environment(tmp_path / ".env")
    assert [found.get(f"{name}_KEY") for name in "ABCD"] == ["quoted", "quoted-2", None, "two words"]
