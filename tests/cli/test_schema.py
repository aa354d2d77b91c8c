"""`schema`: for editors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_llmdispatch.__main__ import main


def test_the_schema_is_the_published_one(capsys: pytest.CaptureFixture[str]) -> None:
    """It has the fields of a file; the file in `docs/` is the same but for its title."""
    assert main(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    path = Path(__file__).parents[2] / "docs" / "dispatch.schema.json"
    assert printed["properties"] == json.loads(path.read_text(encoding="utf-8"))["properties"]
