"""A conversation compiled for a target that is named, without a request around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from langchain_core.messages import BaseMessage

from langchain_llmdispatch.types import Change
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.history.compile import compile_messages

_NO_NAMES: Mapping[str, str] = {}


def compile_history(
    messages: Sequence[BaseMessage],
    target: str | Vendor,
    *,
    model: str = "",
    tool_names: Mapping[str, str] = _NO_NAMES,
    lookup: Callable[[str], Vendor] | None = None,
) -> tuple[Sequence[BaseMessage], list[Change]]:
    """Return a conversation as a target takes it, and what was altered.

    Args:
        messages: Any LangChain history; not mutated.
        target: `vendor:model`, a vendor's name, or a vendor.
        model: The target's model where `target` does not name it.
        tool_names: The caller's tool names -> the target's, where they differ.
        lookup: Finds a vendor by name or alias; None looks among the built-in ones.

    Raises:
        UnsupportedFeatureError: The target cannot take it.
        LookupError: No vendor has that name.
    """
    if isinstance(target, str):
        name, _, named_model = target.partition(":")
        target, model = (lookup or _built_in)(name), named_model or model
    return compile_messages(messages, target.history, model=model, tool_names=tool_names, vendor=target.name)


def _built_in(name: str) -> Vendor:
    vendors = builtin_vendors()
    found = vendors.get(name) or next((v for v in vendors.values() if name in v.aliases), None)
    if found is None:
        raise LookupError(f"there is no vendor {name!r}; known ones are {', '.join(vendors)}")
    return found
