"""Write `docs/matrix.md`: words, blocks and tools x vendors, from the data that compiles requests.

python scripts/write_matrix.py            # rewrite the page
python scripts/write_matrix.py --check    # exit 1 if it is out of date, write nothing
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.types import ChatRequest, Endpoint
from langchain_llmdispatch.vendors import VENDORS as OWN
from langchain_llmdispatch.vendors.base import Vendor, Word
from langchain_llmdispatch.vendors.compile.server_tools import runs_itself
from langchain_llmdispatch.vendors.compile.words import compile_words, owners_of
from langchain_llmdispatch.vendors.parameters import ALIASES, NEUTRAL
from langchain_llmdispatch.vendors.portable_tools import FIELDS

TARGET = Path(__file__).resolve().parents[1] / "docs" / "matrix.md"
VENDORS = {vendor.name: vendor() for vendor in OWN if vendor.name != "local"}
_SCHEMA = {"title": "A", "type": "object"}
# Values with which a word has a counterpart elsewhere.
SAMPLES: Mapping[str, Any] = {
    "documents": ["text"],
    "reasoning": {"effort": "high"},
    "text": {"verbosity": "low", "format": {"type": "json_object"}},
    "prompt_cache_retention": "24h",
    "output_config": {"effort": "high"},
    "output_format": {"type": "json_schema", "schema": _SCHEMA},
    "speed": "fast",
    "safety_settings": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"},
    "safetySettings": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"},
    "thinking_config": {"thinking_budget": 1024},
    "thinking_budget": 1024,
    "response_mime_type": "application/json",
    "response_schema": _SCHEMA,
    "response_json_schema": _SCHEMA,
    "safety_mode": "STRICT",
    "options": {"temperature": 0.5},
    "format": "json",
}
_OWN_TOOLS = """By vendors' own types, dated ones as globs; elsewhere such a tool makes the deployment ineligible, or is left
out with `unsupported_params="drop"`:"""
MEDIA = ("image", "image_url", "pdf", "pdf_url", "file", "audio", "video")
_PLACES = {"chat": "chat completions", "responses": "Responses"}
HEAD = """# Words, blocks and tools by vendor

A request is written once, and arrives valid at every vendor. This page is written by `scripts/write_matrix.py` from the data that compile
requests. Of what a request holds, a vendor gets

- its own words, at their places in its body or headers: the cell names the place;
- for another vendor's word its counterpart, where it has one (`≈`);
- nothing else: what has no counterpart is left out (`-`), or, where the question would be another without it,
  the deployment is not tried (`not tried`; `unsupported_params="drop"` tries it without).

What was left out or translated is in `response_metadata["llmdispatch"]["adapted"]` and in `explain()`;
`unsupported_params="raise"` makes it an error, `"drop"` translates nothing. A word that no vendor owns goes to
`compatible`, `huggingface` and vendors of your own, which may know it. A call's `extra_headers`, `extra_body` and
`extra_query` go to its first choice only.

## Which value holds

| | for all vendors | for one |
|---|---|---|
| call | `invoke(word=...)`, `bind(word=...)` | `invoke(vendor_params={"anthropic": {"word": ...}})` |
| deployment | | `Deployment("anthropic:...", params={"word": ...})` |
| model | `DispatcherChatModel(word=...)`, `model_kwargs={"word": ...}` | `vendor_params={"anthropic": {"word": ...}}` |

The highest row that has a word holds; within a row, what is for one vendor. A word for one vendor goes to it as it
is, whether it is known here or not. Names of one parameter (`max_tokens`, `max_output_tokens`) are one word. Keys,
addresses and clients are never words: they are refused, with the field that takes them.
"""


def table(head: str, rows: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Return a table of Markdown with a column for each vendor."""
    lines = [f"| {head} | {' | '.join(VENDORS)} |", "|---|" + "---|" * len(VENDORS)]
    return [*lines, *(f"| `{name}` | {' | '.join(cells)} |" for name, cells in rows), ""]


def parameters() -> list[str]:
    """Return the table of neutral parameters."""
    taken = {name for vendor in VENDORS.values() for name in vendor.parameters.takes}
    names = sorted((NEUTRAL - ALIASES.keys()) & taken)
    rows = ((name, (_parameter(vendor, name) for vendor in VENDORS.values())) for name in names)
    known: dict[str, list[str]] = {}
    for alias, name in ALIASES.items():
        known.setdefault(name, []).append(f"`{alias}`")
    others = "; ".join(f"`{name}`: {', '.join(aliases)}" for name, aliases in sorted(known.items()))
    text = (
        "Values that a vendor or a model does not take are adapted: efforts, tiers, penalties, stops, limits."
    )
    return [
        "## Parameters that all vendors share",
        "",
        f"{text} Other names: {others}.",
        "",
        *table("parameter", rows),
    ]


