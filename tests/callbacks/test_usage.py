"""Usage of whole chains: each request once, failed ones as wasted, budgets, and the vendors' own accounting."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
    RetryPolicy,
    StreamInterruptedError,
)
from langchain_llmdispatch.callbacks.usage import Usage, UsageCallbackHandler, get_usage_callback
from langchain_llmdispatch.errors import BudgetExceededError
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.faults import ANSWER, Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


def test_usage_over_a_chain(server: LoopbackServer) -> None:
    """Tokens and dollars of all calls in a chain, by vendor, deployment and model."""
    cheap = deployment(server, "openai", input_price=1, output_price=2)
    dear = deployment(server, "anthropic", input_price=10, output_price=20)
    model = model_of(cheap, dear)
    chain = RunnableParallel(a=model, b=RunnableLambda(lambda text: model.invoke(text, model="anthropic")))
    with get_usage_callback() as usage:
        answer = chain.invoke("hello there")
    reported = server.usage()
    assert usage.answers == 2
    assert usage.input_tokens == reported["openai"].input_tokens + reported["anthropic"].input_tokens
    assert usage.by_vendor["openai"].output_tokens == reported["openai"].output_tokens
    costs = [Decimal(one.response_metadata["llmdispatch"]["cost_usd"]) for one in answer.values()]
    assert usage.cost == sum(costs)
    assert set(usage.by_deployment) == {"openai", "anthropic"}
    assert len(usage.by_model) == 2
    model.invoke("not counted")
    assert usage.answers == 2


def test_a_handler_attached_twice_counts_once(server: LoopbackServer) -> None:
    """On the model, in the config and by the context manager: one answer is one answer."""
    usage = UsageCallbackHandler()
    model = model_of(deployment(server, "openai"), callbacks=[usage])
    model.invoke("hello", {"callbacks": [usage]})
    list(model.stream("hello", {"callbacks": [usage]}))
    assert usage.answers == 2
    assert usage.input_tokens == server.usage()["openai"].input_tokens


def test_blocks_nest(server: LoopbackServer) -> None:
    """An inner block's answers count in the outer one too; a spent outer budget refuses inner calls."""
    model = model_of(deployment(server, "openai"))
    with get_usage_callback() as outer:
        model.invoke("hello")
        with get_usage_callback() as inner:
            model.invoke("hello")
        model.invoke("hello")
    assert (outer.answers, inner.answers) == (3, 1)
    with (
        get_usage_callback(budget_usd=0),
        get_usage_callback() as inner,
        pytest.raises(BudgetExceededError),
    ):
        model.invoke("hello")
    assert (inner.answers, len(server.requests)) == (0, 3)


def test_threads_of_ones_own_take_the_block_along(server: LoopbackServer) -> None:
    """A thread that runs in a copy of the context is counted, as the docstring states; others are not."""
    model = model_of(deployment(server, "openai"))
    with get_usage_callback() as usage, ThreadPoolExecutor(2) as pool:
        pool.submit(model.invoke, "not counted").result()
        pool.submit(copy_context().run, model.invoke, "counted").result()
    assert usage.answers == 1


@pytest.mark.parametrize("close", [True, False])
def test_streams_that_are_left_leave_nothing_behind(server: LoopbackServer, *, close: bool) -> None:
    """The request of a stream that is left counts once, and its run is forgotten, whichever ends first."""
    model, usage = model_of(deployment(server, "openai")), UsageCallbackHandler()

    async def main() -> None:
        stream = model.astream("hello", {"callbacks": [usage]})
        await anext(stream)
        if close:
            await stream.aclose()

    asyncio.run(main())
    assert (usage.failed_requests, usage.answers) == (1, 0)
    assert usage._runs == {}


def test_cached_answers_are_not_billed(server: LoopbackServer) -> None:
    """An answer from LangChain's cache counts as cached, and costs nothing."""
    model = model_of(deployment(server, "openai", input_price=1, output_price=1), cache=InMemoryCache())
    with get_usage_callback() as usage:
        first = model.invoke("hello")
        model.invoke("hello")
    assert (usage.answers, usage.cached_answers, len(server.requests)) == (1, 1, 1)
    assert usage.total_tokens == first.usage_metadata["total_tokens"]
    assert model.get_stats().total_requests == 1


def test_a_cached_answer_without_usage_is_not_billed_either(server: LoopbackServer) -> None:
    """A cached answer whose vendor named no usage counts as cached, not as one of unknown price."""
    server.script("openai", [Fault.without("usage")])
    model = model_of(deployment(server, "openai"), cache=InMemoryCache(), streaming=True)
    with get_usage_callback() as usage:
        assert model.invoke("hello").usage_metadata is None
        model.invoke("hello")
    assert (usage.answers, usage.unpriced_answers, usage.cached_answers) == (1, 1, 1)


class Around(BaseChatModel):
    """A chat model that calls another one, as wrappers do."""

    inner: Any

    @property
    def _llm_type(self) -> str:
        return "around"

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.inner.invoke(messages))])


def test_a_model_around_ours_does_not_count_twice(server: LoopbackServer) -> None:
    """An answer that passes through two runs was paid for once."""
    model = model_of(deployment(server, "openai", input_price=1, output_price=1))
    with get_usage_callback() as usage:
        Around(inner=model).invoke("hello")
    assert usage.answers == 1
    assert usage.input_tokens == server.usage()["openai"].input_tokens
    assert usage.cost == Decimal(usage.total_tokens) / 1_000_000


