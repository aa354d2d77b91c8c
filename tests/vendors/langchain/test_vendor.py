"""A LangChain chat model as a deployment: what may be handed in, time, callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core import exceptions as core
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch import Deployment, DispatcherChatModel, StreamInterruptedError, errors
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import ONE_CALL, TOOL, deployment, summed
from tests.vendors.langchain.models import Api, Scripted, answered, router


@each("colour", ONE_CALL)
def test_callbacks_are_notified_of_one_run(colour: str) -> None:
    """The inner model gets no run and its own callbacks stay silent: nothing is traced or streamed twice."""

    class Ears(BaseCallbackHandler):
        def __init__(self) -> None:
            self.runs, self.tokens = [], []

        def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, **kwargs: Any) -> None:
            self.runs.append(run_id)

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.tokens.append(token)

    ours, theirs = Ears(), Ears()
    inner = Scripted(steps=[AIMessage("one two")], callbacks=[theirs])
    answer = answered(colour, router(inner), "Hello", config={"callbacks": [ours]})
    assert answer.text.replace(" ", "") == "onetwo"
    assert (len(ours.runs), theirs.runs, inner.received[0]["run"]) == (1, [], None)
    assert [token for token in ours.tokens if token] in ([], ["one", "two"])


def test_plain_fake_models_work() -> None:
    """LangChain's own fakes serve as deployments in tests of an application."""
    model = router(FakeListChatModel(responses=["a", "b"]))
    assert [model.invoke("x").text, model.invoke("x").text] == ["a", "b"]
    assert summed(router(GenericFakeChatModel(messages=iter(["a b c"]))).stream("x")).text == "a b c"


def test_its_rate_limiter_is_heeded() -> None:
    """A limiter that the user put on the model lets each attempt through."""

    class Counter(BaseRateLimiter):
        def __init__(self) -> None:
            self.calls = 0

        def acquire(self, *, blocking: bool = True) -> bool:
            self.calls += 1
            return True

        async def aacquire(self, *, blocking: bool = True) -> bool:
            return self.acquire()

    counter = Counter()
    model = router(Scripted(rate_limiter=counter))
    for colour in ONE_CALL:
        answered(colour, model, "Hello")
    assert counter.calls == len(ONE_CALL)


@each("colour", ONE_CALL)
def test_a_rate_limiter_is_waited_for_no_longer_than_the_timeout(colour: str) -> None:
    """A limiter that admits nothing is a timeout of its attempt, and another deployment serves."""

    class Closed(BaseRateLimiter):
        def acquire(self, *, blocking: bool = True) -> bool:
            assert not blocking
            return False

        async def aacquire(self, *, blocking: bool = True) -> bool:
            await asyncio.Event().wait()
            return blocking

    model = router(Deployment(Scripted(rate_limiter=Closed()), timeout=0.02), Scripted())
    answered(colour, model, "Hello")
    assert model.get_stats().fallbacks == 1


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_broken_stream_carries_what_was_delivered(colour: str) -> None:
    """Text that the caller has seen is not repeated."""
    model = router(Scripted(steps=[[AIMessageChunk("half"), Api(500)]]), Scripted())
    with pytest.raises(StreamInterruptedError) as caught:
        answered(colour, model, "Hello")
    assert caught.value.partial.text == "half"


@pytest.mark.parametrize("colour", ["ainvoke", "astream"])
def test_an_async_answer_is_bounded(colour: str) -> None:
    """A model that hangs is cancelled after the attempt's timeout."""

    class Slow(Scripted):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            await asyncio.sleep(60)
            raise AssertionError

        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            await asyncio.sleep(60)
            yield ChatGenerationChunk(message=AIMessageChunk("late"))

    slow = Deployment(Slow(), timeout=0.03, name="slow")
    model = DispatcherChatModel(models=[slow, Scripted(steps=[AIMessage("quick")])], env={})
    answer = answered(colour, model, "Hello")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    assert (answer.text, [a["error"] for a in attempts]) == ("quick", ["AttemptTimeoutError", None])


def test_a_sync_stream_is_stopped_between_pieces() -> None:
    """Nothing can interrupt a sync model; its late piece is not taken."""
    clock = FakeClock()

    class Sleepy(Scripted):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            clock.advance(5)
            yield ChatGenerationChunk(message=AIMessageChunk("late"))

    model = router(Deployment(Sleepy(), timeout=1), Scripted(steps=[AIMessage("quick")]), clock=clock)
    assert summed(model.stream("Hello")).text == "quick"


@each("how", ["models", "model", "routes", "deployment"])
def test_bindings_and_retries_around_a_model_are_taken_apart(how: str) -> None:
    """Bound keywords are the deployment's parameters, under the call's; retries are left out."""
    inner = Scripted(steps=[core.ModelRateLimitError("slow"), AIMessage("fine"), AIMessage("fine")])
    around = inner.bind(temperature=0.3).with_retry(stop_after_attempt=5)
    fields: dict[str, Any] = {
        "models": {"models": [around]},
        "model": {"model": around},
        "routes": {"routes": {"a": [around]}, "model": "a"},
        "deployment": {"models": [Deployment(around, name="x")]},
    }[how]
    model = DispatcherChatModel(**fields, env={}, clock=FakeClock(), max_retries=0)
    with pytest.raises(errors.DispatchError):
        model.invoke("Hello")
    assert len(inner.received) == 1
    model.invoke("Hello")
    model.invoke("Hello", temperature=0.5)
    assert [one["temperature"] for one in inner.received] == [0.3, 0.3, 0.5]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (lambda: Scripted().with_fallbacks([Scripted()]), r"hand in models=\[first, second"),
        (lambda: Scripted().bind_tools([TOOL]), "bind tools"),
        (lambda: RunnableLambda(lambda x: x) | Scripted(), "hand in the chat model itself"),
        (lambda: Deployment(Scripted(), api_key="k"), "set it on the model itself"),
        (lambda: "langchain:ChatBedrock", "handed in itself"),
    ],
)
def test_what_is_no_deployment_is_refused_with_a_hint(wrong: Any, hint: str) -> None:
    """Sequences, fallbacks and bound tools are refused with the way out."""
    with pytest.raises((ConfigurationError, ValueError), match=hint):
        router(wrong())


def test_names_allowed_vendors_and_profiles() -> None:
    """They are called `langchain`, can be chosen by name, and have profiles of their own."""
    a, b = Scripted(profile={"max_input_tokens": 100}), Scripted(steps=[AIMessage("b")])
    model = router(a, Deployment(b, name="second"), "ollama:llama3.1")
    assert [t.name for t in model.deployments()][:2] == ["langchain:scripted-1", "second"]
    assert model.invoke("Hello", model="second").text == "b"
    assert "langchain" in model.get_vendors()
    assert model.is_available("langchain")
    only = router(a, "ollama:llama3.1", allowed_vendors=["langchain"])
    assert [t.name for t in only.deployments()] == ["langchain:scripted-1"]
    assert (only.profile or {})["max_input_tokens"] == 100
    assert repr(model)
    assert "hush" not in repr(model) + str(model._identifying_params)


@each("colour", ONE_CALL)
def test_one_of_our_own_models_is_a_deployment_too(server: LoopbackServer, colour: str) -> None:
    """It gets its deadline by its own parameter; nothing of that reaches the vendor."""
    inner = router(deployment(server, "anthropic"), max_attempts=1)
    assert "hello" in answered(colour, router(inner), "hello").text
    assert not {"timeout", "deadline"} & set(server.requests[-1].body)
