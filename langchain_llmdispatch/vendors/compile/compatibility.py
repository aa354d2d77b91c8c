"""Whether a target can serve a request, and what would be altered for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_llmdispatch.catalog.models import ModelFacts
from langchain_llmdispatch.errors import UnsupportedFeatureError, UnsupportedParameterError
from langchain_llmdispatch.types import ChatRequest, Endpoint
from langchain_llmdispatch.vendors.base import Vendor
from langchain_llmdispatch.vendors.compile.call import has_words
from langchain_llmdispatch.vendors.compile.parameters import compile_parameters
from langchain_llmdispatch.vendors.compile.tools import compile_tools
from langchain_llmdispatch.vendors.compile.words import compile_words
from langchain_llmdispatch.vendors.history.blocks import input_blocks, media_kinds
from langchain_llmdispatch.vendors.history.compile import Compatibility, check_messages
from langchain_llmdispatch.vendors.history.media_types import MEDIA

_FACTS_OF_MEDIA = {
    "image": "images",
    "image_url": "images",
    "pdf": "pdf",
    "pdf_url": "pdf",
    "audio": "audio",
    "video": "video",
}


_NOTHING: Mapping[str, Any] = {}
_NOWHERE = Endpoint("")


def check_request(
    vendor: Vendor,
    request: ChatRequest,
    model: str,
    facts: ModelFacts,
    *,
    endpoint: Endpoint | None = None,
    defaults: Mapping[str, Any] = _NOTHING,
    input_tokens: int | None = None,
) -> Compatibility:
    """Return whether the target can serve `request`; unknown facts never veto.

    Args:
        vendor: The target's vendor.
        request: The request.
        model: The vendor's own model id.
        facts: What the model takes.
        endpoint: Where it goes.
        defaults: The deployment's parameters.
        input_tokens: An estimate of the prompt's size, for the context window.
    """
    drop = request.unsupported_params == "drop"
    history = check_messages(
        request.messages, vendor.history_for(facts), model=model, vendor=vendor.name, drop=drop
    )
    reasons, changes = [*history.reasons], [*history.changes]
    # The model may take less than its vendor.
    if any(not isinstance(message.content, str) for message in request.messages):
        reasons += _refused_media(request.messages, facts)
    if input_tokens and facts.context_window and input_tokens > facts.context_window:
        reasons.append(f"about {input_tokens} tokens do not fit a window of {facts.context_window}")
    if request.tools and (vendor.capabilities(model) or {}).get("tool_calling") is False:
        reasons.append("the model calls no tools")
    policy = request.unsupported_params
    try:
        if has_words(request, defaults):
            words = compile_words(vendor, request, endpoint or _NOWHERE, defaults)
            request, changes = words.request, [*changes, *words.changes]
        elif defaults:
            request = replace(request, params=request.over(defaults, request.params))
        changes += compile_parameters(request.params, vendor, facts, policy, model=model)[1]
        compile_tools(vendor, request, facts, model, changes)
    except (UnsupportedFeatureError, UnsupportedParameterError) as error:
        reasons.append(error.message)
    return Compatibility.of(reasons, changes)


def _refused_media(messages: Sequence[BaseMessage], facts: ModelFacts) -> list[str]:
    blocks = (
        block
        for message in messages
        if isinstance(message, HumanMessage) and isinstance(message.content, list)
        for block in input_blocks(message.content)
    )
    kinds = {media_kinds(block)[0] for block in blocks if block["type"] in MEDIA}
    names = sorted({name for kind in kinds if (name := _FACTS_OF_MEDIA.get(kind))})
    return [f"the model takes no {name}" for name in names if getattr(facts, name) is False]
