"""Cohere's chat, version 2."""

from collections.abc import Iterator

from tests.loopback import errors
from tests.loopback.dialects.base import VendorDialect, content_of, function_tools, measured, sse
from tests.loopback.neutral import (
    JSON,
    Answer,
    Event,
    RejectedError,
    Request,
    TokenCounts,
    ToolCall,
    Turn,
    VendorRequest,
    compact,
    pieces,
)
from tests.loopback.rules.cohere import RULES

REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL", "content_filter": "ERROR"}


class Cohere(VendorDialect):
    """Cohere's chat, version 2."""

    rules = RULES
    stream_type = "text/event-stream"
    broken = b'event: content-delta\ndata: {"type":"content-delta","ind\n\n'

    def read(self, call: VendorRequest) -> Request:
        """The request in neutral words."""
        body = call.body
        turns = tuple(_turn(message) for message in body["messages"])
        tools = function_tools(body)
        shape = body.get("response_format") or {}
        schema = shape.get("json_schema") or shape.get("schema")
        return Request(
            model=str(call.model),
            turns=turns,
            stream=call.stream,
            tools=tools,
            forced="any" if body.get("tool_choice") == "REQUIRED" else None,
            tools_off=body.get("tool_choice") == "NONE",
            schema=schema,
            json_mode=shape.get("type") == "json_object" and not schema,
            stop=tuple(body.get("stop_sequences") or ()),
            max_tokens=body.get("max_tokens"),
            reasoning=(body.get("thinking") or {}).get("type") == "enabled",
            input_tokens=measured(turns, tools),
        )

    def body(self, _call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""
        message: JSON = {"role": "assistant"}
        content: list[JSON] = []
        if answer.reasoning:
            content.append({"type": "thinking", "thinking": answer.reasoning})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        if answer.tool_calls:
            message["tool_plan"] = _plan(answer)
            message["tool_calls"] = [_call_of(one, i, ident) for i, one in enumerate(answer.tool_calls)]
        if content or not answer.tool_calls:
            message["content"] = content
        reason, usage = _reason(answer), _usage(answer.counted)
        return {"id": ident, "message": message, "finish_reason": reason, "usage": usage}

    def events(self, _call: VendorRequest, _request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the pieces of a stream."""
        opening = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        start = {"id": ident, "type": "message-start", "delta": {"message": opening}}
        events = [Event(_event(start), "start")]
        events += [Event(_event(data)) for data in _content(answer)]
        events += [Event(_event(data)) for data in _calls(answer, ident)]
        ending = {"finish_reason": _reason(answer), "usage": _usage(answer.counted)}
        events.append(Event(_event({"type": "message-end", "delta": ending}), "finish", answer.counted))
        return [*events, Event(sse("[DONE]"), "done")]

    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""
        return {
            "x-debug-trace-id": ident,
            "x-endpoint-monthly-call-limit": "1000",
            "x-trial-endpoint-call-limit": "20",
            "x-trial-endpoint-call-remaining": "19",
            "num-chars": "286",
            "num-tokens": "44",
        }

    def in_band(self, _call: VendorRequest, error: RejectedError, ident: str) -> bytes:
        """An error inside a stream."""
        message = errors.body(self.vendor, error, ident)["message"]
        delta = {"error": message, "finish_reason": "ERROR", "usage": {}}
        return _event({"type": "message-end", "id": ident, "delta": delta}) + sse("[DONE]")


def _event(data: JSON) -> bytes:
    return sse(data, data["type"])


def _turn(message: JSON) -> Turn:
    text, others = content_of(message.get("content"))
    if message["role"] == "tool" and isinstance(message["content"], list):
        documents = [part["document"]["data"] for part in message["content"] if part["type"] == "document"]
        text = " ".join([text, *(data if isinstance(data, str) else compact(data) for data in documents)])
    return Turn(message["role"], text.strip(), others)


def _plan(answer: Answer) -> str:
    return f"I will use the {answer.tool_calls[0].name} tool to answer the question."


def _call_of(one: ToolCall, index: int, ident: str) -> JSON:
    function = {"name": one.name, "arguments": one.text}
    return {"id": one.id or f"{one.name}_{ident}{index}", "type": "function", "function": function}


def _content(answer: Answer) -> Iterator[JSON]:
    parts = [part for part in (("thinking", answer.reasoning), ("text", answer.text)) if part[1]]
    for index, (kind, text) in enumerate(parts):
        opening = {"message": {"content": {"type": kind, kind: ""}}}
        yield {"type": "content-start", "index": index, "delta": opening}
        for piece in pieces(text):
            delta = {"message": {"content": {kind: piece}}}
            yield {"type": "content-delta", "index": index, "delta": delta}
        yield {"type": "content-end", "index": index}


def _calls(answer: Answer, ident: str) -> Iterator[JSON]:
    for piece in pieces(_plan(answer)) if answer.tool_calls else ():
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
    for index, one in enumerate(answer.tool_calls):
        whole = _call_of(one, index, ident)
        opening = {**whole, "function": {"name": one.name, "arguments": ""}}
        yield {"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls": opening}}}
        for piece in pieces("" if one.text == "{}" else one.text):
            delta = {"message": {"tool_calls": {"function": {"arguments": piece}}}}
            yield {"type": "tool-call-delta", "index": index, "delta": delta}
        yield {"type": "tool-call-end", "index": index}


def _reason(answer: Answer) -> str:
    if answer.stop_sequence and answer.finish == "stop":
        return "STOP_SEQUENCE"
    return REASONS[answer.finish or "stop"]


def _usage(usage: TokenCounts) -> JSON:
    tokens = {"input_tokens": usage.input, "output_tokens": usage.output}
    reasoning = {"reasoning_tokens": usage.reasoning} if usage.reasoning else {}
    return {
        "billed_units": dict(tokens),
        "tokens": {**tokens, **reasoning},
        "cached_tokens": usage.cache_read,
    }
