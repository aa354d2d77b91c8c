"""Tools, tool choice and answer shape of one request, as one target takes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError, UnsupportedParameterError
from langchain_llmdispatch.types import Change, OutputSchema, ToolChoice, ToolSpec
from langchain_llmdispatch.vendors.compile.json_schema import compile_schema, schema_rules
from langchain_llmdispatch.vendors.compile.neutral_tools import NAMES, compile_names, server_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.types import ChatRequest, OutputMethod
    from langchain_llmdispatch.vendors.base import Vendor


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools, choice and answer shape as one target takes them."""

    tools: Sequence[ToolSpec] = ()
    server_tools: Sequence[Mapping[str, Any]] = ()
    choice: ToolChoice | None = None
    output: OutputSchema | None = None
    instruction: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


NO_TOOLS = Tools()
_SAY_SCHEMA = "Answer with one JSON object that follows this JSON Schema, and with nothing else:\n{}"
_SAY_CALL = "You must call {} now, and not answer in words."
_SAY_JSON = "Answer with one JSON object and nothing else."
_STRICT_BY_ITSELF = frozenset({"openai", "azure"})


@dataclass(slots=True)
class Toolbox:
    """Compiles what a request says of tools and answer shape for one target."""

    vendor: Vendor
    request: ChatRequest
    facts: ModelFacts
    model: str
    changes: list[Change]
    demand: str = ""

    def compiled(self) -> Tools:
        """Return it all, names mapped."""
        request = self.request
        tools, choice = list(request.tools), request.tool_choice
        output, instruction = None, ""
        if request.output is not None:
            method = self._method(request.output)
            if method == "function_calling":
                tools, choice = self._as_tool(request.output, tools)
            else:
                output, instruction = self._as_format(request.output, method)
        server_tools = self._server_tools()
        choice, tools = self._choice(choice, tools, server_tools)
        names = compile_names(self._all_names(tools), *NAMES.get(self.vendor.name, NAMES["default"]))
        made = [self._tool(tool, names) for tool in tools]
        if names:
            self.changes.append(
                Change("tool_names_changed", "tool names are spelled as the target wants them")
            )
        if choice is not None and choice.name in names:
            choice = ToolChoice(choice.mode, names[choice.name])
        instruction = "\n\n".join(filter(None, (instruction, self.demand)))
        return Tools(made, server_tools, choice, output, instruction, names)

    def _all_names(self, tools: Sequence[ToolSpec]) -> Iterable[str]:
        yield from (tool.name for tool in tools)
        for message in self.request.messages:
            if isinstance(message, AIMessage):
                yield from (call["name"] for call in message.tool_calls)

    def _tool(self, tool: ToolSpec, names: Mapping[str, str]) -> ToolSpec:
        made, changes = _spelled(tool, self.vendor.name)
        self.changes += changes
        return replace(made, name=names[tool.name]) if tool.name in names else made

    def _server_tools(self) -> list[Mapping[str, Any]]:
        kept = []
        for tool in self.request.server_tools:
            if runs_itself(self.vendor, tool):
                kept.append(tool)
            elif self.request.unsupported_params == "drop":
                self.changes.append(Change("server_tool_dropped", f"no {server_type(tool)} here", lossy=True))
            else:
                raise UnsupportedFeatureError(
                    f"the tool {server_type(tool)!r} is not run by this vendor", vendor=self.vendor.name
                )
        return kept

    def _choice(
        self,
        choice: ToolChoice | None,
        tools: list[ToolSpec],
        server_tools: Sequence[Mapping[str, Any]],
    ) -> tuple[ToolChoice | None, list[ToolSpec]]:
        if choice is None or not (tools or server_tools):
            return None, tools
        if self.facts.forced_tool_choice or choice.mode not in {"any", "tool"}:
            return choice, tools
        if self.request.unsupported_params == "raise":
            raise UnsupportedParameterError(
                f"{self.vendor.name}:{self.model} does not take tool_choice={choice.name or choice.mode!r}"
            )
        self.changes.append(
            Change("tool_choice_relaxed", "the model cannot be made to call a tool", lossy=True)
        )
        # With nothing else on offer, and told so, the model nearly always calls it.
        self.demand = _SAY_CALL.format(f"the tool {choice.name}" if choice.name else "one of the tools")
        only = [tool for tool in tools if choice.mode != "tool" or tool.name == choice.name]
        return ToolChoice("auto"), only

    # -- answer shape ------------------------------------------------------------------------------

    def _method(self, output: OutputSchema) -> OutputMethod | None:
        """Return the caller's method if the target has it, else its best; None if it has none."""
        has: dict[OutputMethod, bool] = {
            "json_schema": self._takes_schema() and output.schema is not None,
            "function_calling": self.facts.forced_tool_choice and output.schema is not None,
            "json_mode": self.facts.json_mode,
        }
        if output.method is not None and has[output.method]:
            return output.method
        best = next((method for method, able in has.items() if able), None)
        if output.schema is None and best != "json_mode":
            best = None
        if output.method is not None and best != output.method:
            self.changes.append(Change("output_method_changed", f"the target has no {output.method}"))
        return best

    def _takes_schema(self) -> bool:
        with_tools = bool(self.request.tools or self.request.server_tools)
        return self.facts.structured_output and (
            not with_tools or self.vendor.schema_with_tools(self.model, self.facts)
        )

    def _as_tool(self, output: OutputSchema, tools: list[ToolSpec]) -> tuple[list[ToolSpec], ToolChoice]:
        taken, name = {tool.name for tool in tools}, output.name
        while name in taken:
            name = f"{name}_answer"
        schema = output.schema or {}
        about = str(schema.get("description") or "Give the final answer by calling this tool.")
        parameters = {key: value for key, value in schema.items() if key not in {"title", "description"}}
        made = ToolSpec(name, about, parameters, output.strict)
        # With other tools at hand the model may use them first.
        return [*tools, made], ToolChoice("any") if tools else ToolChoice("tool", name)

    def _as_format(
        self, output: OutputSchema, method: OutputMethod | None
    ) -> tuple[OutputSchema | None, str]:
        if method == "json_schema":
            return self._native(output), ""
        shape = OutputSchema(output.name, None, None, "json_mode") if method == "json_mode" else None
        if output.schema is not None:
            self.changes.append(Change("schema_in_words", "the schema went into the system message"))
            return shape, _SAY_SCHEMA.format(json.dumps(output.schema, ensure_ascii=False))
        # OpenAI refuses JSON mode unless the conversation speaks of JSON.
        return shape, "" if shape and _speaks_of_json(self.request.messages) else _SAY_JSON

    def _native(self, output: OutputSchema) -> OutputSchema:
        name, schema, strict = self.vendor.name, output.schema or {}, output.strict
        if strict is None and name in _STRICT_BY_ITSELF:
            closed, altered = compile_schema(schema, schema_rules(name, "strict"))
            if not altered:  # strictness costs nothing: the schema already says all
                return OutputSchema(_slug(output.name), closed, strict=True, method="json_schema")
        made, changes = compile_schema(schema, schema_rules(name, "strict" if strict else "output"))
        self.changes += changes
        return OutputSchema(_slug(output.name), made, strict, "json_schema")


