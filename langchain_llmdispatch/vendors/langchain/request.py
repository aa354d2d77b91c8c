"""From a compiled call to the arguments of a LangChain chat model: tools bound, messages as it reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.compile.neutral_choice import names_of

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call, OutputSchema, ToolSpec
from langchain_llmdispatch.vendors.langchain.integrations import Integration

FIELDS: Mapping[str, tuple[str, ...]] = {
    "max_tokens": (
        "max_tokens",
        "max_output_tokens",
        "max_completion_tokens",
        "num_predict",
        "max_new_tokens",
    ),
    "temperature": ("temperature",),
    "top_p": ("top_p", "p"),
    "top_k": ("top_k", "k"),
    "min_p": ("min_p",),
    "seed": ("seed", "random_seed"),
    "frequency_penalty": ("frequency_penalty",),
    "presence_penalty": ("presence_penalty",),
    "reasoning_effort": ("reasoning_effort",),
    "service_tier": ("service_tier",),
}
"""The fields in which integrations keep a neutral parameter."""
KEYWORDS: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"temperature", "max_tokens", "top_p", "top_k", "thinking", "service_tier"}),
}
"""What goes as keywords of a call where not everything can."""
_NO_TOOLS = object()
_NONE: Mapping[str, Any] = {"openai": "none", "anthropic": {"type": "none"}}
_TIMEOUTS = ("request_timeout", "default_request_timeout", "timeout")


@dataclass(frozen=True, slots=True)
class Invocation:
    """The arguments of a chat model's `_generate`, `_stream` and their async twins.

    Attributes:
        model: The model, or a copy with the call's parameters.
        messages: The conversation.
        stop: Stop sequences, or None.
        kwargs: Keywords: bound tools, answer shape, parameters, the caller's own.
    """

    model: BaseChatModel
    messages: list[BaseMessage]
    stop: list[str] | None
    kwargs: dict[str, Any]


def invocation(
    model: BaseChatModel, integration: Integration, call: Call, timeout: float | None
) -> Invocation:
    """Return the arguments with which `model` answers `call`.

    Args:
        model: The chat model.
        integration: Its integration.
        call: The compiled call.
        timeout: Seconds for the answer, for integrations that take it per call.

    Raises:
        UnsupportedFeatureError: The model takes no tools.
    """
    kwargs: dict[str, Any] = {}
    if call.tools or call.server_tools:
        kwargs |= _bound(model, integration, call)
    if call.output is not None:
        kwargs["response_format"] = _format(call.output)
    fields = {}
    for name, value in call.params.items():
        field = field_of(model, name)
        if name == "stop":
            continue
        if integration.takes_keywords or field is None:
            kwargs[name] = value
        else:
            fields[field] = value
    if integration.takes_timeout and timeout is not None:
        kwargs |= _bounded(model, timeout)
    stop = call.params.get("stop")
    return Invocation(
        model.model_copy(update=fields) if fields else model,
        [adapted(message, integration) for message in call.messages],
        list(stop) if stop else None,
        {**kwargs, **call.extra},
    )


def field_of(model: BaseChatModel, parameter: str) -> str | None:
    """Return the model's field for a neutral parameter, or None if it has none."""
    known = type(model).model_fields
    return next((name for name in FIELDS.get(parameter, ()) if name in known), None)


def _bounded(model: BaseChatModel, seconds: float) -> dict[str, float]:
    """Return the keyword that ends the model's call after `seconds`, or after its own timeout if shorter."""
    nested = "deadline" in type(model).model_fields  # one of our own, with retries of its own in its time
    names = ("deadline",) if nested else _TIMEOUTS
    values = (getattr(model, name, None) for name in names)
    own = next((float(v) for v in values if isinstance(v, (int, float)) and v > 0), seconds)
    return {"deadline" if nested else "timeout": min(seconds, own)}


# -- tools and answer shape ------------------------------------------------------------------------


def can_bind(model: BaseChatModel) -> bool:
    """Whether the model has a `bind_tools` of its own."""
    return type(model).bind_tools is not BaseChatModel.bind_tools


def _bound(model: BaseChatModel, integration: Integration, call: Call) -> dict[str, Any]:
    tools = [*(_tool(tool, integration) for tool in call.tools), *(dict(tool) for tool in call.server_tools)]
    options = _choice(call, integration)
    if options.get("tool_choice") is _NO_TOOLS:
        return {}
    if integration.takes_parallel_switch and call.parallel_tool_calls is not None:
        options["parallel_tool_calls"] = call.parallel_tool_calls
    if not can_bind(model):
        raise UnsupportedFeatureError(f"{type(model).__name__} takes no tools", vendor="langchain")
    bound = model.bind_tools(tools, **options)
    kwargs = getattr(bound, "kwargs", None)
    if not isinstance(kwargs, Mapping):
        raise UnsupportedFeatureError(
            f"{type(model).__name__}.bind_tools returns no binding", vendor="langchain"
        )
    return dict(kwargs)


def _choice(call: Call, integration: Integration) -> dict[str, Any]:
    choice = call.tool_choice
    if choice is None or choice.mode == "auto":
        return {}
    if choice.mode == "none":
        # Others might read the word as a tool's name: they get no tools instead.
        return {"tool_choice": _NONE.get(integration.model_provider, _NO_TOOLS)}
    if choice.server is not None:
        label = choice.server.get("server_label")
        whole = {"type": choice.server.get("type"), "server_label": label}
        return {"tool_choice": whole if label else names_of(choice.server)[0]}
    return {"tool_choice": choice.name if choice.mode == "tool" else choice.mode}


def _tool(tool: ToolSpec, integration: Integration) -> dict[str, Any]:
    if integration.model_provider == "anthropic":
        strict = {} if tool.strict is None else {"strict": tool.strict}
        about = {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}
        return {**about, **strict, **tool.extras}
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _format(output: OutputSchema) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    named: dict[str, Any] = {"name": output.name, "schema": dict(output.schema)}
    if output.strict is not None:
        named["strict"] = output.strict
    return {"type": "json_schema", "json_schema": named}


# -- messages --------------------------------------------------------------------------------------


def adapted(message: BaseMessage, integration: Integration) -> BaseMessage:
    """Return a compiled message as the integration reads it.

    Its own answers are passed as they were. Integrations that do not read v1 blocks get plain text, and
    images in the form that all read.
    """
    content = message.content
    if isinstance(content, str) or integration.reads_v1:
        return message
    if isinstance(message, AIMessage) and message.response_metadata.get("output_version") != "v1":
        return message  # the integration's own
    blocks = [block for block in content if isinstance(block, dict)]
    if isinstance(message, AIMessage) or all(block.get("type") == "text" for block in blocks):
        text = "\n\n".join(str(block["text"]) for block in blocks if block.get("type") == "text")
        return message.model_copy(update={"content": text})
    return message.model_copy(update={"content": [_media(block) for block in blocks]})


def _media(block: dict[str, Any]) -> dict[str, Any]:
    if block.get("type") != "image":
        return block
    url = block.get("url") or f"data:{block.get('mime_type') or 'image/png'};base64,{block.get('base64', '')}"
    return {"type": "image_url", "image_url": {"url": url}}
