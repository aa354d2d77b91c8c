"""Google Gemini by its own API: `generateContent` and `streamGenerateContent`.

Wire format: https://ai.google.dev/api/generate-content. The key travels in a header, never in the URL.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from langchain_llmdispatch.vendors.base import (
    Environment,
    HistoryRules,
    Listing,
    OwnedWords,
    ParameterRules,
    PortableTool,
    SchemaDialect,
    ToolNameRules,
    Vendor,
    custom_headers,
    guards_answer,
    json_request,
)
from langchain_llmdispatch.vendors.billing import Billing
from langchain_llmdispatch.vendors.errors import ErrorContext, guards_error
from langchain_llmdispatch.vendors.google import rules
from langchain_llmdispatch.vendors.google.answer import decode_answer
from langchain_llmdispatch.vendors.google.batches import GenerateContentBatches
from langchain_llmdispatch.vendors.google.billing import GoogleBilling
from langchain_llmdispatch.vendors.google.contents import PLACEHOLDER
from langchain_llmdispatch.vendors.google.errors import error_of
from langchain_llmdispatch.vendors.google.portable_tools import PORTABLE
from langchain_llmdispatch.vendors.google.request import request_body
from langchain_llmdispatch.vendors.google.stream import GoogleStreamDecoder
from langchain_llmdispatch.vendors.google.words import WORDS, camel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import httpx
    from langchain_core.messages import AIMessage

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call, Endpoint
    from langchain_llmdispatch.vendors.base import StreamDecoder
    from langchain_llmdispatch.vendors.batches import BatchApi


_COMPUTER = frozenset({"computer_use", "computerUse"})


class GoogleVendor(Vendor):
    """Google's Gemini API (AI Studio keys)."""

    name: ClassVar[str] = "google"
    aliases: ClassVar[tuple[str, ...]] = ("gemini", "google_genai")
    provider: ClassVar[str] = "google_genai"
    model_in_path = True
    base_url: ClassVar[str | None] = "https://generativelanguage.googleapis.com"
    environment: ClassVar[Environment] = Environment(
        keys=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        urls=("GOOGLE_BASE_URL", "GEMINI_BASE_URL"),
        timeout="GOOGLE_TIMEOUT",
    )
    model_names: ClassVar[tuple[str, ...]] = ("gemini-*", "gemma-*", "models/gemini-*", "models/gemma-*")
    default_model: ClassVar[str | None] = "gemini-3.8-flash"
    listing: ClassVar[Listing] = rules.LISTING
    billing: ClassVar[Billing] = GoogleBilling()
    litellm_names: ClassVar[tuple[str, ...]] = ("gemini",)
    traced_as = "google_genai"
    otel_name = "gcp.gemini"
    parameters: ClassVar[ParameterRules] = rules.PARAMETERS
    words: ClassVar[OwnedWords] = WORDS
    tool_names: ClassVar[ToolNameRules] = rules.TOOL_NAMES
    schemas: ClassVar[SchemaDialect] = rules.SCHEMAS
    api_version: ClassVar[str | None] = "v1beta"
    history: ClassVar[HistoryRules] = HistoryRules(
        provider="google_genai",
        shared_with=("google_vertexai",),
        system="leading",
        # "Please ensure that function call turn comes immediately after a user turn": never first.
        first_user=True,
        last_user=True,
        user_media=frozenset({"image", "image_url", "pdf", "pdf_url", "audio", "video", "file"}),
        # Inside the result from Gemini 3 on, as parts beside it before.
        tool_media=frozenset({"image", "image_url", "pdf", "pdf_url", "audio", "video"}),
        reasoning="signed",
        call_signature=PLACEHOLDER,
    )
    server_tools: ClassVar[tuple[str, ...]] = (
        "google_*", "googleSearch*", "googleMaps", "code_execution", "codeExecution", "url_context",
        "urlContext", "fileSearch", "computerUse", "enterprise_web_search", "enterpriseWebSearch",
        "parallel_ai_search", "exa_ai_search",
        # As the API has them: an object with the tool's name as its key, in either spelling.
        *(f"{{{word}}}" for name in rules.TOOL_KEYS for word in (name, camel(name))),
    )  # fmt: skip
    portable_tools: ClassVar[Mapping[str, PortableTool]] = PORTABLE

    def schema_with_tools(self, model: str, facts: ModelFacts) -> bool:
        """Return whether functions and a response schema go together: from Gemini 3 on, which signs calls."""
        return facts.thought_signatures

    def mixes_tools(self, tools: Sequence[Mapping[str, Any]], facts: ModelFacts) -> bool:
        """Return whether Google's own tools go with functions: from Gemini 3 on, which signs calls.

        Before, only the use of a computer does, since that is functions; others are a 400, "Tool use with
        function calling is unsupported by the model" (withceleste/celeste-python#197).
        """
        return facts.thought_signatures or all(not _COMPUTER.isdisjoint(tool) for tool in tools)

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the HTTP request for `call`."""
        body = request_body(call, self.facts(call.model))
        return json_request(_url(call), lambda: _headers(call.endpoint), body)

    count_field: ClassVar[str | None] = "totalTokens"

    def encode_count(self, call: Call) -> httpx.Request | None:
        """Return the request to `countTokens`.

        System text and tools count only inside `generateContentRequest`, whose own `model` is required
        (googleapis/python-genai#432); Vertex has no such field and takes them at the top.
        """
        whole = request_body(call, self.facts(call.model))
        counted = {"generateContentRequest": {"model": f"models/{call.model}", **whole}}
        if "/" in call.model:
            counted = {name: value for name, value in whole.items() if name in _COUNTED_BY_VERTEX}
        url = _url(replace(call, stream=False)).removesuffix("generateContent") + "countTokens"
        return json_request(url, lambda: _headers(call.endpoint), counted)

    def batch_api(self, call: Call) -> BatchApi | None:
        """Return the batches of the Gemini API; those of Vertex read and write buckets, and are not used."""
        if "/" in call.model.removeprefix("models/"):
            return None
        return GenerateContentBatches(
            call,
            _base(call),
            lambda: _headers(call.endpoint),
            lambda each: request_body(each, self.facts(each.model)),
        )

    @guards_answer
    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:
        """Return the message in a successful response."""
        return decode_answer(ErrorContext(self, call, headers), body)

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> StreamDecoder:
        """Return a fresh decoder for one streamed answer."""
        return GoogleStreamDecoder(self, call, headers)

    @guards_error
    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error that a response with an error status means."""
        return error_of(self, call, status, headers, body)


# https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens
_COUNTED_BY_VERTEX = frozenset(["contents", "systemInstruction", "tools", "generationConfig"])


def _base(call: Call) -> str:
    base = call.endpoint.base_url.rstrip("/")
    if not re.search(r"/v\d\w*\Z", base):
        base = f"{base}/{call.endpoint.api_version or GoogleVendor.api_version}"
    return base


def _url(call: Call) -> str:
    base, model = _base(call), quote(call.model, safe="/")
    path = model if "/" in model else f"models/{model}"
    return f"{base}/{path}:{'streamGenerateContent?alt=sse' if call.stream else 'generateContent'}"


def _headers(endpoint: Endpoint) -> dict[str, str]:
    if endpoint.token_provider is not None:
        return {"authorization": f"Bearer {endpoint.token_provider()}", **custom_headers(endpoint)}
    key = {} if endpoint.api_key is None else {"x-goog-api-key": endpoint.api_key.get_secret_value()}
    return {**key, **custom_headers(endpoint)}
