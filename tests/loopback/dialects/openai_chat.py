"""Chat Completions, as OpenAI and compatible servers have it."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from tests.loopback.dialects.base import CREATED, VendorDialect, content_of, function_tools, measured, sse
from tests.loopback.neutral import (
    JSON,
    Answer,
    Event,
    Request,
    TokenCounts,
    ToolCall,
    Turn,
    VendorRequest,
    pieces,
)
from tests.loopback.rules.base import Rule
from tests.loopback.rules.openai import CHAT_RULES

ROLES = {"developer": "system", "function": "tool"}


class OpenAIChat(VendorDialect):
    """OpenAI's Chat Completions."""

    rules: ClassVar[Sequence[Rule]] = CHAT_RULES
    reasoning_field: str | None = None

    def read(self, call: VendorRequest) -> Request:
        """The request in neutral words."""
        body = call.body
        turns = tuple(_turn(message) for message in body["messages"])
        tools = function_tools(body)
        choice = body.get("tool_choice")
        shape = body.get("response_format") or {}
        stop = body.get("stop") or ()
        return Request(
            model=str(call.model),
            turns=turns,
            stream=call.stream,
            tools=tools,
            forced=_forced(choice),
            tools_off=choice == "none",
            parallel=body.get("parallel_tool_calls") is not False,
            schema=(shape.get("json_schema") or {}).get("schema"),
            json_mode=shape.get("type") == "json_object",
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            reasoning=body.get("reasoning_effort") not in {None, "none"},
            usage_wanted=bool((body.get("stream_options") or {}).get("include_usage")),
            input_tokens=measured(turns, tools),
        )

    def body(self, call: VendorRequest, answer: Answer, ident: str) -> JSON:
        """The whole answer as one JSON value."""
        message: JSON = {"role": "assistant", "content": answer.text or (None if answer.tool_calls else "")}
        message |= self._reasoning(answer.reasoning)
        if answer.tool_calls:
            message["tool_calls"] = [_call(one, i, ident) for i, one in enumerate(answer.tool_calls)]
        choice = {
            "index": 0,
            "message": {**message, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": _finish(call, answer),
        }
        return {
            "id": f"chatcmpl-{ident}",
            "object": "chat.completion",
            "created": CREATED,
            "model": answer.model,
            "choices": [self.choice(choice)],
            "usage": _usage(answer.counted),
            "service_tier": "default",
            "system_fingerprint": "fp_loopback",
        }

    def events(self, call: VendorRequest, request: Request, answer: Answer, ident: str) -> list[Event]:
        """The answer as the pieces of a stream."""
        frame = {
            "id": f"chatcmpl-{ident}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": answer.model,
            "service_tier": "default",
            "system_fingerprint": "fp_loopback",
        }
        spare = {"usage": None} if request.usage_wanted else {}
        opening = {"role": "assistant", "content": None if answer.tool_calls else "", "refusal": None}
        events = [Event(self._chunk(frame, opening, None, spare), "start")]
        events += [Event(self._chunk(frame, delta, None, spare)) for delta in self._deltas(answer, ident)]
        events.append(Event(self._chunk(frame, {}, _finish(call, answer), spare), "finish"))
        if request.usage_wanted:
            usage = {**frame, "choices": [], "usage": _usage(answer.counted)}
            events.append(Event(sse(usage), "usage", answer.counted))
        return [*events, Event(sse("[DONE]"), "done")]

    def headers(self, ident: str) -> dict[str, str]:
        """The headers of an answer, without its content type."""
        return {
            "x-request-id": f"req_{ident}",
            "openai-organization": "loopback",
            "openai-processing-ms": "12",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-remaining-tokens": "1999900",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "0s",
        }

    def choice(self, choice: JSON) -> JSON:
        """The choice as this vendor decorates it."""
        return choice

    def _chunk(self, frame: JSON, delta: JSON, finish: str | None, spare: JSON) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return sse({**frame, "choices": [self.choice(choice)], **spare})

    def _deltas(self, answer: Answer, ident: str) -> Iterator[JSON]:
        for piece in pieces(answer.reasoning):
            if self.reasoning_field:
                yield self._reasoning(piece)
        for piece in pieces(answer.text):
            yield {"content": piece}
        for i, one in enumerate(answer.tool_calls):
            whole = _call(one, i, ident)
            function = {"name": one.name, "arguments": ""}
            yield {"tool_calls": [{"index": i, **whole, "function": function}]}
            for piece in pieces(one.text):
                yield {"tool_calls": [{"index": i, "function": {"arguments": piece}}]}

    def _reasoning(self, text: str) -> JSON:
        return {self.reasoning_field: text} if self.reasoning_field and text else {}


class Compatible(OpenAIChat):
    """A server that imitates OpenAI and shows its reasoning, as DeepSeek does."""

    reasoning_field = "reasoning_content"


def _turn(message: JSON) -> Turn:
    text, others = content_of(message.get("content"))
    role: Any = ROLES.get(message["role"], message["role"])
    return Turn(role, text, others)


def _forced(choice: object) -> str | None:
    if isinstance(choice, dict):
        return str((choice.get("function") or choice)["name"]) if "function" in choice else None
    return "any" if choice == "required" else None


def _call(one: ToolCall, index: int, ident: str) -> JSON:
    function = {"name": one.name, "arguments": one.text}
    return {"id": one.id or f"call_{ident}{index}", "type": "function", "function": function}


def _finish(call: VendorRequest, answer: Answer) -> str | None:
    named = isinstance(call.body.get("tool_choice"), dict)
    return "stop" if named and answer.finish == "tool_calls" else answer.finish


def _usage(usage: TokenCounts) -> JSON:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
