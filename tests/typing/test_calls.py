"""Calls as users write them type-check under mypy and pyright: the README's, those of this folder; wrong ones do not.

They run where mypy has a cache (`make type` makes one, and runs them): a cold run takes 15 s of CPU.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT, HERE = Path(__file__).parents[2], Path(__file__).parent
PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "decisions" not in path.parts),  # sketches
]
CACHE = ROOT / ".mypy_cache"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return what is checked: the calls of this folder, and each page's Python blocks as one file."""
    folder = tmp_path_factory.mktemp("pages")
    made = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        if blocks:
            made.append(folder / f"page_{page.parent.name}_{page.stem.lower()}.py")
            made[-1].write_text("\n".join(blocks), encoding="utf-8")
    return [HERE / "right_calls.py", HERE / "wrong_calls.py", *made]


def marked() -> dict[int, str]:
    """Return the lines that are wrong, with mypy's name of the error."""
    lines = (HERE / "wrong_calls.py").read_text(encoding="utf-8").splitlines()
    return {n: line.rpartition("# ")[2] for n, line in enumerate(lines, 1) if "  # " in line}


def run(*command: str) -> str:
    """Return what a checker prints."""
    here = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=here, capture_output=True, text=True, check=False
    )
    return done.stdout or done.stderr


@pytest.mark.skipif(
    find_spec("mypy") is None or not CACHE.is_dir(), reason="no mypy, or no cache of it: run `make type`"
)
def test_mypy_finds_the_wrong_calls_and_no_others(files: list[Path]) -> None:
    """Each wrong line is found by its kind; nothing is found in right calls, nor in the pages."""
    printed = run("mypy", "--hide-error-context", "--no-error-summary", *map(str, files))
    errors = re.findall(r"^(.*?):(\d+): error: .*\[(?!no-untyped)([\w-]+)\]$", printed, re.MULTILINE)
    found = {int(line): kind for file, line, kind in errors if file.endswith("wrong_calls.py")}
    assert found == marked(), printed
    assert [each for each in errors if not each[0].endswith("wrong_calls.py")] == [], printed


@pytest.mark.skipif(
    find_spec("basedpyright") is None or not CACHE.is_dir(), reason="no basedpyright; or as for mypy"
)
def test_pyright_finds_the_wrong_calls_and_no_others(files: list[Path], tmp_path: Path) -> None:
    """As mypy, under pyright's own `standard` rules, which Pylance applies."""
    settings = tmp_path / "pyrightconfig.json"
    folders = {"extraPaths": [str(ROOT)], "venvPath": str(Path(sys.prefix).parent)}
    names = {"include": list(map(str, files)), "venv": Path(sys.prefix).name}
    settings.write_text(json.dumps({"typeCheckingMode": "standard", **folders, **names}))
    printed = run("basedpyright", "--outputjson", "-p", str(settings))
    errors = [each for each in json.loads(printed)["generalDiagnostics"] if each["severity"] == "error"]
    where = {(Path(each["file"]).name, each["range"]["start"]["line"] + 1) for each in errors}
    assert where == {("wrong_calls.py", line) for line in marked()}, errors
