"""Cohere's v2 chat: LangChain messages in, Cohere's JSON out.

Sources: docs.cohere.com/reference/chat, the official `cohere` client's types, recorded exchanges. Facts that
shape this file:

- `p` and `k` are `top_p` and `top_k`; `tool_choice` knows `REQUIRED` and `NONE` only, so a named tool is
  offered alone and required.
- Text beside tool calls is the assistant's `tool_plan`, both ways; LangChain sees it as the message's text,
  as `langchain-cohere` shows it.
- Reasoning comes and goes back as `thinking` blocks of the content; LangChain sees it as
  `additional_kwargs["reasoning_content"]`.
- `documents`, `citation_options`, `safety_mode` and `priority` travel in `Call.extra`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_llmdispatch.framing import dump_json
from langchain_llmdispatch.vendors.base import Environment, HistoryRules, Vendor, bearer, json_request
from langchain_llmdispatch.vendors.cohere.answer import PROVIDER, decode_answer
from langchain_llmdispatch.vendors.cohere.errors import decode_failure, read_limits
from langchain_llmdispatch.vendors.cohere.stream import CohereStream

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call, LimitState, OutputSchema, ToolSpec
    from langchain_llmdispatch.vendors.base import StreamDecoder

_PARAMS: Mapping[str, str] = MappingProxyType(
    {
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
)
_CHOICES: Mapping[str, str] = MappingProxyType({"none": "NONE", "any": "REQUIRED", "tool": "REQUIRED"})
# Cohere sets thinking by a token budget. Words below "high" become one, "high" and above stay unbounded.
_BUDGETS: Mapping[str, int] = MappingProxyType({"minimal": 512, "low": 2048, "medium": 8192})


class CohereVendor(Vendor):
    """Cohere's Command models over the v2 chat API."""

    name = "cohere"
    provider = PROVIDER
    base_url = "https://api.cohere.com"
    environment = Environment(
        keys=("CO_API_KEY", "COHERE_API_KEY"),
        urls=("CO_API_URL", "COHERE_BASE_URL"),
        timeout="COHERE_TIMEOUT",
    )
    model_names = ("command-*", "c4ai-*", "north-*")
    default_model = "command-a-03-2025"
    history = HistoryRules(
        provider=PROVIDER, system="leading", last_user=True, reasoning="text", same_model=True
    )

    def schema_with_tools(self, model: str, facts: ModelFacts) -> bool:  # noqa: ARG002 - the base's signature
        """Return False: `response_format` beside `tools` is a 400 (docs.cohere.com, structured outputs)."""
        return False

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the request for `/v2/chat`."""
        endpoint = call.endpoint
        own = {name.lower(): value for name, value in endpoint.headers.items()}
        return json_request(chat_url(endpoint.base_url), {**bearer(endpoint), **own}, _body(call))

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in `body`."""
        return decode_answer(self, call, body, headers)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a decoder of Cohere's server-sent events."""
        return CohereStream(self, call, headers)

    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error by `error_type`, by text where there is none, and by status."""
        return decode_failure(self, call, status, headers, body)

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return the trace id that Cohere's support asks for."""
        return headers.get("x-debug-trace-id") or super().request_id(headers)

    def limits(self, headers: Mapping[str, str]) -> Sequence[LimitState]:
        """Return what the headers say about remaining requests."""
        return read_limits(headers)


def chat_url(base_url: str) -> str:
    """Return the chat endpoint under `base_url`, which people also write with the API's version."""
    root = base_url.rstrip("/")
    for suffix in ("/v1", "/v2"):
        root = root.removesuffix(suffix)
    return f"{root}/v2/chat"


# -- the request ---------------------------------------------------------------------------------------


def _body(call: Call) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [_ENCODERS[message.type](message) for message in call.messages],
        "stream": call.stream,
    }
    body.update({_PARAMS[name]: value for name, value in call.params.items() if name in _PARAMS})
    if (thinking := _thinking(call.params)) is not None:
        body["thinking"] = thinking
    body.update(_tools(call))
    if call.output:
        body["response_format"] = _format(call.output)
    for name, value in call.extra.items():
        mergeable = isinstance(value, Mapping) and isinstance(body.get(name), Mapping)
        body[name] = {**body[name], **value} if mergeable else value
    return body


def _thinking(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return `thinking`: a vendor's own setting wins over the neutral effort."""
    thinking, effort = params.get("thinking"), params.get("reasoning_effort")
    if isinstance(thinking, Mapping):
        fields = dict(thinking)
        if "budget_tokens" in fields:  # the word that other vendors have for it
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
    fields: dict[str, Any] = {"tools": [_tool(tool) for tool in offered]}
    # One switch for all tools: it is set only where nobody asked for the opposite.
    if any(tool.strict for tool in offered) and not any(tool.strict is False for tool in offered):
        fields["strict_tools"] = True
    if choice and choice.mode in _CHOICES:
        fields["tool_choice"] = _CHOICES[choice.mode]
    return fields


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _format(output: OutputSchema) -> dict[str, Any]:
    if output.method == "json_mode" or output.schema is None:
        return {"type": "json_object"}
    return {"type": "json_object", "json_schema": output.schema}


# -- messages ------------------------------------------------------------------------------------------


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
    function = {"name": name, "arguments": dump_json(args).decode()}
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


_ENCODERS: Mapping[str, Callable[[BaseMessage], dict[str, Any]]] = MappingProxyType(
    {"system": _system, "human": _user, "ai": _assistant, "tool": _result}
)


def _blocks(content: str | list[Any]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    return content
