"""Ollama's chat."""

from collections.abc import Iterator

from tests.loopback import errors
from tests.loopback.dialects.base import BAD_KEY, VendorDialect, bearer, function_tools, measured
from tests.loopback.neutral import (
    JSON,
    Answer,
    Event,
    RejectedError,
    Request,
    ToolCall,
    Turn,
    VendorRequest,
    compact,
    pieces,
)
from tests.loopback.rules.ollama import RULES

AT = "2026-11-24T12:00:00.123456789Z"


class Ollama(VendorDialect):
    """Ollama's chat: lines of JSON."""

    rules = RULES
    stream_type = "application/x-ndjson"
    json_type = "application/json; charset=utf-8"
    keepalive = b"\n"
    broken = b'{"model":"llama3.1","created_at":"2026-11-24T12:00:00Z","mess\n'

    def authorise(self, call: VendorRequest) -> None:
        """No key is needed; the cloud refuses a bad one."""
        if bearer(call) == BAD_KEY:
            raise RejectedError("", kind="auth", rule="auth")

    def read(self, call: VendorRequest) -> Request:
        """The request in neutral words."""
        body = call.body
        options = body.get("options") or {}
        turns = tuple(
            Turn(message["role"], message.get("content") or "", len(message.get("images") or ()))
            for message in body["messages"]
        )
        tools = function_tools(body)
        shape = body.get("format")
        stop = options.get("stop") or ()
        return Request(
            model=str(call.model),
            turns=turns,
            stream=call.stream,
            tools=tools,
            schema=shape if isinstance(shape, dict) else None,
            json_mode=shape == "json",
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            max_tokens=options.get("num_predict"),
            reasoning=body.get("think") not in {None, False},
            input_tokens=measured(turns, tools),
        )

    def body(self, _call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""
        message: JSON = {"role": "assistant", "content": answer.text}
        if answer.reasoning:
            message["thinking"] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = [_call_of(one, i, ident) for i, one in enumerate(answer.tool_calls)]
        return {"model": answer.model, "created_at": AT, "message": message, **_ending(answer)}

    def events(self, _call: VendorRequest, _request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the lines of a stream."""
        frame = {"model": answer.model, "created_at": AT}
        events = []
        for part in _messages(answer, ident):
            message = {"role": "assistant", "content": "", **part}
            events.append(Event(_line({**frame, "message": message, "done": False})))
        last = {**frame, "message": {"role": "assistant", "content": ""}, **_ending(answer)}
        return [*events, Event(_line(last), "finish", answer.counted)]

    def headers(self, ident: str) -> dict[str, str]:
        """Ollama sends no headers of its own."""
        return {}

    def in_band(self, _call: VendorRequest, error: RejectedError, ident: str) -> bytes:
        """An error inside a stream."""
        return _line(errors.body(self.vendor, error, ident))


def _line(data: JSON) -> bytes:
    return f"{compact(data)}\n".encode()


def _messages(answer: Answer, ident: str) -> Iterator[JSON]:
    for piece in pieces(answer.reasoning):
        yield {"thinking": piece}
    for piece in pieces(answer.text):
        yield {"content": piece}
    for i, one in enumerate(answer.tool_calls):
        yield {"tool_calls": [_call_of(one, i, ident)]}


def _call_of(one: ToolCall, index: int, ident: str) -> JSON:
    name = one.id or f"call_{ident}{index}"
    return {"id": name, "function": {"index": index, "name": one.name, "arguments": one.mapping}}


def _ending(answer: Answer) -> JSON:
    return {
        "done": True,
        "done_reason": "length" if answer.finish == "length" else "stop",
        "total_duration": 174560334,
        "load_duration": 101397084,
        "prompt_eval_count": answer.counted.input,
        "prompt_eval_duration": 13074791,
        "eval_count": answer.counted.output,
        "eval_duration": 52479709,
    }
