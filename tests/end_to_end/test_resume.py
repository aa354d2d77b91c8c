"""Streams that break after content and are resumed, on a real server: joined exactly, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from math import ceil
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from langchain_llmdispatch import DispatcherChatModel, StreamInterruptedError, errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import SpliceError
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, ToolCall
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of, summed

TEXT = "one two three four five six seven eight nine ten"


ADD = {"title": "add", "description": "Add.", "type": "object", "properties": {"a": {"type": "integer"}}}


BROKEN = (Fault.cut(after_events=5), Answer(TEXT))


def _stream(model: DispatcherChatModel, seen: list[AIMessageChunk]) -> None:
    for chunk in model.stream("count"):
        seen.append(chunk)  # noqa: PERF402 - kept also when the next one raises


def _astream(model: DispatcherChatModel, seen: list[AIMessageChunk]) -> None:
    async def run() -> None:
        async for chunk in model.astream("count"):
            seen.append(chunk)

    asyncio.run(run())


@pytest.fixture(params=[_stream, _astream], ids=["stream", "astream"])
def read(request: pytest.FixtureRequest) -> Callable[[DispatcherChatModel, list[AIMessageChunk]], None]:
    """Return a way to stream, in each colour."""
    return request.param


Read = Callable[[DispatcherChatModel, list[AIMessageChunk]], None]


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "cohere", "ollama"])
def test_a_retried_stream_is_one_text_for_the_caller(server: LoopbackServer, read: Read, vendor: str) -> None:
    """The same deployment gives the same answer again: what was delivered is skipped, the rest follows."""
    model_name = {"anthropic": "anthropic:claude-haiku-5-5", "google": "google:gemini-3.6-flash"}
    server.script(vendor, [BROKEN, Answer(TEXT)], account="a")
    target = deployment(server, vendor, "a")
    if vendor in model_name:
        target = target.model_copy(update={"model": model_name[vendor]})
    seen: list[AIMessageChunk] = []
    with model_of(target, on_stream_error="resume") as model:
        read(model, seen)
    message = summed(seen)
    facts = message.response_metadata["llmdispatch"]
    assert message.text == TEXT
    assert facts["resumed"] is True
    assert [record["error"] for record in facts["attempts"]] == ["StreamInterruptedError", None]
    assert message.response_metadata["normalized_finish_reason"] == "stop"
    assert len(server.requests) == 2


@pytest.mark.parametrize("vendor", ["anthropic", "google"])
def test_with_prefill_only_the_rest_is_requested(server: LoopbackServer, read: Read, vendor: str) -> None:
    """The target is given what was delivered as the beginning of its own turn, and its words are appended."""
    server.script(vendor, [BROKEN, (Answer(" and then some"),)], account="a")
    seen: list[AIMessageChunk] = []
    with model_of(deployment(server, vendor, "a"), on_stream_error="resume") as model:
        try:
            read(model, seen)
        except StreamInterruptedError:
            pytest.fail("it was to be continued")
    text = "".join(chunk.text for chunk in seen)
    start = text.removesuffix(" and then some")
    assert start
    assert TEXT.startswith(start)
    body = server.requests[1].body
    turns = body.get("messages") or body.get("contents")
    assert turns[-1]["role"] in {"assistant", "model"}
    assert start.rstrip() in str(turns[-1])
    assert summed(seen).response_metadata["llmdispatch"]["resumed"] is True


@pytest.mark.parametrize("short", ["0", "0.000001"])
def test_text_that_is_sent_to_be_continued_is_billed(server: LoopbackServer, read: Read, short: str) -> None:
    """The worst case of a continuation has the tokens that are sent back: a budget that lacks them ends it."""
    server.script("anthropic", [BROKEN, Fault.cut()], account="a", repeat=True)
    target = deployment(server, "anthropic", "a", input_price=1000, output_price=1)
    fields: dict[str, Any] = {"clock": Clock(), "max_tokens": 50, "on_stream_error": "resume"}
    charged = Budget(100)
    with model_of(target, max_attempts=1, budget=charged, **fields) as model:
        worst = model.explain("count", stream=True).candidates[0].worst_usd
        seen: list[AIMessageChunk] = []
        with pytest.raises(StreamInterruptedError):
            read(model, seen)
    assert worst is not None
    repeated = ceil(sum(len(chunk.text) for chunk in seen) / 4 * 1.5)
    assert repeated > 0
    needed = charged.spent(Clock().now()) + worst + repeated * Decimal("0.001")
    server.script("anthropic", [BROKEN, Fault.cut()], account="a", repeat=True)
    with model_of(target, max_attempts=2, budget_usd=float(needed - Decimal(short)), **fields) as model:
        with pytest.raises(StreamInterruptedError):
            read(model, [])
    assert len(server.requests) == (3 if short == "0" else 2)


def test_another_vendor_continues(server: LoopbackServer, read: Read) -> None:
    """The next deployment has another format; the caller's message stays in one piece."""
    server.script("anthropic", [BROKEN, Fault.error("auth")], account="a")
    server.script("openai", [Answer(TEXT)], account="b")
    seen: list[AIMessageChunk] = []
    pair = deployment(server, "anthropic", "a"), deployment(server, "openai", "b")
    with model_of(*pair, on_stream_error="resume") as model:
        read(model, seen)
    message = summed(seen)
    facts = message.response_metadata["llmdispatch"]
    assert message.text == TEXT
    assert [record["deployment"] for record in facts["attempts"]] == ["a", "a", "b"]
    assert facts["deployment"] == "b"
    assert message.response_metadata["model_provider"] == "anthropic"


