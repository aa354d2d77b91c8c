"""Callbacks: retries and events on the LLM run in every colour; usage of whole chains, each request once."""

from __future__ import annotations

import asyncio
import json
import pickle
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler, CallbackManager
from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_llmdispatch import (
    AllDeploymentsFailedError,
    DispatcherChatModel,
    RetryPolicy,
    StreamInterruptedError,
)
from langchain_llmdispatch.callbacks.usage import Usage, UsageCallbackHandler, get_usage_callback
from langchain_llmdispatch.chat_model.run_context import take_run
from langchain_llmdispatch.errors import BudgetExceededError
from tests.end_to_end.test_failover import deployment, model_of
from tests.fakes import FakeClock
from tests.loopback.faults import ANSWER, Fault
from tests.loopback.server import LoopbackServer


class Ears(BaseCallbackHandler):
    """Writes down what a run hears, and on which run."""

    run_inline = True

    def __init__(self) -> None:
        self.heard: list[tuple[str, UUID]] = []
        self.data: list[tuple[str, dict[str, Any]]] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the start."""
        self.heard.append(("start", run_id))

    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note a retry."""
        self.heard.append(("on_retry", run_id))

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note an event."""
        self.heard.append((name.removeprefix("llmdispatch."), run_id))
        self.data.append((name.removeprefix("llmdispatch."), data))

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note the end."""
        self.heard.append(("end", run_id))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note an error."""
        self.heard.append(("error", run_id))

    def names(self) -> list[str]:
        """Return what was heard, in order."""
        return [name for name, _ in self.heard]


class AsyncEars(AsyncCallbackHandler):
    """The same, awaited."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.loops: set[int] = set()

    async def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """Note an event."""
        self.loops.add(id(asyncio.get_running_loop()))
        self.names.append(name.removeprefix("llmdispatch."))

    async def on_retry(self, retry_state: Any, **kwargs: Any) -> None:
        """Note a retry."""
        self.names.append("on_retry")


Config = dict[str, Any]


async def _collect(model: DispatcherChatModel, config: Config) -> None:
    async for _ in model.astream("hello", config):
        pass


COLOURS: dict[str, tuple[bool, Callable[[DispatcherChatModel, Config], Any]]] = {
    "invoke": (False, lambda model, config: model.invoke("hello", config)),
    "ainvoke": (False, lambda model, config: asyncio.run(model.ainvoke("hello", config))),
    "stream": (False, lambda model, config: list(model.stream("hello", config))),
    "astream": (False, lambda model, config: asyncio.run(_collect(model, config))),
    "invoke, streaming": (True, lambda model, config: model.invoke("hello", config)),
    "ainvoke, streaming": (True, lambda model, config: asyncio.run(model.ainvoke("hello", config))),
}
colours = pytest.mark.parametrize(("streaming", "run"), COLOURS.values(), ids=COLOURS)


@colours
def test_the_llm_run_hears_everything(
    server: LoopbackServer, streaming: bool, run: Callable[[DispatcherChatModel, Config], Any]
) -> None:
    """Retry, fallback, attempts and usage reach the LLM run itself, in order, in every colour."""
    server.script("openai", [Fault.error("overloaded")] * 3)
    model = model_of(deployment(server, "openai"), deployment(server, "anthropic"), streaming=streaming)
    ears = Ears()
    run(model, {"callbacks": [ears]})
    failure = ["attempt", "on_retry", "retry"]
    assert ears.names() == ["start", *failure, *failure, "attempt", "fallback", "attempt", "usage", "end"]
    assert len({run_id for _, run_id in ears.heard}) == 1
    json.dumps(ears.data)
    attempts = [data for name, data in ears.data if name == "attempt"]
    assert [data["error"] for data in attempts] == ["OverloadedError"] * 3 + [None]
    assert [data["retry"] for data in attempts] == [False, True, True, False]
    fallback = next(data for name, data in ears.data if name == "fallback")
    assert (fallback["from"], fallback["to"], fallback["status"]) == ("openai", "anthropic", 503)
    assert take_run() is None


@colours
def test_tracers_see_retries_and_who_answered(
    server: LoopbackServer, streaming: bool, run: Callable[[DispatcherChatModel, Config], Any]
) -> None:
    """A tracer records the retry on the LLM run, and the vendor that answered by its name in LangChain."""
    server.script("openai", [Fault.error("overloaded"), Fault.error("auth")])
    model = model_of(deployment(server, "openai"), deployment(server, "google"), streaming=streaming)
    tracer = RunCollectorCallbackHandler()
    run(model, {"callbacks": [tracer]})
    (traced,) = tracer.traced_runs
    events = [event["name"] for event in traced.events]
    assert (events[0], events[1], events[-1]) == ("start", "retry", "end")
    seen = traced.extra["metadata"]
    assert (seen["ls_provider"], seen["ls_model_name"]) == ("google_genai", "gemini-2.5-flash")


