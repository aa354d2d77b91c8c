"""Files that a LiteLLM configuration includes."""

from __future__ import annotations

from pathlib import Path

import pytest

from langchain_llmdispatch import ConfigurationError
from langchain_llmdispatch.config.litellm_files import with_included


def test_included_files_are_joined(tmp_path: Path) -> None:
    """Lists are appended, other fields replaced; paths are relative to the file that names them; no file twice."""
    (tmp_path / "more").mkdir()
    root = tmp_path / "config.yaml"
    root.write_text("include: [more/one.yaml]\nmodel_list: [1]\nrouter_settings: {timeout: 1}\n")
    (tmp_path / "more" / "one.yaml").write_text("include: [two.yaml, ../config.yaml]\nmodel_list: [2]\n")
    (tmp_path / "more" / "two.yaml").write_text("model_list: [3]\nrouter_settings: {num_retries: 2}\n")
    assert with_included(root) == {"model_list": [1, 2, 3], "router_settings": {"num_retries": 2}}


def test_a_mapping_includes_files_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not changed."""
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text("model_list: [2]\n")
    source = {"include": ["one.yaml"], "model_list": [1]}
    assert with_included(source) == {"model_list": [1, 2]}
    assert source == {"include": ["one.yaml"], "model_list": [1]}


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("one.yaml", "include: str is no list"),
        ([1], "a list of paths"),
        (["none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_included_is_named(include: object, message: str) -> None:
    """A field that is no list of paths, and a file that is not there."""
    with pytest.raises(ConfigurationError, match=message):
        with_included({"include": include})
