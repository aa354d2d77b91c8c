"""Races of a hedged call, on a real server: which request answers, and the end of the other."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import httpx
import httpx2
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from pydantic import ValidationError

from langchain_llmdispatch import AllDeploymentsFailedError, DispatcherChatModel, VendorConfig, errors
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.hedging import LostRaceError, Race
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.drivers.hedge_race import race
from langchain_llmdispatch.drivers.runner import Lane, Runner
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import Flow, Sleep
from tests.calls import dispatch_of
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL, deployment, model_of, summed
from tests.targets import targets

Call = Callable[[DispatcherChatModel, str], AIMessage]


SOON = 0.02


NEVER = Fault.slow_head(600)


@pytest.fixture(params=list(COLOURS))
def call(request: pytest.FixtureRequest) -> Call:
    """Return one way to call a model, in each colour."""
    return COLOURS[request.param]


def model(server: LoopbackServer, *vendors: str, **fields: Any) -> DispatcherChatModel:
    """Return a model of deployments `a`, `b`, ... that hedges after 20 ms."""
    pairs = zip(vendors, "abcdef", strict=False)
    return model_of(*(deployment(server, v, n) for v, n in pairs), **{"hedge_after": SOON, **fields})


class Hold:
    """A middleware that holds a deployment's request back until something has happened: no timing, no chance."""

    depth = 0
    replays = False

    def __init__(self, **until: Callable[[CallState], Any]) -> None:
        self._until = until

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Forward it in time."""
        while self._holds(request):
            yield Sleep(0.001, Clock())
        response: httpx.Response = yield request
        return response

    def _holds(self, request: httpx.Request) -> bool:
        attempt: Attempt = request.extensions["llmdispatch"]
        until = self._until.get(attempt.target.name)
        return until is not None and not until(attempt.call)


def both_sent(call: CallState) -> bool:
    """Return whether the second request has left."""
    return call.sent >= 2


def one_failed(call: CallState) -> bool:
    """Return whether one request has failed."""
    return bool(call.errors)


def arrived(server: LoopbackServer) -> Callable[[CallState], bool]:
    """Return whether the first request has reached the server, for the second one to be held back until then."""
    return lambda _: any(received.account == "a" for received in server.requests)


def held(dispatcher: DispatcherChatModel, **until: Callable[[CallState], Any]) -> DispatcherChatModel:
    """Return the model with requests of some deployments held back."""
    dispatcher._engine.transport.middlewares = (Hold(**until),)
    return dispatcher


def tried(server: LoopbackServer) -> str:
    """Return the deployments that a request reached, in order."""
    return "".join(received.account for received in server.requests)


def closed(server: LoopbackServer, before: int) -> bool:
    """Return whether the server sees no more connections than before, within its own time."""
    ends = time.monotonic() + 60
    while server.open_connections > before and time.monotonic() < ends:
        time.sleep(0.005)
    return server.open_connections <= before


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "cohere", "ollama"])
def test_a_second_deployment_answers_for_a_late_one(server: LoopbackServer, call: Call, vendor: str) -> None:
    """The caller gets the second answer; the first request is closed, recorded as lost, and counted once."""
    server.script(vendor, [NEVER], account="a")
    server.script("openai", [Answer("here I am")], account="b")
    before = server.open_connections
    with held(model(server, vendor, "openai"), b=arrived(server)) as dispatcher:
        message = call(dispatcher, "hello")
        stats = dispatcher.get_stats()
    facts = message.response_metadata["llmdispatch"]
    assert message.text == "here I am"
    assert facts["deployment"] == "b"
    assert [(r["deployment"], r["error"]) for r in facts["attempts"]] == [("a", "LostRaceError"), ("b", None)]
    assert (stats.total_requests, stats.hedges, stats.abandoned, stats.successful_requests) == (2, 1, 1, 1)
    assert (stats.failed_requests, stats.in_flight, stats.calls.answered) == (0, 0, 1)
    assert tried(server) == "ab"
    assert closed(server, before)


def test_a_hedge_began_while_the_first_was_open(server: LoopbackServer, call: Call) -> None:
    """The records show it, on one time line."""
    server.script("openai", [NEVER], account="a")
    with held(model(server, "openai", "openai", clock=Clock()), b=arrived(server)) as dispatcher:
        late, hedge = call(dispatcher, "hello").response_metadata["llmdispatch"]["attempts"]
    ends = late["started_ms"] + late["wait_ms"] + late["latency_ms"]
    assert late["started_ms"] + SOON * 1000 <= hedge["started_ms"] + 1 <= ends + 1


def test_a_request_in_time_is_not_hedged(server: LoopbackServer, call: Call) -> None:
    """One request, one record, no hedge."""
    with model(server, "openai", "anthropic", hedge_after=5.0) as dispatcher:
        facts = call(dispatcher, "hello").response_metadata["llmdispatch"]
        assert dispatcher.get_stats().hedges == 0
    assert [r["deployment"] for r in facts["attempts"]] == ["a"]
    assert tried(server) == "a"


def test_a_late_request_may_still_win(server: LoopbackServer, call: Call) -> None:
    """The request that begins to answer first wins, whichever was sent first; the other one is closed."""
    server.script("openai", [Answer("late, but first")], account="a")
    server.script("anthropic", [NEVER], account="b")
    before = server.open_connections
    with held(model(server, "openai", "anthropic"), a=both_sent) as dispatcher:
        message = call(dispatcher, "hello")
        assert dispatcher.get_stats().hedges == 1
    facts = message.response_metadata["llmdispatch"]
    assert message.text == "late, but first"
    assert {(r["deployment"], r["error"]) for r in facts["attempts"]} == {("a", None), ("b", "LostRaceError")}
    assert closed(server, before)


def test_one_of_two_may_fail(server: LoopbackServer, call: Call) -> None:
    """A failure of either is recorded where it happens, and the other one's answer is waited for."""
    server.script("openai", [Answer("from a")], account="a")
    server.script("anthropic", [Fault.error("auth")], account="b")
    with held(model(server, "openai", "anthropic"), a=one_failed) as dispatcher:
        facts = call(dispatcher, "hello").response_metadata["llmdispatch"]
    assert [(r["deployment"], r["error"]) for r in facts["attempts"]] == [
        ("b", "AuthenticationError"),
        ("a", None),
    ]
    server.clear()
    server.script("openai", [Fault.error("server_error")], account="a")
    server.script("anthropic", [Answer("from b")], account="b")
    with held(model(server, "openai", "anthropic"), a=both_sent, b=one_failed) as dispatcher:
        message = call(dispatcher, "hello")
    facts = message.response_metadata["llmdispatch"]
    assert message.text == "from b"
    assert [(r["deployment"], r["error"]) for r in facts["attempts"]] == [("a", "ServerError"), ("b", None)]
    assert tried(server) == "ab"


