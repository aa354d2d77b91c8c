"""Cohere's v2 chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from langchain_core.messages import get_buffer_string

from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.base import (
    Environment,
    HistoryRules,
    Vendor,
    bearer,
    custom_headers,
    guards_answer,
    json_request,
)
from langchain_llmdispatch.vendors.cohere import rules
from langchain_llmdispatch.vendors.cohere.answer import PROVIDER, decode_answer
from langchain_llmdispatch.vendors.cohere.billing import CohereBilling
from langchain_llmdispatch.vendors.cohere.errors import error_of, limits
from langchain_llmdispatch.vendors.cohere.request import chat_body
from langchain_llmdispatch.vendors.cohere.stream import CohereStreamDecoder
from langchain_llmdispatch.vendors.cohere.words import WORDS
from langchain_llmdispatch.vendors.errors import ErrorContext, guards_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx
    from langchain_core.messages import AIMessage

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call, LimitState
    from langchain_llmdispatch.vendors.base import StreamDecoder


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
    listing = rules.LISTING
    billing = CohereBilling()
    litellm_names = ("cohere", "cohere_chat")
    parameters = rules.PARAMETERS
    words = WORDS
    tool_names = rules.TOOL_NAMES
    schemas = rules.SCHEMAS
    history = HistoryRules(
        provider=PROVIDER, system="leading", last_user=True, reasoning="text", same_model=True
    )

    def schema_with_tools(self, model: str, facts: ModelFacts) -> bool:
        """Return False: `response_format` beside `tools` is a 400 (docs.cohere.com, structured outputs)."""
        return False

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the request for `/v2/chat`."""
        endpoint = call.endpoint
        url, body = chat_url(endpoint.base_url), chat_body(call)
        return json_request(url, lambda: {**bearer(endpoint), **custom_headers(endpoint)}, body)

    count_field: ClassVar[str | None] = "tokens"

    def encode_count(self, call: Call) -> httpx.Request | None:
        """Return the request to `POST /v1/tokenize`, which takes a text of 65,536 characters at most.

        It takes no messages: roles and tools are counted as the text that stands for them.
        Source: https://docs.cohere.com/reference/tokenize
        """
        tools = [dump_json([tool.name, tool.description, tool.parameters]).decode() for tool in call.tools]
        text, endpoint = "\n".join([get_buffer_string(call.messages), *tools]), call.endpoint
        if not 0 < len(text) <= _MOST_TOKENIZED:
            return None
        url = chat_url(endpoint.base_url).removesuffix("v2/chat") + "v1/tokenize"
        body = {"model": call.model, "text": text}
        return json_request(url, lambda: {**bearer(endpoint), **custom_headers(endpoint)}, body)

    @guards_answer
    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in `body`."""
        return decode_answer(ErrorContext(self, call, headers), body)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a decoder of Cohere's server-sent events."""
        return CohereStreamDecoder(self, call, headers)

    @guards_error
    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error by `error_type`, by text where there is none, and by status."""
        return error_of(self, call, status, headers, body)

    def request_id(self, headers: Mapping[str, str]) -> str | None:
        """Return the trace id that Cohere's support needs."""
        return headers.get("x-debug-trace-id") or super().request_id(headers)

    def limits(self, headers: Mapping[str, str]) -> Sequence[LimitState]:
        """Return the limits of requests that the headers report."""
        return limits(headers)


_MOST_TOKENIZED = 65_536  # characters


def chat_url(base_url: str) -> str:
    """Return the chat endpoint under `base_url`, which people also write with the API's version."""
    root = base_url.rstrip("/")
    for suffix in ("/v1", "/v2"):
        root = root.removesuffix(suffix)
    return f"{root}/v2/chat"
