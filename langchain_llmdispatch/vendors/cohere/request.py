"""From a compiled call to the body of Cohere's v2 chat.

Sources: docs.cohere.com/reference/chat, the official `cohere` client's types, recorded exchanges. Facts that
shape this file:

- `p` and `k` are `top_p` and `top_k`; `tool_choice` takes `REQUIRED` and `NONE` only, so a named tool is
  offered alone and required.
- Text beside tool calls is the assistant's `tool_plan`, both ways; LangChain sees it as the message's text,
  as `langchain-cohere` shows it.
- Reasoning comes and goes back as `thinking` blocks of the content; LangChain sees it as
  `additional_kwargs["reasoning_content"]`.
- `documents`, `citation_options`, `safety_mode` and `priority` travel in `Call.extra`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.cohere.words import documents
from langchain_llmdispatch.vendors.history.threads import folded
from langchain_llmdispatch.vendors.request import function_tool, merged

if TYPE_CHECKING:
    from langchain_llmdispatch.types import Call, OutputSchema

_PARAMS: Mapping[str, str] = {
    "temperature": "temperature",
    "max_tokens": "max_tokens",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "logprobs": "logprobs",
}
_CHOICES: Mapping[str, str] = {"none": "NONE", "any": "REQUIRED", "tool": "REQUIRED"}
# Cohere sets thinking by a token budget. Words below "high" become one, "high" and above stay unbounded.
_BUDGETS: Mapping[str, int] = {"minimal": 512, "low": 2048, "medium": 8192}


def chat_body(call: Call) -> dict[str, Any]:
    """Return the body of `POST /v2/chat` for `call`."""
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [*folded(_after, call.messages)],
        "stream": call.stream,
    }
    body.update({_PARAMS[name]: value for name, value in call.params.items() if name in _PARAMS})
    if (thinking := _thinking(call.params)) is not None:
        body["thinking"] = thinking
    body.update(_tools(call))
    if call.output:
        body["response_format"] = _format(call.output)
    # As langchain-cohere reads them: beside the last message.
    if beside := call.messages[-1].additional_kwargs.get("documents"):
        body["documents"] = documents(beside)
    return merged(body, call.extra)


def _thinking(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return `thinking`: a vendor's own setting wins over the neutral effort."""
    thinking, effort = params.get("thinking"), params.get("reasoning_effort")
    if isinstance(thinking, Mapping):
        fields = dict(thinking)
        if "budget_tokens" in fields:  # as other vendors call it
            fields["token_budget"] = fields.pop("budget_tokens")
        return fields
    if isinstance(thinking, bool):
        return {"type": "enabled" if thinking else "disabled"}
    if effort is None:
        return None
    if effort == "none":
        return {"type": "disabled"}
    budget = _BUDGETS.get(effort)
    return {"type": "enabled", "token_budget": budget} if budget else {"type": "enabled"}


def _tools(call: Call) -> dict[str, Any]:
    choice = call.tool_choice
    single = choice.name if choice and choice.mode == "tool" else None
    offered = [tool for tool in call.tools if single is None or tool.name == single]
    if not offered:
        return {}
    fields: dict[str, Any] = {"tools": [function_tool(tool) for tool in offered]}
    # One switch for all tools: it is set only where no tool has the opposite.
    if any(tool.strict for tool in offered) and not any(tool.strict is False for tool in offered):
        fields["strict_tools"] = True
    if choice and choice.mode in _CHOICES:
        fields["tool_choice"] = _CHOICES[choice.mode]
    return fields


def _format(output: OutputSchema) -> dict[str, Any]:
    if output.method == "json_mode" or output.schema is None:
        return {"type": "json_object"}
    return {"type": "json_object", "json_schema": output.schema}


# -- messages ------------------------------------------------------------------------------------------

Turns: TypeAlias = tuple[dict[str, Any], ...]


def _after(turns: Turns | None, messages: Sequence[BaseMessage]) -> Turns:
    return (*(turns or ()), *[_ENCODERS[message.type](message) for message in messages])


def _system(message: BaseMessage) -> dict[str, Any]:
    content = message.content
    if not isinstance(content, str):
        content = "\n".join(block["text"] for block in _blocks(content))
    return {"role": "system", "content": content}


def _user(message: BaseMessage) -> dict[str, Any]:
    content = message.content
    if isinstance(content, str):
        return {"role": "user", "content": content}
    return {"role": "user", "content": [_part(block) for block in _blocks(content)]}


def _part(block: Mapping[str, Any]) -> Any:
    if block["type"] == "image":
        if not (block.get("url") or block.get("base64")):
            raise UnsupportedFeatureError("an image must be given by URL or as bytes here", vendor="cohere")
        url = block.get("url") or f"data:{block.get('mime_type') or 'image/png'};base64,{block['base64']}"
        detail = (block.get("extras") or {}).get("detail")
        return {"type": "image_url", "image_url": {"url": url, "detail": detail} if detail else {"url": url}}
    if block["type"] == "non_standard":
        return block["value"]
    return {"type": "text", "text": block["text"]}


def _assistant(message: BaseMessage) -> dict[str, Any]:
    blocks = _blocks(message.content)
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    thoughts = [
        {"type": "thinking", "thinking": block["reasoning"]}
        for block in blocks
        if block["type"] == "reasoning" and block.get("reasoning")
    ]
    turn: dict[str, Any] = {"role": "assistant"}
    if isinstance(message, AIMessage) and message.tool_calls:
        turn["tool_calls"] = [
            _tool_call(call["id"], call["name"], call["args"]) for call in message.tool_calls
        ]
        if text:
            turn["tool_plan"] = text
        if thoughts:
            turn["content"] = thoughts
        return turn
    turn["content"] = [*thoughts, {"type": "text", "text": text}] if thoughts else text
    return turn


def _tool_call(id_: str | None, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    function = {"name": name, "arguments": dump_json(args, path="args").decode()}
    return {"id": id_, "type": "function", "function": function}


def _result(message: BaseMessage) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": "tool", "content": _result_content(message.content)}
    if isinstance(message, ToolMessage):
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _result_content(content: str | list[Any]) -> Any:
    """Return a tool's result: text, or documents that the answer can cite by name."""
    if isinstance(content, str) and content.strip():
        return content
    parts = [_result_part(block) for block in _blocks(content)]
    # An empty result is refused, a document with an empty field is not.
    return parts or [{"type": "document", "document": {"data": {"output": ""}}}]


def _result_part(block: Mapping[str, Any]) -> Any:
    if block["type"] == "non_standard":
        return block["value"]
    if block["type"] == "text-plain":
        fields = {name: block[name] for name in ("title", "text", "url") if block.get(name)}
        document = {"data": fields, **({"id": block["id"]} if block.get("id") else {})}
        return {"type": "document", "document": document}
    return {"type": "text", "text": block["text"]}


_ENCODERS: Mapping[str, Callable[[BaseMessage], dict[str, Any]]] = {
    "system": _system,
    "human": _user,
    "ai": _assistant,
    "tool": _result,
}


def _blocks(content: str | list[Any]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    return content
