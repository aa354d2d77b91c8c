"""Google's generateContent."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.loopback.dialects.base import BAD_KEY, VendorDialect, measured
from tests.loopback.errors import body as error_body
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
    compact,
    count,
    pieces,
)
from tests.loopback.rules.foreign import GOOGLE_SIGNATURE
from tests.loopback.rules.google import RULES, thinks

REASONS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


class Google(VendorDialect):
    """Google's generateContent and streamGenerateContent."""

    rules = RULES
    stream_type = "text/event-stream"
    json_type = "application/json; charset=UTF-8"
    keepalive = b": keep-alive\r\n\r\n"
    broken = b'data: {"candidates": [{"content": {"par\r\n\r\n'

    def authorise(self, call: VendorRequest) -> None:
        """A key in its own header; in the address it would end up in logs."""
        if "key" in call.query:
            raise RejectedError("The key must not travel in the address.", rule="key in the address")
        key = call.headers.get("x-goog-api-key", "")
        if not key or key == BAD_KEY:
            raise RejectedError("", kind="auth", rule="auth")

    def read(self, call: VendorRequest) -> Request:
        """The request in neutral words."""
        body = call.body
        settings = body.get("generationConfig") or {}
        turns = tuple(_turns(body))
        tools = tuple(_tools(body))
        mode = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
        names = mode.get("allowedFunctionNames") or []
        schema = settings.get("responseSchema") or settings.get("responseJsonSchema")
        return Request(
            model=str(call.model),
            turns=turns,
            stream=call.stream,
            tools=tools,
            forced=(names[0] if len(names) == 1 else "any") if mode.get("mode") == "ANY" else None,
            tools_off=mode.get("mode") == "NONE",
            schema=schema,
            json_mode=settings.get("responseMimeType") == "application/json",
            stop=tuple(settings.get("stopSequences") or ()),
            max_tokens=settings.get("maxOutputTokens"),
            reasoning=bool((settings.get("thinkingConfig") or {}).get("includeThoughts")),
            input_tokens=measured(turns, tools),
        )

    def body(self, call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""
        parts = list(_parts(call, answer, split=False))
        return _chunk(answer, parts, ident, answer.counted, last=True)

    def events(self, call: VendorRequest, _request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the pieces of a stream; each repeats the usage so far."""
        parts = list(_parts(call, answer, split=True)) or [{"text": ""}]
        texts = [part for part in parts if "functionCall" not in part]
        calls = [part for part in parts if "functionCall" in part]
        groups = [[part] for part in texts]
        last = calls or groups.pop()
        events = []
        thoughts = spoken = 0
        for group in groups:
            tokens = count(group[0]["text"])
            thoughts, spoken = (
                (thoughts + tokens, spoken) if group[0].get("thought") else (thoughts, spoken + 1)
            )
            thoughts = min(thoughts, answer.counted.reasoning)
            spoken = min(spoken, answer.counted.output - answer.counted.reasoning)
            sofar = TokenCounts(
                answer.counted.input, thoughts + spoken, answer.counted.cache_read, 0, thoughts
            )
            events.append(Event(_sse(_chunk(answer, group, ident, sofar)), usage=sofar))
        ending = _chunk(answer, last, ident, answer.counted, last=True)
        events.append(Event(_sse(ending), "finish", answer.counted))
        return events if call.query.get("alt") == "sse" else _array(events)

    def streamed_as(self, call: VendorRequest) -> str:
        """The content type of a stream: events, or one JSON array that comes in pieces."""
        return self.stream_type if call.query.get("alt") == "sse" else self.json_type

    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""
        return {
            "vary": "Origin, X-Origin, Referer",
            "server": "scaffolding on HTTPServer2",
            "server-timing": "gfet4t7; dur=12",
            "x-content-type-options": "nosniff",
        }

    def in_band(self, _call: VendorRequest, error: RejectedError, ident: str) -> bytes:
        """An error inside a stream."""
        return _sse(error_body(self.vendor, error, ident))


def _sse(data: JSON) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ": "))
    return f"data: {text}\r\n\r\n".encode()


def _array(events: list[Event]) -> list[Event]:
    bare = [replace(event, data=event.data.removeprefix(b"data: ").strip()) for event in events]
    opened = [replace(event, data=(b",\r\n" if i else b"[") + event.data) for i, event in enumerate(bare)]
    return [*opened, Event(b"]\n", "done")]


def _turns(body: JSON) -> Iterator[Turn]:
    system = body.get("systemInstruction")
    if system:
        yield Turn("system", _answer_of(system["parts"]))
    for content in body["contents"]:
        parts = content["parts"]
        for part in parts:
            if "functionResponse" in part:
                yield Turn("tool", _result(part["functionResponse"]))
        files = sum(1 for part in parts if "inlineData" in part or "fileData" in part)
        if _answer_of(parts) or files or not any("functionResponse" in part for part in parts):
            role: Any = "assistant" if content.get("role") == "model" else "user"
            yield Turn(role, _answer_of(parts), files)


def _answer_of(parts: list[JSON]) -> str:
    return " ".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))


def _result(response: JSON) -> str:
    values = [value if isinstance(value, str) else compact(value) for value in response["response"].values()]
    return " ".join(values)


def _tools(body: JSON) -> Iterator[Tool]:
    for group in body.get("tools") or ():
        for function in group.get("functionDeclarations") or ():
            schema = function.get("parameters") or function.get("parametersJsonSchema") or {}
            yield Tool(function["name"], schema)


def _parts(call: VendorRequest, answer: Answer, *, split: bool) -> Iterator[JSON]:
    for piece in pieces(answer.reasoning) if split else filter(None, [answer.reasoning]):
        yield {"text": piece, "thought": True}
    spoken = pieces(answer.text) if split else [piece for piece in [answer.text] if piece]
    for i, piece in enumerate(spoken):
        signed = bool(answer.reasoning) and not answer.tool_calls and i == len(spoken) - 1
        yield {"text": piece, **({"thoughtSignature": GOOGLE_SIGNATURE} if signed else {})}
    for i, one in enumerate(answer.tool_calls):
        function = {"name": one.name, "args": one.mapping, **({"id": one.id} if one.id else {})}
        signed = i == 0 and (thinks(str(call.model)) or bool(answer.reasoning))
        yield {"functionCall": function, **({"thoughtSignature": GOOGLE_SIGNATURE} if signed else {})}


def _chunk(answer: Answer, parts: list[JSON], ident: str, usage: TokenCounts, *, last: bool = False) -> JSON:
    candidate: JSON = {"content": {"parts": parts, "role": "model"}}
    if last:
        candidate["finishReason"] = REASONS[answer.finish or "stop"]
    candidate["index"] = 0
    if last and answer.tool_calls:
        candidate["finishMessage"] = "Model generated function call(s)."
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(usage),
        "modelVersion": answer.model,
        "responseId": ident,
    }


def _usage(usage: TokenCounts) -> JSON:
    spoken = usage.output - usage.reasoning
    counts: JSON = {"promptTokenCount": usage.input}
    if spoken:
        counts["candidatesTokenCount"] = spoken
    counts["totalTokenCount"] = usage.input + usage.output
    if usage.cache_read:
        counts["cachedContentTokenCount"] = usage.cache_read
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.input}]
    if usage.reasoning:
        counts["thoughtsTokenCount"] = usage.reasoning
    return {**counts, "serviceTier": "standard"}
