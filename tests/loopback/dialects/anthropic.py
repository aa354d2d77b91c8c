"""Anthropic's Messages."""

from collections.abc import Iterator
from typing import Any

from tests.loopback import errors
from tests.loopback.dialects.base import BAD_KEY, VendorDialect, bearer, content_of, measured, sse
from tests.loopback.neutral import (
    JSON,
    Answer,
    Event,
    RejectedError,
    Request,
    TokenCounts,
    Tool,
    Turn,
    VendorRequest,
    pieces,
)
from tests.loopback.rules.anthropic import RULES
from tests.loopback.rules.base import nested
from tests.loopback.rules.foreign import ANTHROPIC_SIGNATURE

REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class Anthropic(VendorDialect):
    """Anthropic's Messages."""

    rules = RULES
    keepalive = b'event: ping\ndata: {"type": "ping"}\n\n'
    broken = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"de\n\n'

    def authorise(self, call: VendorRequest) -> None:
        """A key in its own header, or a bearer token."""
        key = call.headers.get("x-api-key") or bearer(call)
        if not key or key == BAD_KEY:
            raise RejectedError("", kind="auth", rule="auth")

    def read(self, call: VendorRequest) -> Request:
        """The request in neutral words."""
        body = call.body
        turns = (Turn("system", content_of(body.get("system"))[0]), *_turns(body["messages"]))
        tools = tuple(
            Tool(tool["name"], tool["input_schema"])
            for tool in body.get("tools") or ()
            if tool.get("type", "custom") == "custom"
        )
        choice = body.get("tool_choice") or {}
        shape = (body.get("output_config") or {}).get("format") or {}
        return Request(
            model=str(call.model),
            turns=turns,
            stream=call.stream,
            tools=tools,
            forced={"tool": choice.get("name"), "any": "any"}.get(choice.get("type", "")),
            tools_off=choice.get("type") == "none",
            parallel=not choice.get("disable_parallel_tool_use"),
            schema=shape.get("schema"),
            stop=tuple(body.get("stop_sequences") or ()),
            max_tokens=body.get("max_tokens"),
            reasoning=(body.get("thinking") or {}).get("type") in {"enabled", "adaptive"},
            input_tokens=measured(turns, tools),
            cache_marked=any("cache_control" in part for part in nested(body)),
        )

    def body(self, _call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""
        message = _message(answer, ident)
        content = [_whole(block) for block in _blocks(answer, ident)]
        return {**message, "content": content, **_ending(answer), "usage": _usage(answer.counted)}

    def events(self, _call: VendorRequest, _request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the pieces of a stream."""
        counted = answer.counted
        reported = TokenCounts(counted.input, min(1, counted.output), counted.cache_read, counted.cache_write)
        message = {**_message(answer, ident), "content": [], "stop_reason": None, "stop_sequence": None}
        usage = {key: value for key, value in _usage(reported).items() if key != "output_tokens_details"}
        start = {"type": "message_start", "message": {**message, "usage": usage}}
        events = [Event(_event(start), "start", reported)]
        for index, block in enumerate(_blocks(answer, ident)):
            opened = [Event(piece) for piece in _streamed(index, block)]
            ping = [Event(self.keepalive)] if index == 0 else []
            events += [opened[0], *ping, *opened[1:]]
        delta = {"type": "message_delta", "delta": _ending(answer), "usage": _final(counted)}
        events.append(Event(_event(delta), "finish", counted))
        return [*events, Event(_event({"type": "message_stop"}), "done")]

    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""
        reset = "2026-11-24T12:00:00Z"
        limits = {
            "requests": "4000",
            "tokens": "4800000",
            "input-tokens": "4000000",
            "output-tokens": "800000",
        }
        headers = {"request-id": f"req_{ident}", "anthropic-organization-id": "loopback"}
        for name, limit in limits.items():
            headers[f"anthropic-ratelimit-{name}-limit"] = limit
            headers[f"anthropic-ratelimit-{name}-remaining"] = limit
            headers[f"anthropic-ratelimit-{name}-reset"] = reset
        return headers

    def in_band(self, _call: VendorRequest, error: RejectedError, ident: str) -> bytes:
        """An error inside a stream."""
        return sse(errors.body(self.vendor, error, ident), "error")


def _turns(messages: list[JSON]) -> Iterator[Turn]:
    for message in messages:
        blocks = message["content"] if isinstance(message["content"], list) else []
        results = [block for block in blocks if block["type"] == "tool_result"]
        for block in results:
            text, others = content_of(block.get("content"))
            yield Turn("tool", text, others)
        text, others = content_of(message["content"])
        if text or others or not results:
            yield Turn(message["role"], text, others)


def _blocks(answer: Answer, ident: str) -> list[JSON]:
    blocks: list[JSON] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": ANTHROPIC_SIGNATURE})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for i, call in enumerate(answer.tool_calls):
        name = call.id or f"toolu_{ident}{i}"
        blocks.append({"type": "tool_use", "id": name, "name": call.name, "input": call})
    return blocks


def _whole(block: JSON) -> JSON:
    return {**block, "input": block["input"].mapping} if block["type"] == "tool_use" else block


def _streamed(index: int, block: JSON) -> Iterator[bytes]:
    empty: Any = {"text": "", "thinking": "", "signature": "", "input": {}}
    shell = {key: empty.get(key, value) for key, value in block.items()}
    yield _event({"type": "content_block_start", "index": index, "content_block": shell})
    for delta in _deltas(block):
        yield _event({"type": "content_block_delta", "index": index, "delta": delta})
    yield _event({"type": "content_block_stop", "index": index})


def _deltas(block: JSON) -> Iterator[JSON]:
    if block["type"] == "tool_use":
        text = block["input"].text
        for piece in ("", *pieces("" if text == "{}" else text)):
            yield {"type": "input_json_delta", "partial_json": piece}
        return
    for piece in pieces(block[block["type"]]):
        yield {"type": f"{block['type']}_delta", block["type"]: piece}
    if "signature" in block:
        yield {"type": "signature_delta", "signature": block["signature"]}


def _event(data: JSON) -> bytes:
    return sse(data, data["type"])


def _message(answer: Answer, ident: str) -> JSON:
    return {"model": answer.model, "id": f"msg_{ident}", "type": "message", "role": "assistant"}


def _ending(answer: Answer) -> JSON:
    reason = (
        "stop_sequence"
        if answer.stop_sequence and answer.finish == "stop"
        else REASONS[answer.finish or "stop"]
    )
    return {"stop_reason": reason, "stop_sequence": answer.stop_sequence, "stop_details": None}


def _usage(usage: TokenCounts) -> JSON:
    created = {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0}
    return {
        **_final(usage),
        "cache_creation": created,
        "service_tier": "standard",
        "inference_geo": "global",
    }


def _final(usage: TokenCounts) -> JSON:
    return {
        "input_tokens": usage.input - usage.cache_read - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }
