"""Turns that Anthropic pauses are continued within the call: one message, one stream, one bill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig, errors
from tests.cases import each
from tests.models import COLOURS, model_of

SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "four"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}
TEXT = {"type": "text", "text": "Four."}
FIRST: list[dict[str, Any]] = [{"type": "text", "text": "Looking."}, SEARCH]
TOOL = {"type": "web_search_20250305", "name": "web_search"}
USAGE = {"input_tokens": 100, "output_tokens": 10}


def turn(blocks: Sequence[dict[str, Any]], reason: str, **fields: Any) -> dict[str, Any]:
    """Return an answer."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
    return {**head, "content": list(blocks), "stop_reason": reason, "usage": USAGE, **fields}


def events(answer: dict[str, Any]) -> bytes:
    """Return an answer as a stream."""
    head = {**answer, "content": [], "stop_reason": None, "usage": {"input_tokens": 100, "output_tokens": 0}}
    out: list[dict[str, Any]] = [{"type": "message_start", "message": head}]
    for index, block in enumerate(answer["content"]):
        begun, deltas = block, []
        if block["type"] == "text":
            begun = {"type": "text", "text": ""}
            deltas = [
                {"type": "text_delta", "text": piece} for piece in (block["text"][:2], block["text"][2:])
            ]
        if block["type"] == "server_tool_use":
            begun = {**block, "input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        out.append({"type": "content_block_start", "index": index, "content_block": begun})
        out += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        out.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": answer["stop_reason"], "container": answer.get("container")}
    out += [{"type": "message_delta", "delta": delta, "usage": USAGE}, {"type": "message_stop"}]
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in out)


class Vendor:
    """Anthropic, with answers by script; the last one repeats."""

    def __init__(self, *script: dict[str, Any] | int) -> None:
        self._script = list(script)
        self.bodies: list[dict[str, Any]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        body = json.loads(request.content)
        self.bodies.append(body)
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(step, int):
            kind = "authentication_error" if step == httpx.codes.UNAUTHORIZED else "api_error"
            return httpx.Response(step, json={"type": "error", "error": {"type": kind, "message": "x"}})
        if body.get("stream"):
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=events(step))
        return httpx.Response(200, json=step)


def model(vendor: Vendor, *more: Deployment, **fields: Any) -> Any:
    """Return a model of one deployment of this vendor, and others, with a tool of the vendor's."""
    mock = httpx.MockTransport(vendor.answer)
    config = VendorConfig(
        http_client=httpx.Client(transport=mock), http_async_client=httpx.AsyncClient(transport=mock)
    )
    prices = {"input_price": 1.0, "output_price": 10.0}
    first = Deployment("anthropic:claude-haiku-4-5", name="a", api_key="sk-1", **prices)
    return model_of(first, *more, vendors={"anthropic": config}, **fields)


def ask(colour: str, dispatcher: DispatcherChatModel, **kwargs: Any) -> Any:
    """Return the answer to a question."""
    bound: Any = dispatcher.bind_tools([TOOL]).bind(**kwargs)
    return COLOURS[colour](bound, "2+2?")


@each("colour", COLOURS)
def test_it_is_continued(colour: str) -> None:
    """The content goes back as it came; blocks, usage, cost and attempts are added up."""
    vendor = Vendor(turn(FIRST, "pause_turn"), turn([FOUND], "pause_turn"), turn([TEXT], "end_turn"))
    with model(vendor) as dispatcher:
        message = ask(colour, dispatcher)
        stats = dispatcher.get_stats()
    assert message.text == "Looking.Four."
    assert [block["type"] for block in message.content] == ["text", SEARCH["type"], FOUND["type"], "text"]
    indices = [block.get("index") for block in message.content]
    assert indices == ([0, 1, 2, 3] if "stream" in colour else [None] * 4)
    counts = message.usage_metadata
    assert (counts["input_tokens"], counts["output_tokens"]) == (300, 30)
    facts = message.response_metadata
    assert (facts["finish_reason"], facts["finish_state"]) == ("end_turn", "complete")
    assert Decimal(facts["llmdispatch"]["cost_usd"]) == Decimal("0.0006")
    assert [a["error"] for a in facts["llmdispatch"]["attempts"]] == [None, None, None]
    assert (stats.total_requests, stats.input_tokens, stats.calls.answered) == (3, 300, 1)
    assert stats.retries == stats.fallbacks == 0
    sent = [body["messages"] for body in vendor.bodies]
    assert [len(turns) for turns in sent] == [1, 2, 2]
    assert sent[1][-1] == {"role": "assistant", "content": FIRST}
    assert sent[2][-1] == {"role": "assistant", "content": [*FIRST, FOUND]}


