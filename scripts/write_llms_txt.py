"""Write docs/llms.txt: the documentation's pages, one line each, for language models (llmstxt.org).

python scripts/write_llms_txt.py
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
SECTIONS = {
    "Start": ["start.md"],
    "Guides": sorted(path.relative_to(DOCS).as_posix() for path in (DOCS / "guides").glob("*.md")),
    "Concepts": sorted(path.relative_to(DOCS).as_posix() for path in (DOCS / "concepts").glob("*.md")),
    "Migration": sorted(path.relative_to(DOCS).as_posix() for path in (DOCS / "migrate").glob("*.md")),
    "Reference": ["matrix.md", "server_tools.md", "langchain.md", "public_names.md"],
    "Optional": ["benchmarks.md", "decisions/README.md"],
}


def text() -> str:
    """Return the file."""
    lines = [
        "# langchain-llmdispatch",
        "",
        "> One LangChain chat model (`DispatcherChatModel`) over OpenAI, Anthropic, Google Gemini, Azure,",
        "> Cohere, Hugging Face and Ollama: routing, retry, fallback, limits, budgets and costs.",
    ]
    for section, pages in SECTIONS.items():
        lines += ["", f"## {section}", ""]
        lines += [
            f"- [{title(page)}]({page}){about(page)}" for page in pages if not page.endswith("index.md")
        ]
    return "\n".join([*lines, ""])


def title(page: str) -> str:
    """Return the first heading of a page."""
    found = re.search(r"^# (.+)$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].replace("`", "") if found else page


def about(page: str) -> str:
    """Return `: ` and the first paragraph of a page, to the end of its first sentence."""
    text = (
        (DOCS / page).read_text(encoding="utf-8").partition("\n\n")[2].partition("\n\n")[0].replace("\n", " ")
    )
    if not re.match(r"[A-Z`]", text):
        return ""
    return ": " + re.sub(r"\[([^]]+)\]\([^)]*\)", r"\1", re.split(r"(?<=\.)(?: |$)", text)[0].rstrip(":."))


if __name__ == "__main__":
    (DOCS / "llms.txt").write_text(text(), encoding="utf-8")