@pytest.mark.parametrize("wanted", ["fast", "google", "google:gemini-2.5-flash"])
def test_the_planned_model_goes_by_its_bare_name(server: LoopbackServer, wanted: str) -> None:
    """A route, a deployment and a prefixed model are the vendor's own model id to tracers, who price by it."""
    google = deployment(server, "google")
    model = model_of(deployment(server, "openai"), google, routes={"fast": [google]})
    params = model._get_ls_params(model=wanted)
    assert (params["ls_provider"], params["ls_model_name"]) == ("google_genai", "gemini-2.5-flash")


FACTS = {"vendor", "deployment", "route", "attempts", "fallback", "cost_usd", "price_source", "queue_ms"} | {
    "created_at"
}


@colours
def test_an_error_holds_the_facts_that_an_answer_would(
    server: LoopbackServer, streaming: bool, run: Callable[[DispatcherChatModel, Config], Any]
) -> None:
    """By the same names, JSON-safe: who was asked, how often, and what the useless answers cost."""
    for vendor, faults in {"openai": [Fault.empty_answer(), Fault.error("auth")], "anthropic": []}.items():
        server.script(vendor, faults or [Fault.error("auth")])
    prices = {"input_price": 1, "output_price": 2}
    model = model_of(
        deployment(server, "openai", **prices), deployment(server, "anthropic"), streaming=streaming
    )
    with pytest.raises(AllDeploymentsFailedError) as failed:
        run(model, {})
    facts = json.loads(json.dumps(pickle.loads(pickle.dumps(failed.value)).llmdispatch))  # noqa: S301 - ours
    assert set(facts) == FACTS
    assert facts["attempts"] == [record.to_dict() for record in failed.value.attempts]
    assert [one["error"] for one in facts["attempts"]] == [
        *("EmptyAnswerError", "AuthenticationError", "AuthenticationError")
    ]
    assert (facts["vendor"], facts["fallback"], facts["queue_ms"]) == ("anthropic", True, 500)
    told = server.usage()["openai"]
    assert Decimal(facts["cost_usd"]) == Decimal(told.input_tokens + 2 * told.output_tokens) / 1_000_000 > 0
    assert set(model.invoke("hello", model="anthropic").response_metadata["llmdispatch"]) == FACTS


def test_nothing_was_spent_where_nobody_said_so(server: LoopbackServer) -> None:
    """A refused request's cost is unknown, not zero."""
    server.script("openai", [Fault.error("auth")])
    with pytest.raises(AllDeploymentsFailedError) as failed:
        model_of(deployment(server, "openai")).invoke("hello")
    assert failed.value.llmdispatch["cost_usd"] is None


def test_waits_for_our_own_limits_are_heard(server: LoopbackServer) -> None:
    """A wait for a limit is an event with its length, and counts as throttled."""
    model, ears = model_of(deployment(server, "openai", rpm=60)), Ears()
    for _ in range(9):
        model.invoke("hello", {"callbacks": [ears]})
    waits = [data["wait_ms"] for name, data in ears.data if name == "throttle"]
    assert len(waits) >= 3
    assert sum(waits) / 1000 == pytest.approx(model.get_stats().throttled, abs=0.01)


def test_the_final_error_of_a_call_is_heard_after_its_attempts(server: LoopbackServer) -> None:
    """A failed call ends with its attempts told, then LangChain's error."""
    server.script("openai", [Fault.error("auth")])
    ears = Ears()
    with pytest.raises(AllDeploymentsFailedError):
        model_of(deployment(server, "openai")).invoke("hello", {"callbacks": [ears]})
    assert ears.names() == ["start", "attempt", "error"]


def test_async_handlers_are_awaited_in_the_caller_s_loop(server: LoopbackServer) -> None:
    """Async handlers hear events in the loop that runs the call, in order."""
    server.script("openai", [Fault.error("overloaded")])
    model, ears = model_of(deployment(server, "openai")), AsyncEars()
    loops = []

    async def main() -> None:
        loops.append(id(asyncio.get_running_loop()))
        await model.ainvoke("hello", {"callbacks": [ears]})

    asyncio.run(main())
    assert ears.names == ["attempt", "on_retry", "retry", "attempt", "usage"]
    assert ears.loops == set(loops)


def test_fifty_streams_at_once_keep_their_runs_apart(server: LoopbackServer) -> None:
    """Concurrent streams in one loop each tell their own run."""
    model, ears = model_of(deployment(server, "openai")), [Ears() for _ in range(50)]

    async def main() -> None:
        await asyncio.gather(*(_collect(model, {"callbacks": [one]}) for one in ears))

    asyncio.run(main())
    assert all(one.names() == ["start", "attempt", "usage", "end"] for one in ears)
    assert all(len({run_id for _, run_id in one.heard}) == 1 for one in ears)


