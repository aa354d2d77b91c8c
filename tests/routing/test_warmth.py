"""Warm prompt caches: what is known of them, and why one was missed."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_llmdispatch.routing.warmth import CacheMiss, Warmth
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import ToolSpec
from tests.calls import dispatch_of
from tests.cases import each
from tests.targets import request, target

CLAUDE = "anthropic:claude-haiku-4-5"
SYSTEM = "You are the support of a shop. " * 200
TOOLS = [
    ToolSpec(name, f"Does {name}.", {"type": "object", "properties": {}}) for name in ("buy", "find", "pay")
]


class Thread:
    """A thread on one or several deployments, in virtual time."""

    def __init__(self) -> None:
        self.warmth, self.clock = Warmth(), FakeClock()
        self.system, self.tools, self.params = SYSTEM, list(TOOLS), dict[str, Any]()
        self.history: list[BaseMessage] = [HumanMessage("hello"), AIMessage("Hi!"), HumanMessage("a book")]
        self.targets = {name: target(name, model=CLAUDE) for name in ("one", "two")}

    def answer(self, cached: int, written: int, on: str = "one") -> CacheMiss | None:
        """Answer a turn that read and wrote so many tokens; return the miss, if it is one."""
        messages = [SystemMessage(self.system), *self.history]
        chat_request = request(messages, tools=tuple(self.tools), params=self.params)
        own = self.targets[on]
        dispatch = dispatch_of([own], clock=self.clock, request=chat_request)
        attempt = next(dispatch.attempts())
        attempt.call.thread = "t"
        details = {"cache_read": cached, "ephemeral_5m_input_tokens": written}
        usage: Any = {"input_tokens": 5000, "output_tokens": 10, "total_tokens": 5010}
        attempt.usage = {**usage, "input_token_details": details}
        attempt.cost = own.price.cost(attempt.usage, self.clock.now())
        return self.warmth.answered(attempt)


def _warm() -> Thread:
    thread = Thread()
    assert thread.answer(0, 4000) is None
    thread.clock.advance(20)
    thread.history += [AIMessage("Which?"), HumanMessage("any")]
    assert thread.answer(4000, 500) is None
    thread.history += [AIMessage("This."), HumanMessage("good")]
    thread.clock.advance(20)
    return thread


def test_a_hit_is_no_miss_and_a_cold_thread_neither() -> None:
    """Only a thread that was warm can miss."""
    assert _warm().answer(4500, 100) is None
    assert Thread().answer(0, 0) is None


@each("seed", range(30))
def test_each_of_thirty_seeded_breaks_is_named(seed: int) -> None:
    """By its cause, its place, and its dollars."""
    rng, thread = random.Random(seed), _warm()
    cause = ("moved", "expired", "tools_reordered", "tools_changed", "system_changed", "settings_changed",
             "history_changed", "vendor_missed")[seed % 8]  # fmt: skip
    place, on, words = rng.randrange(len(SYSTEM)), "one", ""
    if cause == "moved":
        on, words = "two", "moved from one to two"
    elif cause == "expired":
        thread.clock.advance(rng.uniform(300, 900))
        words = "it lasts 300 s"
    elif cause == "tools_reordered":
        thread.tools[0], thread.tools[2] = thread.tools[2], thread.tools[0]
        words = "'pay'"
    elif cause == "tools_changed":
        number = rng.randrange(3)
        gone = thread.tools.pop(number)
        words = gone.name
    elif cause == "system_changed":
        thread.system = SYSTEM[:place] + "#" + SYSTEM[place + 1 :]
        words = f"character {place}"
    elif cause == "settings_changed":
        thread.params["reasoning_effort"] = "high"
        words = "reasoning_effort"
    elif cause == "history_changed":
        number = rng.randrange(3)
        thread.history[number] = HumanMessage("something else")
        words = f"message {number}"
    miss = thread.answer(0, 0, on)
    assert miss is not None
    assert (miss.cause, miss.tokens) == (cause, 4500)
    assert words in miss.detail
    assert miss.usd == Decimal("0.9") * 4500 / 1_000_000
    assert miss.to_dict()["cause"] == cause


def test_what_is_warm_is_what_vendors_reported_and_lasts() -> None:
    """Tokens read and written, for five minutes after the last use."""
    thread = _warm()
    own, other = thread.targets["one"], thread.targets["two"]
    now = thread.clock.monotonic()
    assert thread.warmth.tokens_on("t", own, now, 9000) == 4500
    assert thread.warmth.tokens_on("t", own, now, 3000) == 3000
    assert thread.warmth.tokens_on("t", own, now + 300, 9000) == 0
    assert thread.warmth.tokens_on("t", other, now, 9000) == 0
    assert thread.warmth.tokens_on(None, own, now, 9000) == 0
