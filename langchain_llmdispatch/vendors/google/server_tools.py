"""What Google's own tools did, as LangChain's standard blocks.

LangChain's translator for Gemini reads code execution only, and hangs citations on text. So the answers to
requests with tools that Google runs hold standard blocks from the start (`output_version` is `v1`):

    in the answer                          blocks
    -------------------------------------  -------------------------------------------------------------
    `toolCall`, `toolResponse` (Gemini 3)  a call and its result, which go back to Gemini as they were
    grounding with search queries          the call `web_search` and its sources; Gemini has no part for it
    `urlContextMetadata`                   the call `web_fetch` and its URLs; no part either
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_llmdispatch.vendors.google.contents import NATIVE
from langchain_llmdispatch.vendors.history.answer_blocks import SIGNATURES
from langchain_llmdispatch.vendors.history.blocks import without_made_up_id

Block = dict[str, Any]
Message = TypeVar("Message", bound=AIMessage)

_NAMES = {
    "GOOGLE_SEARCH_WEB": "web_search",
    "GOOGLE_SEARCH_IMAGE": "image_search",
    "URL_CONTEXT": "web_fetch",
    "GOOGLE_MAPS": "google_maps",
    "FILE_SEARCH": "file_search",
}
_FETCHED = "URL_RETRIEVAL_STATUS_SUCCESS"


def name_of(part: Mapping[str, Any]) -> str:
    """Return the standard name of the tool in a `toolCall` or `toolResponse` part; empty for other parts."""
    inner = part.get("toolCall") or part.get("toolResponse")
    kind = str(inner.get("toolType") or "MEDIA_PROCESSING") if isinstance(inner, Mapping) else ""
    return _NAMES.get(kind, kind.lower())


def standardised(message: Message, ran: Collection[str] = ()) -> Message:
    """Return a message, or a chunk of one, with standard blocks as its content.

    Args:
        message: The message; its content is replaced.
        ran: Names of the tools that the answer shows in parts of its own.
    """
    signatures = message.additional_kwargs.get(SIGNATURES) or {}
    blocks = [_cited(_signed(_server_block(dict(b)), signatures)) for b in message.content_blocks]
    if isinstance(message, AIMessageChunk):
        # Calls in pieces merge by text; LangChain makes calls of them at the end.
        blocks = [block for block in blocks if block["type"] != "tool_call"]
        blocks += [{**chunk, "index": f"lc_tc_{chunk['index']}"} for chunk in message.tool_call_chunks]
    message.content = [*blocks, *_reported(message.response_metadata, ran)]
    message.response_metadata["output_version"] = "v1"
    return message


def _signed(block: Block, signatures: Mapping[Any, str]) -> Block:
    if block["type"] != "server_tool_call" or not (signature := signatures.get(block.get("id"))):
        return block
    return {**block, "extras": {**(block.get("extras") or {}), "signature": signature}}


def _cited(block: Block) -> Block:
    """Return a block whose citations have no random ids: one answer decodes to one message."""
    notes = block.get("annotations")
    return {**block, "annotations": [*map(without_made_up_id, notes)]} if notes else block


def _server_block(block: Block) -> Block:
    """Return the block of a call or result that Gemini shows; any other block is returned as it is."""
    value = block.get("value")
    if not isinstance(value, Mapping) or value.get("type") != NATIVE or not (name := name_of(value["part"])):
        return block
    part = value["part"]
    called, answered = part.get("toolCall") or {}, part.get("toolResponse") or {}
    extras = {
        "tool_type": (called or answered).get("toolType"),
        "block_type": "tool_call" if called else "tool_response",
    }
    if signature := part.get("thoughtSignature"):
        extras["signature"] = signature
    index = {"index": block["index"]} if "index" in block else {}
    if called:
        own = {"id": str(called.get("id") or ""), "name": name, "args": called.get("args") or {}}
        return {"type": "server_tool_call", **own, "extras": extras, **index}
    result: Block = {"type": "server_tool_result", "tool_call_id": str(answered.get("id") or "")}
    if output := answered.get("response"):
        result["output"] = output
    return {**result, "status": "success", "extras": extras, **index}


def _reported(metadata: Mapping[str, Any], ran: Collection[str]) -> Iterator[Block]:
    """Yield calls and results that the answer reports beside its content only."""
    answer = metadata.get("id") or "answer"
    grounding = metadata.get("grounding_metadata") or {}
    if "web_search" not in ran and (queries := grounding.get("web_search_queries")):
        chunks = [chunk.get("web") or {} for chunk in grounding.get("grounding_chunks") or ()]
        sources = [{"url": web.get("uri"), "title": web.get("title")} for web in chunks if web]
        yield from _pair("web_search", f"{answer}_search", {"queries": queries}, {"sources": sources})
    pages = (metadata.get("url_context_metadata") or {}).get("url_metadata")
    if "web_fetch" not in ran and pages:
        got = [
            {"url": page.get("retrieved_url"), "status": page.get("url_retrieval_status")} for page in pages
        ]
        urls = {"urls": [page["url"] for page in got]}
        failed = all(page["status"] != _FETCHED for page in got)
        yield from _pair("web_fetch", f"{answer}_fetch", urls, {"sources": got}, failed=failed)


def _pair(
    name: str, identity: str, args: Block, output: Block, *, failed: bool = False
) -> tuple[Block, Block]:
    call = {"type": "server_tool_call", "id": identity, "name": name, "args": args}
    status = "error" if failed else "success"
    return call, {"type": "server_tool_result", "tool_call_id": identity, "status": status, "output": output}
