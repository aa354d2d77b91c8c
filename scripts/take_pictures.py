"""Take the README's pictures of a plan and of an answer from the built documentation: docs/_static/*.png.

make docs && python scripts/take_pictures.py    # needs playwright, and Chromium (apt install chromium)
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
PICTURES = {
    "plan": ("2_routing_and_explain", "Plan"),
    "answer": ("3_agents", "answered by"),
}
"""By file: the notebook, and how the text of the output begins."""


def main() -> int:
    """Take each picture from the first output of its notebook that begins as written."""
    browser_path = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        view = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
        page = view.new_page()
        for name, (notebook, start) in PICTURES.items():
            page.goto((ROOT / "site" / "notebooks" / f"{notebook}.html").as_uri())
            outputs = page.query_selector_all(".cell_output")
            found = next(each for each in outputs if each.inner_text().strip().startswith(start))
            found.screenshot(path=ROOT / "docs" / "_static" / f"{name}.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
