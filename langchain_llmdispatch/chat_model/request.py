"""From LangChain's keyword arguments to one frozen `ChatRequest`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.types import ChatRequest, OutputSchema, ToolChoice, ToolSpec, UnsupportedParams
from langchain_llmdispatch.vendors.compile.neutral_tools import neutral_choice, neutral_output, neutral_tools
from langchain_llmdispatch.vendors.compile.parameters import NEUTRAL

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

# What LangChain and agents put among the keywords for themselves: never a vendor's business.
_IGNORED = frozenset(
    ["ls_structured_output_format", "structured_output_format", "stream", "stream_usage", "callbacks", "tags"]
)
_TOOL_WORDS = frozenset(["tools", "tool_choice", "response_format", "parallel_tool_calls", "strict"])


def freeze(
    messages: Sequence[BaseMessage],
    stop: Sequence[str] | None,
    kwargs: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any],
    stream: bool,
    unsupported_params: UnsupportedParams,
    route: str | None,
    tags: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> ChatRequest:
    """Return the request that a call's messages and keywords mean.

    Args:
        messages: The conversation.
        stop: Stop sequences of the call; an empty list means none.
        kwargs: The call's keywords: neutral parameters, tools, and fields for the vendor's body.
        defaults: The model's own parameters, under the call's.
        stream: Whether the answer is streamed.
        unsupported_params: What happens to parameters that a target cannot take.
        route: The alias or model string asked for.
        tags: The run's tags.
        metadata: The run's metadata.

    Raises:
        ConfigurationError: `n` above 1, which no vendor-neutral answer can hold.
        ValueError: `tool_choice` names a tool that is not bound.
    """
    if kwargs.get("n") not in {None, 1}:
        raise ConfigurationError(f"n={kwargs['n']!r}: one answer per call; use batch() for several.")
    params = dict(defaults)
    extra: dict[str, Any] = {}
    for name, value in kwargs.items():
        if name in NEUTRAL:
            params[name] = value
        elif name not in _IGNORED and name not in _TOOL_WORDS and name != "n":
            extra[name] = value
    if stop is not None:
        params["stop"] = list(stop)
    params = {name: value for name, value in params.items() if value is not None and value != []}
    tools, server_tools = _tools(kwargs)
    return ChatRequest(
        messages=messages,
        params=params,
        tools=tools,
        server_tools=server_tools,
        tool_choice=_choice(kwargs, tools),
        parallel_tool_calls=kwargs.get("parallel_tool_calls"),
        output=_output(kwargs),
        extra=extra,
        stream=stream,
        unsupported_params=unsupported_params,
        route=route,
        tags=frozenset(tags),
        metadata=metadata or {},
    )


def _tools(kwargs: Mapping[str, Any]) -> tuple[tuple[ToolSpec, ...], tuple[Mapping[str, Any], ...]]:
    tools = kwargs.get("tools")
    return neutral_tools(tools, strict=kwargs.get("strict")) if tools else ((), ())


def _choice(kwargs: Mapping[str, Any], tools: Sequence[ToolSpec]) -> ToolChoice | None:
    choice = kwargs.get("tool_choice")
    return neutral_choice(choice, tools) if choice is not None and choice is not False else None


def _output(kwargs: Mapping[str, Any]) -> OutputSchema | None:
    wanted = kwargs.get("response_format")
    return neutral_output(wanted) if wanted is not None else None