@pytest.mark.parametrize("colour", ["invoke", "stream"])
def test_the_container_goes_along(colour: str) -> None:
    """Files of the code execution are there in the next request."""
    paused = turn(FIRST, "pause_turn", container={"id": "c_1", "expires_at": "2026-12-01T00:00:00Z"})
    vendor = Vendor(paused, turn([TEXT], "end_turn"))
    with model(vendor) as dispatcher:
        ask(colour, dispatcher)
    assert [body.get("container") for body in vendor.bodies] == [None, "c_1"]
    vendor = Vendor(paused, turn([TEXT], "end_turn"))
    with model(vendor) as dispatcher:
        ask(colour, dispatcher, container={"skills": []})
    assert [body.get("container") for body in vendor.bodies] == [{"skills": []}, {"skills": [], "id": "c_1"}]


@each("colour", COLOURS)
@each("cascade", [None, "refusal"])
def test_it_is_bounded(colour: str, cascade: Any) -> None:
    """What is still paused after `max_attempts` is returned as it is, and marked as suspended."""
    vendor = Vendor(turn(FIRST, "pause_turn"))
    with model(vendor, max_attempts=3, escalate_when=cascade) as dispatcher:
        message = ask(colour, dispatcher)
    assert (message.text, len(vendor.bodies)) == ("Looking." * 3, 3)
    facts = message.response_metadata
    assert (facts["finish_reason"], facts["finish_state"]) == ("pause_turn", "suspended")
    assert message.usage_metadata["input_tokens"] == 300
    assert Decimal(facts["llmdispatch"]["cost_usd"]) == Decimal("0.0006")


@each("colour", COLOURS)
def test_a_failure_on_the_way_is_retried(colour: str) -> None:
    """At the same deployment; what has come is kept."""
    vendor = Vendor(turn(FIRST, "pause_turn"), 500, turn([TEXT], "end_turn"))
    with model(vendor) as dispatcher:
        message = ask(colour, dispatcher)
    assert message.text == "Looking.Four."
    attempts = message.response_metadata["llmdispatch"]["attempts"]
    assert [a["error"] for a in attempts] == [None, "ServerError", None]


@each("colour", COLOURS)
def test_an_answer_that_cannot_be_continued_is_returned(colour: str) -> None:
    """It is paid for; its state is not complete, and the failures are among the attempts."""
    vendor = Vendor(turn(FIRST, "pause_turn"), 500)
    with model(vendor) as dispatcher:
        message = ask(colour, dispatcher)
    assert (message.text, message.response_metadata["finish_state"]) == ("Looking.", "suspended")
    errors_of = [a["error"] for a in message.response_metadata["llmdispatch"]["attempts"]]
    assert errors_of[0] is None
    assert set(errors_of[1:]) == {"ServerError"}


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_another_deployment_does_not_go_on_with_a_stream(colour: str) -> None:
    """What was handed over is this one's; a whole answer may be made anew elsewhere."""
    vendor = Vendor(turn(FIRST, "pause_turn"), 401, turn([TEXT], "end_turn"))
    spare = Deployment("anthropic:claude-haiku-4-5", name="b", api_key="sk-2")
    with model(vendor, spare) as dispatcher:
        message = ask(colour, dispatcher)
    assert message.response_metadata["finish_state"] == "suspended"
    vendor = Vendor(turn(FIRST, "pause_turn"), 401, turn([TEXT], "end_turn"))
    with model(vendor, spare) as dispatcher:
        message = ask("invoke", dispatcher)
    assert message.text == "Four."
    assert len(vendor.bodies[-1]["messages"]) == 1


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_stream_that_breaks_while_it_is_continued(colour: str) -> None:
    """The error holds everything that was delivered."""

    class Cut(Vendor):
        def answer(self, request: httpx.Request) -> httpx.Response:
            response = super().answer(request)
            cut = len(self.bodies) > 1
            content = response.content[:-200] if cut else response.content
            return httpx.Response(200, headers=response.headers, content=content)

    vendor = Cut(turn(FIRST, "pause_turn"), turn([TEXT], "end_turn"))
    with model(vendor) as dispatcher, pytest.raises(errors.StreamInterruptedError) as caught:
        ask(colour, dispatcher)
    assert caught.value.partial.text == "Looking.Four."


def test_calls_of_the_callers_tools_are_the_callers() -> None:
    """They are answered before anything goes on."""
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    vendor = Vendor(turn([*FIRST, call], "pause_turn"))
    with model(vendor) as dispatcher:
        message = ask("invoke", dispatcher)
    assert ([c["name"] for c in message.tool_calls], len(vendor.bodies)) == (["f"], 1)


def test_budgets_and_bounds() -> None:
    """The content that is sent back is in the worst case; what no longer fits ends the answer."""
    vendor = Vendor(turn(FIRST, "pause_turn"))
    with model(vendor) as dispatcher:
        bound = dispatcher.explain("2+2?", tools=[TOOL], max_tokens=100).bound
        assert bound.requests == dispatcher.max_attempts
    vendor = Vendor(turn(FIRST, "pause_turn"))
    with model(vendor, budget_usd=0.10125) as dispatcher:
        message = ask("invoke", dispatcher, max_tokens=100)
        spent = Decimal(message.response_metadata["llmdispatch"]["cost_usd"])
    assert message.response_metadata["finish_state"] == "suspended"
    assert (spent, len(vendor.bodies)) == (Decimal("0.0002"), 1)
