"""From a compiled call to the body of a chat completion of the OpenAI family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.compile.neutral_choice import names_of
from langchain_llmdispatch.vendors.compile.parameters import effort_of
from langchain_llmdispatch.vendors.history.threads import folded
from langchain_llmdispatch.vendors.openai.parts import chat_part
from langchain_llmdispatch.vendors.request import merged
from langchain_llmdispatch.vendors.server_state import KEY, restored

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call, OutputSchema, ToolSpec

Json: TypeAlias = dict[str, Any]

_SHORT = 9
NOT_SENT = frozenset({"use_responses_api", "use_previous_response_id", "stream_usage"})
"""Parameters that choose a codec and never reach the wire."""


SystemRole: TypeAlias = Literal["system", "developer"]
ROLES: tuple[SystemRole, ...] = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one server of the family spells what the others spell otherwise.

    Attributes:
        max_tokens: Name of the output limit.
        system: Role of instructions.
        stream_usage: Whether `stream_options` may request usage.
        text_parts: Whether turns of text alone may be lists of parts; many small servers take strings only.
        reasoning: Field in which an assistant's own reasoning goes back inside a tool loop, or None.
        short_ids: Whether tool-call ids must be nine letters and digits (Mistral).
        named_choice: Whether one tool may be demanded by its name; else by `required` and that tool alone:
            llama.cpp and others ignore or refuse the object.
        thinking: Whether there is a `thinking` switch beside `reasoning_effort`; others refuse the field.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system: SystemRole = "system"
    stream_usage: bool = True
    text_parts: bool = True
    reasoning: str | None = None
    short_ids: bool = False
    named_choice: bool = True
    thinking: bool = False


DIALECTS = {
    (old, role): Dialect(max_tokens="max_tokens" if old else "max_completion_tokens", system=role)
    for old in (True, False)
    for role in ROLES
}
"""OpenAI's own spelling: by whether the model has the old word for the output limit, and by its role."""


def chat_body(call: Call, dialect: Dialect) -> Json:
    """Return the JSON body of `POST /chat/completions` for `call`."""
    plain = call.messages.__class__ is list  # by far the most frequent
    turns = [_message(each, dialect) for each in call.messages] if plain else _turns(call, dialect)
    body: Json = {"model": call.model, "messages": turns}
    if call.params:
        body |= _params(call.params, dialect)
    if call.tools or call.server_tools:
        body["tools"] = [*map(_tool, call.tools), *map(_server_tool, call.server_tools)]
    if call.tool_choice:
        body["tool_choice"] = tool_choice(call)
        if call.tool_choice.mode == "tool" and not dialect.named_choice and not call.tool_choice.server:
            named = [tool for tool in call.tools if tool.name == call.tool_choice.name]
            body |= {"tool_choice": "required", "tools": [*map(_tool, named)]}
    if call.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = call.parallel_tool_calls
    if call.output:
        body["response_format"] = _response_format(call.output)
    if call.stream:
        body["stream"] = True
        if dialect.stream_usage and call.extra.get("stream_usage") is not False:
            body["stream_options"] = {"include_usage": True}
    if not call.extra:
        return body
    # OpenAI refuses the options of streams elsewhere.
    return merged(body, call.extra, without=NOT_SENT if call.stream else {*NOT_SENT, "stream_options"})


def _params(params: Mapping[str, Any], dialect: Dialect) -> Json:
    spelled: Json = {}
    for name, value in params.items():
        if name == "thinking" and not dialect.thinking:
            if (effort := effort_of(value)) is not None:
                spelled.setdefault("reasoning_effort", effort)
        elif name not in NOT_SENT:
            spelled[dialect.max_tokens if name == "max_tokens" else name] = value
    return spelled


# -- tools and output ----------------------------------------------------------------------------------


def function_of(tool: ToolSpec) -> Json:
    """Return the description of a function as both APIs of the family take it."""
    function: Json = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = dict(tool.parameters)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def _tool(tool: ToolSpec) -> Json:
    return {"type": "function", "function": function_of(tool)}


def _server_tool(tool: Mapping[str, Any]) -> Json:
    """Return a tool of OpenAI's own; one with free text has an object of its own here."""
    if tool["type"] != "custom" or "custom" in tool:
        return dict(tool)
    return {"type": "custom", "custom": {name: value for name, value in tool.items() if name != "type"}}


def tool_choice(call: Call, *, flat: bool = False) -> str | Json | None:
    """Return the demand on tool use; `flat` is the spelling of the Responses API."""
    choice = call.tool_choice
    if choice is None:
        return None
    mode = "required" if choice.mode == "any" else choice.mode
    if choice.allowed:
        allowed = {"mode": mode, "tools": [_reference(name, call, flat=flat) for name in choice.allowed]}
        return {"type": "allowed_tools", **(allowed if flat else {"allowed_tools": allowed})}
    if choice.mode != "tool":
        return mode
    if choice.server is not None:
        return _hosted(choice.server, str(choice.name), flat=flat)
    return _named("function", str(choice.name), flat=flat)


def _named(kind: str, name: str, *, flat: bool) -> Json:
    return {"type": kind, "name": name} if flat else {"type": kind, kind: {"name": name}}