def _parameter(vendor: Vendor, name: str) -> str:
    rules = vendor.parameters
    if name not in rules.takes:
        return "-"
    return ", ".join(rules.tiers) or "yes" if name == "service_tier" else "yes"


def words() -> list[str]:
    """Return a table of words for each vendor that owns some."""
    lines = ["## Words of one vendor", ""]
    for owner, vendor in VENDORS.items():
        own = {name: word for name, word in vendor.words.words.items() if _is_listed(owner, name, word)}
        if own:
            rows = ((name, [_word(name, target) for target in VENDORS.values()]) for name in sorted(own))
            lines += [f"### {owner}", "", *table("word", rows)]
    return lines


def _is_listed(owner: str, name: str, word: Word) -> bool:
    """Return whether a word is listed under its owner: under the first one, by its name in the SDK."""
    first = owners_of()[name][0].name
    by_body = word.path[-1:] == (name,) and not name.islower()
    return first == owner and name not in NEUTRAL and not word.shared and not by_body


def _word(name: str, vendor: Vendor) -> str:
    owner = owners_of()[name][0].words.words[name]
    value = SAMPLES.get(name, {} if Mapping in owner.types else [] if list in owner.types else "x")
    own = vendor.words.find(name, value)
    if own is not None:
        return _place(own)
    request = ChatRequest((), extra={name: value})
    try:
        made = compile_words(vendor, request, Endpoint(vendor.base_url or "https://server.example"), {})
    except UnsupportedFeatureError:
        return "not tried"
    if any(change.kind.endswith("_adapted") for change in made.changes):
        meant = [
            *made.request.params,
            *made.request.extra,
            *(["response_format"] if made.request.output else []),
        ]
        shown = ["a system message"] if made.request.messages else [f"`{each}`" for each in meant]
        return "≈ " + ", ".join(shown)
    return "-"


def _place(word: Word) -> str:
    if word.shared:
        return "if no deployment is its owner's"
    if word.switch:
        return "chooses how"
    if word.as_neutral and not word.path:
        return "as a parameter"
    place = f"header `{word.header}`" if word.header else f"`{'.'.join(word.path)}`"
    only = f", {_PLACES[next(iter(word.apis))]}" if word.apis else ""
    return f"{place}{only}" + (f", beta `{word.beta}`" if word.beta else "")


def blocks() -> list[str]:
    """Return the table of media blocks."""
    rows = ((kind, [_media(vendor, kind) for vendor in VENDORS.values()]) for kind in MEDIA)
    text = (
        "In turns of the user and in results of tools, which else move into a turn of the user. What a model does not "
        "see, by the catalog, counts besides. A block of one vendor's own kind, an id of its files and its opaque "
        "state go to that vendor only."
    )
    return ["## Blocks", "", text, "", *table("block", rows)]


def _media(vendor: Vendor, kind: str) -> str:
    turns = [
        word
        for word, kinds in (("user", "user_media"), ("tool", "tool_media"))
        if kind in getattr(vendor.history, kinds)
    ]
    return ", ".join(turns) or "-"


def tools() -> list[str]:
    """Return the tables of tools that vendors run."""
    portable = ((name, [_portable(vendor, name) for vendor in VENDORS.values()]) for name in FIELDS)
    globs = sorted(
        {
            glob
            for vendor in VENDORS.values()
            for glob in vendor.server_tools
            if glob[0] != "{" and glob.islower()
        }
    )
    own = ((_shown(glob), [_runs(vendor, glob) for vendor in VENDORS.values()]) for glob in globs)
    return [
        "## Tools that vendors run",
        "",
        "By neutral names, with the fields of each (`vendors/portable_tools.py`):",
        "",
        *table("tool", portable),
        _OWN_TOOLS,
        "",
        *table("type", own),
    ]


def _shown(glob: str) -> str:
    return glob.replace("[0-9]" * 6, "YYMMDD").replace("????_??_??", "YYYY_MM_DD").replace("[-_]", "_")


def _runs(vendor: Vendor, glob: str) -> str:
    kind = glob.replace("[0-9]", "0").replace("?", "0").replace("[-_]", "_").replace("*", "x")
    return "yes" if runs_itself(vendor, {"type": kind}) else "-"


def _portable(vendor: Vendor, name: str) -> str:
    tool = vendor.portable_tools.get(name)
    return "-" if tool is None else ", ".join(f"`{field}`" for field in sorted(tool.takes)) or "yes"


def render() -> str:
    """Return the page."""
    return "\n".join([HEAD, *parameters(), *words(), *blocks(), *tools()]).rstrip() + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write or check the page; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only report whether the page is up to date")
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == render():
        print(f"{TARGET.name} is up to date")
        return 0
    if parser.parse_args(argv).check:
        print(f"{TARGET.name} is out of date: run scripts/write_matrix.py", file=sys.stderr)
        return 1
    TARGET.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
