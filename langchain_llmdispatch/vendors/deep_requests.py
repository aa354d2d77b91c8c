"""Requests that are nested too deeply for Python and for JSON: the error of one that names the part."""

from __future__ import annotations

from langchain_core.messages import BaseMessage

from langchain_llmdispatch.errors import InvalidRequestError
from langchain_llmdispatch.internal.depth import deep_place
from langchain_llmdispatch.internal.json_format import MAX_DEPTH
from langchain_llmdispatch.types import ChatRequest

_OF_MESSAGES = ("content", "tool_calls", "invalid_tool_calls", "additional_kwargs", "response_metadata")


def deep_request(request: ChatRequest, error: RecursionError) -> Exception:
    """Return the error of a request that recursion could not read to its end.

    Args:
        request: The request.
        error: What Python raised; it is returned where the request is not the reason.
    """
    parts = {
        "messages": list(map(_fields, request.messages)),
        "tools": [tool.parameters for tool in request.tools],
        "server_tools": request.server_tools,
        "response_format": request.output and request.output.schema,
        **request.params,
        **request.extra,
    }
    if request.scopes is not None:
        parts["vendor_params"] = [request.scopes.model, request.scopes.call]
    return deep_input(parts, error)


def deep_input(parts: dict[str, object], error: RecursionError) -> Exception:
    """Return the error of a call's input, given by the names of its parts."""
    if (place := deep_place(parts, "")) is None:
        return error
    return InvalidRequestError(f"{place.removeprefix('.')} is nested deeper than {MAX_DEPTH} levels")


def _fields(message: BaseMessage) -> dict[str, object]:
    return {name: getattr(message, name, None) for name in _OF_MESSAGES}
