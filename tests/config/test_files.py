"""Configuration files: `${ENV}` references, and errors that say where."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from langchain_llmdispatch import ConfigurationError, DispatcherConfig
from langchain_llmdispatch.config.files import read_config


def test_a_missing_variable_is_named_with_its_field(tmp_path: Path) -> None:
    """The error names where the reference stands."""
    with pytest.raises(ConfigurationError, match=r"vendors\.openai\.api_key: the variable NOPE is not set"):
        DispatcherConfig.load({"vendors": {"openai": {"api_key": "${NOPE}"}}}, {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        DispatcherConfig.load(tmp_path / "none.yaml", {})
    bad = tmp_path / "bad.yaml"
    bad.write_text("models: [")
    with pytest.raises(ConfigurationError, match="line"):
        DispatcherConfig.load(bad, {})


def test_references_are_resolved_at_any_depth() -> None:
    """In nested mappings and lists; other values stay as they are."""
    source = {"a": ["${ONE}", {"b": "${TWO:-two} ${ONE}"}], "c": 3, "d": None}
    assert read_config(source, {"ONE": "1"}) == {"a": ["1", {"b": "two 1"}], "c": 3, "d": None}


@pytest.mark.parametrize("text", ["- a list", "just text"])
def test_a_file_holds_a_mapping(tmp_path: Path, text: str) -> None:
    """Anything else is refused with the type that was found."""
    path = tmp_path / "dispatch.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="not a mapping of fields"):
        read_config(path, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: &a [1]\n"
            + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdef")),
            "values",
        ),
        ("a: &a [*a]", "levels"),
        ("a: " + "[" * 3000, "too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "too deeply"),
    ],
)
def test_size_and_depth_are_bounded(tmp_path: Path, text: str, message: str) -> None:
    """Aliases count as often as they are used."""
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_config(tmp_path / "c.yaml", {})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
def test_byte_order_marks_are_read(tmp_path: Path, encoding: str) -> None:
    """PowerShell writes UTF-16."""
    (tmp_path / "c.yaml").write_text("user: Jos\u00e9", encoding=encoding)
    assert read_config(tmp_path / "c.yaml", {}) == {"user": "Jos\u00e9"}


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    """The file and the byte."""
    (tmp_path / "c.yaml").write_bytes(b"user: \xff\xfe\xff")
    with pytest.raises(ConfigurationError, match=r"c\.yaml: is no UTF-8 text \(byte 6\)"):
        read_config(tmp_path / "c.yaml", {})


def test_toml_is_read_and_an_empty_file_is_called_so(tmp_path: Path) -> None:
    """The suffix decides; references are resolved in all of them."""
    (tmp_path / "a.toml").write_text('deadline = 30\n[[models]]\nmodel = "openai:${NAME}"\n')
    found = read_config(tmp_path / "a.toml", {"NAME": "gpt-6-luna"})
    assert found == {"deadline": 30, "models": [{"model": "openai:gpt-6-luna"}]}
    (tmp_path / "b.toml").write_text("deadline = \n")
    with pytest.raises(ConfigurationError, match="b.toml"):
        read_config(tmp_path / "b.toml", {})
    (tmp_path / "e.yaml").write_text("")
    with pytest.raises(ConfigurationError, match="e.yaml: is empty, not a mapping"):
        read_config(tmp_path / "e.yaml", {})
