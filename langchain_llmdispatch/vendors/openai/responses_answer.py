"""From a response of OpenAI's Responses API to a message.

The content is the list of output items in the shape that langchain-openai calls `responses/v1`, which
LangChain's `openai` block translator reads; it is a list for plain text too, as in streams, which begin
before the whole answer is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage

from langchain_llmdispatch.errors import MalformedResponseError
from langchain_llmdispatch.internal.json_format import dump_json, part_of
from langchain_llmdispatch.vendors.answer import CallIds, ToolCalls, made_id, model_of, text_of
from langchain_llmdispatch.vendors.argument_text import arguments_of
from langchain_llmdispatch.vendors.base import ErrorBody
from langchain_llmdispatch.vendors.finish_reasons import ending, ending_of
from langchain_llmdispatch.vendors.openai.background import AHEAD
from langchain_llmdispatch.vendors.openai.billing import SERVER_TOOLS, stated_cost, tool_counts
from langchain_llmdispatch.vendors.server_state import HOST, digest, host_of
from langchain_llmdispatch.vendors.usage import usage_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.vendors.errors import ErrorContext

_UNFINISHED = AHEAD | {"cancelled", "failed"}
"""Statuses without an answer; an unknown one is an end, as in chat completions."""
_KEPT = (
    "id",
    "service_tier",
    "incomplete_details",
    "conversation",
    "previous_response_id",
    "content_filters",  # Azure
)
_RAW = {"kind": "reasoning_text"}


def response_message(context: ErrorContext, reply: Mapping[str, Any]) -> AIMessage:
    """Return the message in a finished response; with `background` one that is queued has its id and status.

    Raises:
        MalformedResponseError: It has no output, or is not finished.
    """
    output, status = reply.get("output"), reply.get("status")
    background = status in AHEAD and context.call.extra.get("background") is True and bool(reply.get("id"))
    output = [] if background and output is None else output
    if not isinstance(output, list) or (status in _UNFINISHED and not background):
        text = f"the response is not finished: {status or 'no output'}"
        raise context.error(MalformedResponseError, ErrorBody(text, code=str(status or "")))
    call = context.call
    items = list(_identified(output, reply.get("id")))
    calls = _calls(items, call.tool_names)
    metadata = response_metadata(context, reply, calls=bool(calls))
    if logprobs := [entry for item in items for entry in _logprobs(item)]:
        metadata["logprobs"] = {"content": logprobs}
    return AIMessage(
        content=[block for item in items for block in item_blocks(item, call.tool_names)],
        tool_calls=calls.valid,
        invalid_tool_calls=calls.invalid,
        usage_metadata=response_usage(reply.get("usage")),
        response_metadata=metadata,
    )


def response_metadata(context: ErrorContext, reply: Mapping[str, Any], *, calls: bool) -> dict[str, Any]:
    """Return the response metadata.

    Raises:
        MalformedResponseError: The answer failed on the way.
    """
    call = context.call
    host = digest(host_of(call.endpoint.base_url)) if context.vendor.history.only_recorded else None
    return {
        "model_provider": "openai",
        "model_name": model_of(reply, call.model),
        **_ending(reply, calls=calls),
        **{name: reply[name] for name in _KEPT if reply.get(name)},
        **({SERVER_TOOLS: tools} if (tools := tool_counts(reply)) else {}),
        **stated_cost(reply.get("usage")),
        **({HOST: host} if host else {}),
        **({"status": reply["status"]} if reply.get("status") in AHEAD else {}),
    }


def _ending(reply: Mapping[str, Any], *, calls: bool) -> dict[str, Any]:
    """Return the facts of a response's end: the word is the reason why it is incomplete, or its status."""
    status = reply.get("status")
    if status != "incomplete":
        facts = ending(status or "completed", calls=calls)
        return facts | {"normalized_finish_reason": "refusal"} if _is_refused(reply) else facts
    why = (reply.get("incomplete_details") or {}).get("reason") or status
    facts = ending(why)
    cut = ending_of(why) in {None, "stop", "tool_call"}
    return facts | {"normalized_finish_reason": "length"} if cut else facts


def _is_refused(reply: Mapping[str, Any]) -> bool:
    items = (item for item in reply.get("output") or () if isinstance(item, Mapping))
    parts = (part for item in items if item.get("type") == "message" for part in item.get("content") or ())
    return any(part.get("type") == "refusal" for part in parts if isinstance(part, Mapping))


def response_usage(usage: Any) -> UsageMetadata | None:
    """Return a response's usage in LangChain's terms, or None if it does not count both sides."""
    if not isinstance(usage, Mapping):
        return None
    inputs, outputs = part_of(usage, "input_tokens_details"), part_of(usage, "output_tokens_details")
    return usage_of(
        usage.get("input_tokens"),
        usage.get("output_tokens"),
        usage.get("total_tokens"),
        inputs={
            "cache_read": inputs.get("cached_tokens"),
            "cache_creation": inputs.get("cache_write_tokens"),
        },
        outputs={"reasoning": outputs.get("reasoning_tokens")},
    )


