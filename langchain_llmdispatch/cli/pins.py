"""Models that files name, and that retire soon or have done: code, notebooks, configurations, cassettes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.retirements import near_retirement, pinned_names
from langchain_llmdispatch.deployments.vendor_table import VendorTable

_KINDS = frozenset(
    (
        ".py", ".ipynb", ".yaml", ".yml", ".json", ".jsonl", ".toml", ".cfg", ".ini", ".env", ".md", ".rst",
        ".ts", ".tsx", ".js", ".jsx",
    )
)  # fmt: skip
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "site-packages", "dist", "build", "venv"})
_LARGEST = 20_000_000


def pins_in(path: Path, at: datetime) -> Iterator[str]:
    """Yield `file:line: vendor:model retires on ...` for each model in a file, or in the files of a folder.

    Args:
        path: A file, or a folder that is searched with its folders; hidden ones are passed over.
        at: The moment from which `near` is counted.
    """
    for file in _files(path):
        text = file.read_text(encoding="utf-8", errors="replace")
        seen: set[str] = set()
        for match in _pattern().finditer(text):
            name = match["name"].lower()
            if name in seen:  # a cassette names its model in each request
                continue
            seen.add(name)
            vendor, listing = _names()[name]
            if words := near_retirement(listing, name, at):
                yield f"{file}:{text.count(chr(10), 0, match.start('name')) + 1}: {vendor}:{name} {words}"


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _PASSED_OVER)
        for name in sorted(files):
            file = Path(folder, name)
            fits = file.suffix in _KINDS or name.startswith(".env")
            if fits and file.is_file() and file.stat().st_size <= _LARGEST:
                yield file


@cache
def _names() -> Mapping[str, tuple[str, Listing]]:
    """Return the names of models that have a date, with vendor and listing."""
    vendors = VendorTable().known()
    return {name: (v.name, v.listing) for v in reversed(vendors) for name in pinned_names(v.listing)}


@cache
def _pattern() -> re.Pattern[str]:
    """Match a name in quotes, behind a vendor, or behind `model:`; elsewhere it may mean anything."""
    names = "|".join(map(re.escape, sorted(_names(), key=len, reverse=True)))
    vendors = "|".join(sorted({re.escape(vendor) for vendor, _ in _names().values()}))
    before = rf"(?:[\"'`]|\b(?:{vendors})[:/]|\bmodel\w*[\"']?\s*[:=]\s*[\"']?)"
    return re.compile(rf"{before}(?P<name>{names})(?=[\"'`\s,;:#\\}}\])]|$)", re.IGNORECASE)