def _hosted(tool: Mapping[str, Any], name: str, *, flat: bool) -> Json:
    """Return the reference to a tool that OpenAI runs, or whose input is free text."""
    if tool["type"] == "custom":
        return _named("custom", str(tool["name"]), flat=flat)
    if tool["type"] != "mcp":
        return {"type": tool["type"]}
    label = tool.get("server_label")
    one_tool = {} if name in {label, "mcp"} else {"name": name}
    return {"type": "mcp", "server_label": label, **one_tool}


def _reference(name: str, call: Call, *, flat: bool) -> Json:
    hosted = next((tool for tool in call.server_tools if name in names_of(tool)), None)
    if hosted is None or any(tool.name == name for tool in call.tools):
        return _named("function", name, flat=flat)
    return _hosted(hosted, str(hosted.get("server_label")), flat=flat)


def _response_format(output: OutputSchema) -> Json:
    schema = schema_of(output)
    return {"type": "json_schema", "json_schema": schema} if schema else {"type": "json_object"}


def schema_of(output: OutputSchema) -> Json | None:
    """Return name, schema and strictness of a native schema, or None for any JSON object."""
    if output.method == "json_mode" or output.schema is None:
        return None
    named: Json = {"name": output.name, "schema": dict(output.schema)}
    if isinstance(about := output.schema.get("description"), str):
        named["description"] = about
    if output.strict is not None:
        named["strict"] = output.strict
    return named


# -- messages ------------------------------------------------------------------------------------------


def _turns(call: Call, dialect: Dialect) -> list[Json]:
    return [*folded(_after, call.messages, dialect)]


def _after(turns: Sequence[Json] | None, messages: Sequence[BaseMessage], dialect: Dialect) -> Sequence[Json]:
    return (*(turns or ()), *[_message(message, dialect) for message in messages])


def _message(message: BaseMessage, dialect: Dialect) -> Json:
    if isinstance(message, AIMessage):
        return _assistant(message, dialect)
    content: Any = message.content
    if isinstance(message, ToolMessage):
        identity = _id(message.tool_call_id, dialect)
        text = content if isinstance(content, str) else _content(message, "\n")
        return {"role": "tool", "tool_call_id": identity, "content": text}
    role = dialect.system if isinstance(message, SystemMessage) else "user"
    if not isinstance(content, str):
        content = _content(message, None if dialect.text_parts else "\n\n")
    body: Json = {"role": role, "content": content}
    if message.name and isinstance(message, HumanMessage | SystemMessage):
        body["name"] = message.name
    return body


def _content(message: BaseMessage, joint: str | None) -> str | list[Json]:
    """Return a list of blocks as parts, or, where they are text alone, as one string joined by `joint`."""
    blocks = blocks_of(message)
    if joint is not None and all(block["type"] == "text" for block in blocks):
        return joint.join(block["text"] for block in blocks)
    return [chat_part(block) for block in blocks]


def blocks_of(message: BaseMessage) -> list[Json]:
    """Return the blocks of a message whose content is a list."""
    return [b if isinstance(b, dict) else {"type": "text", "text": b} for b in message.content]


def _assistant(message: AIMessage, dialect: Dialect) -> Json:
    if not message.tool_calls and isinstance(message.content, str):  # by far the most frequent
        return {"role": "assistant", "content": message.content}
    states = _states(message)
    calls = [restored(_call(call, dialect), states.get(call["id"])) for call in message.tool_calls]
    text = assistant_text(message)
    body: Json = {"role": "assistant", "content": text or (None if calls else "")}
    if calls:
        body["tool_calls"] = calls
        # It is needed inside a tool loop only; elsewhere it is dead weight in the prompt.
        if dialect.reasoning and (reasoning := _reasoning(message)):
            body[dialect.reasoning] = reasoning
    body = restored(body, states.get(None))
    if "reasoning_details" in body:
        body.pop(dialect.reasoning or "", None)  # they hold it
    return body


def _states(message: AIMessage) -> Mapping[str | None, Any]:
    """Return the opaque state that the server needs back: that of calls by id, the message's under None."""
    states: dict[str | None, Any] = {}
    for block in blocks_of(message) if isinstance(message.content, list) else ():
        value = block.get("value")
        if block.get("type") == "tool_call":
            states[block.get("id")] = (block.get("extras") or {}).get(KEY)
        elif isinstance(value, dict) and value.get("type") == KEY:
            states[None] = value
    return states


def assistant_text(message: AIMessage) -> str:
    """Return an assistant's text as one string: it was one answer, cut by calls or citations."""
    if isinstance(message.content, str):
        return message.content
    return "".join(block.get("text", "") for block in blocks_of(message) if block.get("type") == "text")


def _reasoning(message: AIMessage) -> str:
    if isinstance(message.content, str):
        return str(message.additional_kwargs.get("reasoning_content") or "")
    found = (block for block in blocks_of(message) if block.get("type") == "reasoning")
    return "".join(block.get("reasoning", "") for block in found)


def _call(call: Mapping[str, Any], dialect: Dialect) -> Json:
    function = {"name": call["name"], "arguments": arguments_of(call)}
    return {"id": _id(call["id"], dialect), "type": "function", "function": function}


def _id(identity: str, dialect: Dialect) -> str:
    if not dialect.short_ids or (len(identity) == _SHORT and identity.isascii() and identity.isalnum()):
        return identity
    return sha256(identity.encode(errors="surrogatepass")).hexdigest()[:_SHORT]


def arguments_of(call: Mapping[str, Any]) -> str:
    """Return a tool call's arguments as the JSON text that the family takes."""
    return dump_json(call["args"], path="args").decode()
