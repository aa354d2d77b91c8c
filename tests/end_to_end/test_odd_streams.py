"""Streams that servers send otherwise than documented, through the whole engine in both colours.

The bytes come from the loopback server; pauses between events are made in virtual time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmdispatch import AllDeploymentsFailedError, RetryPolicy, StreamInterruptedError
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.testing.body_streams import Action, Delay, EventSplitter, filtered
from langchain_llmdispatch.testing.middleware import installed
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Flow
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of

STREAMS = ("stream", "astream")
FOREVER, BREAK = float("inf"), -1.0


class Pauses:
    """A layer that pauses after each event of a body, in virtual time.

    Args:
        seconds: How long after each event; infinity is until the read deadline, and -1 a broken connection.
    """

    depth: ClassVar[int] = 50
    replays: ClassVar[bool] = False

    def __init__(self, seconds: Iterable[float]) -> None:
        self._seconds = iter(seconds)

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Forward the request, and pass the body of its response through."""
        response = yield request
        self._splitter = EventSplitter(response.headers["content-type"])
        return filtered(response, self, read_deadline)

    def feed(self, piece: bytes) -> Iterator[Action]:
        """Return events, each with its pause."""
        for event in self._splitter.feed(piece):
            yield event
            seconds = next(self._seconds, 0.0)
            yield Delay(seconds) if seconds >= 0 else httpx.ReadError("reset")

    def close(self) -> list[Action]:
        """Return nothing: events are whole here."""
        return []


def sse(*events: Any) -> bytes:
    """Return server-sent events; text is sent as it is."""
    frames = []
    for event in events:
        name = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
        frames.append(f"{name}data: {event if isinstance(event, str) else json.dumps(event)}\n\n")
    return "".join(frames).encode()


def ran(
    server: LoopbackServer,
    vendor: str,
    data: bytes,
    colour: str,
    pauses: Iterable[float] = (),
    **fields: Any,
) -> AIMessage:
    """Return the answer in a stream of these bytes."""
    headers = {"content-type": "text/event-stream"}
    server.script(vendor, [Fault(status=200, body=data, headers=headers)])
    fields = {"retry_policy": RetryPolicy(max_retries=0), **fields}
    with model_of(deployment(server, vendor), **fields) as model, installed(Pauses(pauses), model):
        return COLOURS[colour](model, "hello")


def gemini(text: str, finish: str | None = "STOP") -> dict[str, Any]:
    """Return an event of Gemini's."""
    content = {"role": "model", "parts": [{"text": text}] if text else []}
    return {"candidates": [{"content": content, "index": 0, **({"finishReason": finish} if finish else {})}]}


def chunk(text: str, finish: str | None = "stop", **fields: Any) -> dict[str, Any]:
    """Return a chunk of a chat completion."""
    delta = {"content": text} if text else {}
    return {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **fields,
    }


MAKE = {"google": gemini, "compatible": chunk, "huggingface": chunk}


@each("vendor", MAKE)
@each("colour", STREAMS)
@each("idle", [120.0, None])
def test_a_finish_reason_on_each_event(
    server: LoopbackServer, vendor: str, colour: str, idle: float | None
) -> None:
    """It ends nothing before the vendor's own end, however long the pauses between the events are."""
    event = MAKE[vendor]
    done = [] if vendor == "google" else ["[DONE]"]
    data = sse(event("One, "), event("two, "), event("three."), *done)
    for pauses in ((2.6, 0.1), (0.7, 30.0, 30.0), (100.0, 100.0)):
        message = ran(server, vendor, data, colour, pauses, stream_idle_timeout=idle)
        assert message.text == "One, two, three."
        assert message.response_metadata["normalized_finish_reason"] == "stop"


@each("vendor", MAKE)
@each("colour", STREAMS)
def test_finish_reasons_before_any_text(server: LoopbackServer, vendor: str, colour: str) -> None:
    """A translator stamps the empty events of a long reasoning."""
    event = MAKE[vendor]
    done = [] if vendor == "google" else ["[DONE]"]
    data = sse(*[event("")] * 6, event("Hello.", None), event(""), *done)
    assert ran(server, vendor, data, colour, [5.0] * 6 + [1.0]).text == "Hello."


