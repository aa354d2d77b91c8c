"""The choice among tools, as one target takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedParameterError
from langchain_llmdispatch.types import Change, ChatRequest, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.neutral_choice import names_of
from langchain_llmdispatch.vendors.compile.server_tools import ServerTools

_CALL_TOOL = "You must call {} now, and not answer in words."
_FORCED = frozenset({"any", "tool"})
_Fitted = tuple[ToolChoice | None, list[ToolSpec], str]


def renamed(choice: ToolChoice, names: Mapping[str, str]) -> ToolChoice:
    """Return a choice with the target's names of tools."""
    allowed = tuple(names.get(name, name) for name in choice.allowed)
    named = choice.name if choice.server or choice.name is None else names.get(choice.name, choice.name)
    if (named, allowed) == (choice.name, choice.allowed):
        return choice
    return replace(choice, name=named, allowed=allowed)


@dataclass(frozen=True, slots=True)
class ChoiceCompiler:
    """Fits a choice to a target.

    Attributes:
        vendor: The target's vendor.
        request: The request.
        facts: What the target's model takes.
        model: Its name, for errors.
    """

    vendor: Vendor
    request: ChatRequest
    facts: ModelFacts
    model: str

    def fit(
        self, choice: ToolChoice, tools: list[ToolSpec], server: ServerTools, changes: list[Change]
    ) -> _Fitted:
        """Return a choice that the target takes, the tools that are offered, and what is instructed besides.

        Raises:
            UnsupportedParameterError: With `unsupported_params="raise"`, the target does not take it.
        """
        placed = self._placed(choice, server, changes)
        if placed is None:
            return None, tools, ""
        if placed.allowed:
            placed, tools = self._allowed(placed, tools, server, changes)
        if not (tools or server.kept):
            return None, tools, ""
        if placed.mode == "validated" and "validated" not in self.vendor.parameters.choices:
            placed = replace(placed, mode="auto")
        if placed.mode not in _FORCED or self._forces(placed):
            return placed, tools, ""
        line = self._relaxed(placed, changes)
        if placed.server is not None:
            server.kept = [pair for pair in server.kept if pair[1] is placed.server]
            return ToolChoice("auto"), [], line
        tools = [tool for tool in tools if placed.mode != "tool" or tool.name == placed.name]
        return ToolChoice("auto"), tools, line

    def _placed(self, choice: ToolChoice, server: ServerTools, changes: list[Change]) -> ToolChoice | None:
        """Return a choice with the target's tool in place of the caller's; None if that was left out."""
        if choice.server is None:
            return choice
        if (theirs := server.spelled(choice.server)) is not None:
            return replace(choice, server=theirs)
        name = str(choice.server.get("name"))
        if any(function.name == name for function in server.functions):
            return ToolChoice("tool", name)
        changes.append(Change("tool_choice_dropped", f"there is no {choice.name} here", lossy=True))
        return None

    def _forces(self, choice: ToolChoice) -> bool:
        words, server = self.vendor.parameters.choices, choice.server
        hosted = server is None or "server" in words or ("named_server" in words and "name" in server)
        return self.facts.forced_tool_choice and hosted

    def _allowed(
        self, choice: ToolChoice, tools: list[ToolSpec], server: ServerTools, changes: list[Change]
    ) -> tuple[ToolChoice, list[ToolSpec]]:
        """Return a choice among some tools; without a form for that only those are offered."""
        words = self.vendor.parameters.choices
        if "allowed" in words or ("allowed_forced" in words and choice.mode in {"any", "validated"}):
            theirs = (
                names_of(spelled)[0] for ours, spelled in server.kept if _is_named(ours, choice.allowed)
            )
            mine = (tool.name for tool in tools if tool.name in choice.allowed)
            return replace(choice, allowed=(*mine, *theirs)), tools
        changes.append(Change("tools_limited", "only the allowed tools are offered"))
        server.limit(choice.allowed)
        return replace(choice, allowed=()), [tool for tool in tools if tool.name in choice.allowed]

    def _relaxed(self, choice: ToolChoice, changes: list[Change]) -> str:
        """Return the instruction in place of a choice that the model does not take.

        With nothing else on offer, and this instruction, a model nearly always calls the tool.
        """
        self._refuse_change(str(choice.name or choice.mode))
        changes.append(Change("tool_choice_relaxed", "the model cannot be made to call a tool", lossy=True))
        return _CALL_TOOL.format(f"the tool {choice.name}" if choice.name else "one of the tools")

    def _refuse_change(self, word: str) -> None:
        if self.request.unsupported_params == "raise":
            raise UnsupportedParameterError(
                f"{self.vendor.name}:{self.model} does not take tool_choice={word!r}"
            )


def _is_named(tool: Mapping[str, object], names: Sequence[str]) -> bool:
    return not set(names).isdisjoint(names_of(tool))
