"""Tools, tool choice and answer schema of one request, as one target takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import (
    InvalidRequestError,
    UnsupportedFeatureError,
)
from langchain_llmdispatch.internal.json_format import UnwritableError, dump_json
from langchain_llmdispatch.types import (
    Change,
    ChatRequest,
    OutputMethod,
    OutputSchema,
    ToolChoice,
    ToolSpec,
)
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.compiled_schema import compiled_schema
from langchain_llmdispatch.vendors.compile.json_schema import INEXPRESSIBLE, REFUSED
from langchain_llmdispatch.vendors.compile.server_tools import UNMIXED, ServerTools, compile_server_tools
from langchain_llmdispatch.vendors.compile.tool_choice import ChoiceCompiler, renamed
from langchain_llmdispatch.vendors.compile.tool_names import called_names, compile_names
from langchain_llmdispatch.vendors.rules import ToolNameRules

_FOLLOW_SCHEMA = "Answer with one JSON {} that follows this JSON Schema, and with nothing else:\n{}"
_ANSWER_IN_JSON = "Answer with one JSON object and nothing else."
_OUTPUT_NAME = ToolNameRules()
_OF_THE_TOOL = frozenset({"title", "description"})
"""What the root of an answer's schema has, and a tool beside its schema."""


@dataclass(frozen=True, slots=True)
class CompiledTools:
    """Tools, choice and answer schema as one target takes them.

    Attributes:
        tools: Tools with legal names and schemas.
        server_tools: Tools that the vendor runs itself.
        fields: Fields of the body that stand beside them.
        choice: A choice that the target takes.
        output: The answer's schema, if the target takes one.
        instruction: What the system message must add, or empty.
        names: The caller's tool names -> the target's, where they differ.
        keys: By the target's name of a tool: the target's names of its arguments -> the caller's, where they
            differ.
    """

    tools: Sequence[ToolSpec] = ()
    server_tools: Sequence[Mapping[str, Any]] = field(default=(), repr=False)  # they may hold tokens
    choice: ToolChoice | None = None
    output: OutputSchema | None = None
    instruction: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fields: Mapping[str, list[Any]] = field(default_factory=dict, repr=False)


NO_TOOLS = CompiledTools()
_NAMES_CHANGED = Change("tool_names_changed", "tool names are spelled as the target requires")


def compile_tools(
    vendor: Vendor, request: ChatRequest, facts: ModelFacts, model: str, changes: list[Change]
) -> CompiledTools:
    """Return the request's tools, choice and answer schema for one target; `changes` gets what was altered.

    Raises:
        UnsupportedFeatureError: A server tool that the vendor does not run, or a tool's schema that it
            cannot express.
        UnsupportedParameterError: With `unsupported_params="raise"`, a choice that the model does not take.
    """
    if not (request.tools or request.server_tools or request.output or request.tool_choice):
        names = compile_names(called_names(request.messages), vendor.tool_names)
        changes += [_NAMES_CHANGED] if names else []
        return CompiledTools(names=names) if names else NO_TOOLS
    return _ToolCompiler(vendor, request, facts, model, changes).compiled()


