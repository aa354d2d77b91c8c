"""Reading an assistant's message, of any vendor's package, into v1 standard blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

from langchain_core.messages import AIMessage
from langchain_core.messages.block_translators import get_translator
from langchain_core.messages.content import KNOWN_BLOCK_TYPES

from langchain_llmdispatch.internal.json_format import is_finite, parse_json
from langchain_llmdispatch.vendors.history.block_faults import with_fault
from langchain_llmdispatch.vendors.history.blocks import (
    ODD,
    SOURCED,
    Block,
    as_base64,
    text_block,
    with_source,
    without_made_up_id,
)
from langchain_llmdispatch.vendors.server_state import with_state

SIGNATURES = "__gemini_function_call_thought_signatures__"
"""Where LangChain keeps Gemini's signatures of calls: a mapping of ids in `additional_kwargs`."""

# Raw block types that identify the provider of v0 content in a message without `model_provider`.
_PROVIDERS: Mapping[str, str] = {
    "thinking": "anthropic",
    "redacted_thinking": "anthropic",
    "tool_use": "anthropic",
    "server_tool_use": "anthropic",
    "mcp_tool_use": "anthropic",
    "web_search_tool_result": "anthropic",
    "reasoning_content": "bedrock_converse",
    "function_call": "openai",
    "output_text": "openai",
    "web_search_call": "openai",
    "file_search_call": "openai",
    "code_interpreter_call": "openai",
    "image_generation_call": "openai",
    "mcp_call": "openai",
    "function_call_signature": "google_genai",
    "executable_code": "google_genai",
}


def assistant_blocks(message: AIMessage) -> list[Block]:
    """Return an assistant's message as v1 blocks, with every tool call in it.

    Reasoning, refusals, transcripts and signatures that vendors' packages keep in `additional_kwargs`
    are among them.
    """
    blocks = _content(message)
    if message.additional_kwargs:
        _add_kwargs(blocks, message.additional_kwargs)
    _add_calls(blocks, message)
    signatures = message.additional_kwargs.get(SIGNATURES)
    _add_signatures(blocks, message, signatures if isinstance(signatures, dict) else {})
    return with_state(blocks, message.additional_kwargs)


def _content(message: AIMessage) -> list[Block]:
    content = message.content
    if isinstance(content, str):
        return [text_block(content)] if content else []
    items = [text_block(item) if isinstance(item, str) else item for item in content]
    if message.response_metadata.get("output_version") == "v1":
        blocks = [_known(item) for item in items]
    else:
        stated = message.response_metadata.get("model_provider")
        known = isinstance(stated, str) and stated and get_translator(stated)
        blocks = [
            with_source(block) if block["type"] in SOURCED else block
            for block in _translated(message, items, stated if known else _guess(items))
        ]
    return [with_fault(block, place) for place, block in enumerate(blocks)]


def _known(item: Any) -> Block:
    kind = item.get("type") if isinstance(item, dict) else None
    if isinstance(kind, str) and kind in KNOWN_BLOCK_TYPES:
        return cast("dict[str, Any]", item)
    return {"type": "non_standard", "value": item}


def _guess(items: list[Any]) -> str | None:
    for item in items:
        if isinstance(item, dict):
            kind = item.get("type")
            if kind == "function_call" and "arguments" not in item:
                return "google_genai"
            if kind == "reasoning" and "summary" in item:
                return "openai"
            if isinstance(kind, str) and kind in _PROVIDERS:
                return _PROVIDERS[kind]
    return None


def _translated(message: AIMessage, items: list[Any], provider: str | None) -> list[Block]:
    metadata = {**message.response_metadata, "model_provider": provider}
    # `function_call_signature` is no content: `_add_signatures` reads it from the message itself.
    items = [item for item in items if item.get("type") != "function_call_signature"]
    copy = message.model_copy(update={"content": items, "response_metadata": metadata})
    blocks: Sequence[Any]
    try:
        blocks = copy.content_blocks if provider else super(AIMessage, copy).content_blocks
    except ODD:
        blocks = [_known(item) for item in items]
    return [_without_random(dict(block)) for block in blocks]


