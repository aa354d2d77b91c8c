"""Ollama's own API, `/api/chat`: an Ollama server on this machine, elsewhere, or Ollama's cloud."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from langchain_llmdispatch.vendors.base import (
    ANY_TOOL_NAME,
    Environment,
    HistoryRules,
    Vendor,
    bearer,
    custom_headers,
    guards_answer,
    json_request,
)
from langchain_llmdispatch.vendors.errors import ErrorContext, guards_error
from langchain_llmdispatch.vendors.ollama import rules
from langchain_llmdispatch.vendors.ollama.answer import PROVIDER, decode_answer
from langchain_llmdispatch.vendors.ollama.errors import error_of
from langchain_llmdispatch.vendors.ollama.request import chat_body
from langchain_llmdispatch.vendors.ollama.stream import OllamaStreamDecoder
from langchain_llmdispatch.vendors.ollama.words import WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx
    from langchain_core.messages import AIMessage

    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call
    from langchain_llmdispatch.vendors.base import StreamDecoder

_DEFAULT_HOST = "http://127.0.0.1:11434"
_PORT = 11434
# A server that listens on every address is reached on the loopback one.
_LISTENING: Mapping[str, str] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound to it
_CLOUD = ("ollama.com", "www.ollama.com", "api.ollama.com")
# Paths that people copy along with the host; the native API lives beside them.
_API_PATHS = ("/api/chat", "/api", "/v1")


class OllamaVendor(Vendor):
    """Models that an Ollama server runs, on this machine or in Ollama's cloud."""

    name = "ollama"
    provider = PROVIDER
    base_url = _DEFAULT_HOST
    environment = Environment(
        keys=("OLLAMA_API_KEY",), urls=("OLLAMA_BASE_URL", "OLLAMA_HOST"), timeout="OLLAMA_TIMEOUT"
    )
    needs_key = False
    model_names = (
        "llama2*", "llama3*", "llama4*", "codellama*", "qwen2*", "qwen3*", "gemma2*", "gemma3*", "gemma4*",
        "gpt-oss*", "phi3*", "phi4*", "deepseek-r1*",
    )  # fmt: skip
    default_model = "llama3.1"
    listing = rules.LISTING
    litellm_names = ("ollama", "ollama_chat")
    parameters = rules.PARAMETERS
    words = WORDS
    tool_names = ANY_TOOL_NAME
    schemas = rules.SCHEMAS
    history = HistoryRules(provider=PROVIDER, user_media=frozenset({"image"}), reasoning="text")

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the request; `stream` is always in it, since a server streams by default."""
        endpoint = call.endpoint
        url, body = _chat_url(endpoint.base_url), chat_body(call)
        return json_request(url, lambda: {**bearer(endpoint), **custom_headers(endpoint)}, body)

    @guards_answer
    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in `body`."""
        return decode_answer(ErrorContext(self, call, headers), body)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a decoder of newline-delimited JSON."""
        return OllamaStreamDecoder(self, call, headers)

    @guards_error
    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error by status, and by text where one status covers many causes."""
        return error_of(self, call, status, headers, body)

    def is_free(self, model: str, base_url: str) -> bool:
        """Return whether the model runs on a server of the user's own: Ollama's cloud is not free."""
        return not (model.lower().endswith((":cloud", "-cloud")) or (base_url and is_cloud(base_url)))

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
    """Return whether `base_url` is Ollama's cloud."""
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
