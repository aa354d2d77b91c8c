"""From a compiled call to the body of Ollama's `/api/chat`.

Sources: docs.ollama.com/api and its openapi.yaml, the official `ollama` client's types, recorded exchanges.
Facts that shape this file:

- A server streams by default, so `stream` is always sent.
- Model options (`temperature`, `num_predict`, `num_ctx`, ...) live in `options`; unknown fields beside it
  are ignored silently. `ollama/words.json` has the place of each.
- There is no `tool_choice`: "none" sends no tools, a named tool is the only one offered, "any" is the
  model's own decision.
- Images are base64 only; a tool result is matched by `tool_name`, newer servers read `tool_call_id` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.history.threads import folded
from langchain_llmdispatch.vendors.request import function_tool, merged

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call, OutputSchema, ToolSpec

_OPTIONS: Mapping[str, str] = {
    "max_tokens": "num_predict",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "stop": "stop",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}

# Only gpt-oss (the "harmony" format) takes levels; for others a level is a 400, so it becomes "on".
_LEVELS: Mapping[str, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def chat_body(call: Call) -> dict[str, Any]:
    """Return the body of `POST /api/chat` for `call`."""
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [*folded(_after, call.messages)],
        "stream": call.stream,
    }
    if tools := [function_tool(tool) for tool in _offered(call)]:
        body["tools"] = tools
    if options := {_OPTIONS[name]: value for name, value in call.params.items() if name in _OPTIONS}:
        body["options"] = options
    body.update((name, call.params[name]) for name in ("logprobs", "top_logprobs") if name in call.params)
    if (think := _think(call)) is not None:
        body["think"] = think
    if call.output:
        body["format"] = _format(call.output)
    return merged(body, call.extra)


def _offered(call: Call) -> Iterable[ToolSpec]:
    choice = call.tool_choice
    if choice and choice.mode == "none":
        return ()
    if choice and choice.mode == "tool":
        return [tool for tool in call.tools if tool.name == choice.name]
    return call.tools


def _think(call: Call) -> bool | str | None:
    """Return `think`: a vendor's own `thinking` setting wins over the neutral effort."""
    thinking, effort = call.params.get("thinking"), call.params.get("reasoning_effort")
    if isinstance(thinking, Mapping):
        return thinking.get("type") != "disabled"
    if thinking is not None:
        return bool(thinking) if not isinstance(thinking, str) else thinking
    if effort is None:
        return None
    if effort == "none":
        return False
    return _LEVELS.get(effort, "medium") if "gpt-oss" in call.model else True


def _format(output: OutputSchema) -> Mapping[str, Any] | str:
    return output.schema if output.method != "json_mode" and output.schema is not None else "json"


# -- messages ------------------------------------------------------------------------------------------

Turns: TypeAlias = tuple[dict[str, Any], ...]


def _after(turns: Turns | None, messages: Sequence[BaseMessage]) -> Turns:
    return (*(turns or ()), *[_ENCODERS[message.type](message) for message in messages])


def _system(message: BaseMessage) -> dict[str, Any]:
    return {"role": "system", "content": _text(message.content, "\n")}


def _user(message: BaseMessage) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": "user", "content": _text(message.content, "\n")}
    if images := [_base64(block) for block in _blocks(message.content) if block["type"] == "image"]:
        turn["images"] = images
    return turn


def _assistant(message: BaseMessage) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": "assistant", "content": _text(message.content, "")}
    thoughts = [block for block in _blocks(message.content) if block["type"] == "reasoning"]
    if thinking := "".join(block.get("reasoning", "") for block in thoughts):
        turn["thinking"] = thinking
    if isinstance(message, AIMessage) and message.tool_calls:
        turn["tool_calls"] = [
            {"id": call["id"], "function": {"index": index, "name": call["name"], "arguments": call["args"]}}
            for index, call in enumerate(message.tool_calls)
        ]
    return turn


def _result(message: BaseMessage) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": "tool", "content": _text(message.content, "\n")}
    if isinstance(message, ToolMessage):
        turn |= {"tool_name": message.name, "tool_call_id": message.tool_call_id}
    return turn


_ENCODERS: Mapping[str, Callable[[BaseMessage], dict[str, Any]]] = {
    "system": _system,
    "human": _user,
    "ai": _assistant,
    "tool": _result,
}


def _blocks(content: str | list[Any]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _text(content: str | list[Any], joint: str) -> str:
    if isinstance(content, str):
        return content
    return joint.join(block["text"] for block in content if block["type"] in {"text", "text-plain"})


def _base64(block: Mapping[str, Any]) -> str:
    """Return an image's base64 text, also from a `data:` URL; Ollama fetches nothing."""
    data = block.get("base64")
    if data is None and str(block.get("url", "")).startswith("data:"):
        data = block["url"].partition(",")[2]
    if data is None:
        raise UnsupportedFeatureError("Ollama takes images as base64 only", vendor="ollama")
    return str(data)
