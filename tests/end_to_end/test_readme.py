"""Every Python block of the README runs, in order, against the loopback vendors; notebooks are as they should be."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.loopback.server import LoopbackServer

ROOT = Path(__file__).parents[2]


def blocks(language: str, page: str = "README.md") -> list[str]:
    """Return a page's fenced blocks of a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(page: str) -> None:
    """Run a page's blocks of Python, one after the other."""
    namespace: dict[str, object] = {}
    for block in blocks("python", page):
        exec(compile(block, page, "exec"), namespace)  # noqa: S102 - the page is ours


def without_numbers(text: str) -> str:
    """Return a text with every number as `#`."""
    return re.sub(r"\d[\d.,]*", "#", text)


def test_the_readmes_examples_run(
    server: LoopbackServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A reader who pastes the blocks one after the other gets what the text shows."""
    monkeypatch.chdir(tmp_path)
    for vendor in ("openai", "anthropic", "google", "cohere"):
        monkeypatch.setenv(f"{vendor.upper()}_API_KEY", "k-123456")
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", server.base_url(vendor))
    (tmp_path / "dispatch.yaml").write_text(blocks("yaml")[0])
    (tmp_path / "cassettes").symlink_to(ROOT / "cassettes")
    run("README.md")
    printed = capsys.readouterr().out
    assert "openai openai:gpt-6-luna" in printed
    assert "Paris" in printed
    # The plan; its prices move with their data.
    assert without_numbers(blocks("text")[0]) in without_numbers(printed)
    named = {received.body.get("model") for received in server.requests}
    assert {"gpt-6-luna", "claude-sonnet-5-5"} <= named


def test_the_examples_for_langchain_run(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the page on LangChain, one after the other."""
    for vendor in ("openai", "anthropic"):
        monkeypatch.setenv(f"{vendor.upper()}_API_KEY", "k-123456")
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", server.base_url(vendor))
    run("docs/langchain.md")
    models = [received.body["model"] for received in server.requests]
    assert models == ["claude-haiku-5-5", "gpt-6-luna", "claude-sonnet-5-5", "gpt-6-luna", "gpt-6-luna"]


def test_the_make_targets_of_the_readme_exist() -> None:
    """The two commands at the top are targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("run", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert f"make {target}" in "".join(blocks("console"))


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def sources(notebook: Path, kind: str) -> list[str]:
    """Return the text of a notebook's cells of a kind."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_hold_no_outputs(notebook: Path) -> None:
    """What a run leaves behind is not kept: no outputs, no execution counts, no path of a machine."""
    text = notebook.read_text(encoding="utf-8")
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert not re.search(r"/(?:home|root|tmp|Users|work)/|[A-Z]:\\\\", text)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_say_where_their_answers_come_from(notebook: Path) -> None:
    """The first cell has a title, names what is replayed, and states that no key is needed."""
    first = sources(notebook, "markdown")[0]
    assert first.startswith("# ")
    assert re.search(r"\brecord(?:ed|ings?)\b", first, re.IGNORECASE)
    assert re.search(r"\bno\b[^.]*\bkey\b", first, re.IGNORECASE)
    for vendor in ("openai", "anthropic"):
        if f"{vendor}:" in "".join(sources(notebook, "code")) and "replay(" in first:
            assert f"{vendor.upper()}_API_KEY" in first


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_recording_of_a_notebook_is_there(notebook: Path) -> None:
    """What `replay` is called with is a file; `make test-notebooks` replays it."""
    named = re.findall(r"\breplay\(\"([^\"]+)\"\)", "".join(sources(notebook, "code")))
    missing = [name for name in named if not (ROOT / "cassettes" / "notebooks" / f"{name}.yaml").is_file()]
    assert missing == []


def test_the_notebooks_are_run_by_ci() -> None:
    """CI calls the target that executes every notebook."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^test-notebooks:.*\n.*--nbmake.* notebooks$", makefile, re.MULTILINE)
    assert re.search(
        r"^make (-C \S+ )?test-notebooks$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE
    )


def test_a_progress_bar_in_a_notebook_is_plain_output() -> None:
    """Without widgets, a batch's bar stands in the output, and nothing is written to the red one."""
    if find_spec("ipykernel") is None or find_spec("ipywidgets") is not None:
        pytest.skip("no kernel, or the bar is a widget")
    import nbformat
    from nbclient import NotebookClient

    code = (
        "from langchain_core.runnables import RunnableLambda\n"
        "from langchain_llmdispatch.batch.progress import batch_with_progress as run\n"
        "assert run(RunnableLambda(len), ['a', 'bb']) == [1, 2]"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = notebook.cells[0].outputs
    assert {output["name"] for output in outputs} == {"stdout"}
    assert "2/2" in "".join(output["text"] for output in outputs)
