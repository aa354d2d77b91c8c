"""Reading any LangChain content into v1 standard blocks.

No target's rules are applied here: the many forms of blocks (v0 forms of every vendor, OpenAI's, Anthropic's,
Gemini's and Bedrock's input blocks, v1) become one. Input is never mutated; a block that needs no change is
passed on as the same object.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.messages.block_translators import get_translator
from langchain_core.messages.content import KNOWN_BLOCK_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Block: TypeAlias = dict[str, Any]

MEDIA = frozenset({"image", "audio", "video", "file"})
_SOURCES = ("url", "base64", "file_id")
# What LangChain's translators raise on blocks that they do not expect.
_ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
_DATA_URL = re.compile(r"data:([^;,]+)?(?:;[^;,]*)*;base64,(.*)", re.DOTALL)
_SIGNATURES = "__gemini_function_call_thought_signatures__"

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

FOREIGN_INPUT: Mapping[str, str] = {
    "search_result": "anthropic",
    "container_upload": "anthropic",
    "tool_reference": "anthropic",
    "cachePoint": "bedrock_converse",
    "guardContent": "bedrock_converse",
}
"""Input blocks that only one vendor understands, and its provider name."""


def text_block(text: str) -> Block:
    """Return a v1 text block."""
    return {"type": "text", "text": text}


def is_blank(text: Any) -> bool:
    """Whether `text` is empty or white space."""
    return not text or (isinstance(text, str) and text.isspace())


def as_blocks(content: str | list[Block]) -> list[Block]:
    """Return `content` as blocks; an empty string is no block."""
    if isinstance(content, str):
        return [text_block(content)] if content else []
    return content


def without(block: Mapping[str, Any], *keys: str) -> Block:
    """Return a copy of `block` without `keys`."""
    return {key: value for key, value in block.items() if key not in keys}


def without_made_up_id(block: Block) -> Block:
    """Return `block` without an id that LangChain drew at random while reading it."""
    return without(block, "id") if str(block.get("id", "")).startswith("lc_") else block


# -- input: user, system and tool turns -----------------------------------------------------------


def input_blocks(content: list[Any]) -> list[Block]:
    """Return the blocks of a user's, system or tool message as v1 blocks.

    Blocks of unknown form stay `non_standard`.
    """
    return [block for item in content for block in _input(item)]


def _input(item: Any) -> Iterator[Block]:
    if isinstance(item, str):
        yield text_block(item)
    elif not isinstance(item, dict):
        yield text_block(str(item))
    elif item.get("type") == "text" and isinstance(item.get("text"), str):
        yield item
    elif item.get("type") == "non_standard" and isinstance(item.get("value"), dict):
        yield from _vendor_input(item["value"])
    elif _is_v1_media(item):
        yield _with_source(item)
    else:
        yield from _vendor_input(item)


def _is_v1_media(item: Block) -> bool:
    kind = item.get("type")
    if kind == "text-plain":
        return isinstance(item.get("text"), str)
    old = "source_type" in item or "source" in item or isinstance(item.get("file"), dict)
    return kind in MEDIA and not old


def _vendor_input(item: Block) -> Iterator[Block]:
    form = _V1_FORMS.get(str(item.get("type")))
    item = _tried(form, item) if form else item
    if item.get("type") in {"text", "tool_result"}:
        yield item if item["type"] == "tool_result" else text_block(str(item.get("text") or ""))
        return
    if item.get("type") == "non_standard" or not item:
        return
    try:
        blocks = HumanMessage(content=[item]).content_blocks
    except _ODD:
        blocks = [{"type": "non_standard", "value": item}]
    for block in blocks:
        plain = without_made_up_id(dict(block))
        yield _with_source(plain) if plain["type"] in MEDIA else plain


def _tried(form: Callable[[Block], Block], item: Block) -> Block:
    try:
        return form(item)
    except _ODD:
        return item


def _image_url(item: Block) -> Block:
    # Some servers take, and some people write, the URL itself where OpenAI has an object.
    url = item["image_url"]
    return item if isinstance(url, dict) else {**item, "image_url": {"url": url}}


def _input_image(item: Block) -> Block:
    if file_id := item.get("file_id"):
        return {"type": "image", "file_id": file_id}
    detail = {"detail": item["detail"]} if item.get("detail") else {}
    return {"type": "image_url", "image_url": {"url": item["image_url"], **detail}}


def _input_file(item: Block) -> Block:
    if url := item.get("file_url"):
        return {"type": "file", "url": url}
    return {"type": "file", "file": without(item, "type")}


def _gemini_media(item: Block) -> Block:
    mime = item.get("mime_type") or ""
    source = {"base64": _as_base64(item["data"])} if "data" in item else {"url": item["file_uri"]}
    return {"type": "file", "mime_type": mime, **source}


_V1_FORMS: Mapping[str, Callable[[Block], Block]] = {
    "image_url": _image_url,
    "input_text": lambda item: text_block(item["text"]),
    "output_text": lambda item: text_block(item["text"]),
    "input_image": _input_image,
    "input_file": _input_file,
    "media": _gemini_media,
}


def _as_base64(data: Any) -> str:
    return base64.b64encode(data).decode() if isinstance(data, bytes) else str(data)


_MIME_TYPES = {"image": "image", "audio": "audio", "video": "video"}


def _with_source(block: Block) -> Block:
    """Return a media block whose source is where v1 has it, and whose type is what its MIME type says."""
    if not any(block.get(key) for key in _SOURCES) and block.get("id"):
        # LangChain's reader of Anthropic's `file` source puts the file's id there.
        block = {**without(block, "id"), "file_id": block["id"]}
    url = block.get("url")
    if isinstance(url, str) and url.startswith("data:") and (found := _DATA_URL.match(url)):
        mime = block.get("mime_type") or found[1]
        block = {**without(block, "url"), "base64": found[2], **({"mime_type": mime} if mime else {})}
    if isinstance(block.get("base64"), bytes):
        block = {**block, "base64": _as_base64(block["base64"])}
    if block["type"] == "file":
        block = _with_true_type(block)
    return block


def _with_true_type(block: Block) -> Block:
    mime = str(block.get("mime_type") or "")
    kind = _MIME_TYPES.get(mime.partition("/")[0])
    if kind:
        return {**block, "type": kind}
    if mime.startswith("text/") and isinstance(block.get("base64"), str):
        try:
            text = base64.b64decode(block["base64"]).decode()
        except (binascii.Error, UnicodeDecodeError):
            return block
        return {**without(block, "base64"), "type": "text-plain", "text": text}
    return block


def media_kinds(block: Block) -> tuple[str, ...]:
    """Return the words of `HistoryRules.user_media` of which any one allows `block`."""
    kind = block["type"]
    if kind == "image":
        return ("image_url",) if block.get("url") else ("image",)
    if kind != "file":
        return (kind,)
    mime = block.get("mime_type") or ""
    if mime and mime != "application/pdf":
        return ("file",)
    # Without a MIME type a file is taken for what it nearly always is.
    return ("pdf_url",) if block.get("url") else ("pdf", "file")


# -- output: assistant turns ----------------------------------------------------------------------


def assistant_blocks(message: AIMessage) -> list[Block]:
    """Return an assistant's message as v1 blocks, with every tool call in it.

    Reasoning, refusals, spoken words and signatures that vendors' packages keep in `additional_kwargs`
    are among them.
    """
    blocks = _content(message)
    if message.additional_kwargs:
        _add_kwargs(blocks, message.additional_kwargs)
    _add_calls(blocks, message)
    signatures = message.additional_kwargs.get(_SIGNATURES)
    _add_signatures(blocks, message, signatures if isinstance(signatures, dict) else {})
    return blocks


def _content(message: AIMessage) -> list[Block]:
    content = message.content
    if isinstance(content, str):
        return [text_block(content)] if content else []
    items = [text_block(item) if isinstance(item, str) else item for item in content]
    if message.response_metadata.get("output_version") == "v1":
        return [_known(item) for item in items]
    stated = message.response_metadata.get("model_provider")
    provider = stated if stated and get_translator(stated) else _guess(items)
    blocks = _translated(message, items, provider)
    return [_with_source(block) if block["type"] in MEDIA else block for block in blocks]


def _known(item: Any) -> Block:
    if isinstance(item, dict) and item.get("type") in KNOWN_BLOCK_TYPES:
        return item
    return {"type": "non_standard", "value": item}


def _guess(items: list[Any]) -> str | None:
    for item in items:
        if isinstance(item, dict):
            kind = item.get("type")
            if kind == "function_call" and "arguments" not in item:
                return "google_genai"
            if kind == "reasoning" and "summary" in item:
                return "openai"
            if kind in _PROVIDERS:
                return _PROVIDERS[str(kind)]
    return None


def _translated(message: AIMessage, items: list[Any], provider: str | None) -> list[Block]:
    metadata = {**message.response_metadata, "model_provider": provider}
    # `function_call_signature` is no content: `_add_signatures` reads it from the message itself.
    items = [item for item in items if item.get("type") != "function_call_signature"]
    copy = message.model_copy(update={"content": items, "response_metadata": metadata})
    try:
        blocks = copy.content_blocks if provider else BaseMessage.content_blocks.fget(copy)  # type: ignore[attr-defined]
    except _ODD:
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
            seen.add(block.get("id") or _likeness(block))
    missing = (c for c in message.tool_calls if (c.get("id") or _likeness(c)) not in seen)
    blocks.extend(_call(call) for call in missing)
    bad = (call for call in message.invalid_tool_calls if (call.get("id") or _likeness(call)) not in seen)
    blocks.extend({**call, "type": "invalid_tool_call"} for call in bad)
    legacy = message.additional_kwargs.get("function_call")
    if isinstance(legacy, dict) and legacy.get("name") and not message.tool_calls:
        args = arguments(legacy.get("arguments"))
        blocks.append({"type": "tool_call", "id": None, "name": legacy["name"], "args": args or {}})


_CALLS = frozenset({"tool_call", "invalid_tool_call", "tool_call_chunk"})


def _call(call: Mapping[str, Any]) -> Block:
    extras = {"extras": call["extras"]} if call.get("extras") else {}
    return {"type": "tool_call", "id": call.get("id"), "name": call["name"], "args": call["args"], **extras}


def _likeness(call: Mapping[str, Any]) -> str:
    return f"{call.get('name')}:{call.get('args')}"


def arguments(args: Any) -> dict[str, Any] | None:
    """Return a tool call's arguments as an object, or None if they are not one."""
    if isinstance(args, str):
        try:
            args = json.loads(args or "{}")
        except ValueError:
            return None
    return args if isinstance(args, dict) else None