def test_answers_of_other_models_count_too() -> None:
    """A foreign chat model in the chain is counted, its price unknown."""
    with get_usage_callback() as usage:
        FakeListChatModel(responses=["hi"]).invoke("hello")
    assert (usage.answers, usage.unpriced_answers, usage.total_tokens) == (1, 1, 0)


def test_failed_requests_are_paid_for(server: LoopbackServer) -> None:
    """An empty answer's tokens count, as wasted, although another answer came."""
    server.script("openai", [Fault.empty_answer()])
    model = model_of(deployment(server, "openai", input_price=1, output_price=1))
    with get_usage_callback() as usage:
        model.invoke("hello")
    assert usage.total.failed_requests == 1
    assert usage.input_tokens == server.usage()["openai"].input_tokens
    assert usage.wasted == Decimal(usage.wasted_tokens) / 1_000_000 > 0
    assert "wasted" in repr(usage)


def test_a_spent_budget_refuses_the_next_call(server: LoopbackServer) -> None:
    """Once the dollars are spent nothing more is sent."""
    model = model_of(deployment(server, "openai", input_price=1000, output_price=1000))
    with get_usage_callback(budget_usd=0.001) as usage:
        model.invoke("hello")
        for call in (model.invoke, lambda text: list(model.stream(text))):
            with pytest.raises(BudgetExceededError, match="budget"):
                call("hello")
        with pytest.raises(BudgetExceededError):
            asyncio.run(model.ainvoke("hello"))
    assert len(server.requests) == 1
    assert usage.answers == 1


def test_a_budget_can_be_watched(server: LoopbackServer) -> None:
    """`on_budget` is called once when the budget is spent, and nothing is refused."""
    called = []
    model = model_of(deployment(server, "openai", input_price=1000, output_price=1000))
    with get_usage_callback(budget_usd=0.02, on_budget=called.append) as usage:
        for _ in range(5):
            model.invoke("hello")
    assert called == [usage]
    assert usage.answers == 5


def test_usage_values(server: LoopbackServer) -> None:
    """Usage adds up and is JSON-safe; unknown names are errors."""
    both = Usage(answers=1, cost=Decimal("0.1")) + Usage(answers=2, cost=Decimal("0.2"))
    assert (both.answers, both.cost, both.cost_usd) == (3, Decimal("0.3"), 0.3)
    assert json.loads(json.dumps(both.to_dict()))["cost_usd"] == "0.3"
    with pytest.raises(AttributeError):
        _ = UsageCallbackHandler().nonsense


FAULTS = (
    *(Fault.error("overloaded"), Fault.error("rate_limit"), Fault.empty_answer(), Fault.reset()),
    *(Fault.cut(after_events=1), Fault.no_end_marker(), Fault.in_band_error(after_events=1)),
)


def _schedule(rng: random.Random, length: int) -> Iterator[Any]:
    for _ in range(length):
        yield rng.choice(FAULTS) if rng.random() < 0.25 else ANSWER


def test_a_thousand_calls_with_faults_equal_the_vendors_own_accounting(server: LoopbackServer) -> None:
    """Requests, tokens and dollars of statistics and callback equal what the vendors say they delivered."""
    rng = random.Random(5)
    for vendor in ("openai", "anthropic", "google"):
        server.script(vendor, list(_schedule(rng, 1500)))
    prices = {"input_price": 1, "output_price": 2}
    model = model_of(
        *(deployment(server, vendor, **prices) for vendor in ("openai", "anthropic", "google")),
        retry_policy=RetryPolicy(jitter=False, max_retries=1),
        clock=FakeClock(),
    )

    async def call(n: int, route: str | None) -> None:
        if n % 4 == 0:
            model.invoke(f"call {n}", model=route)
        elif n % 4 == 1:
            list(model.stream(f"call {n}", model=route))
        elif n % 4 == 2:
            await model.ainvoke(f"call {n}", model=route)
        else:
            _ = [chunk async for chunk in model.astream(f"call {n}", model=route)]

    async def main() -> int:
        failed = 0
        for n in range(1000):
            try:
                await call(n, rng.choice(["openai", "anthropic", "google", None]))
            except (AllDeploymentsFailedError, StreamInterruptedError):
                failed += 1
        return failed

    with get_usage_callback() as usage:
        failed = asyncio.run(main())
    stats, reported = model.get_stats(), server.usage()
    assert (stats.calls.calls, stats.calls.failed, usage.failed_calls) == (1000, failed, failed)
    assert failed > 20
    for vendor in ("openai", "anthropic", "google"):
        ours, theirs = stats.vendor_stats[vendor], reported[vendor]
        assert ours.requests == theirs.requests
        assert (ours.input_tokens, ours.output_tokens) == (theirs.input_tokens, theirs.output_tokens)
        counted = usage.by_vendor[vendor]
        assert (counted.input_tokens, counted.output_tokens) == (theirs.input_tokens, theirs.output_tokens)
        billed = Decimal(theirs.input_tokens + 2 * theirs.output_tokens) / 1_000_000
        # Requests that were cut have no usage, or a part of it; what they cost is estimated.
        assert counted.cost == ours.cost
        assert billed <= ours.cost <= billed + ours.estimated
    assert usage.failed_requests == stats.failed_requests
    assert usage.answers == stats.successful_requests
    assert usage.wasted == stats.totals.wasted > 0
