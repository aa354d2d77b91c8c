"""The command `replay`: tables, JSON, pictures (`chart`), errors in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from langchain_llmdispatch.__main__ import main
from langchain_llmdispatch.testing import Journal
from tests.testing.policy_replay.calls import A, B, answered, calls

ROOT = Path(__file__).parents[3]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Return a journal and two configurations."""
    journal = Journal()
    journal.entries = calls(20, answered(A, 1.0)) + calls(20, answered(B, 3.0))
    journal.write(tmp_path / "calls.jsonl")
    for name, model in (("openai", A), ("both", B)):
        (tmp_path / f"{name}.yaml").write_text(f"models: ['{model}', '{A}']\n")
    return [str(tmp_path / name) for name in ("calls.jsonl", "openai.yaml", "both.yaml")]


def test_the_command_prints_a_table(
    files: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A row for what happened and one for each configuration; a picture with `--plot`."""
    pytest.importorskip("matplotlib")
    picture = tmp_path / "out.png"
    assert main(["replay", files[0], "--config", files[1], "-c", files[2], "--plot", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["what happened", "openai", "both"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The same for machines; a wrong file is a usage error."""
    assert main(["replay", files[0], "-c", files[1], "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["recorded"]["calls"] == 40
    assert held["policies"][0]["answered_by"] == {A: 40}
    assert main(["replay", "absent.jsonl", "-c", files[1]]) == 2
    assert "there is no journal absent.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("picture", ["none/p.png", "p.xyz"])
def test_a_picture_that_cannot_be_written_is_one_line(
    files: list[str], picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is missing and a format that is unknown are usage errors, and so is an empty journal."""
    assert main(["replay", files[0], "-c", files[1], "--plot", str(tmp_path / picture)]) == 2
    assert "picture cannot be written" in capsys.readouterr().err
    (tmp_path / "empty.jsonl").write_text("")
    assert main(["replay", str(tmp_path / "empty.jsonl"), "-c", files[1]]) == 2
    assert "no calls" in capsys.readouterr().err


def test_importing_the_command_line_loads_no_testing_kit() -> None:
    """The kit is loaded by its command only."""
    code = "import sys, langchain_llmdispatch.cli.main as m; m.parser(); print([m for m in sys.modules if 'h.testing' in m])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
