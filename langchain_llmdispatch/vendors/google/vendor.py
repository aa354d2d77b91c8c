"""Google Gemini by its own API: `generateContent` and `streamGenerateContent`.

Middleware format: https://ai.google.dev/api/generate-content. The key travels in a header, never in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from langchain_core.messages import AIMessage

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.framing import parse_json
from langchain_llmdispatch.vendors.base import (
    Environment,
    HistoryRules,
    Listing,
    ParameterRules,
    SchemaDialect,
    ToolNameRules,
    Vendor,
    json_request,
)
from langchain_llmdispatch.vendors.google import rules
from langchain_llmdispatch.vendors.google.answer import Answer
from langchain_llmdispatch.vendors.google.errors import decode_error
from langchain_llmdispatch.vendors.google.request import (
    PLACEHOLDER,
    contents,
    signs,
    system_instruction,
)
from langchain_llmdispatch.vendors.google.stream import GoogleStream

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.catalog.models import ModelFacts
    from langchain_llmdispatch.errors import VendorError
    from langchain_llmdispatch.types import Call, OutputSchema

# Neutral parameter -> field of `generationConfig`.
_CONFIG = {
    "temperature": "temperature",
    "max_tokens": "maxOutputTokens",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_MODES = {"auto": "AUTO", "none": "NONE", "any": "ANY", "tool": "ANY"}

# Thinking levels from weak to strong, and what neutral efforts mean in them.
_LEVELS = ("minimal", "low", "medium", "high")
_EFFORT_LEVELS = {"none": "minimal", "xhigh": "high", "max": "high"}
# Where a model's levels are unknown.
_USUAL_LEVELS = ("low", "medium", "high")
# Gemini 2.5 takes a budget in tokens. The numbers are those of Google's own OpenAI-compatible endpoint
# (https://ai.google.dev/gemini-api/docs/openai#thinking); 2.5 Pro cannot think less than 128.
_BUDGETS = {
    "none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576,
}  # fmt: skip
_LEAST_OF_PRO = 128


class GoogleVendor(Vendor):
    """Google's Gemini API (AI Studio keys)."""

    name: ClassVar[str] = "google"
    aliases: ClassVar[tuple[str, ...]] = ("gemini", "google_genai")
    provider: ClassVar[str] = "google_genai"
    base_url: ClassVar[str | None] = "https://generativelanguage.googleapis.com"
    environment: ClassVar[Environment] = Environment(
        keys=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        urls=("GOOGLE_BASE_URL", "GEMINI_BASE_URL"),
        timeout="GOOGLE_TIMEOUT",
    )
    model_names: ClassVar[tuple[str, ...]] = ("gemini-*", "gemma-*", "models/gemini-*", "models/gemma-*")
    default_model: ClassVar[str | None] = "gemini-3.8-flash"
    listing: ClassVar[Listing] = rules.LISTING
    litellm_names: ClassVar[tuple[str, ...]] = ("gemini",)
    parameters: ClassVar[ParameterRules] = rules.PARAMETERS
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
        "urlContext", "fileSearch", "computerUse",
    )  # fmt: skip

    def schema_with_tools(self, model: str, facts: ModelFacts) -> bool:  # noqa: ARG002 - the base's signature
        """Return whether functions and a response schema go together: from Gemini 3 on, which signs calls."""
        return facts.thought_signatures

    @property
    def traced_as(self) -> str:
        """The name by which tracers know it: the integration's own, unlike for other vendors."""
        return self.provider

    def encode_request(self, call: Call) -> httpx.Request:
        """Return the HTTP request for `call`."""
        endpoint = call.endpoint
        headers: dict[str, str] = {}
        if endpoint.token_provider is not None:
            headers["authorization"] = f"Bearer {endpoint.token_provider()}"
        elif endpoint.api_key is not None:
            headers["x-goog-api-key"] = endpoint.api_key.get_secret_value()
        headers.update({name.lower(): value for name, value in endpoint.headers.items()})
        return json_request(_url(call), headers, self._body(call))

    def decode_response(self, call: Call, body: bytes, headers: Mapping[str, str]) -> AIMessage:  # noqa: ARG002
        """Return the message in a successful response."""
        answer = Answer(self, call)
        try:
            event = parse_json(body)
        except ValueError as error:
            raise answer.error(MalformedResponseError, "an answer that is no JSON") from error
        piece = answer.take(event)
        metadata = answer.metadata()
        content = answer.content(piece) if piece.blocks else [] if answer.structured and piece.calls else ""
        if isinstance(content, list):
            # Numbers only serve to merge chunks.
            content = [{k: v for k, v in block.items() if k != "index"} for block in content]
        calls, invalid = answer.assembly.messages()
        return AIMessage(
            content=content,
            tool_calls=calls,
            invalid_tool_calls=invalid,
            additional_kwargs={**piece.kwargs, **answer.audio()},
            response_metadata=metadata,
            usage_metadata=answer.usage(),
        )

    def stream_decoder(self, call: Call, headers: Mapping[str, str]) -> GoogleStream:  # noqa: ARG002
        """Return a fresh decoder for one streamed answer."""
        return GoogleStream(self, call)

    def decode_error(self, call: Call, status: int, headers: Mapping[str, str], body: bytes) -> VendorError:
        """Return the error that a response with an error status means."""
        return decode_error(self, call, status, headers, body)

    # -- the body ----------------------------------------------------------------------------------

    def _body(self, call: Call) -> dict[str, Any]:
        body: dict[str, Any] = {"contents": contents(call)}
        system = system_instruction(call.messages)
        if system is not None:
            body["systemInstruction"] = system
        tools = _tools(call)
        if tools:
            body["tools"] = tools
        tool_config = _tool_config(call)
        if tool_config:
            body["toolConfig"] = tool_config
        config = self._generation_config(call)
        if config:
            body["generationConfig"] = config
        if "service_tier" in call.params:
            body["serviceTier"] = call.params["service_tier"]
        return _merged(body, call.extra)

    def _generation_config(self, call: Call) -> dict[str, Any]:
        config = {_CONFIG[name]: value for name, value in call.params.items() if name in _CONFIG}
        if config.get("logprobs"):
            config["responseLogprobs"] = True
        thinking = self._thinking(call)
        if thinking:
            config["thinkingConfig"] = thinking
        return {**config, **(_output(call.output) if call.output else {})}

    def _thinking(self, call: Call) -> dict[str, Any]:
        """Return `thinkingConfig`: a level from Gemini 3 on, a budget before; the caller's own words win."""
        said = {_camel(key): value for key, value in (call.params.get("thinking") or {}).items()}
        effort = call.params.get("reasoning_effort")
        if effort is None or said.keys() & {"thinkingLevel", "thinkingBudget"}:
            return said
        known = self.facts(call.model)
        # Who asks for reasoning wants to see it, as with every other vendor; here it must be asked for.
        said = said if effort == "none" else {"includeThoughts": True, **said}
        if known.thinking != "budget":
            return {"thinkingLevel": _level(known.effort_levels or _USUAL_LEVELS, effort), **said}
        budget = _BUDGETS.get(effort, _BUDGETS["medium"])
        return {"thinkingBudget": max(budget, _LEAST_OF_PRO) if "pro" in call.model else budget, **said}


