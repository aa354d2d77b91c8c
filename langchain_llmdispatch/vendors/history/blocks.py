"""Reading the content of user, system and tool messages into v1 standard blocks.

No target's rules are applied here: the many forms of blocks (v0 forms of every vendor, OpenAI's, Anthropic's,
Gemini's and Bedrock's input blocks, v1) become one. Input is never mutated; a block that needs no change is
passed on as the same object.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from langchain_core.messages import HumanMessage

from langchain_llmdispatch.vendors.history.block_faults import SOURCES, with_fault
from langchain_llmdispatch.vendors.history.media_types import MEDIA, shown_type, standard_type

Block: TypeAlias = dict[str, Any]

SOURCED = MEDIA | {"text-plain"}
ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What LangChain's translators raise on blocks that they do not expect."""
_DATA_URL = re.compile(r"data:([^,]*?)(;\s*base64)?,(.*)", re.DOTALL | re.IGNORECASE)


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
    return [with_fault(block, place) for place, item in enumerate(content) for block in _input(item)]


def _input(item: Any) -> Iterator[Block]:
    if isinstance(item, str):
        yield text_block(item)
    elif not isinstance(item, dict):
        yield text_block(str(item))
    elif _stays(item):
        yield item
    elif item.get("type") == "non_standard":
        yield from _vendor_input(item["value"])
    elif _is_v1_media(item):
        yield with_source(item)
    else:
        yield from _vendor_input(item)


def _stays(item: Block) -> bool:
    """Whether a block has its form already, or one that cannot be read at all."""
    kind, inner = item.get("type", ""), item.get("value")
    if kind == "non_standard":
        return "vendor" in item or not isinstance(inner, dict) or not isinstance(inner.get("type", ""), str)
    return not isinstance(kind, str) or (kind == "text" and isinstance(item.get("text"), str))


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
        # No text is blank text.
        yield text_block("") if item.get("text") is None and item["type"] == "text" else item
        return
    if item.get("type") == "non_standard" or not item:
        yield item or {"type": "non_standard", "value": item}
        return
    try:
        blocks = HumanMessage(content=[item]).content_blocks
    except ODD:
        blocks = [{"type": "non_standard", "value": item}]
    for block in blocks:
        plain = without_made_up_id(dict(block))
        yield with_source(plain) if plain["type"] in SOURCED else plain


def _tried(form: Callable[[Block], Block], item: Block) -> Block:
    try:
        return form(item)
    except ODD:
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


def _linked_media(item: Block) -> Block:
    # As vLLM, Qwen's and others' servers take it, in OpenAI's manner.
    kind = item["type"].removesuffix("_url")
    url = item[item["type"]]
    return {"type": kind, "url": url["url"] if isinstance(url, dict) else url}


def _gemini_media(item: Block) -> Block:
    mime = item.get("mime_type") or ""
    source = {"base64": as_base64(item["data"])} if "data" in item else {"url": item["file_uri"]}
    tuning = {name: item[name] for name in _TUNING if item.get(name) is not None}
    extras = {"extras": {**(item.get("extras") or {}), **tuning}} if tuning or item.get("extras") else {}
    return {"type": "file", "mime_type": mime, **source, **extras}


_TUNING = ("video_metadata", "videoMetadata", "media_resolution", "mediaResolution")
_V1_FORMS: Mapping[str, Callable[[Block], Block]] = {
    "image_url": _image_url,
    "input_text": lambda item: text_block(item["text"]),
    "output_text": lambda item: text_block(item["text"]),
    "input_image": _input_image,
    "input_file": _input_file,
    "media": _gemini_media,
    "video_url": _linked_media,
    "audio_url": _linked_media,
}


def as_base64(data: Any) -> str:
    """Return base64 text of bytes; text is base64 already."""
    return base64.b64encode(data).decode() if isinstance(data, bytes) else str(data)


_MIME_TYPES = {"image": "image", "audio": "audio", "video": "video"}


def with_source(block: Block) -> Block:
    """Return a media block whose source is where v1 has it, and whose type is that of its MIME type."""
    if block["type"] == "text-plain" and not isinstance(block.get("text"), str):
        block = {"mime_type": "text/plain", **without(block, "text"), "type": "file"}
    if not any(block.get(key) for key in SOURCES) and block.get("id"):
        # LangChain's reader of Anthropic's `file` source puts the file's id there.
        block = {**without(block, "id"), "file_id": block["id"]}
    url = block.get("url")
    if isinstance(url, str) and (found := _DATA_URL.match(url)):
        mime = block.get("mime_type") or found[1]
        data = found[3] if found[2] else as_base64(unquote_to_bytes(found[3]))
        block = {**without(block, "url"), "base64": data, **({"mime_type": mime} if mime else {})}
    if isinstance(block.get("base64"), bytes):
        block = {**block, "base64": as_base64(block["base64"])}
    return _with_true_type(_with_standard_type(block))


def _with_standard_type(block: Block) -> Block:
    data, mime = block.get("base64"), block.get("mime_type")
    if isinstance(data, str) and any(map(str.isspace, data)):
        data = "".join(data.split())
        block = {**block, "base64": data}
    spelled = standard_type(mime) if isinstance(mime, str) and mime else mime
    if isinstance(data, str) and not spelled and block["type"] == "image":
        spelled = shown_type(data)
    return block if spelled == mime else {**block, "mime_type": spelled}


def _with_true_type(block: Block) -> Block:
    if block["type"] != "file":
        return block
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
    if mime and mime != "application/pdf" and not block.get("file_id"):
        return ("file",)
    # Without a MIME type a file is taken for what it nearly always is.
    return ("pdf_url",) if block.get("url") else ("pdf", "file")


# -- text in what vendors return -----------------------------------------------------------------


def readable_text(output: Any) -> str:
    """Return the readable text in a server tool's result, without its opaque parts."""
    return "\n".join(dict.fromkeys(line for line in _lines(output) if line.strip()))


_TEXT_FIELDS = (
    "title", "url", "text", "content", "output", "stdout", "stderr", "result", "snippet", "sources",
)  # fmt: skip


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