@each("vendor", MAKE)
@each("colour", STREAMS)
def test_a_part_is_never_called_whole(server: LoopbackServer, vendor: str, colour: str) -> None:
    """Where every event has a finish reason, a stream that falls silent is an error."""
    event = MAKE[vendor]
    data = sse(event("One, "), event("two, "), event("three."))
    with pytest.raises(StreamInterruptedError) as raised:
        ran(server, vendor, data, colour, (1.0, FOREVER), stream_idle_timeout=10.0)
    assert raised.value.partial.text == "One, two, "


@each("vendor", MAKE)
@each("colour", STREAMS)
def test_a_connection_that_breaks(server: LoopbackServer, vendor: str, colour: str) -> None:
    """It does no harm after a finish reason that is an end, and is an error wherever more may have come."""
    event = MAKE[vendor]
    with pytest.raises(StreamInterruptedError) as raised:
        ran(server, vendor, sse(event("One, "), event("two, "), event("three.")), colour, (0.0, BREAK))
    assert raised.value.partial.text == "One, two, "
    data = sse(event("Hello.", None), event(""), event(""))
    if vendor == "google":  # the end of input is its end marker
        with pytest.raises(StreamInterruptedError):
            ran(server, vendor, data, colour, (0.0, BREAK))
    else:
        message = ran(server, vendor, data, colour, (0.0, BREAK))
        assert (message.text, message.response_metadata["normalized_finish_reason"]) == ("Hello.", "stop")


@pytest.mark.parametrize("colour", STREAMS)
def test_a_missing_end_marker_is_waited_for_briefly(server: LoopbackServer, colour: str) -> None:
    """In the OpenAI family a finish reason ends an answer: bookkeeping is waited for, 2 s from each event."""
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    data = sse(chunk("Hello.", None), chunk(""), chunk("", usage=usage), chunk(""), "[DONE]")
    clock = FakeClock()
    message = ran(server, "compatible", data, colour, (0.0, 1.5, 1.5, FOREVER), clock=clock)
    assert (message.text, message.response_metadata["normalized_finish_reason"]) == ("Hello.", "stop")
    assert message.usage_metadata == {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
    assert clock.slept == pytest.approx([0.0, 1.5, 1.5, 2.0])


@pytest.mark.parametrize("colour", STREAMS)
def test_without_an_idle_limit_a_stream_takes_its_time(server: LoopbackServer, colour: str) -> None:
    """Neither the attempt's timeout nor that of the first token bounds what follows the first content."""
    data = sse(chunk("One, ", None), chunk("two.", None), chunk(""), "[DONE]")
    limits = {"timeout": 5.0, "first_token_timeout": 2.0, "stream_idle_timeout": None}
    assert ran(server, "compatible", data, colour, (30.0, 30.0), **limits).text == "One, two."


def call(name: str, text: str, **fields: Any) -> dict[str, Any]:
    """Return a tool call as chat completions have it."""
    return {"type": "function", "function": {"name": name, "arguments": text}, **fields}


def called(*calls: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk with tool calls."""
    choice = {"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": None}
    return {"id": "c", "model": "m", "choices": [choice]}


def used(index: int, identity: str, text: str) -> list[dict[str, Any]]:
    """Return the events of a tool's use as Anthropic has them."""
    block = {"type": "tool_use", "id": identity, "name": identity, "input": {}}
    delta = {"type": "input_json_delta", "partial_json": text}
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]


def started(identity: str, text: str) -> list[dict[str, Any]]:
    """Return the events of a tool call as Cohere has them, at index 0."""
    begun = {"id": identity, **call(identity, "")}
    more = {"function": {"arguments": text}}
    kinds = (("tool-call-start", begun), ("tool-call-delta", more))
    return [{"type": kind, "index": 0, "delta": {"message": {"tool_calls": raw}}} for kind, raw in kinds]


CALLS = {
    "openai": sse(called(call("f", '{"x":1}'), call("g", '{"y":2}')), chunk("", "tool_calls"), "[DONE]"),
    "compatible": sse(
        called(call("f", "{}", index=0, id="")),
        called({"index": 0, "function": {"arguments": '{"x":1}'}}),
        called(call("g", '{"y":2}', index=0, id="")),
        chunk("", "tool_calls"),
        "null",
    ),
    "anthropic": sse(
        {"type": "message_start", "message": {"id": "m", "model": "m"}},
        *used(0, "f", '{"x":1}'),
        "[DONE]",
        *used(0, "g", '{"y":2}'),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ),
    "cohere": sse(
        {"type": "message-start", "id": "c"},
        *started("f", '{"x":1}'),
        "",
        *started("g", '{"y":2}'),
        {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": None}},
    ),
    "google": sse(
        {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]}}]},
        "[DONE]",
        {
            "candidates": [
                {
                    "content": {"parts": [{"functionCall": {"name": "g", "args": {"y": 2}}}]},
                    "finishReason": "STOP",
                }
            ]
        },
    ),
}


