"""Every Python block of the README runs, in order, against the loopback vendors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.loopback.server import LoopbackServer

ROOT = Path(__file__).parent.parent


def blocks(language: str) -> list[str]:
    """Return the README's fenced blocks of a language."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_readmes_examples_run(
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A reader who pastes the blocks one after the other gets what the text says."""
    monkeypatch.chdir(tmp_path)
    for vendor in ("openai", "anthropic"):
        monkeypatch.setenv(f"{vendor.upper()}_API_KEY", "k-123456")
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", server.base_url(vendor))
    (tmp_path / "dispatch.yaml").write_text(blocks("yaml")[0])
    namespace: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), namespace)  # noqa: S102 - the README is ours
    said = capsys.readouterr().out
    assert "openai openai:gpt-6-luna" in said
    assert "Paris" in said
    asked = {received.body.get("model") for received in server.requests}
    assert {"gpt-6-luna", "claude-sonnet-5-5"} <= asked


def test_the_make_targets_of_the_readme_exist() -> None:
    """The two commands at the top are targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("run", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert f"make {target}" in "".join(blocks("console"))


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_run_and_hold_no_output(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, notebook: Path
) -> None:
    """Each notebook's cells run top to bottom against the loopback vendors; outputs are stripped."""
    monkeypatch.chdir(tmp_path)
    for vendor in ("openai", "anthropic"):
        monkeypatch.setenv(f"{vendor.upper()}_API_KEY", "k-123456")
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", server.base_url(vendor))
    cells = [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    namespace: dict[str, object] = {}
    for cell in cells:
        assert cell["outputs"] == []
        exec(compile("".join(cell["source"]), notebook.name, "exec"), namespace)  # noqa: S102 - ours
    assert server.requests