def _without_random(block: Block) -> Block:
    notes = block.get("annotations")
    if isinstance(notes, list):
        block["annotations"] = [without_made_up_id(n) if isinstance(n, dict) else n for n in notes]
    return without_made_up_id(block)


def _add_kwargs(blocks: list[Block], kwargs: Mapping[str, Any]) -> None:
    kinds = {block["type"] for block in blocks}
    reasoning, refusal, audio = (kwargs.get(key) for key in ("reasoning_content", "refusal", "audio"))
    if isinstance(reasoning, str) and reasoning and "reasoning" not in kinds:
        blocks.insert(0, {"type": "reasoning", "reasoning": reasoning})
    if isinstance(refusal, str) and refusal and "refusal" not in kinds:
        blocks.append({"type": "refusal", "refusal": refusal})
    # Spoken answers of OpenAI's models go on as their transcript.
    if isinstance(audio, dict) and "text" not in kinds and audio.get("transcript"):
        blocks.append(text_block(str(audio["transcript"])))


def _add_calls(blocks: list[Block], message: AIMessage) -> None:
    seen: set[Any] = set()
    for block in list(blocks):
        if block["type"] in _CALLS:
            if block.get("id") and block["id"] in seen and len(message.tool_calls) == 1:
                # LangChain's Anthropic reader gives every block the only valid call.
                blocks.remove(block)
            seen.add(_key_of(block))
    blocks.extend(_call(call) for call in message.tool_calls if _key_of(call) not in seen)
    invalid = [call for call in message.invalid_tool_calls if _key_of(call) not in seen]
    blocks.extend({**call, "type": "invalid_tool_call"} for call in invalid)
    legacy = message.additional_kwargs.get("function_call")
    if isinstance(legacy, dict) and legacy.get("name") and not message.tool_calls:
        args = arguments(legacy.get("arguments"))
        blocks.append({"type": "tool_call", "id": None, "name": legacy["name"], "args": args or {}})


_CALLS = frozenset({"tool_call", "invalid_tool_call", "tool_call_chunk"})


def _call(call: Mapping[str, Any]) -> Block:
    extras = {"extras": call["extras"]} if call.get("extras") else {}
    return {"type": "tool_call", "id": call.get("id"), "name": call["name"], "args": call["args"], **extras}


def _key_of(call: Mapping[str, Any]) -> str:
    """Return what identifies a call: its id, else its name and arguments."""
    return call.get("id") or f"{call.get('name')}:{call.get('args')}"


def arguments(args: Any) -> dict[str, Any] | None:
    """Return a tool call's arguments as an object, or None if they are not one.

    Numbers that JSON does not have become their names, as in protobuf's JSON: `"NaN"`, `"-Infinity"`.
    """
    if isinstance(args, str):
        try:
            args = parse_json(args or "{}")
        except ValueError:
            return None
    if not isinstance(args, dict):
        return None
    return args if is_finite(args) else _spelled(args)


def _spelled(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else json.dumps(value)
    if isinstance(value, dict):
        return {name: _spelled(part) for name, part in value.items()}
    return [_spelled(part) for part in value] if isinstance(value, (list, tuple)) else value


def _add_signatures(blocks: list[Block], message: AIMessage, by_id: Mapping[Any, Any]) -> None:
    by_place = _signatures_by_place(message.content)
    if not by_id and not by_place:
        return
    places = [n for n, block in enumerate(blocks) if block["type"] == "tool_call"]
    for order, place in enumerate(places):
        block = blocks[place]
        signature = by_id.get(block.get("id")) or by_place.get(order)
        if signature and not (block.get("extras") or {}).get("signature"):
            signed = {**(block.get("extras") or {}), "signature": as_base64(signature)}
            blocks[place] = {**block, "extras": signed}


def _signatures_by_place(content: str | list[Any]) -> dict[int, Any]:
    if isinstance(content, str):
        return {}
    found: dict[int, Any] = {}
    for item in content:
        if isinstance(item, dict) and item.get("type") == "function_call_signature" and item.get("signature"):
            index = item.get("index", len(found))
            found[index if isinstance(index, int) else len(found)] = item["signature"]
    return found