@each("vendor", CALLS)
@each("colour", STREAMS)
def test_each_tool_gets_its_own_arguments(server: LoopbackServer, vendor: str, colour: str) -> None:
    """Calls at one index, without ids, after an empty object, and among frames without JSON."""
    message = ran(server, vendor, CALLS[vendor], colour)
    assert [(one["name"], one["args"]) for one in message.tool_calls] == [("f", {"x": 1}), ("g", {"y": 2})]
    assert len({one["id"] for one in message.tool_calls} - {None, ""}) == 2
    assert message.response_metadata["normalized_finish_reason"] == "tool_call"


@pytest.mark.parametrize("colour", STREAMS)
def test_calls_that_cannot_be_distinguished_go_elsewhere(server: LoopbackServer, colour: str) -> None:
    """No tool gets another's arguments: the stream breaks."""
    first, more, _ = used(0, "f", '{"x":1}')
    second = used(0, "g", "")[0]
    data = sse({"type": "message_start", "message": {"id": "m"}}, first, second, more)
    with pytest.raises(StreamInterruptedError):
        ran(server, "anthropic", data, colour)


@each("word", ["MALFORMED_FUNCTION_CALL", "abort"])
@each("colour", ["invoke", "ainvoke", *STREAMS])
def test_an_answer_that_failed_falls_back(server: LoopbackServer, colour: str, word: str) -> None:
    """The words of other vendors mean what they mean there: here, that there is no answer."""
    message = {"role": "assistant", "content": "so far"}
    whole = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": word}]}
    body, kind = (sse(chunk("", word)), "event-stream") if colour in STREAMS else (json.dumps(whole), "plain")
    failed = Fault(status=200, body=body, headers={"content-type": f"text/{kind}"})
    server.script("compatible", [failed], account="a")
    server.script("compatible", [Answer("from the second")], account="b")
    deployments = [deployment(server, "compatible", name) for name in "ab"]
    with model_of(*deployments, retry_policy=RetryPolicy(max_retries=0)) as model:
        assert COLOURS[colour](model, "hello").text == "from the second"
    server.script("compatible", [failed], account="a")
    with model_of(deployments[0], retry_policy=RetryPolicy(max_retries=0)) as model:
        with pytest.raises(AllDeploymentsFailedError, match=word):
            COLOURS[colour](model, "hello")


STATE = {"google": {"thought_signature": "U0lH"}}
SIGNED = {"id": "t1", "extra_content": STATE, **call("f", '{"x":1}')}


@each("colour", ["invoke", "ainvoke", *STREAMS])
def test_opaque_state_returns_with_the_result(server: LoopbackServer, colour: str) -> None:
    """To the server that sent it; another deployment that takes over gets the call without it."""
    message = {"role": "assistant", "content": None, "tool_calls": [SIGNED]}
    whole = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    streamed = sse(called({"index": 0, **SIGNED}), chunk("", "tool_calls"), "[DONE]")
    body, kind = (streamed, "event-stream") if colour in STREAMS else (json.dumps(whole), "plain")
    server.script("compatible", [Fault(status=200, body=body, headers={"content-type": f"text/{kind}"})])
    deployments = [deployment(server, "compatible"), deployment(server, "openai")]
    with model_of(*deployments, retry_policy=RetryPolicy(max_retries=0)) as model:
        answer = COLOURS[colour](model, "hello")
        thread = [HumanMessage("hello"), answer, ToolMessage("4", tool_call_id="t1", name="f")]
        model.invoke(thread)
        assert server.requests[-1].body["messages"][1]["tool_calls"][0]["extra_content"] == STATE
        server.script("compatible", [Fault.error("auth")])
        elsewhere = model.invoke(thread)
    assert "U0lH" not in json.dumps(server.requests[-1].body)
    adapted = elsewhere.response_metadata["llmdispatch"]["adapted"]
    assert "server_state_dropped" in [change["kind"] for change in adapted]