def _spelled(tool: ToolSpec, vendor: str) -> tuple[ToolSpec, list[Change]]:
    """Return `tool` with its schema in a vendor's dialect; remembered, for a bound tool is sent often."""
    key = (id(tool), vendor)
    known = _SPELLED.get(key)
    if known is not None and known[0] is tool:
        return known[1], known[2]
    schema, changes = compile_schema(
        tool.parameters, schema_rules(vendor, "strict" if tool.strict else "tool")
    )
    schema.setdefault("type", "object")
    made = replace(tool, parameters=schema)
    if len(_SPELLED) >= _MOST_SPELLED:
        _SPELLED.clear()
    # The tool itself is kept beside: while it is, no other can have its id.
    _SPELLED[key] = (tool, made, changes)
    return made, changes


_MOST_SPELLED = 512
_SPELLED: dict[tuple[int, str], tuple[ToolSpec, ToolSpec, list[Change]]] = {}
"""A memo of pure results by frozen values: it holds no state of any model."""


def _slug(name: str) -> str:
    return compile_names([name], *NAMES["default"]).get(name, name)


def _speaks_of_json(messages: Sequence[BaseMessage]) -> bool:
    return any("json" in str(message.content).lower() for message in messages)


def runs_itself(vendor: Vendor, tool: Mapping[str, Any]) -> bool:
    """Whether `tool` is one that `vendor` runs itself."""
    kind = server_type(tool)
    return any(fnmatchcase(kind, pattern) for pattern in vendor.server_tools)