def test_an_answer_that_differs_is_never_joined(server: LoopbackServer, read: Read) -> None:
    """The caller keeps what was delivered, on the error, and no character of the other answer."""
    server.script("openai", [BROKEN, Answer("eins zwei drei vier")], account="a")
    seen: list[AIMessageChunk] = []
    with (
        model_of(deployment(server, "openai", "a"), on_stream_error="resume") as model,
        pytest.raises(StreamInterruptedError) as raised,
    ):
        read(model, seen)
    assert raised.value.partial.text == "".join(chunk.text for chunk in seen)
    assert TEXT.startswith(raised.value.partial.text)
    assert isinstance(raised.value.__cause__, SpliceError)
    assert [record.error for record in raised.value.attempts] == ["StreamInterruptedError", "SpliceError"]


def test_after_a_mismatch_only_prefill_may_help(server: LoopbackServer, read: Read) -> None:
    """Another answer from the start would differ too, but a target that continues the text can resume."""
    server.script("openai", [BROKEN, Answer("eins zwei drei")], account="a")
    server.script("anthropic", [Answer(" ...")], account="c")
    targets = deployment(server, "openai", "a"), deployment(server, "cohere", "b")
    seen: list[AIMessageChunk] = []
    with model_of(*targets, deployment(server, "anthropic", "c"), on_stream_error="resume") as model:
        read(model, seen)
    assert [request.account for request in server.requests] == ["a", "a", "c"]


def test_a_shorter_answer_is_not_joined(server: LoopbackServer, read: Read) -> None:
    """An answer that ends within what was delivered does not pass for its end."""
    server.script("openai", [BROKEN, Answer("one")], account="a")
    seen: list[AIMessageChunk] = []
    with (
        model_of(deployment(server, "openai", "a"), on_stream_error="resume") as model,
        pytest.raises(StreamInterruptedError),
    ):
        read(model, seen)


def test_an_answer_that_adds_nothing_ends_the_message(server: LoopbackServer, read: Read) -> None:
    """If only the end was missing, only the end is added."""
    server.script("anthropic", [(Fault.no_end_marker(), Answer("all of it"))], account="a")
    server.script("openai", [Answer("all of it")], account="b")
    pair = deployment(server, "anthropic", "a"), deployment(server, "openai", "b")
    seen: list[AIMessageChunk] = []
    with model_of(*pair, on_stream_error="resume", max_retries=0) as model:
        read(model, seen)
    assert summed(seen).text == "all of it"
    assert summed(seen).response_metadata["normalized_finish_reason"] == "stop"


def test_a_stream_may_break_more_than_once(server: LoopbackServer, read: Read) -> None:
    """Each break is bridged, within max_attempts; then the error carries everything delivered."""
    steps = [(Fault.cut(after_events=n), Answer(TEXT)) for n in (4, 7, 9)]
    server.script("openai", [*steps, Answer(TEXT)], account="a")
    seen: list[AIMessageChunk] = []
    with model_of(deployment(server, "openai", "a"), on_stream_error="resume", max_retries=5) as model:
        read(model, seen)
    assert "".join(chunk.text for chunk in seen) == TEXT
    assert len(server.requests) == 4
    server.clear()
    server.script("openai", steps, account="a")
    seen, target = [], deployment(server, "openai", "a")
    with (
        model_of(target, on_stream_error="resume", max_attempts=3, max_retries=5) as model,
        pytest.raises(StreamInterruptedError) as raised,
    ):
        read(model, seen)
    assert raised.value.partial.text == "".join(chunk.text for chunk in seen)
    assert len(raised.value.attempts) == 3


def test_a_tool_call_that_was_delivered_ends_the_call(server: LoopbackServer, read: Read) -> None:
    """Half a tool call cannot be completed by another answer."""
    answer = Answer("sure", tool_calls=(ToolCall("add", {"a": 1234567, "b": 7654321}),))
    server.script("anthropic", [(Fault.cut(after_events=9), answer)], account="a")
    seen: list[AIMessageChunk] = []
    with (
        model_of(deployment(server, "anthropic", "a"), on_stream_error="resume") as model,
        pytest.raises(StreamInterruptedError) as raised,
    ):
        read(model.bind_tools([ADD]), seen)
    assert raised.value.partial.tool_call_chunks
    assert len(server.requests) == 1


def test_off_by_default(server: LoopbackServer, read: Read) -> None:
    """Without the option a broken stream is raised at once."""
    server.script("openai", [BROKEN], account="a")
    with model_of(deployment(server, "openai", "a")) as model, pytest.raises(StreamInterruptedError):
        read(model, [])
    assert len(server.requests) == 1


def test_an_error_of_the_caller_is_not_resumed(server: LoopbackServer, read: Read) -> None:
    """A request that no vendor accepts ends the call, with everything delivered on the error."""
    server.script("openai", [BROKEN, Fault.error("invalid_request")], account="a")
    seen: list[AIMessageChunk] = []
    with (
        model_of(deployment(server, "openai", "a"), on_stream_error="resume") as model,
        pytest.raises(StreamInterruptedError) as raised,
    ):
        read(model, seen)
    assert isinstance(raised.value.__cause__, errors.InvalidRequestError)
    assert raised.value.partial.text == "".join(chunk.text for chunk in seen) != ""
