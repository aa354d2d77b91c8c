"""What a reader of a notebook sees, in JupyterLab: our words, as they are; pictures; nothing typeset, nothing lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from tests.jupyter.lab import ROOT, Lab, browser_path

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("jupyterlab", reason="JupyterLab is not installed: make test-jupyter")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-jupyter")
pytestmark = pytest.mark.skipif(
    browser_path() is None, reason="Chromium is not installed: apt install chromium"
)

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
WAYS = ("light", "dark", "untrusted")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium without a window."""
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a running JupyterLab."""
    with Lab(tmp_path_factory.mktemp("lab")).running() as running:
        yield running


@pytest.fixture(scope="module", params=NOTEBOOKS)
def executed(request: pytest.FixtureRequest, lab: Lab) -> tuple[str, list[dict[str, Any]]]:
    """Return a notebook's name, and its outputs with their cells' sources."""
    notebook = lab.run(request.param)
    return request.param, [
        output | {"source": cell["source"]}
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    ]


def displays(outputs: list[dict[str, Any]]) -> list[str]:
    """Return the HTML of our displays."""
    found = [str(output.get("data", {}).get("text/html", "")) for output in outputs]
    return [html for html in found if 'class="llmd' in html]


def squeezed(text: str) -> str:
    """Return a text without blanks: HTML may have others than the page."""
    return re.sub(r"\s+", "", text)


def expected(html: str) -> str:
    """Return the text of a display's elements."""
    return squeezed(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", "", html, flags=re.DOTALL)))


def apart(html: str) -> list[str]:
    """Return the words of a display: blocks and cells are apart, what is marked within a line is not."""
    apart = re.sub(
        r"<style>.*?</style>|</?(div|table|t\w+|details|summary|br)\b[^>]*>", " ", html, flags=re.DOTALL
    )
    return unescape(re.sub(r"<[^>]+>", "", apart)).split()


@pytest.mark.parametrize("way", WAYS)
def test_a_notebook_is_seen_as_it_is(
    executed: tuple[str, list[dict[str, Any]]], lab: Lab, browser: Browser, way: str
) -> None:
    """Each display has its words, without mathematics; each plot is a picture; styles are there unless untrusted."""
    name, outputs = executed
    lab.use_theme("Dark" if way == "dark" else "Light")
    opened = f"{name}.{'untrusted' if way == 'untrusted' else 'trusted'}"
    with lab.opened(browser, opened, f"{name}.{way}") as page:
        ours = displays(outputs)
        assert [squeezed(text) for text in page.evaluate(_TEXTS)] == [expected(html) for html in ours]
        assert (
            page.evaluate("() => document.querySelectorAll('.llmd mjx-container, .llmd .MathJax').length")
            == 0
        )
        seen = page.evaluate("() => document.querySelector('.jp-Notebook').innerText")
        assert not re.search(r"<(Figure|Axes)", seen)
        pictures = [output for output in outputs if "image/png" in output.get("data", {})]
        assert page.evaluate(_PICTURES) == len(pictures)
        assert page.evaluate("() => document.querySelectorAll('[class*=jp-needs-]').length") == 0
        _styled(page, ours, way)


def _styled(page: Page, ours: list[str], way: str) -> None:
    """Check that a trusted notebook has our style sheet, and that another one is readable without it."""
    styles = page.evaluate(
        "() => document.querySelectorAll('.jp-OutputArea .llmd').length && "
        "document.querySelectorAll('.jp-OutputArea style').length"
    )
    if way != "untrusted":
        assert bool(styles) == bool(ours)
        return
    assert styles == 0
    assert [text.split() for text in page.evaluate(_READ)] == [apart(html) for html in ours]


def test_each_plot_is_shown(executed: tuple[str, list[dict[str, Any]]]) -> None:
    """A cell that plots has a picture among its outputs."""
    outputs = executed[1]
    plotting = {output["source"] for output in outputs if re.search(r"\bplot(_\w+)?\(", output["source"])}
    assert plotting <= {output["source"] for output in outputs if "image/png" in output.get("data", {})}


_TEXTS = """() => [...document.querySelectorAll('.jp-OutputArea .llmd')].map(e => e.textContent)"""
_READ = """() => [...document.querySelectorAll('.jp-OutputArea .llmd')].map(e => {
  e.querySelectorAll('details').forEach(d => { d.open = true; });
  return e.innerText;
})"""
_PICTURES = "() => [...document.querySelectorAll('.jp-OutputArea .jp-RenderedImage img')].filter(i => i.naturalWidth > 100).length"