def test_both_may_fail(server: LoopbackServer, call: Call) -> None:
    """Then the call goes on as without a hedge: to the deployments that are left, or to its final error."""
    server.script("openai", [Fault.error("auth")], account="a")
    server.script("anthropic", [Fault.error("permission")], account="b")
    with held(model(server, "openai", "anthropic", "cohere"), a=one_failed) as dispatcher:
        message = call(dispatcher, "hello")
    assert message.response_metadata["llmdispatch"]["deployment"] == "c"
    assert tried(server) == "bac"
    server.clear()
    server.script("openai", [Fault.error("auth")], account="a")
    server.script("anthropic", [Fault.error("permission")], account="b")
    with (
        held(model(server, "openai", "anthropic"), a=one_failed) as dispatcher,
        pytest.raises(AllDeploymentsFailedError) as raised,
    ):
        call(dispatcher, "hello")
    assert [record.deployment for record in raised.value.attempts] == ["b", "a"]
    assert [type(error).__name__ for error in raised.value.errors] == [
        "PermissionDeniedError",
        "AuthenticationError",
    ]


def test_an_error_of_the_caller_ends_both(server: LoopbackServer, call: Call) -> None:
    """A request that is wrong for all vendors is not waited for elsewhere."""
    server.script("openai", [Fault.error("invalid_request")], account="a")
    server.script("anthropic", [NEVER], account="b")
    before = server.open_connections
    with (
        held(model(server, "openai", "anthropic"), a=both_sent) as dispatcher,
        pytest.raises(errors.InvalidRequestError) as raised,
    ):
        call(dispatcher, "hello")
    assert {record.deployment for record in raised.value.attempts} >= {"a"}
    assert dispatcher.get_stats().total_requests == 2
    assert closed(server, before)


class Scripted:
    """The verbs of a race in which the hedge has won when the failure of the first request is looked at."""

    def __init__(self) -> None:
        self._order = [None, 0, 0]

    def start(self, runner: Runner) -> None:
        """Run it to its first piece."""
        with pytest.raises(StopIteration):
            runner.run().send(None)

    async def first_done(self, runners: list[Runner], _: float | None) -> Runner | None:
        """Return none in time, then the first of those that are left."""
        place = self._order.pop(0)
        return None if place is None else runners[place]


