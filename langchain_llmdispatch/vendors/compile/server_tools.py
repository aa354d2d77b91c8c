"""Tools that vendors run themselves, and OpenAI's tools that take free text, as one target takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.types import Change, Scopes, ToolSpec, UnsupportedParams
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.neutral_choice import names_of
from langchain_llmdispatch.vendors.compile.neutral_tools import server_type
from langchain_llmdispatch.vendors.portable_tools import BOUNDS, NEEDLESS, PortableTool, Tool, is_portable
from langchain_llmdispatch.vendors.word_secrets import revealed, secrets_in

Fate: TypeAlias = Literal["own", "portable", "function", "left out", "refused"]
UNMIXED = "the model takes either functions or the vendor's own tools"
CUSTOM = "custom"
"""The type of tools whose argument is a text, or follows a grammar (OpenAI)."""
_TEXT = "__arg1"
"""The argument under which LangChain gives such a tool its text."""
_SEARCHES = "tool_search_tool_*"
_STORED = frozenset({"vector_store_ids"})
"""Fields of OpenAI's tools that name what is stored in one account; `container` may, too."""


@dataclass(slots=True)
class ServerTools:
    """What became of the tools of one request.

    Attributes:
        kept: The caller's tools, each with the one that the target gets.
        functions: Functions in place of tools that take free text.
        fields: Fields of the body that stand beside the tools.
    """

    kept: list[tuple[Tool, Tool]] = field(default_factory=list)
    functions: list[ToolSpec] = field(default_factory=list)
    fields: dict[str, list[Any]] = field(default_factory=dict)

    def spelled(self, tool: Tool) -> Tool | None:
        """Return the target's tool for one of the caller's; None if it has none."""
        return next((theirs for ours, theirs in self.kept if ours == tool), None)

    def limit(self, names: Iterable[str]) -> None:
        """Keep the tools that have one of `names`."""
        self.kept = [pair for pair in self.kept if not set(names).isdisjoint(names_of(pair[0]))]


def runs_itself(vendor: Vendor, tool: Tool) -> bool:
    """Whether `tool` is one that `vendor` runs itself, in the vendor's own words.

    Tools without a `type`, as Gemini's are, match globs in braces.
    """
    kind = server_type(tool)
    return any(
        fnmatchcase(kind if "type" in tool else f"{{{kind}}}", pattern) for pattern in vendor.server_tools
    )


def has_owner(tool: Tool) -> bool:
    """Return whether a tool holds credentials, or names what is stored, and is no portable one.

    Both go to one vendor only.
    """
    if is_portable(tool):
        return False
    return any(secrets_in(tool)) or not _STORED.isdisjoint(tool) or _names_files(tool.get("container"))


def _names_files(container: Any) -> bool:
    """Whether a container of OpenAI's is one that exists, or has files that do."""
    return bool(container.get("file_ids")) if isinstance(container, Mapping) else isinstance(container, str)


def fate_of(
    vendor: Vendor, tool: Tool, policy: UnsupportedParams, scopes: Scopes | None = None
) -> tuple[Fate, str]:
    """Return what becomes of a tool at a vendor, and why.

    Args:
        vendor: The target's vendor.
        tool: A vendor's own tool, a portable one, or one that takes free text.
        scopes: Those of the request: credentials and ids in a vendor's own tool go to a call's first choice,
            not to another vendor that has the same tools (OpenAI's and Azure's).
        policy: `adapt` refuses what would change the question, `drop` leaves it out, `raise` refuses
            whatever is not taken as it is.
    """
    kind, own = server_type(tool), _portable(vendor, tool)
    if own is not None:
        why = _untaken(tool, own, BOUNDS) or (_untaken(tool, own) if policy == "raise" else "")
        if not why:
            return "portable", ""
    elif runs_itself(vendor, tool):
        first = scopes.first.partition("@")[0] if scopes is not None else ""
        if first in {"", vendor.name} or not has_owner(tool):
            return "own", ""
        why = f"the credentials or ids in {kind} belong to the call's first choice, {first}"
    elif any(fnmatchcase(kind, pattern) for pattern in NEEDLESS):
        return "left out", "it only saves tokens"
    elif kind == CUSTOM and policy == "adapt":
        return "function", ""
    else:
        why = f"the vendor does not run the tool {kind!r}"
    return ("left out" if policy == "drop" else "refused"), why


