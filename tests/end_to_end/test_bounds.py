"""No fault schedule exceeds what `explain` promised: requests, dollars, seconds; nor spends more than a budget counts.

Whole calls, in every colour, against vendors that misbehave by a drawn schedule: they refuse, stall, break
off, send too little or bill without telling, while the call retries, falls back, hedges, escalates, queues and
resumes. Time is virtual and nothing is sent.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from langchain_llmdispatch import Deployment, DispatcherChatModel, RetryPolicy, errors
from langchain_llmdispatch.budgets.budget import Budget
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Flow, Sleep
from tests.models import COLOURS

FAST = (Phase.explicit, Phase.generate)  # calls that race take a while to shrink
MOST = 60  # tokens of an answer
WORDS = ("one ", "two ", "three ", "four ", "five ", "six ")
MODELS = ("openai:gpt-5.4-mini", "anthropic:claude-haiku-4-5")


@dataclass(frozen=True)
class Step:
    """What becomes of one request.

    Attributes:
        kind: `answer`, `cut` (the answer breaks off), `stall`, `connect`, or an HTTP status.
        takes: Share of its read_deadline that it takes.
        billed: Tokens of output that the vendor bills, reported or not.
        pieces: Words of a stream that arrive before it breaks off.
        finish: Why an answer ends, in OpenAI's words.
        wait: Seconds to wait after an error, or after which "0 remaining" is over; 0 for none.
        late: Whether it waits for a hedge to be sent beside it.
    """

    kind: str = "answer"
    takes: float = 0.0
    billed: int = MOST
    pieces: int = 3
    finish: str = "stop"
    wait: float = 0.0
    late: bool = False


STEPS = st.builds(
    Step,
    kind=st.sampled_from(["answer", "answer", "cut", "stall", "connect", "429", "500", "503", "401", "400"]),
    takes=st.floats(0, 1),
    billed=st.integers(1, MOST),
    pieces=st.integers(0, len(WORDS)),
    finish=st.sampled_from(["stop", "length", "nothing"]),
    wait=st.sampled_from([0.0, 0.0, 2.0, 40.0, 250.0]),
    late=st.booleans(),
)


class Vendors:
    """A middleware that answers by a schedule, counts requests and computes what is really billed."""

    depth = 0
    replays = True

    def __init__(self, clock: FakeClock, steps: Sequence[Step], share: float) -> None:
        self._clock, self._steps, self._share = clock, list(steps), share
        self._lock = threading.Lock()
        self.sent = self.open = 0
        self.billed = Decimal(0)
        self._bills: list[tuple[Attempt, Decimal]] = []

    @property
    def reported(self) -> Decimal:
        """Dollars of the requests whose usage has reached us."""
        bills = [usd for attempt, usd in self._bills if attempt.usage is not None and not attempt.partial]
        return sum(bills, Decimal(0))

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Answer by the next step."""
        step, attempt = self._begin(request)
        try:
            ends = time.monotonic() + 0.03
            while step.late and attempt.call.sent < 2 and time.monotonic() < ends:
                yield Sleep(0.001, Clock())
            return self._answer(step, request, attempt, read_deadline)
        finally:
            self._end()

    def _begin(self, request: httpx.Request) -> tuple[Step, Attempt]:
        with self._lock:
            self.sent, self.open = self.sent + 1, self.open + 1
            step = self._steps.pop(0) if self._steps else Step()
        return step, request.extensions["llmdispatch"]

    def _end(self) -> None:
        with self._lock:
            self.open -= 1

    def _answer(
        self, step: Step, request: httpx.Request, attempt: Attempt, read_deadline: ReadDeadline
    ) -> httpx.Response:
        if step.kind == "connect":
            raise httpx.ConnectError("refused")
        left = read_deadline.left()
        if 0 < left < 1e5:
            self._clock.advance(left if step.kind == "stall" else left * step.takes)
        if step.kind.isdigit():
            headers = {"retry-after": f"{step.wait:g}"} if step.wait else {}
            return httpx.Response(int(step.kind), headers=headers, json={"error": {"message": "no"}})
        body = json.loads(request.content)
        prompt = self._prompt(body)
        price = attempt.target.deployment
        with self._lock:
            usd = (prompt * Decimal(str(price.input_price))) / 1_000_000
            usd += (step.billed * Decimal(str(price.output_price))) / 1_000_000
            self.billed += usd
            self._bills.append((attempt, usd))
        if step.kind == "stall":
            raise httpx.ReadTimeout("silence")
        speak = _anthropic if "anthropic" in str(request.url) else _openai
        events, whole = speak(step, prompt)
        return self._reply(step, events if body.get("stream") else None, whole)

    def _prompt(self, body: dict[str, Any]) -> int:
        """Return the tokens of a prompt: honest vendors stay within the estimate's margin."""
        messages = body["messages"]
        characters = sum(len(str(message["content"])) for message in messages)
        return int((characters // 4 + 4 * len(messages)) * (1 + self._share / 2))

    def _reply(self, step: Step, events: list[str] | None, whole: dict[str, Any]) -> httpx.Response:
        headers = {}
        if step.wait:
            headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{step.wait:g}s"}
        if events is None:
            text = json.dumps(whole)
            return httpx.Response(
                200, headers=headers, text=text[: len(text) // 2 if step.kind == "cut" else None]
            )
        events = events[: 1 + step.pieces] if step.kind == "cut" else events
        headers["content-type"] = "text/event-stream"
        return httpx.Response(200, headers=headers, text="".join(events))


def _openai(step: Step, prompt: int) -> tuple[list[str], dict[str, Any]]:
    words = WORDS if step.finish != "nothing" else ()
    finish = "stop" if step.finish == "nothing" else step.finish
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": step.billed,
        "total_tokens": prompt + step.billed,
    }
    head = {"id": "1", "object": "chat.completion.chunk", "model": "gpt-5.4-mini"}
    deltas = [{"role": "assistant"}, *({"content": word} for word in words)]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**head, "choices": [], "usage": usage})
    message = {"role": "assistant", "content": "".join(words)}
    whole = {**head, "choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}
    return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"], whole


def _anthropic(step: Step, prompt: int) -> tuple[list[str], dict[str, Any]]:
    words = WORDS if step.finish != "nothing" else ()
    finish = {"stop": "end_turn", "length": "max_tokens", "nothing": "end_turn"}[step.finish]
    usage = {"input_tokens": prompt, "output_tokens": step.billed}
    head = {
        "id": "1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "stop_reason": None,
    }
    begun = {**head, "content": [], "usage": {"input_tokens": prompt, "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    if words:
        events.append(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        )
        for word in words:
            delta = {"type": "text_delta", "text": word}
            events.append({"type": "content_block_delta", "index": 0, "delta": delta})
        events.append({"type": "content_block_stop", "index": 0})
    events.append({"type": "message_delta", "delta": {"stop_reason": finish}, "usage": usage})
    events.append({"type": "message_stop"})
    content = [{"type": "text", "text": "".join(words)}] if words else []
    whole = {**head, "stop_reason": finish, "content": content, "usage": usage}
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events], whole


def deployments(data: st.DataObject) -> list[Deployment]:
    """Return one to three deployments with prices, some with limits."""
    out = []
    for name in data.draw(st.sampled_from(["a", "ab", "abc"])):
        price = st.floats(0.1, 50)
        out.append(
            Deployment(
                data.draw(st.sampled_from(MODELS)),
                name=name,
                api_key=f"key-{name}",
                input_price=data.draw(price),
                output_price=data.draw(price),
                rpm=data.draw(st.sampled_from([None, None, 2, 600])),
                max_concurrency=data.draw(st.sampled_from([None, 1])),
            )
        )
    return out


def model_of(data: st.DataObject, clock: FakeClock) -> DispatcherChatModel:
    """Return a model with drawn settings."""
    draw = data.draw
    return DispatcherChatModel(
        models=deployments(data),
        env={},
        clock=clock,
        rng=random.Random(1),
        strategy=draw(st.sampled_from(["ordered", "lowest_cost", "round_robin"])),
        retry_policy=RetryPolicy(max_retries=draw(st.integers(0, 3))),
        max_attempts=draw(st.integers(1, 7)),
        timeout=draw(st.sampled_from([5.0, 60.0])),
        deadline=draw(st.sampled_from([None, 10.0, 100.0, 600.0])),
        hedge_after=draw(st.sampled_from([None, 0.002])),
        escalate_when=draw(st.sampled_from([None, "length"])),
        on_stream_error=draw(st.sampled_from(["raise", "resume"])),
        budget=Budget(1000, "month"),
        budget_usd=draw(st.sampled_from([None, 0.002, 1.0])),
        max_tokens=MOST,
    )


@pytest.mark.parametrize("colour", COLOURS)
@settings(phases=FAST)
@given(data=st.data(), steps=st.lists(STEPS, max_size=8), share=st.floats(0, 1))
def test_no_fault_schedule_exceeds_the_bound(
    colour: str, data: st.DataObject, steps: list[Step], share: float
) -> None:
    """Two calls, one after the other: each stays within its plan, and the budget counts all that is reported."""
    clock = FakeClock()
    model = model_of(data, clock)
    vendors = Vendors(clock, steps, share)
    model._engine.transport.middlewares = (vendors,)
    try:
        for _ in range(2):
            check(model, vendors, clock, colour)
    finally:
        model._engine.limiter.close()
        model.close()


def check(model: DispatcherChatModel, vendors: Vendors, clock: FakeClock, colour: str) -> None:
    """Call once, and compare what became of it with what was promised."""
    assert model.budget is not None
    streamed = {"stream": True} if "stream" in colour else {}
    bound = model.explain("hello " * 20, **streamed).bound
    sent, billed, reported, spent, began = (
        vendors.sent,
        vendors.billed,
        vendors.reported,
        model.budget.spent(clock.now()),
        clock.monotonic(),
    )
    try:
        COLOURS[colour](model, "hello " * 20)
    except errors.DispatchError:
        pass
    seconds = clock.monotonic() - began
    ends = time.monotonic() + 60
    while (vendors.open or model.get_stats().in_flight) and time.monotonic() < ends:
        time.sleep(0.001)
    assert vendors.sent - sent <= bound.requests
    assert bound.usd is not None
    entered = model.budget.spent(clock.now()) - spent
    assert vendors.reported - reported <= entered <= bound.usd
    assert vendors.billed - billed <= bound.usd
    if bound.seconds is not None:
        assert seconds <= bound.seconds + 0.001