class Unhurried:
    """The first request, whose end has not been recorded when the other one has won."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def lose(self) -> None:
        """Come too late."""

    def abandon(self) -> None:
        """Do nothing: it waits for nothing."""


def test_an_answer_that_begins_as_the_other_request_fails_stands() -> None:
    """A failure that would end the call does not, once the other request has begun to answer."""

    async def failing(_: Any) -> Lane:
        raise errors.InvalidRequestError("no", status_code=400)
        yield

    async def answering(attempt: Attempt, contest: Race) -> Lane:
        with attempt:
            attempt.send()
            attempt.succeed()
            yield ["an answer"]

    async def raced() -> list[Any]:
        verbs: Any = Scripted()
        exchange: Any = Unhurried(first)
        return [piece async for piece in race(verbs, dispatch, exchange, failing, answering)]

    dispatch = dispatch_of(targets("a", "b"), CallPolicy(hedge_after=0), clock=FakeClock())
    first = next(attempts := dispatch.attempts())
    with first:
        first.send()
        assert asyncio.run(raced()) == [["an answer"]]
    assert dispatch.call.outcome == "answered"
    assert [record.error for record in dispatch.call.records] == [None, "InvalidRequestError"]
    assert next(attempts, None) is None


def test_a_race_that_is_won_does_not_end_otherwise() -> None:
    """Of an end and a claim, the first one holds."""
    won, ended = Race(), Race()
    won.claim("answer")
    assert not won.end()
    assert not won.over
    assert ended.end()
    with pytest.raises(LostRaceError):
        ended.claim("answer")


@pytest.mark.parametrize(
    "fields",
    [{"max_attempts": 1}, {"hedge_after": None}],
    ids=str,
)
def test_no_second_request(server: LoopbackServer, call: Call, fields: dict[str, Any]) -> None:
    """None beyond max_attempts, and none by default."""
    server.script("openai", [(Fault.slow_head(0.04), Answer("alone"))], account="a")
    with model(server, "openai", "anthropic", **{"hedge_after": 0.01, **fields}) as dispatcher:
        assert call(dispatcher, "hello").text == "alone"
    assert tried(server) == "a"


def test_a_deployment_is_never_hedged_by_itself(server: LoopbackServer, call: Call) -> None:
    """A hedge goes to another deployment, or nowhere."""
    server.script("openai", [(Fault.slow_head(0.04), Answer("alone"))], account="a")
    with model(server, "openai", hedge_after=0.01) as dispatcher:
        assert call(dispatcher, "hello").text == "alone"
    assert tried(server) == "a"


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_what_the_loser_has_used_is_counted(server: LoopbackServer, colour: str) -> None:
    """Tokens that a vendor reported before its request lost are counted as wasted."""
    server.script("anthropic", [Fault.stall(after_events=1)], account="a")

    def reported(call: CallState) -> Any:
        assert call.race is not None
        return getattr(call.race._racers[0].decoder, "used", None)

    with held(model(server, "anthropic", "openai"), b=reported) as dispatcher:
        COLOURS[colour](dispatcher, "hello")
        stats = dispatcher.get_stats()
    assert stats.deployment_stats["a"].wasted_tokens > 0
    assert stats.deployment_stats["a"].abandoned == 1


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_winner_that_breaks_is_a_broken_stream(server: LoopbackServer, colour: str) -> None:
    """What comes after the race is as ever: an error with the partial, or a resumed answer."""
    text = "one two three four five six"
    server.script("openai", [NEVER], account="a")
    server.script("openai", [(Fault.cut(after_events=4), Answer(text)), Answer(text)], account="b")
    with held(model(server, "openai", "openai", on_stream_error="resume"), b=arrived(server)) as dispatcher:
        message = COLOURS[colour](dispatcher, "count")
    facts = message.response_metadata["llmdispatch"]
    assert message.text == text
    assert [r["error"] for r in facts["attempts"]] == ["LostRaceError", "StreamInterruptedError", None]
    assert facts["resumed"] is True


def test_a_winner_that_is_declined_goes_on(server: LoopbackServer, call: Call) -> None:
    """A hedged cascade: the winner's answer is declined, and the next deployment is tried."""
    server.script("openai", [NEVER], account="a")
    server.script("openai", [Answer("no idea")], account="b")
    server.script("openai", [Answer("Paris")], account="c")
    fields: dict[str, Any] = {"escalate_when": lambda message: "idea" in message.text, "max_attempts": 3}
    with held(model(server, "openai", "openai", "openai", **fields), b=arrived(server)) as dispatcher:
        message = call(dispatcher, "capital?")
    assert message.text == "Paris"
    assert tried(server) == "abc"


