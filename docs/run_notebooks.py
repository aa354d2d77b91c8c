"""Runs the notebooks into docs/notebooks/: from their recordings, without a key or a network.

The repository keeps notebooks without outputs; the site shows them with what they print, display and plot.
"""

from __future__ import annotations

import logging
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
SOURCES, RESULTS = ROOT / "notebooks", ROOT / "docs" / "notebooks"
LONGEST = 300
"""Seconds that a cell may take."""


def run_notebooks() -> None:
    """Run each notebook in its folder, and write it with its outputs; a cell that fails ends the build."""
    logging.getLogger("traitlets").setLevel(logging.WARNING)
    RESULTS.mkdir(exist_ok=True)
    for path in sorted(SOURCES.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        where = {"metadata": {"path": str(SOURCES)}}
        NotebookClient(notebook, timeout=LONGEST, kernel_name="python3", resources=where).execute()
        nbformat.write(notebook, RESULTS / path.name)