def test_a_stream_leaves_nothing_in_the_caller_s_context(server: LoopbackServer) -> None:
    """Between two chunks another model's call is not taken for part of the stream's run."""
    model, other, ears = (
        model_of(deployment(server, "openai")),
        model_of(deployment(server, "openai")),
        Ears(),
    )
    stream = model.stream("hello", {"callbacks": [ears]})
    next(iter(stream))
    assert take_run() is None
    other.invoke("hello")
    list(stream)
    assert ears.names().count("attempt") == 1


def test_a_stream_that_cannot_begin_leaves_nothing_either(server: LoopbackServer) -> None:
    """An input that is no conversation fails before the call; the context is clean."""
    model = model_of(deployment(server, "openai"))
    with pytest.raises(ValueError, match="Invalid input type"):
        list(model.stream(7, {"callbacks": [Ears()]}))  # type: ignore[arg-type]
    assert take_run() is None


def test_events_nest_in_chains_and_show_in_astream_events(server: LoopbackServer) -> None:
    """In a chain the events belong to the model's run, and `astream_events` shows them."""
    model = model_of(deployment(server, "openai"))
    chain = ChatPromptTemplate.from_template("say {word}") | model

    async def main() -> list[Any]:
        return [event async for event in chain.astream_events({"word": "hello"}, version="v2")]

    events = asyncio.run(main())
    run_id = next(event["run_id"] for event in events if event["event"] == "on_chat_model_start")
    custom = [event for event in events if event["event"] == "on_custom_event"]
    assert [event["name"] for event in custom] == ["llmdispatch.attempt", "llmdispatch.usage"]
    assert {event["run_id"] for event in custom} == {run_id}


def test_a_manager_as_callbacks_and_a_run_id_are_honoured(server: LoopbackServer) -> None:
    """A stream keeps the run id, parents and tags that the caller chose, each once."""
    model, ears = model_of(deployment(server, "openai"), tags=["own"]), Ears()
    parent, run_id = UUID(int=1), UUID(int=2)
    seen: dict[str, Any] = {}

    class Start(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            seen.update(kwargs)

    manager = CallbackManager(handlers=[ears, Start()], parent_run_id=parent)
    list(model.stream("hello", {"callbacks": manager, "run_id": run_id, "tags": ["t"], "metadata": {"k": 1}}))
    assert (seen["run_id"], seen["parent_run_id"], sorted(seen["tags"])) == (run_id, parent, ["own", "t"])
    assert seen["metadata"]["k"] == 1
    assert ears.names() == ["start", "attempt", "usage", "end"]


def test_handlers_that_do_not_listen_cost_no_events(server: LoopbackServer) -> None:
    """A handler without `on_custom_event` is never called for one."""
    model = model_of(deployment(server, "openai"))
    assert model.invoke("hello", {"callbacks": [BaseCallbackHandler()]}).text


# -- usage ---------------------------------------------------------------------------------------------


def test_usage_over_a_chain(server: LoopbackServer) -> None:
    """Tokens and dollars of all calls in a chain, by vendor, deployment and model."""
    cheap = deployment(server, "openai", input_price=1, output_price=2)
    dear = deployment(server, "anthropic", input_price=10, output_price=20)
    model = model_of(cheap, dear)
    chain = RunnableParallel(a=model, b=RunnableLambda(lambda text: model.invoke(text, model="anthropic")))
    with get_usage_callback() as usage:
        answer = chain.invoke("hello there")
    told = server.usage()
    assert usage.answers == 2
    assert usage.input_tokens == told["openai"].input_tokens + told["anthropic"].input_tokens
    assert usage.by_vendor["openai"].output_tokens == told["openai"].output_tokens
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
    """A thread that runs in a copy of the context is counted, as the docstring says; others are not."""
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
            await stream.aclose()  # type: ignore[attr-defined]

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
    """A chat model that asks another one, as wrappers do."""

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
    stats, told = model.get_stats(), server.usage()
    assert (stats.calls.calls, stats.calls.failed, usage.failed_calls) == (1000, failed, failed)
    assert failed > 20
    for vendor in ("openai", "anthropic", "google"):
        ours, theirs = stats.vendor_stats[vendor], told[vendor]
        assert ours.requests == theirs.requests
        assert (ours.input_tokens, ours.output_tokens) == (theirs.input_tokens, theirs.output_tokens)
        heard = usage.by_vendor[vendor]
        assert (heard.input_tokens, heard.output_tokens) == (theirs.input_tokens, theirs.output_tokens)
        assert heard.cost == ours.cost == Decimal(theirs.input_tokens + 2 * theirs.output_tokens) / 1_000_000
    assert usage.failed_requests == stats.failed_requests
    assert usage.answers == stats.successful_requests
    assert usage.wasted == stats.totals.wasted > 0
