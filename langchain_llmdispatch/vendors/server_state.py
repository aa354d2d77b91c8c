"""Opaque state of OpenAI-compatible servers: what a server needs back with a tool's result, and it alone.

    OpenRouter                 message.reasoning_details                   (LibreChat-AI/agents#37)
    Gemini's, Vertex's         tool_calls[].extra_content.google,          (8monkey-ai/hebo-gateway#226)
    compatible endpoints       .vertex; message.extra_content
    LiteLLM                    tool_calls[].provider_specific_fields,      (LiteLLM: reasoning_content)
                               message.thinking_blocks
    GitHub Copilot             message.reasoning_opaque

It travels in `additional_kwargs["server_state"]` under the host that sent it, as it came:
`{"host": ..., "model": ..., "message": {...}, "calls": {id: {...}}}`. The history compiler drops it for other
hosts, and for models of another maker on the same host; the codec puts it back in its places.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

HOST = "host_digest"
"""Where a vendor whose hosts do not share keys records in `response_metadata` which one answered."""
KEY = "server_state"
"""Its name in `additional_kwargs`, and in the extras and blocks of a compiled history."""
_WHOLE = ("reasoning_details", "thinking_blocks", "reasoning_opaque")
_IN_PART = ("extra_content", "provider_specific_fields")
_OPAQUE = ("signature", "thinking_blocks", "opaque", "encrypted")
"""Words in the names of values that go back; these fields hold citations and the like, too."""
_TEXTS = frozenset({"text", "summary", "data", "thinking"})
_CLOSERS = frozenset({"signature", "data"})


@lru_cache(maxsize=256)
def host_of(base_url: str) -> str:
    """Return host and port of an address; empty if it has none."""
    parts = urlsplit(base_url)
    return (parts.netloc.rpartition("@")[2] if parts.hostname else "").lower()


@lru_cache(maxsize=256)
def digest(host: str) -> str:
    """Return a short name of a host that does not reveal it, as an Azure resource's name would its owner."""
    return sha256(host.encode()).hexdigest()[:12]


def maker_of(model: Any) -> str:
    """Return the maker in a model's name (`google/gemini-3-flash`), or nothing."""
    return model.partition("/")[0].lower() if isinstance(model, str) and "/" in model else ""


# -- out of answers ------------------------------------------------------------------------------------


def message_state(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state in a message, or in one delta of a stream."""
    found = {name: message[name] for name in _WHOLE if message.get(name)}
    for name in _IN_PART:
        if kept := _opaque(message.get(name)):
            found[name] = kept
    return found


def call_state(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state in a raw tool call, or in a piece of one; LiteLLM's may be in its `function`."""
    found = {name: call[name] for name in _IN_PART if call.get(name)}
    function = call.get("function")
    inner = call_state(function) if isinstance(function, Mapping) else None
    return {**found, "function": inner} if inner else found


def _opaque(value: Any) -> Any:
    """Return what of a mapping is opaque state, however deep; None if nothing is."""
    if not isinstance(value, Mapping):
        return None
    kept = {
        name: item if any(word in name.lower() for word in _OPAQUE) and item else _opaque(item)
        for name, item in value.items()
    }
    return {name: item for name, item in kept.items() if item} or None


def joined_state(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return state with what a later piece of a stream adds: texts in lists grow, other values are set."""
    state = dict(old)
    for name, value in new.items():
        before = state.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            state[name] = joined_state(before, value)
        elif isinstance(before, list) and isinstance(value, list):
            state[name] = before = [*before]
            for item in value:
                _add_item(before, item)
        elif value is not None or before is None:
            state[name] = value
    return state


def _add_item(items: list[Any], item: Any) -> None:
    place = next((n for n in reversed(range(len(items))) if _continues(items[n], item)), None)
    if place is None:
        items.append(item)
        return
    known = dict(items[place])
    for name, value in item.items():
        if name in _TEXTS and isinstance(known.get(name), str) and isinstance(value, str):
            known[name] += value
        elif value is not None:
            known[name] = value
    items[place] = known


def _continues(known: Any, item: Any) -> bool:
    """Return whether a piece belongs to an item: its type and place are the same, or it is open."""
    if not isinstance(known, Mapping) or not isinstance(item, Mapping):
        return False
    if known.get("type") != item.get("type") or known.get("index") != item.get("index"):
        return False
    if known.get("id") and item.get("id") and known["id"] != item["id"]:
        return False
    return item.get("index") is not None or not any(known.get(name) for name in _CLOSERS)


def state_kwargs(
    host: str, model: str, message: Mapping[str, Any], calls: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the part of `additional_kwargs` that holds state; empty if there is none."""
    calls = {identity: state for identity, state in calls.items() if state}
    if not host or not (message or calls):
        return {}
    return {KEY: {"host": host, "model": model, "message": dict(message), "calls": calls}}


def reasoning_in(details: Any) -> str:
    """Return the readable reasoning in OpenRouter's `reasoning_details`."""
    items = details if isinstance(details, list) else []
    texts = (item.get(name) for item in items if isinstance(item, Mapping) for name in ("text", "summary"))
    return "".join(text for text in texts if isinstance(text, str))


# -- through histories, and back -----------------------------------------------------------------------


def state_of(kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the state in a message's `additional_kwargs`, if it has the form above."""
    state = kwargs.get(KEY)
    parts = [state.get(part) for part in ("message", "calls")] if isinstance(state, Mapping) else [None]
    return state if all(isinstance(part, Mapping) for part in parts) else None


def is_for(state: Any, host: str | None, model: str) -> bool:
    """Return whether state may go to a model on a host; None is a host that is not known yet."""
    if not isinstance(state, Mapping) or host is None:
        return isinstance(state, Mapping)
    theirs, ours = maker_of(state.get("model")), maker_of(model)
    return bool(host) and state.get("host") == host and (theirs == ours or not (theirs and ours))


def with_state(blocks: list[dict[str, Any]], kwargs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of an assistant's message with its state: in a block of its own, and on its calls."""
    state = state_of(kwargs)
    if state is None:
        return blocks
    origin = {"host": state.get("host"), "model": state.get("model")}
    out = []
    if state["message"]:
        out.append({"type": "non_standard", "value": {"type": KEY, **origin, "fields": state["message"]}})
    for block in blocks:
        fields = state["calls"].get(block.get("id")) if block.get("type") == "tool_call" else None
        extras = {**(block.get("extras") or {}), KEY: {**origin, "fields": fields}}
        out.append({**block, "extras": extras} if fields else block)
    return out


def restored(body: dict[str, Any], state: Any) -> dict[str, Any]:
    """Return a message or call as it is sent, with the fields in compiled state; no other field changes."""
    fields = state.get("fields") if isinstance(state, Mapping) else None
    if not isinstance(fields, Mapping):
        return body
    own = {name: fields[name] for name in (*_WHOLE, *_IN_PART) if name in fields}
    if "function" in body and "function" in fields:
        own["function"] = restored(body["function"], {"fields": fields["function"]})
    return body | own
