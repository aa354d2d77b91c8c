"""Tools and answer schemas: from what LangChain's users pass to neutral values.

Neutral values are kept in the binding and compiled per attempt (`tools.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.utils.function_calling import convert_to_openai_tool

from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import check_depth
from langchain_llmdispatch.types import OutputSchema, ToolSpec
from langchain_llmdispatch.vendors.compile.class_schemas import (
    class_schema,
    function_schema,
    is_class,
    tool_schema,
)
from langchain_llmdispatch.vendors.compile.references import References, Schema, in_lower_case
from langchain_llmdispatch.vendors.compile.schema_shape import well_formed
from langchain_llmdispatch.vendors.word_secrets import WordDict

if TYPE_CHECKING:
    from langchain_core import tools as langchain_tools
else:
    langchain_tools = LateModule("langchain_core.tools")

_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}}
_FUNCTION_KEYS = frozenset({"type", "function", "name", "description", "parameters", "strict"})
_DECLARATIONS = ("function_declarations", "functionDeclarations")
_ANTHROPIC_KEYS = frozenset({"type", "name", "description", "input_schema", "strict"})

# -- tools -----------------------------------------------------------------------------------------


def neutral_tools(
    tools: Iterable[Any], *, strict: bool | None = None
) -> tuple[tuple[ToolSpec, ...], tuple[Mapping[str, Any], ...]]:
    """Return tools in neutral form, and apart from them those that a vendor runs itself, verbatim.

    Args:
        tools: What `bind_tools` takes: functions, pydantic classes, TypedDicts, `BaseTool`s, dicts in
            OpenAI's, Anthropic's, Bedrock's or Gemini's form, JSON schemas with a title, vendors' own
            tools, or `ToolSpec`s, which pass unchanged.
        strict: Whether arguments must follow the schema, for tools that leave it open.

    Raises:
        ValueError: A value is no tool.
    """
    specs: list[ToolSpec] = []
    server: list[Mapping[str, Any]] = []
    for tool in tools:
        for made in _neutral(tool, strict):
            if isinstance(made, ToolSpec):
                specs.append(made)
            else:
                server.append(made)
    return tuple(specs), tuple(server)


class BoundTool(dict[str, Any]):
    """A bound tool: OpenAI's dict, which tracers can show, with the neutral tool that it stands for.

    Binding converts once; every call then has the very same `ToolSpec`, and schemas compiled for it.
    """

    __slots__ = ("spec",)

    def __init__(self, spec: ToolSpec) -> None:
        function: dict[str, Any] = {"name": spec.name, "description": spec.description}
        function["parameters"] = dict(spec.parameters)
        if spec.strict is not None:
            function["strict"] = spec.strict
        super().__init__(type="function", function=function)
        self.spec = spec

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the tool it stands for."""
        return (BoundTool, (self.spec,))


def bound_tools(tools: Iterable[Any], *, strict: bool | None = None) -> list[Mapping[str, Any]]:
    """Return tools for a binding; see `neutral_tools`.

    Raises:
        ValueError: A value is no tool.
    """
    specs, server = neutral_tools(tools, strict=strict)
    check_depth([*(spec.parameters for spec in specs), *server], "tools")
    return [*map(BoundTool, specs), *map(WordDict, server)]


def _neutral(tool: Any, strict: bool | None) -> Sequence[ToolSpec | Mapping[str, Any]]:
    if isinstance(tool, BoundTool):
        return [tool.spec]
    if isinstance(tool, ToolSpec):
        return [tool]
    if isinstance(tool, Mapping):
        return _of_mapping(dict(tool), strict)
    if isinstance(tool, langchain_tools.BaseTool):
        return [_of_tool(tool, strict)]
    if callable(tool):
        return [_titled(class_schema(tool) if is_class(tool) else function_schema(tool), strict)]
    raise ValueError(f"{tool!r} is no tool: it is neither a class, a function, a BaseTool nor a dict")


def _of_tool(tool: langchain_tools.BaseTool, strict: bool | None) -> ToolSpec | Mapping[str, Any]:
    if (tool.metadata or {}).get("type") == "custom_tool":
        return convert_to_openai_tool(tool)  # OpenAI's tools whose argument is a text
    about = {"name": tool.name, "description": tool.description}
    return _spec({**about, "parameters": _untitled(tool_schema(tool))}, strict, tool.extras or {})


def _titled(schema: Schema, strict: bool | None) -> ToolSpec:
    about = {"name": schema["title"], "description": schema.get("description")}
    return _spec({**about, "parameters": _untitled(schema)}, strict, {})


def _untitled(schema: Mapping[str, Any]) -> Schema:
    return {key: value for key, value in schema.items() if key not in {"title", "description"}}


