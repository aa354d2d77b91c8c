"""Every Python block of the documentation runs, page by page, against the loopback vendors; pages are complete."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.loopback.server import LoopbackServer

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix()
    for path in DOCS.rglob("*.md")
    if "decisions" not in path.parts and "\n```python\n" in path.read_text(encoding="utf-8")
)


def blocks(page: str, language: str) -> list[str]:
    """Return a page's fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(
    page: str, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A reader who pastes the blocks of a page one after the other gets no error."""
    monkeypatch.chdir(tmp_path)
    for vendor in ("openai", "anthropic", "google", "cohere"):
        monkeypatch.setenv(f"{vendor.upper()}_API_KEY", "k-123456")
        monkeypatch.setenv(f"{vendor.upper()}_BASE_URL", server.base_url(vendor))
    for text in blocks(page, "yaml"):
        (tmp_path / "dispatch.yaml").write_text(text)
    (tmp_path / "cassettes").symlink_to(ROOT / "cassettes")
    namespace: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), namespace)  # noqa: S102 - the pages are ours


def test_llms_txt_lists_every_page() -> None:
    """The file is what its script writes, each page with its first sentence; it goes stale with a new page."""
    spec = importlib.util.spec_from_file_location("write_llms_txt", ROOT / "scripts" / "write_llms_txt.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (DOCS / "llms.txt").read_text(encoding="utf-8") == script.text()
    pages = re.findall(r"\(([^)]+)\)(.*)$", script.text().partition("\n## ")[2], re.MULTILINE)
    assert [page for page, about in pages if not (DOCS / page).is_file() or not about] == []


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS.rglob("*.md")], ids=lambda path: path.stem)
def test_links_lead_to_files(page: Path) -> None:
    """A relative link or picture of a page, on GitHub as on the site, leads to a file of the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and ":" not in link]
    made = DOCS / "notebooks"  # by the site's build, of the notebooks with their outputs
    targets = [(page.parent / link).resolve() for link in local]
    targets = [ROOT / each.relative_to(DOCS) if each.is_relative_to(made) else each for each in targets]
    assert [target for target in targets if not target.exists()] == []