@dataclass(slots=True)
class _ToolCompiler:
    vendor: Vendor
    request: ChatRequest
    facts: ModelFacts
    model: str
    changes: list[Change]
    keys: dict[str, Mapping[str, str]] = field(default_factory=dict)

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
        server = compile_server_tools(
            self.vendor, request.server_tools, request.unsupported_params, self.changes, request.scopes
        )
        tools += server.functions
        if choice is not None:
            choice, tools, line = ChoiceCompiler(self.vendor, request, self.facts, self.model).fit(
                choice, tools, server, self.changes
            )
            instructions.append(line)
        own = [theirs for _, theirs in server.kept]
        if tools and own and not self.vendor.mixes_tools(own, self.facts):
            self._unmix(server)
        names = compile_names(
            [*(t.name for t in tools), *called_names(request.messages)], self.vendor.tool_names
        )
        made = [self._tool(tool, names) for tool in tools]
        self.changes += [_NAMES_CHANGED] if names else []
        return CompiledTools(
            made,
            [theirs for _, theirs in server.kept],
            renamed(choice, names) if choice else None,
            output,
            "\n\n".join(filter(None, instructions)),
            names,
            self.keys,
            server.fields,
        )

    def _note(self, kind: str, detail: str, *, lossy: bool = False) -> None:
        self.changes.append(Change(kind, detail, lossy))

    def _unmix(self, server: ServerTools) -> None:
        """Leave out the vendor's own tools beside functions.

        Raises:
            UnsupportedFeatureError: The policy is not to leave them out.
        """
        if self.request.unsupported_params != "drop":
            raise UnsupportedFeatureError(UNMIXED, vendor=self.vendor.name)
        self.changes += [Change("server_tool_dropped", UNMIXED, lossy=True) for _ in server.kept]
        server.kept = []

    # -- tools ---------------------------------------------------------------------------------------

    def _tool(self, tool: ToolSpec, names: Mapping[str, str]) -> ToolSpec:
        """Return a tool with a name and a schema that the target takes.

        Raises:
            UnsupportedFeatureError: The target cannot express the schema.
        """
        dialect, name = self.vendor.schemas, names.get(tool.name, tool.name)
        made = compiled_schema(tool.parameters, dialect.for_tool(tool.strict), dialect.keys)
        refused = [change.detail for change in made.changes if change.kind in REFUSED]
        if refused:
            about = f"the arguments of tool {tool.name!r}: {'; '.join(refused)}"
            raise UnsupportedFeatureError(about, vendor=self.vendor.name)
        self.changes += made.changes
        if made.keys:
            self.keys[name] = made.keys
        parameters = {"type": "object", **made.schema}
        if self.request.output is not None and tool.parameters is self.request.output.schema:
            parameters = {key: value for key, value in parameters.items() if key not in _OF_THE_TOOL}
        return replace(tool, name=name, parameters=parameters)

    # -- answer schema -------------------------------------------------------------------------------

    def _method(self, output: OutputSchema) -> OutputMethod | None:
        """Return the caller's method if the target has it, else the target's best; None if it has none.

        A method that cannot express the schema is passed over; where the caller insists on strictness, the
        schema is altered rather than only described.
        """
        has: dict[OutputMethod, bool] = {
            "json_schema": self._takes_schema() and output.schema is not None,
            "function_calling": self.facts.forced_tool_choice and output.schema is not None,
            "json_mode": self.facts.json_mode and _is_object(output.schema),
        }
        order = [output.method, *has] if output.method else [*has]
        able = [method for method in dict.fromkeys(order) if has[method]]
        wish = output.method or next(iter(able), None)
        if wish == "json_mode" and wish in able:
            return wish
        taken = ("whole", "altered", "described") if output.strict else ("whole", "described")
        found = {method: self._arrives(output, method) for method in able}
        best = next((method for way in taken for method in able if found[method] == way), None)
        if best != wish:
            why = "cannot express the schema by" if wish in able else "has no"
            self._note("output_method_changed", f"the target {why} {wish}")
        return best

    def _arrives(self, output: OutputSchema, method: OutputMethod) -> str:
        """Return how the schema arrives by a method: `whole`, `altered`, `described` or `refused`."""
        if method == "json_mode" or output.schema is None:
            return "described"
        dialect = self.vendor.schemas
        of_answer = method == "json_schema"
        rules = dialect.for_output(output.strict) if of_answer else dialect.for_tool(output.strict)
        made = compiled_schema(output.schema, rules, None if of_answer else dialect.keys)
        kinds = {change.kind for change in made.changes}
        if kinds & REFUSED:
            return "refused"
        return "altered" if kinds & INEXPRESSIBLE else "whole"

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
        made = ToolSpec(name, about, schema, output.strict)
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
            kind = "object" if _is_object(output.schema) else "value"
            return made, _FOLLOW_SCHEMA.format(kind, _in_words(output.schema))
        # OpenAI refuses JSON mode unless the conversation mentions JSON.
        return made, "" if made and _mention_json(self.request.messages) else _ANSWER_IN_JSON

    def _native(self, output: OutputSchema) -> OutputSchema:
        dialect, schema, strict = self.vendor.schemas, output.schema or {}, output.strict
        name = compile_names([output.name], _OUTPUT_NAME).get(output.name, output.name)
        if strict is None and dialect.strict_where_free:
            made = compiled_schema(schema, dialect.for_output(strict=True))
            if not made.changes:  # strictness costs nothing: the schema has all that it requires
                return OutputSchema(name, made.schema, strict=True, method="json_schema")
        made = compiled_schema(schema, dialect.for_output(strict))
        self.changes += made.changes
        return OutputSchema(name, made.schema, strict, "json_schema")


def _is_object(schema: Mapping[str, Any] | None) -> bool:
    """Whether a schema is that of objects; JSON mode gives no other values."""
    return schema is None or schema.get("type", "object") == "object"


def _mention_json(messages: Sequence[BaseMessage]) -> bool:
    return any("json" in str(message.content).lower() for message in messages)


def _in_words(schema: Mapping[str, Any]) -> str:
    try:
        return dump_json(schema, path="schema").decode()
    except UnwritableError as error:
        fault = f"the shape of the answer cannot be written as JSON: {error}"
    raise InvalidRequestError(fault)