def test_a_deployment_that_lost_is_tried_again_only_as_often_as_retries_allow(
    server: LoopbackServer, call: Call
) -> None:
    """Without retries it has had its turn: a declined answer then has to do, as `explain` counted."""
    server.script("openai", [NEVER], account="a")
    server.script("openai", [Answer("who knows")], account="b")
    fields = {"escalate_when": lambda message: "knows" in message.text, "max_retries": 0}
    with held(model(server, "openai", "openai", **fields), b=arrived(server)) as dispatcher:
        bound = dispatcher.explain("hello").bound
        message = call(dispatcher, "hello")
    tried = sorted(each["deployment"] for each in message.response_metadata["llmdispatch"]["attempts"])
    assert (message.text, tried, bound.requests) == ("who knows", ["a", "b"], 2)


def test_leaving_while_both_are_open(server: LoopbackServer) -> None:
    """A cancelled task leaves no connection, no task and no request uncounted."""
    server.script("openai", [NEVER], account="a")
    server.script("anthropic", [NEVER], account="b")
    before = server.open_connections
    dispatcher = model(server, "openai", "anthropic", hedge_after=0.01)

    async def run() -> int:
        task = asyncio.create_task(dispatcher.ainvoke("hello"))
        while len(server.requests) < 2:
            await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
    stats = dispatcher.get_stats()
    assert (stats.total_requests, stats.abandoned, stats.in_flight, stats.calls.abandoned) == (2, 2, 0, 1)
    assert closed(server, before)


def test_ctrl_c_while_both_are_open(server: LoopbackServer) -> None:
    """An interrupt passes through at once; both requests are closed and counted as abandoned."""
    server.script("openai", [NEVER], account="a")
    server.script("anthropic", [NEVER], account="b")
    before, main = server.open_connections, threading.main_thread().ident
    assert main is not None
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals reach the main thread only")

    def interrupt() -> None:
        ends = time.monotonic() + 60
        while len(server.requests) < 2 and time.monotonic() < ends:
            time.sleep(0.002)
        signal.pthread_kill(main, signal.SIGINT)

    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with model(server, "openai", "anthropic", hedge_after=0.01) as dispatcher:
            threading.Thread(target=interrupt).start()
            with pytest.raises(KeyboardInterrupt):
                dispatcher.invoke("hello")
    finally:
        signal.signal(signal.SIGINT, old)
    stats = dispatcher.get_stats()
    assert (stats.total_requests, stats.abandoned, stats.in_flight) == (2, 2, 0)
    assert closed(server, before)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["stream", "astream"])
def test_leaving_the_winners_stream(server: LoopbackServer, asynchronous: bool) -> None:
    """A consumer that stops reading closes the winner too."""
    server.script("openai", [NEVER], account="a")
    server.script("anthropic", [(Fault.stall(after_events=5), Answer("one two three four"))], account="b")
    before = server.open_connections
    with held(model(server, "openai", "anthropic"), b=arrived(server)) as dispatcher:
        if asynchronous:

            async def run() -> None:
                stream = dispatcher.astream("hello")
                await anext(stream)
                await stream.aclose()

            asyncio.run(run())
        else:
            stream = dispatcher.stream("hello")
            next(stream)
            stream.close()
        stats = dispatcher.get_stats()
    assert (stats.total_requests, stats.abandoned, stats.in_flight, stats.calls.abandoned) == (2, 2, 0, 1)
    assert closed(server, before)


def test_the_deadline_ends_both(server: LoopbackServer, call: Call) -> None:
    """One clock for both requests: neither outlives the call's deadline."""
    server.script("openai", [NEVER], account="a")
    server.script("anthropic", [NEVER], account="b")
    fields: dict[str, Any] = {"hedge_after": 0.01, "deadline": 0.05, "clock": Clock()}
    with (
        model(server, "openai", "anthropic", **fields) as dispatcher,
        pytest.raises(errors.DeadlineExceededError),
    ):
        call(dispatcher, "hello")
    assert dispatcher.get_stats().in_flight == 0


def test_many_races_leave_the_pool_whole(server: LoopbackServer) -> None:
    """After 40 races at once, no slot of the pool is taken and no request waits for a connection."""
    server.script("openai", [NEVER], account="a", repeat=True)
    dispatcher = model(server, "openai", "openai")

    async def run() -> list[Any]:
        messages = await asyncio.gather(*(dispatcher.ainvoke(f"number {n}") for n in range(40)))
        assert all(f"number {n}" in message.text for n, message in enumerate(messages))
        (pool,) = next(iter(dispatcher._engine.transport._async.values())).senders
        ends = time.monotonic() + 60
        while pool.busy and time.monotonic() < ends:
            await asyncio.sleep(0)  # until the losers are closed
        return list(pool.busy)

    assert asyncio.run(run()) == []
    assert dispatcher.get_stats().hedges == 40