# -- items ---------------------------------------------------------------------------------------------

CALLS = frozenset({"function_call", "custom_tool_call"})
"""Items that are calls of the caller's tools."""


def call_id_of(item: Mapping[str, Any], ids: CallIds, answer_id: Any, number: int) -> str:
    """Return the id of a call, which is its own though the server left it out or repeated one."""
    return ids.own(str(item.get("call_id") or item.get("id") or made_id(answer_id, number)))


def _identified(output: list[Any], answer_id: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the items, each call with an id of its own."""
    ids = CallIds()
    for number, item in enumerate(output):
        if isinstance(item, Mapping):
            known = item.get("type") in CALLS
            yield {**item, "call_id": call_id_of(item, ids, answer_id, number)} if known else item


def item_blocks(item: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the content blocks of an item: one for each part that holds something, or the item itself."""
    if item.get("type") == "message":
        return [block for part in item.get("content") or () if (block := part_block(part, item))]
    if item.get("type") == "reasoning":
        return thought_blocks(item)
    return [whole_block(item, names)]


def part_block(part: Mapping[str, Any], item: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a part of a message as a block, or None if it is empty."""
    if part.get("type") == "refusal":
        block = {"type": "refusal", "refusal": part.get("refusal") or ""}
    elif part.get("type") == "output_text":
        block = {"type": "text", "text": part.get("text") or ""}
        if notes := part.get("annotations"):
            block["annotations"] = [annotation_block(note) for note in notes]
    else:
        return None
    filled = any(block.get(name) for name in ("text", "refusal", "annotations"))
    return {**block, **message_marks(item)} if filled else None


def message_marks(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the parts of a message item share: its id, and whether it is commentary or the answer."""
    return {name: item[name] for name in ("id", "phase") if item.get(name)}


def annotation_block(note: Mapping[str, Any]) -> dict[str, Any]:
    """Return a citation; LangChain keeps the key `index` for itself, to merge chunks by.

    Raises:
        TypeError: It is no object, or its type is no text.
    """
    block, kind = dict(note), text_of(note.get("type", ""))
    if kind == "file_citation" and "index" in block:
        block["file_index"] = block.pop("index")
    if kind == "url_citation":
        block.setdefault("url", "")  # the translator takes it for granted
    return block


def whole_block(item: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return any other item as a block: as it came, without what is null."""
    block = {name: value for name, value in item.items() if value is not None}
    if text_of(block.get("type", "")) == "function_call":
        block["name"] = names.get(block.get("name", ""), block.get("name"))
        block.pop("status", None)
    return block


def thought_blocks(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a reasoning item as blocks: one for each piece of raw text, and the item with its summary.

    LangChain's translator shows a summary only. Raw text, which open models send, is given as its own kind of
    block, and is marked so that it goes back as what it was.
    """
    # A stream does not give the status in full; an empty `content` is refused when it goes back.
    marks = {name: value for name, value in item.items() if value is not None and name != "status"}
    summary = [dict(part) for part in marks.pop("summary", None) or ()]
    raw = [text for part in marks.pop("content", None) or () if (text := part.get("text"))]
    if not raw:
        return [{**marks, "summary": summary}]
    blocks = [raw_thought(text, item.get("id")) for text in raw]
    blocks[0] |= marks
    if summary:
        blocks.append({"type": "reasoning", **thought_marks(item.get("id")), "summary": summary})
    return blocks


def raw_thought(text: str, identity: Any) -> dict[str, Any]:
    """Return raw reasoning text as a block."""
    return {"type": "reasoning", **thought_marks(identity), "reasoning": text, "extras": dict(_RAW)}


def thought_marks(identity: Any) -> dict[str, Any]:
    """Return what the blocks of one reasoning item share."""
    return {"id": identity} if identity else {}


def _calls(items: list[Mapping[str, Any]], names: Mapping[str, str]) -> ToolCalls:
    calls = ToolCalls(names)
    for item in items:
        if item.get("type") == "function_call":
            text = item.get("arguments") or ""
        elif item.get("type") == "custom_tool_call":
            text = custom_arguments(item)
        else:
            continue
        args = arguments_of(text)
        calls.add(item.get("name"), text if args is None else args, item["call_id"])
    return calls


def custom_arguments(item: Mapping[str, Any]) -> str:
    """Return a free-text tool's input as the arguments that LangChain gives such tools."""
    return dump_json({"__arg1": item.get("input", "")}).decode()


def _logprobs(item: Mapping[str, Any]) -> list[Any]:
    parts = (item.get("content") or ()) if item.get("type") == "message" else ()
    return [entry for part in parts for entry in part.get("logprobs") or ()]
