"""Small valid requests for every wire format, and a way to send them."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

from tests.loopback.server import LoopbackServer

JSON = dict[str, Any]
VENDORS = [
    "openai",
    "responses",
    "azure",
    "huggingface",
    "compatible",
    "anthropic",
    "google",
    "cohere",
    "ollama",
]
PATHS = {
    "openai": "/chat/completions",
    "responses": "/responses",
    "azure": "/openai/deployments/gpt-4.1/chat/completions?api-version=2024-10-21",
    "huggingface": "/chat/completions",
    "compatible": "/chat/completions",
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/{model}:generateContent",
    "cohere": "/v2/chat",
    "ollama": "/api/chat",
}
HEADERS = {
    "azure": {"api-key": "k"},
    "anthropic": {"x-api-key": "k", "anthropic-version": "2023-06-01"},
    "google": {"x-goog-api-key": "k"},
}
MODELS = {
    "openai": "gpt-4.1",
    "responses": "gpt-4.1",
    "azure": "gpt-4.1",
    "huggingface": "meta-llama/Llama-3.1-8B-Instruct",
    "compatible": "deepseek-chat",
    "anthropic": "claude-haiku-4-5",
    "google": "gemini-3.8-flash",
    "cohere": "command-a-03-2025",
    "ollama": "llama3.1",
}
ENDS = {
    "openai": "data: [DONE]",
    "responses": "event: response.completed",
    "azure": "data: [DONE]",
    "huggingface": "data: [DONE]",
    "compatible": "data: [DONE]",
    "anthropic": "event: message_stop",
    "google": '"finishReason": "STOP"',
    "cohere": "event: message-end",
    "ollama": '"done":true',
}
SCHEMA: JSON = {"type": "object", "properties": {"input": {"type": "integer"}}, "required": ["input"]}
ASK = "What is the value of magic_function(3)? Use the tool."


def service(vendor: str) -> str:
    """The vendor whose server a wire format belongs to."""
    return "openai" if vendor == "responses" else vendor


def prompt(vendor: str, text: str, *, tool: bool = False, stream: bool = False) -> JSON:
    """A small valid request."""
    body: JSON = {"model": MODELS[vendor], "messages": [{"role": "user", "content": text}]}
    function: JSON = {"name": "magic_function", "description": "Magic.", "parameters": SCHEMA}
    tools: list[JSON] = [{"type": "function", "function": function}]
    if vendor == "google":
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        tools = [{"functionDeclarations": [function]}]
    elif vendor == "responses":
        body = {"model": MODELS[vendor], "input": text}
        tools = [{"type": "function", **function}]
    elif vendor == "anthropic":
        body["max_tokens"] = 1000
        tools = [{"name": "magic_function", "input_schema": SCHEMA}]
    if vendor in {"openai", "azure", "huggingface", "compatible"} and stream:
        body["stream_options"] = {"include_usage": True}
    if tool:
        body["tools"] = tools
    if vendor != "google":
        body["stream"] = stream
    return body


def address(
    server: LoopbackServer, vendor: str, *, account: str = "", stream: bool = False, model: str | None = None
) -> str:
    """Where a vendor's requests go."""
    path = PATHS[vendor].format(model=model or MODELS[vendor])
    if vendor == "google" and stream:
        path = path.replace("generateContent", "streamGenerateContent?alt=sse")
    return server.base_url(service(vendor), account) + path


def post(
    server: LoopbackServer,
    vendor: str,
    body: JSON,
    *,
    account: str = "",
    stream: bool | None = None,
    timeout: float | httpx.Timeout = 60.0,
    headers: Mapping[str, str | None] | None = None,
) -> httpx.Response:
    """Send a request; a header of None is left out."""
    streams = bool(body.get("stream")) if stream is None else stream
    own = HEADERS.get(vendor, {"authorization": "Bearer k"})
    sent = {name: value for name, value in {**own, **(headers or {})}.items() if value is not None}
    url = address(server, vendor, account=account, stream=streams, model=body.get("model"))
    content = {key: value for key, value in body.items() if vendor != "google" or key != "model"}
    with httpx.Client(verify=False, trust_env=False, timeout=timeout) as client:  # noqa: S501 - loads no certificates
        return client.post(url, json=content, headers=sent)


def streamed(
    server: LoopbackServer, vendor: str, text: str = "Hello", *, tool: bool = False
) -> httpx.Response:
    """Send a streaming request."""
    return post(server, vendor, prompt(vendor, text, tool=tool, stream=True), stream=True)


def datas(response: httpx.Response) -> list[JSON]:
    """The JSON values of a stream."""
    lines = (line.removeprefix("data:").strip() for line in response.text.splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]
