"""From the compiled history to the input items of OpenAI's Responses API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage

from langchain_llmdispatch.internal.json_format import dump_json
from langchain_llmdispatch.vendors.history.blocks import readable_text
from langchain_llmdispatch.vendors.history.owners import OPENAI_ITEMS
from langchain_llmdispatch.vendors.history.threads import folded
from langchain_llmdispatch.vendors.openai.chat_request import Json, arguments_of, blocks_of
from langchain_llmdispatch.vendors.openai.parts import data_url, extra_of, file_of, input_audio, part_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def input_items(
    messages: Sequence[BaseMessage], *, stored: bool, reasons: bool = True, after: str = ""
) -> list[Json]:
    """Return the conversation as input items.

    Args:
        messages: The compiled history.
        stored: Whether the vendor keeps earlier items, so that they may be named by id alone.
        reasons: Whether the model takes reasoning items; a model that does not reason refuses them.
        after: The id of a stored answer; only what follows it is returned.
    """
    if after:
        return [*_after(None, messages, stored, reasons, after)[0]]
    return [*folded(_after, messages, stored, reasons)[0]]


Items: TypeAlias = tuple[tuple[Json, ...], frozenset[str]]
"""Items, and the ids of calls of custom tools."""


def _after(
    state: Items | None,
    messages: Sequence[BaseMessage],
    stored: bool,
    reasons: bool,
    after: str = "",
) -> Items:
    known, calls = state or ((), frozenset())
    items, custom = [*known], {*calls}
    for message in messages:
        if isinstance(message, AIMessage):
            own = _complete(_assistant(message, stored=stored), reasons=reasons)
            custom.update(item["call_id"] for item in own if item["type"] == "custom_tool_call")
            items += own
            if after and message.response_metadata.get("id") == after:
                items = []
        elif isinstance(message, ToolMessage):
            items.append(_tool_result(message, custom=message.tool_call_id in custom))
        else:
            items += _input(message)
    return tuple(items), frozenset(custom)


def only_here(content: Sequence[Any]) -> bool:
    """Return whether a content holds what chat completions have no form for, and this API has."""
    return any(isinstance(block, dict) and _is_only_here(block) for block in content)


def _is_only_here(block: Json) -> bool:
    kind = block.get("type")
    linked = kind == "file" and bool(block.get("url"))
    return linked or (kind == "image" and bool(block.get("file_id"))) or _is_item(block)


def _is_item(block: Json) -> bool:
    value = block.get("value") if block.get("type") == "non_standard" else None
    return isinstance(value, dict) and value.get("type") in OPENAI_ITEMS


def _input(message: BaseMessage) -> list[Json]:
    """Return a user's or system message as items: those that users put among its blocks come before it."""
    role = "system" if isinstance(message, SystemMessage) else "user"
    if isinstance(message.content, str):
        return [{"type": "message", "role": role, "content": message.content}]
    blocks = blocks_of(message)
    items = [dict(block["value"]) for block in blocks if _is_item(block)]
    content = [_part(block) for block in blocks if not _is_item(block)]
    return [*items, {"type": "message", "role": role, "content": content}] if content else items


def _complete(items: Iterable[Json], *, reasons: bool) -> list[Json]:
    """Return the items of a turn without reasoning that nothing follows, which the vendor refuses."""
    kept = [item for item in items if reasons or item["type"] != "reasoning"]
    while kept and kept[-1]["type"] == "reasoning":
        kept.pop()
    return kept


def _content(message: BaseMessage) -> str | list[Json]:
    if isinstance(message.content, str):
        return message.content
    return [_part(block) for block in blocks_of(message)]


def _tool_result(message: ToolMessage, *, custom: bool) -> Json:
    if isinstance(message.content, list) and (own := next(filter(_is_item, blocks_of(message)), None)):
        return {"call_id": message.tool_call_id, **own["value"]}
    kind = "custom_tool_call_output" if custom else "function_call_output"
    return {"type": kind, "call_id": message.tool_call_id, "output": _content(message)}


