"""Requests judged by the vendors' own SDKs: their typed parameters, not our tables."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_type_hints

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

_CONVERSATION = frozenset({"messages", "input", "tools", "tool_choice", "system", "fallbacks"})

# Fields of google-genai's configuration that do not stand in `generationConfig`.
_OF_THE_CALL = frozenset(
    {
        "system_instruction",
        "tools",
        "tool_config",
        "safety_settings",
        "http_options",
        "cached_content",
        "labels",
        "service_tier",
        "automatic_function_calling",
        "model_armor_config",
        "routing_config",
    }
)


def faults(vendor: str, request: httpx.Request) -> list[str]:
    """Return what the vendor's SDK does not know or accept of a request's body; nothing if it is valid."""
    body = json.loads(request.content)
    if vendor in {"openai", "azure"} and request.url.path.endswith("/responses"):
        vendor = "responses"
    return _JUDGES[vendor](body)


def _typed(fields: Mapping[str, Any], body: Mapping[str, Any]) -> list[str]:
    """Return unknown fields, and known ones whose values have another type."""
    found = [f"{name}: unknown" for name in body if name not in fields]
    for name, value in body.items():
        if name in fields:
            try:
                fields[name].validate_python(value)
            except ValidationError as error:
                found.append(f"{name}: {error.errors(include_url=False)[0]['msg']} {value!r}")
    return found


@cache
def _fields_of(module: str, name: str) -> Mapping[str, TypeAdapter[Any]]:
    """Return an adapter for each field of a TypedDict of an SDK; of the conversation, any value will do."""
    space = vars(pytest.importorskip(module))
    hints = get_type_hints(space[name], {**vars(typing), **space})
    return {field: TypeAdapter(Any if field in _CONVERSATION else hint) for field, hint in hints.items()}


def _chat(body: dict[str, Any]) -> list[str]:
    module = "openai.types.chat.completion_create_params"
    fields = _fields_of(module, "CompletionCreateParamsBase")
    return _typed({**fields, "stream": TypeAdapter(bool)}, body)


def _responses(body: dict[str, Any]) -> list[str]:
    module = "openai.types.responses.response_create_params"
    fields = _fields_of(module, "ResponseCreateParamsBase")
    return _typed({**fields, "stream": TypeAdapter(bool)}, body)


def _anthropic(body: dict[str, Any]) -> list[str]:
    module = "anthropic.types.beta.message_create_params"
    fields = _fields_of(module, "MessageCreateParamsBase")
    # The newest version of the API has no sampling; that of our requests has.
    sampling = {"temperature": TypeAdapter(float), "top_p": TypeAdapter(float), "top_k": TypeAdapter(int)}
    return _typed({**fields, **sampling, "stream": TypeAdapter(bool)}, body)


@cache
def _google_fields() -> tuple[Mapping[str, TypeAdapter[Any]], Mapping[str, TypeAdapter[Any]]]:
    """Return adapters for the fields of a request, and for those of its `generationConfig`."""
    types = pytest.importorskip("google.genai.types")
    root = {
        "contents": Any,
        "systemInstruction": types.Content,
        "tools": list[types.Tool],
        "toolConfig": types.ToolConfig,
        "safetySettings": list[types.SafetySetting],
        "generationConfig": dict[str, Any],
        "cachedContent": str,
        "serviceTier": str,
        "labels": dict[str, str],
        "store": bool,
    }
    settings = {
        field.alias or name: field.annotation
        for cls in (types.GenerateContentConfig, types.GenerationConfig)
        for name, field in cls.model_fields.items()
        if name not in _OF_THE_CALL
    }
    adapted = [{name: TypeAdapter(kind) for name, kind in each.items()} for each in (root, settings)]
    return adapted[0], adapted[1]


def _google(body: dict[str, Any]) -> list[str]:
    root, settings = _google_fields()
    return [*_typed(root, body), *_typed(settings, body.get("generationConfig", {}))]


def _cohere(body: dict[str, Any]) -> list[str]:
    client = pytest.importorskip("cohere.v2.client").V2Client
    known = {*inspect.signature(client.chat).parameters, "stream"} - {"self", "request_options"}
    found = [f"{name}: unknown" for name in body if name not in known]
    ranges = {"frequency_penalty": (0, 1), "presence_penalty": (0, 1), "p": (0.01, 0.99), "k": (0, 500)}
    for name, (least, most) in ranges.items():
        if name in body and not least <= body[name] <= most:
            found.append(f"{name}: {body[name]} is out of range")
    types = pytest.importorskip("cohere.types")
    for name, kind in {"thinking": types.Thinking, "citation_options": types.CitationOptions}.items():
        if name in body:
            kind.model_validate(body[name])
    return found


def _ollama(body: dict[str, Any]) -> list[str]:
    types = pytest.importorskip("ollama._types")
    found = [f"{name}: unknown" for name in body if name not in types.ChatRequest.model_fields]
    own = {*types.Options.model_fields, "min_p"}  # in api.md, not yet in the client
    found += [f"options.{name}: unknown" for name in body.get("options", {}) if name not in own]
    try:
        types.ChatRequest.model_validate(body)
    except ValidationError as error:
        found.append(str(error))
    return found


def _huggingface(body: dict[str, Any]) -> list[str]:
    client = pytest.importorskip("huggingface_hub").InferenceClient
    known = {*inspect.signature(client.chat_completion).parameters}
    # Of the router, which is OpenAI's format: huggingface.co/docs/inference-providers/tasks/chat-completion
    known |= {
        "reasoning_effort",
        "user",
        "service_tier",
        "repetition_penalty",
        "typical_p",
        "parallel_tool_calls",
    }
    return [f"{name}: unknown" for name in body if name not in known]


def _anything(body: dict[str, Any]) -> list[str]:
    return []


_JUDGES: Mapping[str, Callable[[dict[str, Any]], list[str]]] = {
    "openai": _chat,
    "azure": _chat,
    "responses": _responses,
    "anthropic": _anthropic,
    "google": _google,
    "cohere": _cohere,
    "ollama": _ollama,
    "huggingface": _huggingface,
    "compatible": _anything,
}
