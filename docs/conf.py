"""Sphinx: pages in Markdown (MyST), the reference from docstrings; why: decisions/documentation.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from langchain_llmdispatch import __version__

sys.path.insert(0, str(Path(__file__).parent))
from run_notebooks import run_notebooks

project = "langchain-llmdispatch"
author = "The langchain-llmdispatch developers"
copyright = author  # noqa: A001 - Sphinx's name
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
nb_execution_mode = "off"  # run_notebooks has run them
nb_merge_streams = True
exclude_patterns = ["_build", "decisions/README.md"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "code"

html_theme = "furo"
html_title = f"langchain-llmdispatch {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/icon.svg"
html_extra_path = ["llms.txt"]
html_show_sphinx = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

_FENCE = re.compile(r"^(\s*)```(\w+)?$")
_GLUED = re.compile(r"(?<!`)`([^`\n]+)`(?=\w)")


def _to_rst(_app: Any, what: str, _name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
    """Make reStructuredText of what docstrings have of Markdown: fences, drawings, plurals of names."""
    result: list[str] = []
    fence: str | None = None
    for line in lines:
        if found := _FENCE.match(line):
            fence = found[1] + "   " if fence is None else None
            result += [f"{found[1]}.. code-block:: {found[2] or 'text'}", ""] if fence is not None else [""]
        elif fence is not None:
            result.append(f"   {line}" if line.strip() else "")
        else:
            drawn = what == "module" and line.startswith("    ") and result[-1:] == [""]
            result += ["::", ""] if drawn else []
            result.append(_GLUED.sub(r"`\1`\\ ", line))
    lines[:] = result


def _copy_pages(app: Any, error: Exception | None) -> None:
    """Put each page's Markdown beside its HTML: `llms.txt` links to it."""
    if error is None and app.builder.name == "html":
        for source in Path(app.srcdir).rglob("*.md"):
            target = Path(app.outdir) / source.relative_to(app.srcdir)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())


def setup(app: Any) -> None:
    """Register what is done before pages are read, to docstrings after napoleon, and when all is written."""
    app.connect("build-finished", _copy_pages)
    app.connect("builder-inited", lambda _: run_notebooks())
    app.connect("autodoc-process-docstring", _to_rst, priority=900)