def compile_server_tools(
    vendor: Vendor,
    tools: Iterable[Tool],
    policy: UnsupportedParams,
    changes: list[Change],
    scopes: Scopes | None = None,
) -> ServerTools:
    """Return the tools as the target takes them; `changes` gets what was altered. Arguments as `fate_of`.

    Raises:
        UnsupportedFeatureError: The target cannot run one, and the policy is not to leave it out.
    """
    made = ServerTools()
    for tool in tools:
        kind = server_type(tool)
        fate, why = fate_of(vendor, tool, policy, scopes)
        if fate == "refused":
            raise UnsupportedFeatureError(why, vendor=vendor.name)
        if fate == "left out":
            needless = any(fnmatchcase(kind, pattern) for pattern in NEEDLESS)
            changes.append(Change("server_tool_dropped", f"no {kind} here: {why}", lossy=not needless))
        elif fate == "function":
            made.functions.append(_as_function(tool))
            about = f"{tool.get('name')} became a function with one text; its grammar is only described"
            changes.append(Change("custom_tool_adapted", about, lossy=bool(_grammar(tool))))
        elif fate == "own":
            made.kept.append((tool, revealed(dict(tool))))
        else:
            _spell(vendor, tool, made, changes)
    return made


def _portable(vendor: Vendor, tool: Tool) -> PortableTool | None:
    """Return how the vendor has a tool that is portable; Anthropic's tool search has other names."""
    kind = server_type(tool)
    if is_portable(tool):
        return vendor.portable_tools.get(kind)
    searches = fnmatchcase(kind, _SEARCHES) and not runs_itself(vendor, tool)
    return vendor.portable_tools.get("tool_search") if searches else None


def _untaken(tool: Tool, own: PortableTool, fields: Iterable[str] | None = None) -> str:
    """Return which of a tool's fields the vendor lacks, in words; empty for none."""
    given = {name for name, value in tool.items() if value not in (None, [])} - {"type", "portable"}
    lacks = sorted(given - own.takes if fields is None else (given & set(fields)) - own.takes)
    if own.one_list and not lacks and _clash(tool):
        lacks = ["blocked_domains within allowed_domains"]
    return f"its {server_type(tool)} has no {', '.join(lacks)}" if lacks else ""


def _clash(tool: Tool) -> bool:
    """Whether domains are blocked within allowed ones, which one list of domains cannot express."""
    allowed, blocked = tool.get("allowed_domains") or (), tool.get("blocked_domains") or ()
    return any(one != other and other in one for one in blocked for other in allowed)


def _spell(vendor: Vendor, tool: Tool, made: ServerTools, changes: list[Change]) -> None:
    own = _portable(vendor, tool)
    if own is None:
        return
    given = tool if is_portable(tool) else {"type": "tool_search"}
    if hints := _untaken(given, own):
        changes.append(Change("server_tool_adapted", hints, lossy=True))
    taken = {name: value for name, value in given.items() if name in own.takes and value not in (None, [])}
    if own.one_list and (blocked := taken.get("blocked_domains")) and "allowed_domains" in taken:
        taken["allowed_domains"] = [name for name in taken["allowed_domains"] if name not in blocked]
        del taken["blocked_domains"]
    taken = revealed(taken)
    made.kept.append((tool, own.spell(taken)))
    for name, value in (own.beside(taken) if own.beside else {}).items():
        made.fields[name] = [*made.fields.get(name, ()), *value]


# -- tools that take free text -------------------------------------------------------------------------


def _as_function(tool: Tool) -> ToolSpec:
    """Return a function whose only argument is the text."""
    about: dict[str, Any] = {"type": "string", "description": _grammar(tool) or "The input, as plain text."}
    parameters = {"type": "object", "properties": {_TEXT: about}, "required": [_TEXT]}
    return ToolSpec(str(tool.get("name")), str(tool.get("description") or ""), parameters)


def _grammar(tool: Tool) -> str:
    form = tool.get("format")
    form = form.get("grammar", form) if isinstance(form, Mapping) else {}
    if not form.get("definition"):
        return ""
    return f"The input. It must follow this {form.get('syntax', 'lark')} grammar:\n{form['definition']}"