def test_many_races_in_threads_leave_the_pool_whole(server: LoopbackServer) -> None:
    """The same for `batch`, whose calls run in threads; the losers' threads end too."""
    server.script("openai", [NEVER], account="a", repeat=True)
    threads = threading.active_count()
    with model(server, "openai", "openai") as dispatcher:
        messages = dispatcher.batch([f"number {n}" for n in range(20)])
        assert all(f"number {n}" in message.text for n, message in enumerate(messages))
        ends = time.monotonic() + 60
        while threading.active_count() > threads and time.monotonic() < ends:
            time.sleep(0.005)
        (pool,) = dispatcher._engine.transport._sync.values()
        assert pool.busy == []
    assert threading.active_count() <= threads


@pytest.mark.parametrize("package", [httpx, httpx2], ids=lambda package: package.__name__)
@pytest.mark.parametrize("colour", ONE_CALL)
def test_races_through_a_users_own_client_leave_its_pool_whole(
    server: LoopbackServer, colour: str, package: Any
) -> None:
    """Its pool holds two connections: were a loser's not ended, the second race would get none."""
    server.script("openai", [NEVER], account="a", repeat=True)
    limits = package.Limits(max_connections=2)
    asynchronous = colour.startswith("a")
    own = None if asynchronous else package.Client(limits=limits)
    loop_own = package.AsyncClient(limits=limits) if asynchronous else None
    vendors = {"openai": VendorConfig(http_client=own, http_async_client=loop_own)}
    dispatcher = model(server, "openai", "openai", vendors=vendors, timeout=60.0, clock=Clock())

    async def several(client: Any) -> list[str]:
        async with client:
            if colour == "ainvoke":
                return [(await dispatcher.ainvoke("hello")).text for _ in range(5)]
            return ["".join([c.text async for c in dispatcher.astream("hello")]) for _ in range(5)]

    if loop_own is not None:
        texts = asyncio.run(several(loop_own))
    else:
        texts = [COLOURS[colour](dispatcher, "hello").text for _ in range(5)]
    assert all("hello" in text.lower() for text in texts)
    assert dispatcher.get_stats().hedges == 5
    if own is not None:
        own.close()


def test_handlers_are_notified_of_a_hedge_in_their_own_context(server: LoopbackServer, call: Call) -> None:
    """The event comes once, and context variables of the caller are there."""
    where: ContextVar[str] = ContextVar("where", default="nowhere")
    seen: list[tuple[str, str]] = []

    class Handler(BaseCallbackHandler):
        run_inline = True

        def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
            seen.append((name.removeprefix("llmdispatch."), where.get()))

    server.script("openai", [NEVER], account="a")
    where.set("here")
    with held(model(server, "openai", "anthropic", callbacks=[Handler()]), b=arrived(server)) as dispatcher:
        call(dispatcher, "hello")
    assert sorted(seen) == [("attempt", "here"), ("attempt", "here"), ("hedge", "here"), ("usage", "here")]


@pytest.mark.parametrize("wrong", [{"hedge_after": -1}, {"hedge_after": "p99"}])
def test_settings_that_mean_nothing(wrong: dict[str, Any]) -> None:
    """They are errors that name the field."""
    with pytest.raises((ValidationError, errors.ConfigurationError), match=next(iter(wrong))):
        DispatcherChatModel(models=["openai:gpt-6-luna"], env={"OPENAI_API_KEY": "k"}, **wrong)


def test_chunks_come_from_one_answer(server: LoopbackServer) -> None:
    """Both answers come at the same time: the caller sees one of them, whole."""
    server.script("openai", [(Fault.slow_first(0.012), Answer("a1 a2 a3 a4 a5"))], account="a", repeat=True)
    server.script("openai", [Answer("b1 b2 b3 b4 b5")], account="b", repeat=True)
    for _ in range(20):
        with model(server, "openai", "openai", hedge_after=0.01) as dispatcher:
            chunks = list(dispatcher.stream("hello"))
        assert summed(chunks).text in {"a1 a2 a3 a4 a5", "b1 b2 b3 b4 b5"}
        assert len(summed(chunks).response_metadata["llmdispatch"]["attempts"]) in {1, 2}