def _add_signatures(blocks: list[Block], message: AIMessage, by_id: Mapping[Any, Any]) -> None:
    by_place = _sidecars(message.content)
    if not by_id and not by_place:
        return
    places = [n for n, block in enumerate(blocks) if block["type"] == "tool_call"]
    for order, place in enumerate(places):
        block = blocks[place]
        signature = by_id.get(block.get("id")) or by_place.get(order)
        if signature and not (block.get("extras") or {}).get("signature"):
            signed = {**(block.get("extras") or {}), "signature": _as_base64(signature)}
            blocks[place] = {**block, "extras": signed}


def _sidecars(content: str | list[Any]) -> dict[int, Any]:
    if isinstance(content, str):
        return {}
    found: dict[int, Any] = {}
    for item in content:
        if isinstance(item, dict) and item.get("type") == "function_call_signature" and item.get("signature"):
            index = item.get("index", len(found))
            found[index if isinstance(index, int) else len(found)] = item["signature"]
    return found


def readable_text(output: Any) -> str:
    """Return the readable text in a server tool's result, without its opaque parts."""
    return "\n".join(dict.fromkeys(line for line in _lines(output) if line.strip()))


_TEXT_FIELDS = (
    "title",
    "url",
    "text",
    "content",
    "output",
    "stdout",
    "stderr",
    "result",
    "snippet",
    "sources",
)


def _lines(output: Any) -> Iterator[str]:
    if isinstance(output, str):
        yield output
    elif isinstance(output, list):
        for item in output:
            yield from _lines(item)
    elif isinstance(output, dict):
        for key in _TEXT_FIELDS:
            if key in output:
                yield from _lines(output[key])
