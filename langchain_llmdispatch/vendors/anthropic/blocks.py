"""LangChain's v1 content blocks as Anthropic's: what goes into a request's turns.

Blocks that are Anthropic's own already (thinking, `server_tool_use`, a document with its `source`) pass
verbatim, so that signatures and encrypted results return byte for byte.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.errors import UnsupportedFeatureError
from langchain_llmdispatch.internal.json_format import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Block = dict[str, Any]

_MEDIA_FIELDS = ("cache_control", "citations", "title", "context")
_PDF = "application/pdf"


def _extra(block: Mapping[str, Any], name: str) -> Any:
    value = block.get(name)
    return value if value is not None else (block.get("extras") or {}).get(name)


def _with(out: Block, block: Mapping[str, Any], names: Iterable[str]) -> Block:
    for name in names:
        value = _extra(block, name)
        if value is not None:
            out[name] = value
    return out


def input_block(block: Mapping[str, Any]) -> Block:
    """Return a block of a user's, system's or tool's turn."""
    if "source" in block:
        return _verbatim(block)
    return _INPUT.get(block["type"], _verbatim)(block)


def output_block(block: Mapping[str, Any]) -> Block | None:
    """Return a block of an assistant's turn, or None if it has no place there."""
    return _OUTPUT.get(block["type"], _verbatim)(block)


def tool_use(call: Mapping[str, Any]) -> Block:
    """Return a LangChain tool call, or a `tool_call` block, as a `tool_use` block."""
    out = {"type": "tool_use", "id": call["id"], "name": call["name"], "input": call["args"] or {}}
    return _with(out, call, ("caller", "toolset_name", "cache_control"))


def _verbatim(block: Mapping[str, Any]) -> Block:
    # `index` is LangChain's mark for merging a stream, never a field of a request.
    return {name: value for name, value in block.items() if name != "index"}


def _value(block: Mapping[str, Any]) -> Block:
    return _verbatim(block["value"])


# -- text and media ----------------------------------------------------------------------------------


def _text(block: Mapping[str, Any]) -> Block:
    return _with({"type": "text", "text": block.get("text") or ""}, block, ("cache_control",))


def _source(block: Mapping[str, Any], mime_type: str) -> Block:
    url = block.get("url")
    if url and url.startswith("data:"):
        head, _, data = url.partition(",")
        mime_type = head[len("data:") :].partition(";")[0] or mime_type
        return {"type": "base64", "media_type": mime_type, "data": data}
    if url:
        return {"type": "url", "url": url}
    if block.get("file_id"):
        return {"type": "file", "file_id": block["file_id"]}
    return {"type": "base64", "media_type": block.get("mime_type") or mime_type, "data": block["base64"]}


def _image(block: Mapping[str, Any]) -> Block:
    out = {"type": "image", "source": _source(block, "image/png")}
    return _with(out, block, ("cache_control",))


def _document(block: Mapping[str, Any]) -> Block:
    source = _source(block, _PDF)
    if source["type"] == "base64" and source["media_type"].startswith("text/"):
        source = _text_source(source)
    return _with({"type": "document", "source": source}, block, _MEDIA_FIELDS)


def _text_source(source: Block) -> Block:
    # Only PDF goes as base64; text goes as text, and the API takes no other text type.
    try:
        text = base64.b64decode(source["data"]).decode()
    except (binascii.Error, UnicodeDecodeError):
        return source
    return {"type": "text", "media_type": "text/plain", "data": text}


def _plain_text(block: Mapping[str, Any]) -> Block:
    if block.get("text") is None:
        return _document(block)
    source = {"type": "text", "media_type": "text/plain", "data": block["text"]}
    return _with({"type": "document", "source": source}, block, _MEDIA_FIELDS)


# -- the assistant's turn ----------------------------------------------------------------------------


def _cited_text(block: Mapping[str, Any]) -> Block:
    out = _text(block)
    # v1 blocks have `annotations`, Anthropic's own `citations`.
    cited = block.get("citations") or [_citation(note) for note in block.get("annotations") or ()]
    return {**out, "citations": cited} if cited else out


def _citation(note: Mapping[str, Any]) -> Block:
    """Undo what LangChain's translator makes of an Anthropic citation."""
    if note["type"] != "citation":
        return dict(note["value"])
    extras = note.get("extras") or {}
    kind, title = next(
        ((kind, title) for mark, kind, title in _CITATIONS if mark in extras),
        ("web_search_result_location", "title"),
    )
    out: Block = {"type": kind, **extras}
    if note.get("cited_text") is not None:
        out["cited_text"] = note["cited_text"]
    if note.get("url") is not None:
        out["url"] = note["url"]
    if "title" in note:
        out[title] = note["title"]
    return out


# The field that only one kind of location has, the kind, and what it calls a title. Search results come
# first, since they have block indices as well.
_CITATIONS = (
    ("search_result_index", "search_result_location", "title"),
    ("start_char_index", "char_location", "document_title"),
    ("start_page_number", "page_location", "document_title"),
    ("start_block_index", "content_block_location", "document_title"),
)


def _thinking(block: Mapping[str, Any]) -> Block | None:
    signature = _extra(block, "signature")
    if signature is None:
        # The API refuses unsigned thinking; the history compiler keeps only signed ones.
        return None
    return {"type": "thinking", "thinking": block.get("reasoning") or "", "signature": signature}


def _native_tool_use(block: Mapping[str, Any]) -> Block:
    # A streamed v0 message holds the input as the text that came, beside an empty `input`.
    out = {k: v for k, v in block.items() if k not in {"index", "partial_json"}}
    if not out.get("input") and block.get("partial_json"):
        out["input"] = parse_json(block["partial_json"])
    return out


def _server_tool_use(block: Mapping[str, Any]) -> Block:
    extras = dict(block.get("extras") or {})
    out: Block = {"type": "server_tool_use", "id": block["id"]}
    if block["name"] == "remote_mcp":
        out |= {"type": "mcp_tool_use", "name": extras.pop("tool_name", "")}
    else:
        out["name"] = "code_execution" if block["name"] == "code_interpreter" else block["name"]
    return {**out, "input": block.get("args") or {}, **extras}


def _server_tool_result(block: Mapping[str, Any]) -> Block:
    extras = dict(block.get("extras") or {})
    kind = extras.pop("block_type", None)
    if not isinstance(kind, str):
        raise UnsupportedFeatureError("a server_tool_result without extras.block_type", vendor="anthropic")
    out = {"type": kind, "tool_use_id": block["tool_call_id"], "content": block.get("output") or []}
    if kind == "mcp_tool_result":
        out["is_error"] = block.get("status") == "error"
    return {**out, **extras}


_INPUT: Mapping[str, Callable[[Mapping[str, Any]], Block]] = {
    "text": _text,
    "image": _image,
    "file": _document,
    "text-plain": _plain_text,
    "non_standard": _value,
}
_OUTPUT: Mapping[str, Callable[[Mapping[str, Any]], Block | None]] = {
    "text": _cited_text,
    "reasoning": _thinking,
    "tool_call": tool_use,
    "tool_use": _native_tool_use,
    "server_tool_use": _native_tool_use,
    "mcp_tool_use": _native_tool_use,
    "server_tool_call": _server_tool_use,
    "server_tool_result": _server_tool_result,
    "non_standard": _value,
    # The API has no input form of these.
    "refusal": lambda _: None,
    "invalid_tool_call": lambda _: None,
}
