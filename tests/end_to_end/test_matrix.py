"""`docs/matrix.md` is what the data of the vendors say."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    """Run `python scripts/write_matrix.py` if it is not."""
    page = runpy.run_path(str(ROOT / "scripts" / "write_matrix.py"))["render"]()
    assert page == (ROOT / "docs" / "matrix.md").read_text(encoding="utf-8")
