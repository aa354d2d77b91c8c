"""Ollama's `/api/chat`: messages in, one JSON object or newline-delimited ones out.

Sources: docs.ollama.com/api and its openapi.yaml, the official `ollama` client's types, recorded exchanges.
Facts that shape this file:

- A server streams unless told not to, so `stream` is always sent.
- Model options (`temperature`, `num_predict`, `num_ctx`, ...) live in `options`; unknown fields beside it
  are ignored without a word. Options found in `Call.extra` are therefore moved to where they count.
- There is no `tool_choice`: "none" sends no tools, a named tool is the only one offered, "any" is the
  model's own decision.
- Images are base64 only; a tool result is matched by `tool_name`, newer servers read `tool_call_id` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.vendors.base import Environment, HistoryRules, Vendor, bearer, json_request
from langchain_llmdispatch.vendors.ollama.answer import (
    PROVIDER,
    OllamaStream,
    decode_answer,
    decode_failure,
)

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call, OutputSchema, ToolSpec
    from langchain_llmdispatch.vendors.base import StreamDecoder

_DEFAULT_HOST = "http://127.0.0.1:11434"
_PORT = 11434
# A server that listens on every address is reached on the loopback one.
_LISTENING: Mapping[str, str] = MappingProxyType({"0.0.0.0": "127.0.0.1", "::": "::1"})  # noqa: S104
_CLOUD = ("ollama.com", "www.ollama.com", "api.ollama.com")
# Paths that people copy along with the host; the native API lives beside them.
_API_PATHS = ("/api/chat", "/api", "/v1")

_OPTIONS: Mapping[str, str] = MappingProxyType(
    {
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
)
_NATIVE_OPTIONS = frozenset(
    {
        "num_ctx", "num_predict", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap",
        "min_p", "typical_p", "tfs_z", "repeat_last_n", "repeat_penalty", "penalize_newline", "mirostat",
        "mirostat_tau", "mirostat_eta", "low_vram", "numa",
    }
)  # fmt: skip

# Only gpt-oss (the "harmony" format) takes levels; for others a level is a 400, so it becomes "on".
_LEVELS: Mapping[str, str] = MappingProxyType(
    {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "high"}
)


class OllamaVendor(Vendor):
    """Models that an Ollama server runs, on this machine or in Ollama's cloud."""

    name = "ollama"
    provider = PROVIDER
    base_url = _DEFAULT_HOST
    environment = Environment(
        keys=("OLLAMA_API_KEY",), urls=("OLLAMA_BASE_URL", "OLLAMA_HOST"), timeout="OLLAMA_TIMEOUT"
    )
    needs_key = False
    local = True
    model_names = (
        "llama2*", "llama3*", "llama4*", "codellama*", "qwen2*", "qwen3*", "gemma2*", "gemma3*", "gemma4*",
        "gpt-oss*", "phi3*", "phi4*", "deepseek-r1*",
    )  # fmt: skip
    default_model = "llama3.1"
    history = HistoryRules(provider=PROVIDER, user_media=frozenset({"image"}), reasoning="text")

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the request; `stream` is always in it, since a server streams by default."""
        endpoint = call.endpoint
        own = {name.lower(): value for name, value in endpoint.headers.items()}
        return json_request(_chat_url(endpoint.base_url), {**bearer(endpoint), **own}, _body(call))

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in `body`."""
        return decode_answer(self, call, body, headers)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a decoder of newline-delimited JSON."""
        return OllamaStream(self, call, headers)

    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error by status, and by text where one status covers many causes."""
        return decode_failure(self, call, status, headers, body)

    def normalise_url(self, url: str) -> str:
        """Return the base URL meant by `OLLAMA_HOST`; see `normalise_host`."""
        return normalise_host(url)


def normalise_host(host: str) -> str:
    """Return the base URL that `OLLAMA_HOST` (or a base URL) means, without a trailing slash.

    Read as Ollama's own clients read it: the scheme defaults to http and then the port to 11434, while a
    URL with a scheme keeps that scheme's port; an address to listen on becomes one to connect to.
    `normalise_host` of its own result changes nothing.

    Args:
        host: Such as `gpu-box`, `0.0.0.0:8080`, `[::1]`, `:11435` or `https://ollama.com/`.
    """
    text = host.strip()
    if not text:
        return _DEFAULT_HOST
    bare = "://" not in text
    parts = urlsplit(f"http://{_bracketed(text)}" if bare else text)
    name = (parts.hostname or "127.0.0.1").rstrip(".")
    name = _LISTENING.get(name, name)
    if name in _CLOUD:
        return "https://ollama.com"
    port = parts.port or (_PORT if bare else None)
    where = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{where}{f':{port}' if port else ''}{_prefix(parts)}"


def is_cloud(base_url: str) -> bool:
    """Return whether `base_url` is Ollama's cloud, which is neither local nor free."""
    return urlsplit(normalise_host(base_url)).hostname in _CLOUD


def _bracketed(text: str) -> str:
    """Put the brackets around a bare IPv6 address that a URL needs."""
    return f"[{text}]" if text.count(":") > 1 and "[" not in text else text


def _prefix(parts: SplitResult) -> str:
    path = parts.path.rstrip("/")
    for suffix in _API_PATHS:
        path = path.removesuffix(suffix)
    return path.rstrip("/")


@lru_cache(maxsize=256)
def _chat_url(base_url: str) -> str:
    return f"{normalise_host(base_url)}/api/chat"


# -- the request ---------------------------------------------------------------------------------------


def _body(call: Call) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [_ENCODERS[message.type](message) for message in call.messages],
        "stream": call.stream,
    }
    if tools := [_tool(tool) for tool in _offered(call)]:
        body["tools"] = tools
    if options := {_OPTIONS[name]: value for name, value in call.params.items() if name in _OPTIONS}:
        body["options"] = options
    body.update((name, call.params[name]) for name in ("logprobs", "top_logprobs") if name in call.params)
    if (think := _think(call)) is not None:
        body["think"] = think
    if call.output:
        body["format"] = _format(call.output)
    return _merged(body, call.extra)


def _offered(call: Call) -> Iterable[ToolSpec]:
    choice = call.tool_choice
    if choice and choice.mode == "none":
        return ()
    if choice and choice.mode == "tool":
        return [tool for tool in call.tools if tool.name == choice.name]
    return call.tools


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


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


def _merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return `body` with `extra` merged in, model options where the server looks for them."""
    for name, value in extra.items():
        if name in _NATIVE_OPTIONS:
            body["options"] = {**body.get("options", {}), name: value}
        elif isinstance(value, Mapping) and isinstance(body.get(name), Mapping):
            body[name] = {**body[name], **value}
        else:
            body[name] = value
    return body


# -- messages ------------------------------------------------------------------------------------------


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


_ENCODERS: Mapping[str, Callable[[BaseMessage], dict[str, Any]]] = MappingProxyType(
    {"system": _system, "human": _user, "ai": _assistant, "tool": _result}
)


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
