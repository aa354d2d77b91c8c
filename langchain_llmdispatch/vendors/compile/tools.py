"""Tools, tool choice and answer schema of one request, as one target takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import (
    InvalidRequestError,
    UnsupportedFeatureError,
    UnsupportedParameterError,
)
from langchain_llmdispatch.json_format import UnwritableError, dump_json
from langchain_llmdispatch.types import (
    Change,
    ChatRequest,
    OutputMethod,
    OutputSchema,
    ToolChoice,
    ToolSpec,
)
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.json_schema import compile_schema
from langchain_llmdispatch.vendors.compile.neutral_tools import server_type
from langchain_llmdispatch.vendors.compile.tool_names import compile_names
from langchain_llmdispatch.vendors.rules import SchemaDialect, ToolNameRules

_FOLLOW_SCHEMA = "Answer with one JSON object that follows this JSON Schema, and with nothing else:\n{}"
_CALL_TOOL = "You must call {} now, and not answer in words."
_ANSWER_IN_JSON = "Answer with one JSON object and nothing else."
_OUTPUT_NAME = ToolNameRules()


@dataclass(frozen=True, slots=True)
class CompiledTools:
    """Tools, choice and answer schema as one target takes them.

    Attributes:
        tools: Tools with legal names and schemas.
        server_tools: Tools that the vendor runs itself.
        choice: A choice that the target takes.
        output: The answer's schema, if the target takes one.
        instruction: What the system message must add, or empty.
        names: The caller's tool names -> the target's, where they differ.
    """

    tools: Sequence[ToolSpec] = ()
    server_tools: Sequence[Mapping[str, Any]] = ()
    choice: ToolChoice | None = None
    output: OutputSchema | None = None
    instruction: str = ""
    names: Mapping[str, str] = field(default_factory=dict)


NO_TOOLS = CompiledTools()


def compile_tools(
    vendor: Vendor, request: ChatRequest, facts: ModelFacts, model: str, changes: list[Change]
) -> CompiledTools:
    """Return the request's tools, choice and answer schema for one target; `changes` gets what was altered.

    Raises:
        UnsupportedFeatureError: A server tool that the vendor does not run.
        UnsupportedParameterError: With `unsupported_params="raise"`, a choice that the model does not take.
    """
    if not (request.tools or request.server_tools or request.output or request.tool_choice):
        return NO_TOOLS
    return _ToolCompiler(vendor, request, facts, model, changes).compiled()


def runs_itself(vendor: Vendor, tool: Mapping[str, Any]) -> bool:
    """Whether `tool` is one that `vendor` runs itself."""
    kind = server_type(tool)
    return any(fnmatchcase(kind, pattern) for pattern in vendor.server_tools)


@dataclass(slots=True)
class _ToolCompiler:
    vendor: Vendor
    request: ChatRequest
    facts: ModelFacts
    model: str
    changes: list[Change]

    def compiled(self) -> CompiledTools:
        request = self.request
        tools, choice = list(request.tools), request.tool_choice
        output, instructions = None, [""]
        if request.output is not None:
            method = self._method(request.output)
            if method == "function_calling":
                tools, choice = self._as_tool(request.output, tools)
            else:
                output, instructions[0] = self._as_format(request.output, method)
        server_tools = self._server_tools()
        if choice is None or not (tools or server_tools):
            choice = None
        elif choice.mode in {"any", "tool"} and not self.facts.forced_tool_choice:
            instructions.append(self._relax(choice))
            tools = [tool for tool in tools if choice.mode != "tool" or tool.name == choice.name]
            choice = ToolChoice("auto")
        names = compile_names(self._all_names(tools), self.vendor.tool_names)
        made = [self._tool(tool, names) for tool in tools]
        if names:
            self._note("tool_names_changed", "tool names are spelled as the target requires")
        if choice is not None and choice.name in names:
            choice = ToolChoice(choice.mode, names[choice.name])
        return CompiledTools(
            made, server_tools, choice, output, "\n\n".join(filter(None, instructions)), names
        )

    def _note(self, kind: str, detail: str, *, lossy: bool = False) -> None:
        self.changes.append(Change(kind, detail, lossy))

    # -- tools ---------------------------------------------------------------------------------------

    def _all_names(self, tools: Sequence[ToolSpec]) -> Iterable[str]:
        yield from (tool.name for tool in tools)
        for message in self.request.messages:
            if isinstance(message, AIMessage):
                yield from (call["name"] for call in message.tool_calls)

    def _tool(self, tool: ToolSpec, names: Mapping[str, str]) -> ToolSpec:
        made, changes = _with_schema(tool, self.vendor.schemas)
        self.changes += changes
        return replace(made, name=names[tool.name]) if tool.name in names else made

    def _server_tools(self) -> list[Mapping[str, Any]]:
        kept = []
        for tool in self.request.server_tools:
            if runs_itself(self.vendor, tool):
                kept.append(tool)
            elif self.request.unsupported_params == "drop":
                self._note("server_tool_dropped", f"no {server_type(tool)} here", lossy=True)
            else:
                raise UnsupportedFeatureError(
                    f"the tool {server_type(tool)!r} is not run by this vendor", vendor=self.vendor.name
                )
        return kept

    def _relax(self, choice: ToolChoice) -> str:
        """Return the instruction in place of a choice that the model does not take.

        With nothing else on offer, and this instruction, a model nearly always calls the tool.
        """
        if self.request.unsupported_params == "raise":
            raise UnsupportedParameterError(
                f"{self.vendor.name}:{self.model} does not take tool_choice={choice.name or choice.mode!r}"
            )
        self._note("tool_choice_relaxed", "the model cannot be made to call a tool", lossy=True)
        return _CALL_TOOL.format(f"the tool {choice.name}" if choice.name else "one of the tools")

    # -- answer schema -------------------------------------------------------------------------------

    def _method(self, output: OutputSchema) -> OutputMethod | None:
        """Return the caller's method if the target has it, else the target's best; None if it has none."""
        has: dict[OutputMethod, bool] = {
            "json_schema": self._takes_schema() and output.schema is not None,
            "function_calling": self.facts.forced_tool_choice and output.schema is not None,
            "json_mode": self.facts.json_mode,
        }
        if output.method is not None and has[output.method]:
            return output.method
        best = next((method for method, able in has.items() if able), None)
        if output.method is not None and best != output.method:
            self._note("output_method_changed", f"the target has no {output.method}")
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
        made = OutputSchema(output.name, None, None, "json_mode") if method == "json_mode" else None
        if output.schema is not None:
            self._note("schema_in_words", "the schema went into the system message")
            return made, _FOLLOW_SCHEMA.format(_in_words(output.schema))
        # OpenAI refuses JSON mode unless the conversation mentions JSON.
        return made, "" if made and _mention_json(self.request.messages) else _ANSWER_IN_JSON

    def _native(self, output: OutputSchema) -> OutputSchema:
        dialect, schema, strict = self.vendor.schemas, output.schema or {}, output.strict
        name = compile_names([output.name], _OUTPUT_NAME).get(output.name, output.name)
        if strict is None and dialect.strict_where_free:
            made, changes = compile_schema(schema, dialect.for_output(strict=True))
            if not changes:  # strictness costs nothing: the schema has all that it requires
                return OutputSchema(name, made, strict=True, method="json_schema")
        made, changes = compile_schema(schema, dialect.for_output(strict))
        self.changes += changes
        return OutputSchema(name, made, strict, "json_schema")


def _mention_json(messages: Sequence[BaseMessage]) -> bool:
    return any("json" in str(message.content).lower() for message in messages)


# -- schemas of tools, remembered: a bound tool is sent often ------------------------------------------

_MOST_REMEMBERED = 512
_REMEMBERED: dict[tuple[int, int], tuple[ToolSpec, SchemaDialect, ToolSpec, list[Change]]] = {}
"""Pure results by the identity of frozen values, which are held beside them: no state of any model."""


def _with_schema(tool: ToolSpec, dialect: SchemaDialect) -> tuple[ToolSpec, list[Change]]:
    """Return `tool` with its schema in a vendor's dialect, and what was altered."""
    key = (id(tool), id(dialect))
    known = _REMEMBERED.get(key)
    if known is not None:
        return known[2], known[3]
    schema, changes = compile_schema(tool.parameters, dialect.for_tool(tool.strict))
    schema.setdefault("type", "object")
    made = replace(tool, parameters=schema)
    if len(_REMEMBERED) >= _MOST_REMEMBERED:
        _REMEMBERED.clear()
    # While tool and dialect are held here, no other object can have their ids.
    _REMEMBERED[key] = (tool, dialect, made, changes)
    return made, changes


def _in_words(schema: Mapping[str, Any]) -> str:
    try:
        return dump_json(schema, path="schema").decode()
    except UnwritableError as error:
        fault = f"the shape of the answer cannot be written as JSON: {error}"
    raise InvalidRequestError(fault)