# -- parts ---------------------------------------------------------------------------------------------


def _part(block: Json) -> Json:
    return part_by(_PARTS, block, "the Responses API takes")


def _text(block: Json) -> Json:
    part: Json = {"type": "input_text", "text": block.get("text", "")}
    if (mark := extra_of(block, "prompt_cache_breakpoint")) is not None:
        part["prompt_cache_breakpoint"] = mark
    return part


def _image(block: Json) -> Json:
    source = {"file_id": block["file_id"]} if block.get("file_id") else {"image_url": data_url(block)}
    # The vendor's own default, which older servers of this API insist on.
    return {"type": "input_image", "detail": extra_of(block, "detail") or "auto", **source}


def _file(block: Json) -> Json:
    source = {"file_url": block["url"]} if block.get("url") else file_of(block)
    return {"type": "input_file", **source}


_PARTS: dict[str, Callable[[Json], Json]] = {
    "text": _text,
    "text-plain": _text,
    "image": _image,
    "audio": input_audio,
    "file": _file,
    "non_standard": lambda block: dict(block["value"]),
}


# -- the assistant's items -----------------------------------------------------------------------------


def _assistant(message: AIMessage, *, stored: bool) -> Iterator[Json]:
    blocks = [{"type": "text", "text": message.content}] if isinstance(message.content, str) else None
    blocks = [block for block in blocks if block["text"]] if blocks else blocks_of(message)
    own = [_own(block) for block in blocks if block["type"] == "non_standard"]
    done = {item.get("call_id") for item in own}  # custom calls are items of their own and tool calls too
    at = 0
    while at < len(blocks):
        block = blocks[at]
        group = _group(blocks, at)
        at += len(group)
        if block["type"] == "tool_call":
            if block["id"] not in done:
                done.add(block["id"])
                yield _call(block)
        elif build := _ITEMS.get(block["type"]):
            item = build(group)
            if item and (stored or _stands_alone(item)):
                yield item
    for call in message.tool_calls:
        if call["id"] not in done:
            yield _call(dict(call))


def _group(blocks: Sequence[Json], start: int) -> list[Json]:
    """Return the blocks from `start` on that were one item, such as a call and its result."""
    first = blocks[start]
    end = start + 1
    while end < len(blocks) and _belongs(first, blocks[end]):
        end += 1
    return list(blocks[start:end])


def _belongs(first: Json, other: Json) -> bool:
    if first["type"] == "server_tool_call":
        return other["type"] == "server_tool_result" and other.get("tool_call_id") == first.get("id")
    same_kind = first["type"] == other["type"] and first["type"] in {"text", "reasoning"}
    return same_kind and first.get("id") is not None and first.get("id") == other.get("id")


def _stands_alone(item: Json) -> bool:
    # Without a store an item's id leads nowhere: reasoning must bring its ciphertext.
    return item["type"] != "reasoning" or bool(item.get("encrypted_content"))


def _call(block: Json) -> Json:
    item = {
        "type": "function_call",
        "call_id": block["id"],
        "name": block["name"],
        "arguments": arguments_of(block),
    }
    if namespace := extra_of(block, "namespace"):
        item["namespace"] = namespace
    return item


def _message(group: list[Json]) -> Json:
    content = [{"type": "output_text", "text": block["text"], "annotations": []} for block in group]
    item: Json = {"type": "message", "role": "assistant", "content": content}
    if phase := extra_of(group[0], "phase"):
        item["phase"] = phase
    return item


def _reasoning(group: list[Json]) -> Json:
    item: Json = {"type": "reasoning"}
    if identity := group[0].get("id"):
        item["id"] = identity
    filled = [block for block in group if block.get("reasoning")]
    raw = [block for block in filled if extra_of(block, "kind") == "reasoning_text"]
    item["summary"] = [
        {"type": "summary_text", "text": block["reasoning"]} for block in filled if block not in raw
    ]
    if raw:
        item["content"] = [{"type": "reasoning_text", "text": block["reasoning"]} for block in raw]
    if cipher := next((c for block in group if (c := extra_of(block, "encrypted_content"))), None):
        item["encrypted_content"] = cipher
    return item


