"""What is in recorded exchanges with OpenAI's Responses API, read with nothing but `json.loads`.

An item is taken whole: from the body, or in a stream from the event that marks it as done. The deltas, which
the codec reads, are not looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from langchain_llmdispatch import errors
from tests.recordings.expected import Expected, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

SKIPPED = {
    "responses.retrieve": "reading a stored response again is no chat call",
    "responses.compact": "compaction of a thread is no chat call",
    "responses.input_tokens": "counting tokens is no chat call",
}
_UNFINISHED = {"queued", "in_progress"}
_ENDS = {"response.completed", "response.incomplete"}
_METADATA = ("service_tier", "incomplete_details", "conversation", "previous_response_id", "content_filters")
_SERVER_TOOLS = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "mcp_call": "remote_mcp",
    "mcp_list_tools": "mcp_list_tools",
}


def answer(body: str) -> Expected:
    """Return what must be found in the body of a 200."""
    if body.lstrip().startswith("{"):
        reply = json.loads(body)
        if reply["status"] in _UNFINISHED:
            return Expected(error=errors.MalformedResponseError)
        return _reading(reply, reply["output"])
    events = [json.loads(text) for line in body.splitlines() if (text := _data(line))]
    reply = next(event["response"] for event in events if event["type"] in _ENDS)
    items = _items(events, reply["output"])
    if any(_is_call(item) and _arguments(item) is None for item in items):
        return Expected(error=errors.TruncatedToolCallError)
    # Here the numbers are exact; OpenAI rounds those in the item.
    return _reading(reply, items, [event for event in events if event["type"] == "response.output_text.done"])


def _data(line: str) -> str:
    text = line.removeprefix("data:").strip()
    return text if line.startswith("data:") and text != "[DONE]" else ""


def _items(events: list[Json], output: list[Json]) -> list[Json]:
    """Return each finished item once; what only the last event names stands behind the others."""
    done = [event for event in events if event["type"] == "response.output_item.done"]
    begun = {
        event["output_index"]: event["item"]["id"]
        for event in events
        if event["type"] == "response.output_item.added"
    }
    # A message is known by the id it began with; GitHub Copilot changes it.
    items = [
        {**event["item"], "id": begun[event["output_index"]]}
        if event["item"]["type"] == "message"
        else event["item"]
        for event in done
    ]
    if len(output) <= len(items):  # one server changes the ids of its items in the last event
        return items
    known = {item["id"] for item in items}
    return items + [item for item in output if item["id"] not in known]


def _reading(reply: Json, items: list[Json], texts: Sequence[Json] = ()) -> Expected:
    calls = [(item["name"], _arguments(item)) for item in items if _is_call(item)]
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    return Expected(
        text="".join(part.get("text", "") for part in parts),
        reasoning="".join(_thoughts(item) for item in items if item["type"] == "reasoning"),
        tool_calls=[(name, args) for name, args in calls if args is not None],
        invalid_tool_calls=sum(args is None for _, args in calls),
        call_ids=[item["call_id"] for item in items if _is_call(item)],
        finish=_finish(reply, called=bool(calls), refused=any("refusal" in part for part in parts)),
        usage=_usage(reply.get("usage")),
        model=reply["model"],
        id=reply["id"],
        metadata={name: reply[name] for name in _METADATA if reply.get(name)} | _logprobs(texts or parts),
        content=[block for item in items for block in _blocks(item)],
        refusal="".join(part.get("refusal", "") for part in parts),
        citations=[_place(note) for part in parts for note in part.get("annotations") or ()],
        server_tools=[(name, item["id"]) for item in items if (name := _server_tool(item))],
    )


def _finish(reply: Json, *, called: bool, refused: bool) -> str:
    if reply["status"] == "incomplete":
        reason = reply["incomplete_details"]["reason"]
        return "content_filter" if reason == "content_filter" else "length"
    if refused:
        return "refusal"
    return "tool_call" if called else "stop"


def _logprobs(parts: Sequence[Json]) -> Json:
    found = [entry for part in parts for entry in part.get("logprobs") or ()]
    return {"logprobs": {"content": found}} if found else {}


def _usage(found: Json | None) -> Json | None:
    if not found:
        return None
    read, written = found.get("input_tokens_details") or {}, found.get("output_tokens_details") or {}
    usage: Json = {name: found[name] for name in ("input_tokens", "output_tokens", "total_tokens")}
    for side, name, value in (
        ("input_token_details", "cache_read", read.get("cached_tokens")),
        ("input_token_details", "cache_creation", read.get("cache_write_tokens")),
        ("output_token_details", "reasoning", written.get("reasoning_tokens")),
    ):
        if value is not None:
            usage.setdefault(side, {})[name] = value
    return usage


# -- items ---------------------------------------------------------------------------------------------


def _is_call(item: Json) -> bool:
    return item["type"] in {"function_call", "custom_tool_call"}


def _arguments(item: Json) -> Json | None:
    if item["type"] == "custom_tool_call":
        return {"__arg1": item["input"]}
    try:
        value = json.loads(item["arguments"] or "{}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _thoughts(item: Json) -> str:
    return "".join(part["text"] for part in (*(item.get("content") or ()), *item["summary"]))


def _server_tool(item: Json) -> str | None:
    if item["type"] == "tool_search_call":
        return "tool_search" if item["execution"] == "server" else None
    return _SERVER_TOOLS.get(item["type"])


def _place(note: Json) -> str:
    """Return where a citation leads: the page, or the file's name."""
    return str(note.get("url") or note["filename"])


def _blocks(item: Json) -> list[Json]:
    """Return the content blocks of an item: as it came, but for what a stream cannot repeat."""
    found = {name: value for name, value in item.items() if value is not None}
    if item["type"] == "message":
        marks = {name: found[name] for name in ("id", "phase") if name in found}
        return [{**_part(part), **marks} for part in item["content"] if part.get("text") or "refusal" in part]
    if item["type"] == "function_call":
        found.pop("status", None)
    if item["type"] == "reasoning":
        return _thought_blocks(found)
    return [found]


def _part(part: Json) -> Json:
    if part["type"] == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    notes = [_note(note) for note in part.get("annotations") or ()]
    return {"type": "text", "text": part["text"], **({"annotations": notes} if notes else {})}


def _note(note: Json) -> Json:
    # LangChain merges by `index`, which is a place in the text here.
    return {"file_index" if name == "index" else name: value for name, value in note.items()}


def _thought_blocks(found: Json) -> list[Json]:
    """Return a summary as it came; raw text as blocks of LangChain's own, which its reader shows."""
    marks = {name: found[name] for name in ("id", "encrypted_content") if found.get(name)}
    raw = [{"type": "reasoning", "reasoning": part["text"]} for part in found.get("content") or ()]
    if not raw:
        return [{"type": "reasoning", "summary": found["summary"], **marks}]
    assert not found["summary"], "text and summary in one item: not recorded so far"
    for block in raw:
        block["id"] = found["id"]
        block["extras"] = {"kind": "reasoning_text"}
    raw[0].update(marks)
    return raw
