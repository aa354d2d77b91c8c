"""The choice among tools: from what LangChain's users pass to a neutral value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from langchain_llmdispatch.types import ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.compile.neutral_tools import server_type

_WORDS: Mapping[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "any": ToolChoice("any"),
    "required": ToolChoice("any"),
    "validated": ToolChoice("validated"),
}


def neutral_choice(
    choice: Any, tools: Sequence[ToolSpec], server_tools: Sequence[Mapping[str, Any]] = ()
) -> ToolChoice | None:
    """Return what the caller requires of tool use, or None for nothing.

    Args:
        choice: None, False, True, a word (`auto none any required validated`), a tool's name, a
            `ToolChoice`, or a dict of OpenAI's (`allowed_tools` too), Anthropic's, Bedrock's or Gemini's.
        tools: The tools to choose from.
        server_tools: Those that a vendor runs itself, which are named by `name`, `type` or `server_label`.

    Raises:
        ValueError: It names a tool that is not bound, or is no choice at all.
    """
    if choice is None or choice is False:
        return None
    offered = _Offered(tools, server_tools)
    if choice is True:
        return _WORDS["any"]
    if isinstance(choice, ToolChoice):
        return choice if choice.mode != "tool" or choice.server else offered.named(str(choice.name))
    if isinstance(choice, str):
        return _WORDS.get(choice.lower()) or offered.named(choice)
    if isinstance(choice, Mapping):
        return _of_mapping(choice, offered)
    raise ValueError(f"tool_choice={choice!r} is neither a word, a tool's name nor a vendor's dict")


def parallel_of(choice: Any) -> bool | None:
    """Return whether a choice in Anthropic's form allows several calls in one turn; None if it is silent."""
    off = choice.get("disable_parallel_tool_use") if isinstance(choice, Mapping) else None
    return None if off is None else not off


def names_of(tool: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the words by which a choice may name a tool that a vendor runs itself."""
    words = (tool.get("name"), tool.get("server_label"), tool.get("mcp_server_name"), server_type(tool))
    return tuple(dict.fromkeys(str(word) for word in words if word))


@dataclass(frozen=True, slots=True)
class _Offered:
    """The tools to choose from."""

    tools: Sequence[ToolSpec]
    server: Sequence[Mapping[str, Any]]

    def named(self, *names: str) -> ToolChoice:
        """Return the demand for the tool that has one of `names`, the caller's tools first."""
        for name in names:
            if any(tool.name == name for tool in self.tools):
                return ToolChoice("tool", name)
        for tool in self.server:
            if name := next((name for name in names if name in names_of(tool)), ""):
                return ToolChoice("tool", name, tool)
        raise self._unknown(names[0])

    def hosts(self, name: str) -> bool:
        """Whether a tool that a vendor runs itself is named so."""
        return any(name in names_of(tool) for tool in self.server)

    def limited(self, mode: str, names: Iterable[str]) -> ToolChoice:
        """Return a choice in which only some tools may be called."""
        chosen = tuple(str(self.named(name).name) for name in names)
        if len(chosen) == 1 and _word(mode).mode == "any":
            return self.named(chosen[0])
        return ToolChoice(_word(mode).mode, allowed=chosen)

    def _unknown(self, name: str) -> ValueError:
        names = [tool.name for tool in self.tools] + [names_of(tool)[0] for tool in self.server]
        near = get_close_matches(name, [*names, *_WORDS], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return ValueError(f"tool_choice names {name!r}, which is not one of the tools {names}{hint}")


def _of_mapping(choice: Mapping[str, Any], offered: _Offered) -> ToolChoice:
    gemini = choice.get("function_calling_config") or choice.get("functionCallingConfig")
    if isinstance(gemini, Mapping):
        names = gemini.get("allowed_function_names") or gemini.get("allowedFunctionNames")
        mode = str(gemini.get("mode", "auto"))
        return offered.limited(mode, map(str, names)) if names else _word(mode)
    kind = str(choice.get("type") or next(iter(choice), ""))
    if kind == "allowed_tools":
        listed = choice.get("allowed_tools", choice)
        return offered.limited(str(listed.get("mode", "auto")), map(_listed_name, listed.get("tools") or ()))
    if kind == "mcp" and choice.get("server_label"):
        server = offered.named(str(choice["server_label"]))
        return replace(server, name=str(choice.get("name") or server.name))
    if name := _name_in(choice):
        return offered.named(name)
    return _WORDS.get(kind.lower()) or (offered.named(kind) if offered.hosts(kind) else _word(kind))


def _name_in(choice: Mapping[str, Any]) -> str:
    """Return the name of the tool in one vendor's dict; empty if it names none."""
    parts = (*(choice.get(key) for key in ("function", "tool", "custom")), choice)
    return next((str(part["name"]) for part in parts if isinstance(part, Mapping) and part.get("name")), "")


def _listed_name(choice: Mapping[str, Any]) -> str:
    """Return the name of a tool in OpenAI's `allowed_tools`; one that a vendor runs is named by its type."""
    return _name_in(choice) or str(choice.get("server_label") or choice.get("type"))


def _word(word: str) -> ToolChoice:
    found = _WORDS.get(word.lower())
    if found is None:
        raise ValueError(f"tool_choice of type {word!r} is not known; use one of {', '.join(_WORDS)}")
    return found