def _of_mapping(tool: dict[str, Any], strict: bool | None) -> Sequence[ToolSpec | Mapping[str, Any]]:
    if isinstance(tool.get("function"), Mapping):
        return [_spec(tool["function"], strict, _rest(tool, _FUNCTION_KEYS))]
    if "input_schema" in tool and "name" in tool:
        as_function = {**tool, "parameters": tool["input_schema"]}
        return [_spec(as_function, strict, _rest(tool, _ANTHROPIC_KEYS))]
    if tool.get("type") == "function" and "name" in tool:
        return [_spec(tool, strict, _rest(tool, _FUNCTION_KEYS))]
    if _is_server_tool(tool):
        return [_flat(tool)] if "type" in tool else _of_gemini(tool, strict)
    if "title" in tool and "name" not in tool:
        return [_titled(tool, strict)]
    return [_spec(convert_to_openai_tool(tool)["function"], strict, {})]


def _of_gemini(tool: Mapping[str, Any], strict: bool | None) -> Sequence[ToolSpec | Mapping[str, Any]]:
    """Return the functions and tools that one of Gemini's `Tool`s holds, each apart."""
    made: list[ToolSpec | Mapping[str, Any]] = []
    for name, value in tool.items():
        if name in _DECLARATIONS:
            made += [_spec(_declaration(each), strict, {}) for each in value or ()]
        elif value is not None:
            made.append({name: value})
    return made


def _flat(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a vendor's own tool; one that takes free text in the form that the Responses API has."""
    custom = tool.get("custom")
    return {"type": "custom", **custom} if isinstance(custom, Mapping) else tool


def _declaration(declared: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = declared.get("parametersJsonSchema") or declared.get("parameters_json_schema")
    return {**declared, "parameters": schema or in_lower_case(declared.get("parameters"))}


def _is_server_tool(tool: Mapping[str, Any]) -> bool:
    kind = tool.get("type")
    if isinstance(kind, str):
        # A JSON schema is a tool of the caller's own; any other type is a vendor's.
        return kind != "object" or not ("title" in tool or "properties" in tool)
    return not any(key in tool for key in ("name", "title", "toolSpec", "properties", "parameters", "$defs"))


def _rest(tool: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in tool.items() if key not in known}


def _spec(function: Mapping[str, Any], strict: bool | None, extras: Mapping[str, Any]) -> ToolSpec:
    own, name = function.get("strict"), str(function["name"])
    return ToolSpec(
        name=name,
        description=str(function.get("description") or ""),
        parameters=_arguments(name, _shaped(name, function.get("parameters") or _NO_ARGUMENTS)),
        strict=own if own is not None else strict,
        extras=extras,
    )


def _shaped(name: str, schema: Any) -> Mapping[str, Any]:
    shaped = well_formed(schema, f"the arguments of tool {name!r}")
    return shaped if isinstance(shaped, Mapping) else _NO_ARGUMENTS  # `true`: whatever they be


def _arguments(name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a tool's arguments, an object's.

    Raises:
        ValueError: It is another value's.
    """
    target = References(schema).target(schema.get("$ref"))
    if target is not None:
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    kind = schema.get("type", "object")
    if isinstance(kind, list) and "object" in kind:  # null for no arguments
        return {**schema, "type": "object"}
    if kind != "object":
        raise ValueError(
            f"the arguments of tool {name!r} are of type {kind!r}; a tool takes an object: make it a property"
        )
    return schema


def server_type(tool: Mapping[str, Any]) -> str:
    """Return the word that identifies a vendor's own tool: its `type`, or its only key (Gemini)."""
    return str(tool.get("type") or next(iter(tool), ""))


# -- answer schemas --------------------------------------------------------------------------------


def neutral_output(response_format: Any) -> OutputSchema | None:
    """Return the schema that `response_format` stands for, or None for free text.

    Args:
        response_format: OpenAI's dict (`json_schema`, `json_object`, `text`; a `method` beside `type` is
            the method to use), a pydantic class, a TypedDict, or a JSON schema with a title.

    Raises:
        ValueError: It is something else.
    """
    if response_format is None or isinstance(response_format, OutputSchema):
        return response_format
    if isinstance(response_format, Mapping) and response_format.get("type") in _FORMATS:
        return _FORMATS[response_format["type"]](response_format)
    if is_class(response_format):
        schema = class_schema(response_format)
    elif isinstance(response_format, Mapping) and "title" in response_format:
        schema = dict(response_format)
    else:
        kind = response_format.get("type") if isinstance(response_format, Mapping) else response_format
        raise ValueError(
            f"response_format of type {kind!r} is not known; use json_schema, json_object or text, a class, "
            "or a JSON schema with a title",
        )
    return OutputSchema(str(schema["title"]), schema)


def _json_schema(given: Mapping[str, Any]) -> OutputSchema:
    inner = given.get("json_schema", given)
    schema = inner.get("schema")
    if not isinstance(schema, Mapping):
        raise ValueError("response_format of type json_schema has no schema")  # noqa: TRY004 - a part is missing
    name = inner.get("name") or schema.get("title") or "answer"
    return OutputSchema(str(name), schema, inner.get("strict"), given.get("method"))


_FORMATS: Mapping[str, Callable[[Mapping[str, Any]], OutputSchema | None]] = {
    "json_schema": _json_schema,
    "json_object": lambda _: OutputSchema("answer", None, method="json_mode"),
    "text": lambda _: None,
}
