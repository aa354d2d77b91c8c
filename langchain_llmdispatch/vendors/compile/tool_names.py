"""Names of tools that a vendor accepts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from langchain_llmdispatch.vendors.rules import ToolNameRules


def compile_names(names: Iterable[str], rules: ToolNameRules) -> dict[str, str]:
    """Return the caller's names -> legal ones, for those that are not legal; all stay different.

    Args:
        names: Every name in use, legal ones too.
        rules: What the vendor takes.
    """
    unique = list(dict.fromkeys(names))
    legal = {name for name in unique if len(name) <= rules.most and rules.pattern.fullmatch(name)}
    taken, mapping = set(legal), {}
    for name in unique:
        if name not in legal:
            mapping[name] = next(c for c in _spellings(name, rules) if c not in taken)
            taken.add(mapping[name])
    return mapping


def _spellings(name: str, rules: ToolNameRules) -> Iterator[str]:
    plain = re.sub(r"[^a-zA-Z0-9_]+", "_", name).strip("_")
    stem = plain if plain and not plain[0].isdigit() else f"tool_{plain}"
    if len(stem) <= rules.most and rules.pattern.fullmatch(stem):
        yield stem
    # A hash of the whole name distinguishes names that are cut or spelled alike; it is always the same.
    tries = 0
    while True:
        digest = hashlib.sha256(f"{name}#{tries}".encode(errors="surrogatepass")).hexdigest()[:8]
        yield f"{stem[: rules.most - 9]}_{digest}"
        tries += 1
