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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_other_encodings_of_dotenv_are_read(tmp_path: Path, encoding: str) -> None:
    """PowerShell's `>` writes UTF-16."""
    (tmp_path / ".env").write_text("COHERE_API_KEY=from-file\n", encoding=encoding)
    assert environment(tmp_path / ".env")["COHERE_API_KEY"] == "from-file"


@pytest.mark.parametrize("data", [b"\xff\xfeO\0P", b"KEY=\xff\xfe\xff"])
def test_a_dotenv_that_is_no_text_is_named(tmp_path: Path, data: bytes) -> None:
    """It is left out with a warning that names it; none of it is quoted."""
    path = tmp_path / ".env"
    path.write_bytes(data)
    with pytest.warns(UserWarning, match="is no UTF-") as caught:
        assert environment(path) is os.environ
    assert str(caught[0].message).startswith(str(path))
    assert "KEY" not in str(caught[0].message)
