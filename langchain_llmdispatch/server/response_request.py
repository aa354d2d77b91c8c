"""A body of `/v1/responses` as messages and keywords of a call.

Source: platform.openai.com/docs/api-reference/responses/create. Nothing is stored here: a request holds its
whole conversation, as with `store=false` there. Reasoning that clients send back is left out, it belongs to
one model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_llmdispatch.server.completion_request import AnswerRequest
from langchain_llmdispatch.server.failures import refusal
from langchain_llmdispatch.server.fields import check_fields, fields_of
from langchain_llmdispatch.server.messages import invalid, messages_of

# Words of the endpoint itself; the others are keywords of the call.
_OWN = frozenset(
    [
        *("model", "input", "instructions", "stream", "stream_options", "store", "include", "truncation"),
        *("text", "tools", "tool_choice", "reasoning"),
    ]
)
_RENAMED = {"max_output_tokens": "max_tokens", "metadata": "request_metadata"}
_STORED = "no answer is stored here; send the whole conversation as input"
_INSTEAD = {
    **dict.fromkeys(("previous_response_id", "conversation", "prompt", "background"), _STORED),
    "messages": "write input",
    "n": "one answer is made per request",
    "response_format": "write text={'format': ...}",
    "max_tokens": "write max_output_tokens",
}
_Part = Callable[[Mapping[str, Any]], dict[str, Any]]


def response_request(body: bytes) -> AnswerRequest:
    """Return the request in a body.

    Raises:
        RefusedRequestError: It is no JSON object, or a field is missing or wrong; the failure names it.
    """
    words = fields_of(body)
    words = {name: value for name, value in words.items() if name != "background" or value}
    check_fields(words, ("model", "input"), _INSTEAD)
    system = [{"role": "developer", "content": words["instructions"]}] if words.get("instructions") else []
    return AnswerRequest(
        model=words["model"],
        messages=[*messages_of(system), *messages_of(_messages(words["input"]), "input")],
        keywords=_keywords(words),
        stream=words.get("stream", False),
        include_usage=True,
        fields=words,
    )


def _keywords(words: Mapping[str, Any]) -> dict[str, Any]:
    found = {_RENAMED.get(name, name): value for name, value in words.items() if name not in _OWN}
    text, reasoning = words.get("text", {}), words.get("reasoning", {})
    chosen = {
        "tools": [_tool(tool) for tool in words.get("tools", ())],
        "tool_choice": _choice(words.get("tool_choice")),
        "response_format": _format(text.get("format")),
        "verbosity": text.get("verbosity"),
        "reasoning_effort": reasoning.get("effort"),
    }
    return {**found, **{name: value for name, value in chosen.items() if value}}


def _tool(tool: Any) -> Any:
    """Return a tool as chat completions have it; those that vendors run are as they are."""
    if not isinstance(tool, Mapping) or tool.get("type") != "function" or "function" in tool:
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _choice(choice: Any) -> Any:
    if isinstance(choice, Mapping) and choice.get("type") == "function" and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def _format(given: Any) -> Any:
    if not isinstance(given, Mapping) or given.get("type") != "json_schema":
        return None if isinstance(given, Mapping) and given.get("type") == "text" else given
    schema = {name: value for name, value in given.items() if name != "type"}
    return {"type": "json_schema", "json_schema": schema}


# -- input -----------------------------------------------------------------------------------------------


def _messages(given: str | list[Any]) -> list[dict[str, Any]]:
    """Return an input as messages of a chat completion; calls belong to the answer before them."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    found: list[dict[str, Any]] = []
    for number, item in enumerate(given):
        where = f"input[{number}]"
        if not isinstance(item, Mapping):
            raise refusal(
                f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type"
            )
        kind = item.get("type", "message")
        if kind == "function_call":
            _add_call(found, item)
        elif kind in _ITEMS:
            found.append(_ITEMS[kind](item))
        elif kind != "reasoning":
            raise invalid(where, f"items of type {kind!r} are not taken here.")
    return found


def _add_call(found: list[dict[str, Any]], item: Mapping[str, Any]) -> None:
    function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    if not found or found[-1]["role"] != "assistant":
        found.append({"role": "assistant", "content": ""})
    found[-1].setdefault("tool_calls", []).append(call)


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    content = item.get("content")
    parts = [_part(part) for part in content] if isinstance(content, list) else content
    return {"role": item.get("role"), "content": parts}


def _result(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**_message({"content": item.get("output")}), "role": "tool", "tool_call_id": item.get("call_id")}


_ITEMS: Mapping[str, _Part] = {"message": _message, "function_call_output": _result}


def _part(part: Any) -> Any:
    """Return a part of a message as chat completions have it; other parts are as they are."""
    return _PARTS[part["type"]](part) if isinstance(part, Mapping) and part.get("type") in _PARTS else part


def _text(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": part.get("text", part.get("refusal", ""))}


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("file_id"):
        return {"type": "file", "file": {"file_id": part["file_id"]}}
    image = {"url": part.get("image_url"), "detail": part.get("detail")}
    return {"type": "image_url", "image_url": {name: value for name, value in image.items() if value}}


def _file(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("file_url"):
        return {"type": "file", "url": part["file_url"], "mime_type": "application/pdf"}
    names = ("file_id", "file_data", "filename")
    return {"type": "file", "file": {name: part[name] for name in names if part.get(name)}}


_PARTS: Mapping[str, _Part] = {
    **dict.fromkeys(("input_text", "output_text", "summary_text", "refusal"), _text),
    "input_image": _image,
    "input_file": _file,
}