def _level(levels: Sequence[str], effort: str) -> str:
    """Return the weakest of `levels` that is no weaker than `effort`, or the strongest."""
    wanted = _EFFORT_LEVELS.get(effort, effort)
    rank = _LEVELS.index(wanted if wanted in _LEVELS else "medium")
    return next((level for level in _LEVELS[rank:] if level in levels), levels[-1])


def _url(call: Call) -> str:
    base, model = call.endpoint.base_url.rstrip("/"), quote(call.model, safe="/")
    if not re.search(r"/v\d\w*\Z", base):
        base = f"{base}/{call.endpoint.api_version or GoogleVendor.api_version}"
    path = model if "/" in model else f"models/{model}"
    return f"{base}/{path}:{'streamGenerateContent?alt=sse' if call.stream else 'generateContent'}"


def _tools(call: Call) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = []
    if call.tools:
        # `parametersJsonSchema` takes JSON Schema as it is; `parameters` only OpenAPI's dialect of it.
        declarations = [
            {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
            for tool in call.tools
        ]
        tools.append({"functionDeclarations": declarations})
    return tools + [_server_tool(tool) for tool in call.server_tools]


def _server_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool of Google's, written `{"google_search": {}}` or `{"type": "google_search"}`."""
    if "type" not in tool:
        return dict(tool)
    return {_camel(str(tool["type"])): {key: value for key, value in tool.items() if key != "type"}}


def _tool_config(call: Call) -> dict[str, Any]:
    config: dict[str, Any] = {}
    choice = call.tool_choice
    # "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function
    # calling": from Gemini 3 on, which then has no mode AUTO.
    mixed = bool(call.tools and call.server_tools) and signs(call.model)
    if mixed:
        config["includeServerSideToolInvocations"] = True
    if choice is not None and not (mixed and choice.mode == "auto"):
        calling: dict[str, Any] = {"mode": _MODES[choice.mode]}
        if choice.mode == "tool":
            calling["allowedFunctionNames"] = [choice.name]
        config["functionCallingConfig"] = calling
    return config


def _output(output: OutputSchema) -> dict[str, Any]:
    config: dict[str, Any] = {"responseMimeType": "application/json"}
    if output.schema is not None and output.method != "json_mode":
        config["responseJsonSchema"] = output.schema
    return config


def _merged(body: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in extra.items():
        old = body.get(key)
        body[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, Mapping) else value
    return body


def _camel(word: str) -> str:
    head, *tail = word.split("_")
    return head + "".join(part.capitalize() for part in tail)
