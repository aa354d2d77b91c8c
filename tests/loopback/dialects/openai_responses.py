"""OpenAI's Responses."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.loopback import errors
from tests.loopback.dialects import azure
from tests.loopback.dialects.base import CREATED, VendorDialect, content_of, measured, sse
from tests.loopback.dialects.openai_chat import ROLES, OpenAIChat
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
from tests.loopback.rules.foreign import OPENAI_REASONING
from tests.loopback.rules.responses import RULES


class OpenAIResponses(VendorDialect):
    """OpenAI's Responses, also behind Azure's gateway."""

    rules = RULES
    broken = b'event: response.output_text.delta\ndata: {"type":"response.output_text.del\n\n'

    def authorise(self, call: VendorRequest) -> None:
        """A bearer token; on Azure the key's own header too."""
        if self.vendor == "azure":
            azure.authorise(call)
        else:
            super().authorise(call)

    def read(self, call: VendorRequest) -> Request:
        """The request in neutral words."""
        body = call.body
        turns = tuple(_turns(body))
        tools = tuple(
            Tool(tool["name"], tool.get("parameters") or {})
            for tool in body.get("tools") or ()
            if tool["type"] == "function"
        )
        choice = body.get("tool_choice")
        shape = (body.get("text") or {}).get("format") or {}
        effort = (body.get("reasoning") or {}).get("effort")
        return Request(
            model=str(call.model),
            turns=turns,
            stream=call.stream,
            tools=tools,
            forced=choice["name"] if isinstance(choice, dict) else ("any" if choice == "required" else None),
            tools_off=choice == "none",
            parallel=body.get("parallel_tool_calls") is not False,
            schema=shape.get("schema"),
            json_mode=shape.get("type") == "json_object",
            max_tokens=body.get("max_output_tokens"),
            reasoning=bool(body.get("reasoning")) and effort != "none",
            input_tokens=measured(turns, tools),
        )

    def body(self, call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""
        items = _items(call, answer, ident)
        return _response(call, answer, ident, items, answer.counted)

    def events(self, call: VendorRequest, _request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the pieces of a stream; there is no [DONE]."""
        pending = replace(answer, finish=None)
        opening = _response(call, pending, ident, [], None)
        final = self.body(call, answer, ident)
        parts: list[tuple[Any, JSON]] = [("start", {"type": "response.created", "response": opening})]
        parts.append(("start", {"type": "response.in_progress", "response": opening}))
        for index, item in enumerate(final["output"]):
            parts += [("content", data) for data in _streamed(index, item)]
        events = [Event(_event(data, i), part) for i, (part, data) in enumerate(parts)]
        closing = {"type": f"response.{final['status']}", "response": final}
        return [*events, Event(_event(closing, len(parts)), "finish", answer.counted)]

    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""
        return azure.headers(ident) if self.vendor == "azure" else OpenAIChat(self.vendor).headers(ident)

    def in_band(self, _call: VendorRequest, error: RejectedError, ident: str) -> bytes:
        """An error inside a stream."""
        inner = errors.body(self.vendor, error, ident)["error"]
        fields = {"code": inner["code"], "message": inner["message"], "param": None, "sequence_number": 99}
        return sse({"type": "error", **fields}, "error")


def _turns(body: JSON) -> Iterator[Turn]:
    if body.get("instructions"):
        yield Turn("system", body["instructions"])
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        if item.get("type") == "function_call_output":
            text, others = content_of(item["output"])
            yield Turn("tool", text, others)
        elif "role" in item:
            text, others = content_of(item["content"])
            role: Any = ROLES.get(item["role"], item["role"])
            yield Turn(role, text, others)


def _items(call: VendorRequest, answer: Answer, ident: str) -> list[JSON]:
    items: list[JSON] = []
    if answer.reasoning:
        items.append(_thought(call, answer, ident))
    if answer.text or not answer.tool_calls:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}
        content = [part] if answer.text else []
        status = "incomplete" if answer.finish == "length" else "completed"
        head = {"id": f"msg_{ident}", "type": "message", "status": status}
        items.append({**head, "content": content, "role": "assistant"})
    for i, one in enumerate(answer.tool_calls):
        head = {"id": f"fc_{ident}{i}", "type": "function_call", "status": "completed"}
        call_id = one.id or f"call_{ident}{i}"
        items.append({**head, "arguments": one.text, "call_id": call_id, "name": one.name})
    return items


def _thought(call: VendorRequest, answer: Answer, ident: str) -> JSON:
    shown = (call.body.get("reasoning") or {}).get("summary")
    summary = [{"type": "summary_text", "text": answer.reasoning}] if shown else []
    item: JSON = {"id": f"rs_{ident}", "type": "reasoning", "summary": summary}
    if "reasoning.encrypted_content" in (call.body.get("include") or ()):
        item["encrypted_content"] = OPENAI_REASONING
    return item


def _streamed(index: int, item: JSON) -> Iterator[JSON]:
    place = {"item_id": item["id"], "output_index": index}
    bare: dict[str, JSON] = {
        "message": {"content": []},
        "reasoning": {"summary": []},
        "function_call": {"arguments": ""},
    }
    status = {} if item["type"] == "reasoning" else {"status": "in_progress"}
    opening = {**item, **status, **bare[item["type"]]}
    yield {"type": "response.output_item.added", "output_index": index, "item": opening}
    if item["type"] == "function_call":
        kind = "response.function_call_arguments"
        yield from _text(kind, item["arguments"], place, "arguments")
    for number, part in enumerate(item.get("content") or ()):
        at = {**place, "content_index": number}
        yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
        yield from _text("response.output_text", part["text"], {**at, "logprobs": []}, "text")
        yield {"type": "response.content_part.done", **at, "part": part}
    for number, part in enumerate(item.get("summary") or ()):
        at = {**place, "summary_index": number}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
        yield from _text("response.reasoning_summary_text", part["text"], at, "text")
        yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _text(kind: str, text: str, place: JSON, key: str) -> Iterator[JSON]:
    for piece in pieces(text):
        yield {"type": f"{kind}.delta", **place, "delta": piece}
    yield {"type": f"{kind}.done", **place, key: text}


def _event(data: JSON, number: int) -> bytes:
    return sse({**data, "sequence_number": number}, data["type"])


def _response(
    call: VendorRequest, answer: Answer, ident: str, items: list[JSON], usage: TokenCounts | None
) -> JSON:
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(answer.finish or "")
    status = "in_progress" if answer.finish is None else ("incomplete" if cut else "completed")
    return {
        "id": f"resp_{ident}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "instructions": call.body.get("instructions"),
        "max_output_tokens": call.body.get("max_output_tokens"),
        "model": answer.model,
        "output": items,
        "parallel_tool_calls": call.body.get("parallel_tool_calls", True),
        "previous_response_id": call.body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None, **(call.body.get("reasoning") or {})},
        "service_tier": "default",
        "store": call.body.get("store", True),
        "temperature": call.body.get("temperature", 1.0),
        "text": call.body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": call.body.get("tool_choice", "auto"),
        "tools": call.body.get("tools") or [],
        "top_p": call.body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": _usage(usage) if usage else None,
        "user": None,
        "metadata": call.body.get("metadata") or {},
    }


def _usage(usage: TokenCounts) -> JSON:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
