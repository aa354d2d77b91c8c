"""Names of tools that a vendor accepts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_llmdispatch.vendors.history.threads import folded
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


def called_names(messages: Sequence[BaseMessage]) -> Sequence[str]:
    """Return the names of the tools called in a conversation, whichever package wrote the calls."""
    return folded(_after, messages)


def _after(names: tuple[str, ...] | None, messages: Sequence[BaseMessage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*(names or ()), *_called(messages)]))


def _called(messages: Sequence[BaseMessage]) -> Iterator[str]:
    for message in messages:
        if not isinstance(message, AIMessage):
            continue
        calls: list[Any] = [*message.tool_calls, *message.invalid_tool_calls]
        if not calls and not message.additional_kwargs and isinstance(message.content, str):
            continue  # text, by far the most frequent
        if isinstance(message.content, list):
            calls += (block for block in message.content if isinstance(block, dict) and _is_call(block))
        calls.append(message.additional_kwargs.get("function_call") or {})
        yield from (name for call in calls if isinstance(name := call.get("name"), str) and name)


def _is_call(block: Mapping[str, Any]) -> bool:
    kind = block.get("type")
    return isinstance(kind, str) and kind in _CALLS


_CALLS = frozenset({"tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call"})


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