def _own(block: Json) -> Json:
    return {name: value for name, value in block["value"].items() if name != "index"}


# -- tools that ran at the vendor ----------------------------------------------------------------------

_STATUS = {"success": "completed", "error": "failed"}


def _server_tool(group: list[Json]) -> Json | None:
    call, result = group[0], group[1] if len(group) > 1 else {}
    if call.get("name") == "code_interpreter" and not extra_of(call, "container_id"):
        return _result_text(result)  # the vendor identifies a run by its container
    build = _SERVER_TOOLS.get(call.get("name", ""))
    if build is None:
        return None
    kind, fields = build(call, result)
    status = (
        _STATUS.get(result.get("status") or "") or (result.get("extras") or {}).get("status") or "completed"
    )
    item = {"type": kind, "id": call.get("id"), "status": status, **fields}
    return {name: value for name, value in item.items() if value is not None}


def _result_text(result: Json) -> Json | None:
    text = readable_text(result.get("output"))
    return _message([{"text": f"[Result of a tool]\n{text}"}]) if text else None


def _web_search(call: Json, _: Json) -> tuple[str, Json]:
    return "web_search_call", {"action": call.get("args") or None}


def _file_search(call: Json, result: Json) -> tuple[str, Json]:
    queries = (call.get("args") or {}).get("queries", [])
    return "file_search_call", {"queries": queries, "results": result.get("output")}


def _code_interpreter(call: Json, result: Json) -> tuple[str, Json]:
    output = result.get("output")
    return "code_interpreter_call", {
        "code": (call.get("args") or {}).get("code"),
        "container_id": extra_of(call, "container_id"),
        "outputs": [{"type": "logs", "logs": output}] if isinstance(output, str) else output,
    }


def _mcp(call: Json, result: Json) -> tuple[str, Json]:
    text = extra_of(call, "arguments") or dump_json(call.get("args") or {}, path="args").decode()
    return "mcp_call", {
        "name": extra_of(call, "tool_name"),
        "server_label": extra_of(call, "server_label"),
        "approval_request_id": extra_of(call, "approval_request_id"),
        "arguments": text,
        "output": result.get("output"),
        "error": (result.get("extras") or {}).get("error"),
        "status": None,
    }


def _mcp_tools(call: Json, result: Json) -> tuple[str, Json]:
    return "mcp_list_tools", {
        "server_label": extra_of(call, "server_label"),
        "tools": result.get("output", []),
        "error": (result.get("extras") or {}).get("error"),
        "status": None,
    }


def _tool_search(call: Json, _: Json) -> tuple[str, Json]:
    return "tool_search_call", {"arguments": call.get("args", {}), "execution": "server"}


def _tool_search_output(group: list[Json]) -> Json | None:
    block = group[0]
    if (block.get("extras") or {}).get("name") != "tool_search":
        return None
    return {
        "type": "tool_search_output",
        "id": block.get("tool_call_id"),
        "status": _STATUS.get(block.get("status", ""), "completed"),
        "execution": "server",
        "tools": (block.get("output") or {}).get("tools", []),
    }


_SERVER_TOOLS: dict[str, Callable[[Json, Json], tuple[str, Json]]] = {
    "web_search": _web_search,
    "file_search": _file_search,
    "code_interpreter": _code_interpreter,
    "remote_mcp": _mcp,
    "mcp_list_tools": _mcp_tools,
    "tool_search": _tool_search,
}
_ITEMS: dict[str, Callable[[list[Json]], Any]] = {
    "text": _message,
    "reasoning": _reasoning,
    "non_standard": lambda group: _own(group[0]),
    "server_tool_call": _server_tool,
    "server_tool_result": _tool_search_output,
}
