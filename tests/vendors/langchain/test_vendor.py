"""Any LangChain chat model is a deployment: asked without callbacks and retries of its own, judged alike."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, ClassVar

import httpx
import pytest
from langchain_core import exceptions as core
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel, FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel, Field, SecretStr

from langchain_llmdispatch import Deployment, DispatcherChatModel, StreamInterruptedError, errors
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.langchain.errors import translated
from langchain_llmdispatch.vendors.langchain.retries import without_retries
from tests.end_to_end.test_failover import deployment
from tests.fakes import FakeClock
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

COLOURS = ("sync", "async", "stream", "astream")
TOOL = {
    "title": "magic_function",
    "description": "Magic.",
    "type": "object",
    "properties": {"input": {"type": "integer"}},
    "required": ["input"],
}


# The integrations' cached clients work in the loop that used them first.
_LOOP = asyncio.Runner()


@pytest.fixture(autouse=True, scope="module")
def _one_loop() -> Iterator[None]:
    yield
    _LOOP.close()


def ask(colour: str, model: Runnable[Any, Any], prompt: Any, **kwargs: Any) -> AIMessage:
    """Ask in one of the four ways, and return the whole answer."""

    async def aasked() -> AIMessage:
        if colour == "async":
            return await model.ainvoke(prompt, **kwargs)
        return joined([chunk async for chunk in model.astream(prompt, **kwargs)])

    if colour in {"async", "astream"}:
        return _LOOP.run(aasked())
    if colour == "sync":
        return model.invoke(prompt, **kwargs)
    return joined(list(model.stream(prompt, **kwargs)))


def joined(chunks: Sequence[AIMessageChunk]) -> AIMessageChunk:
    """Add up a stream."""
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


def router(*models: Any, **fields: Any) -> DispatcherChatModel:
    """Return a router over models, with a clock that waits for nothing."""
    return DispatcherChatModel(models=list(models), **{"env": {}, "clock": FakeClock(), **fields})


class Scripted(BaseChatModel):
    """A chat model that answers, streams or fails as told, and remembers what it was asked."""

    steps: list[Any] = Field(default_factory=list)
    asked: list[Any] = Field(default_factory=list)
    streams: bool = True
    provider: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    secret: SecretStr = SecretStr("hush-hush-key")

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {"ls_provider": self.provider, "ls_model_name": "scripted-1"}

    def _next(self, messages: list[BaseMessage], stop: Any, run_manager: Any, kwargs: Any) -> Any:
        self.asked.append(
            {
                "messages": messages,
                "stop": stop,
                "run": run_manager,
                "temperature": self.temperature,
                "max_tokens": self.max_tokens,
                **kwargs,
            }
        )
        step = self.steps.pop(0) if self.steps else AIMessage("fine")
        if isinstance(step, Exception):
            raise step
        return step

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        step = self._next(messages, stop, run_manager, kwargs)
        return ChatResult(generations=[ChatGeneration(message=step)], llm_output={"token_usage": {"x": 1}})

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        step = self._next(messages, stop, run_manager, kwargs)
        pieces = step if isinstance(step, list) else _pieces(step)
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield ChatGenerationChunk(message=piece)

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Bind them as they are."""
        return self.bind(tools=tools, tool_choice=tool_choice)


def _pieces(message: AIMessage) -> list[AIMessageChunk]:
    calls = [
        {"name": c["name"], "args": json.dumps(c["args"]), "id": c["id"], "index": n}
        for n, c in enumerate(message.tool_calls)
    ]
    words = [AIMessageChunk(word) for word in message.text.split(" ")] if message.text else []
    metadata = message.response_metadata or {"finish_reason": "stop"}
    last = AIMessageChunk(
        "", tool_call_chunks=calls, response_metadata=metadata, usage_metadata=message.usage_metadata
    )
    return [*words, last]


class Api(Exception):  # noqa: N818 - as the SDKs name theirs
    """An SDK's error: status, structured body, response with headers, and the request with the key."""

    def __init__(self, status: int, code: str | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__("it failed with key sk-secret12345678 and hush-hush-key")
        request = httpx.Request("POST", "https://api", headers={"authorization": "Bearer sk-secret12345678"})
        self.response = httpx.Response(status, headers=headers or {}, request=request)
        self.request, self.status_code = request, status
        self.body = {"error": {"code": code}}
        self.request_id = "req_7"


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
def test_its_answer_is_ours(colour: str) -> None:
    """Name, vendor, reason, usage and attempts are where they are for every vendor, and usage counts once."""
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    metadata = {"stop_reason": "end_turn", "model": "scripted-1-0724"}
    inner = Scripted(steps=[AIMessage("four", usage_metadata=usage, response_metadata=metadata)])
    model = router(inner)
    answer = ask(colour, model, "2+2?")
    facts = answer.response_metadata
    assert (answer.text, facts["finish_reason"], facts["model_name"]) == ("four", "stop", "scripted-1-0724")
    assert facts["model_provider"] == "langchain"
    assert facts["llmdispatch"]["deployment"] == "langchain:scripted-1"
    assert [a["error"] for a in facts["llmdispatch"]["attempts"]] == [None]
    assert {key: answer.usage_metadata[key] for key in usage} == usage
    assert json.dumps(facts)
    assert model.get_stats().total_requests == 1
    assert model.get_stats().input_tokens == 3


@pytest.mark.parametrize("colour", COLOURS)
def test_callbacks_hear_of_one_run(colour: str) -> None:
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
    answer = ask(colour, router(inner), "Hello", config={"callbacks": [ours]})
    assert answer.text.replace(" ", "") == "onetwo"
    assert (len(ours.runs), theirs.runs, inner.asked[0]["run"]) == (1, [], None)
    assert [token for token in ours.tokens if token] in ([], ["one", "two"])


@pytest.mark.parametrize("colour", COLOURS)
def test_a_model_that_does_not_stream_gives_one_chunk(colour: str) -> None:
    """Streaming falls back to the whole answer, tool calls and facts included."""

    class Whole(Scripted):
        _stream = BaseChatModel._stream

    call = {"name": "magic_function", "args": {"input": 3}, "id": "c1"}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    answer = ask(
        colour, router(Whole(steps=[AIMessage("", tool_calls=[call], usage_metadata=usage)])), "Hello"
    )
    assert [(c["name"], c["args"], c["id"]) for c in answer.tool_calls] == [
        ("magic_function", {"input": 3}, "c1")
    ]
    assert answer.usage_metadata == usage


def test_plain_fake_models_work() -> None:
    """LangChain's own fakes serve as deployments in tests of an application."""
    model = router(FakeListChatModel(responses=["a", "b"]))
    assert [model.invoke("x").text, model.invoke("x").text] == ["a", "b"]
    assert joined(list(router(GenericFakeChatModel(messages=iter(["a b c"]))).stream("x"))).text == "a b c"


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_stream_of_a_known_integration_must_say_why_it_ended(colour: str) -> None:
    """OpenAI's integration always says so; without that the stream was cut."""
    cut = [AIMessageChunk("half an ans")]
    model = router(
        Scripted(provider="openai", steps=[cut], streams=True), Scripted(steps=[AIMessage("whole")])
    )
    with pytest.raises(StreamInterruptedError) as caught:
        ask(colour, model, "Hello")
    assert caught.value.partial.text == "half an ans"
    # An integration nobody knows may simply end.
    assert ask(colour, router(Scripted(steps=[[AIMessageChunk("all")]])), "Hello").text == "all"


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    "bad",
    [
        AIMessage(""),
        AIMessage("", response_metadata={"finish_reason": "stop"}),
        AIMessage("", invalid_tool_calls=[{"name": "f", "args": '{"a": ', "id": "1", "error": None}]),
    ],
)
def test_no_answer_is_no_answer(colour: str, bad: AIMessage) -> None:
    """Nothing, or half a tool call, falls back."""
    if bad.invalid_tool_calls and "stream" in colour:
        pieces = [{"name": "f", "args": '{"a": ', "id": "1", "index": 0}]
        steps: list[Any] = [[AIMessageChunk("", tool_call_chunks=pieces)]]
        with pytest.raises(StreamInterruptedError):
            ask(colour, router(Scripted(steps=steps)), "Hello")
        return
    model = router(Scripted(steps=[bad]), Scripted(steps=[AIMessage("spare")]), max_retries=0)
    assert ask(colour, model, "Hello").text == "spare"


def test_finish_reasons_and_extras_of_integrations() -> None:
    """Each integration's word becomes one of four; its own metadata stays."""
    words = {"MAX_TOKENS": "length", "tool_use": "tool_calls", "SAFETY": "content_filter", "end_turn": "stop"}
    for theirs, ours in words.items():
        message = AIMessage("x", response_metadata={"stopReason": theirs, "guardrail": "none"})
        facts = router(Scripted(steps=[message])).invoke("Hello").response_metadata
        assert (facts["finish_reason"], facts["guardrail"]) == (ours, "none")


# -- requests --------------------------------------------------------------------------------------


def test_parameters_are_said_in_the_model_s_own_way() -> None:
    """Those it has fields for are set on a copy, others are dropped and reported."""
    inner = Scripted(temperature=0.9)
    answer = router(inner).invoke("Hello", temperature=0.1, max_tokens=7, seed=3, stop=["x"])
    assert (inner.asked[0]["temperature"], inner.asked[0]["max_tokens"]) == (0.1, 7)
    assert inner.asked[0]["stop"] == ["x"]
    assert (inner.temperature, inner.max_tokens, "seed" in inner.asked[0]) == (0.9, None, False)
    assert [c["kind"] for c in answer.response_metadata["llmdispatch"]["adapted"]] == ["seed_dropped"]


@pytest.mark.parametrize("colour", COLOURS)
def test_tools_are_bound_per_attempt(colour: str) -> None:
    """Its own `bind_tools` gets them, with names that any vendor takes; the answer has the caller's again."""
    call = {"name": "my_tool", "args": {"input": 3}, "id": "c1"}
    inner = Scripted(steps=[AIMessage("", tool_calls=[call])])
    tool = {"type": "function", "function": {"name": "my tool", "description": "", "parameters": TOOL}}
    answer = ask(colour, router(inner).bind_tools([tool], tool_choice="my tool"), "Hello")
    bound = inner.asked[0]
    assert [t["function"]["name"] for t in bound["tools"]] == ["my_tool"]
    assert bound["tool_choice"] == "my_tool"
    assert (answer.tool_calls[0]["name"], answer.response_metadata["finish_reason"]) == (
        "my tool",
        "tool_calls",
    )


def test_a_model_without_tools_is_passed_over() -> None:
    """What cannot call tools does not get the conversation."""
    model = router(FakeListChatModel(responses=["no"]), Scripted(steps=[AIMessage("yes")]))
    assert model.bind_tools([TOOL]).invoke("Hello").text == "yes"


class Joke(BaseModel):
    """A joke."""

    setup: str
    punchline: str


@pytest.mark.parametrize("colour", COLOURS)
def test_a_structured_answer_comes_by_forced_call(colour: str) -> None:
    """An integration of which nothing is known is made to call a tool; the arguments are the answer."""
    call = {"name": "Joke", "args": {"setup": "a", "punchline": "b"}, "id": "c1"}
    inner = Scripted(steps=[AIMessage("", tool_calls=[call])])
    shaped = router(inner).with_structured_output(Joke)
    got = _LOOP.run(shaped.ainvoke("Hello")) if colour[0] == "a" else shaped.invoke("Hello")
    assert got == Joke(setup="a", punchline="b")
    assert inner.asked[0]["tool_choice"] == "Joke"


def test_history_is_text_and_calls_for_the_unknown_and_native_for_its_own() -> None:
    """Foreign reasoning is left out; the model's own answer goes back as the object it was."""
    own = AIMessage(
        [{"type": "odd_reasoning", "x": 1}, {"type": "text", "text": "mine"}],
        response_metadata={"model_provider": "langchain", "llmdispatch": {"vendor": "langchain"}},
    )
    foreign = AIMessage(
        [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "theirs"}],
        tool_calls=[{"name": "f", "args": {}, "id": "c 1"}],
        response_metadata={"model_provider": "anthropic"},
    )
    history = [HumanMessage("a"), own, HumanMessage("b"), foreign, ToolMessage("r", tool_call_id="c 1")]
    before = [m.model_copy(deep=True) for m in history]
    inner = Scripted()
    router(inner).invoke(history)
    sent = inner.asked[0]["messages"]
    assert sent[1].content == own.content
    assert sent[3].content == "theirs"
    assert sent[3].tool_calls[0]["id"] == sent[4].tool_call_id != "c 1"
    assert history == before


def test_images_are_spelled_for_those_who_know_no_v1() -> None:
    """OpenAI's form of an image is the one that all integrations read."""
    inner = Scripted()
    image = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    router(inner).invoke([HumanMessage([{"type": "text", "text": "see"}, image])])
    assert inner.asked[0]["messages"][0].content[1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA"},
    }


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
    for colour in COLOURS:
        ask(colour, model, "Hello")
    assert counter.calls == len(COLOURS)


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (core.ModelRateLimitError("slow"), errors.RateLimitError),
        (core.ContextOverflowError("long"), errors.ContextOverflowError),
        (core.ModelTimeoutError("late"), errors.AttemptTimeoutError),
        (Api(401), errors.AuthenticationError),
        (Api(503), errors.OverloadedError),
        (Api(429, "insufficient_quota"), errors.QuotaExceededError),
        (Api(400, "unsupported_parameter"), errors.UnsupportedParameterError),
        (ConnectionError("gone"), errors.ConnectionFailedError),
        (httpx.ReadTimeout("late"), errors.AttemptTimeoutError),
        (NotImplementedError("no images"), errors.UnsupportedFeatureError),
        (RuntimeError("odd"), errors.VendorError),
    ],
)
def test_its_errors_are_ours(colour: str, raised: Exception, expected: type[Exception]) -> None:
    """Each is mapped, lets another deployment answer, and holds neither request nor key."""
    failing, spare = Scripted(steps=[raised]), Scripted(steps=[AIMessage("spare")])
    answer = ask(colour, router(failing, spare, max_retries=0), "Hello")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    assert (answer.text, attempts[0]["error"]) == ("spare", expected.__name__)
    with pytest.raises(errors.AllDeploymentsFailedError) as caught:
        ask(colour, router(Scripted(steps=[raised]), max_retries=0), "Hello")
    inner = caught.value.errors[0]
    assert type(inner) is expected
    assert "secret" not in str(inner)
    assert "hush" not in str(inner)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert not isinstance(chain, Api)
        assert not hasattr(chain, "request")
        chain = chain.__cause__ or chain.__context__


def test_what_the_response_says_is_kept() -> None:
    """Status, code, request id and the wait that was asked for."""
    error = translated(Api(429, "rate_limit_exceeded", {"retry-after": "7"}), Scripted())
    assert (error.status_code, error.code, error.request_id, error.retry_after) == (
        429,
        "rate_limit_exceeded",
        "req_7",
        7.0,
    )


def test_botocore_s_errors() -> None:
    """Bedrock's errors carry their meaning in a dictionary."""

    class ClientError(Exception):
        response: ClassVar[Any] = {
            "Error": {"Code": "ThrottlingException"},
            "ResponseMetadata": {"HTTPStatusCode": 400},
        }

    error = translated(ClientError("slow down"), Scripted())
    assert isinstance(error, errors.RateLimitError)


def test_bad_requests_end_the_call() -> None:
    """What is wrong for everyone is neither retried nor sent elsewhere."""
    spare = Scripted()
    with pytest.raises(errors.InvalidRequestError):
        router(Scripted(steps=[core.ModelInvalidRequestError("no")]), spare).invoke("Hello")
    assert not spare.asked


@pytest.mark.parametrize("colour", ["stream", "astream"])
def test_a_broken_stream_carries_what_was_delivered(colour: str) -> None:
    """Text that the caller has seen is not repeated."""
    model = router(Scripted(steps=[[AIMessageChunk("half"), Api(500)]]), Scripted())
    with pytest.raises(StreamInterruptedError) as caught:
        ask(colour, model, "Hello")
    assert caught.value.partial.text == "half"


@pytest.mark.parametrize("colour", ["async", "astream"])
def test_an_async_answer_is_bounded(colour: str) -> None:
    """A model that hangs is given up after the attempt's timeout."""

    class Slow(Scripted):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
            await asyncio.sleep(60)
            raise AssertionError

        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            await asyncio.sleep(60)
            yield ChatGenerationChunk(message=AIMessageChunk("late"))

    slow = Deployment(Slow(), timeout=0.03, name="slow")
    model = DispatcherChatModel(models=[slow, Scripted(steps=[AIMessage("quick")])], env={})
    answer = ask(colour, model, "Hello")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    assert (answer.text, [a["error"] for a in attempts]) == ("quick", ["AttemptTimeoutError", None])


def test_a_sync_stream_is_given_up_between_pieces() -> None:
    """Nothing can interrupt a sync model; its late piece is not taken."""
    clock = FakeClock()

    class Sleepy(Scripted):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            clock.advance(5)
            yield ChatGenerationChunk(message=AIMessageChunk("late"))

    model = router(Deployment(Sleepy(), timeout=1), Scripted(steps=[AIMessage("quick")]), clock=clock)
    assert joined(list(model.stream("Hello"))).text == "quick"


# -- retries beneath ours --------------------------------------------------------------------------


class Retrying(Scripted):
    """A model with a setting that its call reads, as most integrations have."""

    max_retries: int = 6


class FakeSdk:
    """A client as OpenAI's and Anthropic's SDKs build it."""

    def __init__(self, max_retries: int = 2) -> None:
        self.max_retries = max_retries

    def with_options(self, *, max_retries: int) -> FakeSdk:
        """Return a copy."""
        return FakeSdk(max_retries)


class Completions:
    """A resource of such a client."""

    def __init__(self, client: FakeSdk) -> None:
        self._client = client


class WithClients(Retrying):
    """A model whose clients were built when it was."""

    root: Any = Field(default_factory=FakeSdk)
    client: Any = Field(default_factory=lambda: Completions(FakeSdk()))


def test_retries_are_switched_off_on_a_copy() -> None:
    """Its setting, its client's and its resource's; the user's object keeps them."""
    model = WithClients()
    quiet = without_retries(model)
    assert (quiet.model.max_retries, quiet.model.root.max_retries) == (0, 0)
    assert quiet.model.client._client.max_retries == 0
    assert (model.max_retries, model.root.max_retries, model.client._client.max_retries) == (6, 2, 2)
    assert (quiet.requests, quiet.why) == (1, "")
    plain = Scripted()
    assert without_retries(plain).model is plain


def test_models_within_models_are_without_retries() -> None:
    """A wrapper's inner model retries no more either."""

    class Wrapper(Scripted):
        inner: BaseChatModel

    wrapper = Wrapper(inner=Retrying())
    assert without_retries(wrapper).model.inner.max_retries == 0
    assert wrapper.inner.max_retries == 6


def test_what_cannot_be_switched_off_is_warned_of_once() -> None:
    """The warning says how many requests one call may send."""

    class Chained(Scripted):
        chain: Any = None

    inner = Chained(chain=Scripted().with_retry(stop_after_attempt=6))
    with pytest.warns(UserWarning, match="may send 36 requests") as said:
        model = router(inner, max_attempts=6)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.register_vendor(model.get_vendor("openai"))


def test_transports_fallbacks_and_botocore_are_counted() -> None:
    """Each by what it may send."""

    class Holder(Scripted):
        thing: Any = None

    with httpx.Client(transport=httpx.HTTPTransport(retries=3, verify=False)) as client:
        assert without_retries(Holder(thing=client)).requests == 4
    assert without_retries(Holder(thing=Scripted().with_fallbacks([Scripted()]))).requests == 2

    class Meta:
        service_model = "bedrock-runtime"

        class config:  # noqa: N801 - botocore's
            retries: ClassVar[Any] = {"total_max_attempts": 3, "mode": "standard"}

    boto = type("BedrockRuntime", (), {"meta": Meta})
    assert without_retries(Holder(thing=boto())).requests == 3
    nested = router(Scripted(), Scripted())
    assert without_retries(nested).requests == nested.max_attempts


# -- what may be handed in -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["models", "model", "routes", "deployment"])
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
    assert len(inner.asked) == 1
    model.invoke("Hello")
    model.invoke("Hello", temperature=0.5)
    assert [one["temperature"] for one in inner.asked] == [0.3, 0.3, 0.5]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: Scripted().with_fallbacks([Scripted()]), r"hand in models=\[first, second"),
        (lambda: Scripted().bind_tools([TOOL]), "bind tools"),
        (lambda: RunnableLambda(lambda x: x) | Scripted(), "hand in the chat model itself"),
        (lambda: Deployment(Scripted(), api_key="k"), "set it on the model itself"),
        (lambda: "langchain:ChatBedrock", "handed in itself"),
    ],
)
def test_what_is_no_deployment_says_what_to_hand_in(wrong: Any, says: str) -> None:
    """Sequences, fallbacks and bound tools are refused with the way out."""
    with pytest.raises((ConfigurationError, ValueError), match=says):
        router(wrong())


def test_names_allowed_vendors_and_profiles() -> None:
    """They are called `langchain`, may be asked for by name, and say themselves what they can do."""
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


# -- LangChain's own integrations, on loopback vendors -----------------------------------------------


def integration(vendor: str, server: LoopbackServer) -> BaseChatModel:
    """Return a vendor's integration, with retries on, as users have it."""
    url = server.base_url(vendor)
    if vendor == "openai":
        module = pytest.importorskip("langchain_openai")
        return module.ChatOpenAI(
            model="gpt-4.1", api_key="sk-loopback-secret", base_url=url, max_retries=5, stream_usage=True
        )
    if vendor == "anthropic":
        module = pytest.importorskip("langchain_anthropic")
        return module.ChatAnthropic(model="claude-haiku-4-5", api_key="k-loopback-secret", base_url=url)
    module = pytest.importorskip("langchain_google_genai")
    return module.ChatGoogleGenerativeAI(model="gemini-2.5-flash", api_key="k-loopback-secret", base_url=url)


INTEGRATIONS = ("openai", "anthropic", "google")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("vendor", INTEGRATIONS)
def test_integrations_answer_call_tools_and_fail(vendor: str, colour: str, server: LoopbackServer) -> None:
    """Usage, tools and errors of the three big integrations; one request is one attempt."""
    spare = Scripted(steps=[AIMessage("spare")])
    server.clear()
    answer = ask(colour, router(integration(vendor, server), spare), "Hello there")
    facts = answer.response_metadata
    assert (facts["finish_reason"], facts["model_provider"]) == (
        "stop",
        "google_genai" if vendor == "google" else vendor,
    )
    totals = server.usage()[vendor]
    assert answer.usage_metadata["input_tokens"] == totals.input_tokens
    assert answer.usage_metadata["output_tokens"] == totals.output_tokens
    assert facts["llmdispatch"]["cost_usd"] is not None
    tooled = router(integration(vendor, server)).bind_tools([TOOL], tool_choice="any")
    called = ask(colour, tooled, "What is magic_function(3)?")
    assert [(c["name"], c["args"]) for c in called.tool_calls] == [("magic_function", {"input": 3})]
    server.clear()
    server.script(vendor, [Fault.error("rate_limit")] * 8)
    answer = ask(colour, router(integration(vendor, server), spare), "Hello there")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    assert (answer.text, attempts[0]["error"], attempts[0]["status"]) == ("spare", "RateLimitError", 429)
    assert len(server.requests) == 1


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("vendor", INTEGRATIONS)
def test_integrations_give_structured_answers(vendor: str, server: LoopbackServer) -> None:
    """By their own means, next to a vendor that is spoken to natively."""
    model = router(integration(vendor, server))
    assert isinstance(model.with_structured_output(Joke).invoke("Tell me a joke"), Joke)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("target", INTEGRATIONS)
@pytest.mark.parametrize("source", ["openai", "anthropic", "google"])
def test_a_tool_loop_goes_on_in_an_integration(source: str, target: str, server: LoopbackServer) -> None:
    """A call begun by a native vendor is finished by an integration, and the other way round."""
    models = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.5-flash"}
    native = router(
        Deployment(f"{source}:{models[source]}", base_url=server.base_url(source), api_key="key"),
    )
    held = router(integration(target, server))
    for first, second in ((native, held), (held, native)):
        history: list[BaseMessage] = [HumanMessage("What is magic_function(3)? Use the tool.")]
        call = first.bind_tools([TOOL]).invoke(history)
        history += [call, ToolMessage("42", tool_call_id=call.tool_calls[0]["id"], name="magic_function")]
        assert "42" in second.bind_tools([TOOL]).invoke(history).text


def test_keys_leak_nowhere(server: LoopbackServer, caplog: pytest.LogCaptureFixture) -> None:
    """A refused key is in no text, cause or log of ours."""
    inner = integration("openai", server)
    server.script("openai", [Fault.error("auth", message="bad key sk-loopback-secret")])
    with (
        caplog.at_level(logging.DEBUG, "langchain_llmdispatch"),
        pytest.raises(errors.DispatchError) as caught,
    ):
        router(inner).invoke("Hello")
    error: BaseException | None = caught.value
    while error is not None:
        assert "loopback-secret" not in repr(error) + str(error) + repr(vars(error))
        error = error.__cause__ or error.__context__
    assert "loopback-secret" not in caplog.text


@pytest.mark.parametrize("colour", COLOURS)
def test_one_of_our_own_models_is_a_deployment_too(server: LoopbackServer, colour: str) -> None:
    """It is told when to be done in its own word; nothing of that reaches the vendor."""
    inner = router(deployment(server, "anthropic"), max_attempts=1)
    assert "hello" in ask(colour, router(inner), "hello").text
    assert not {"timeout", "deadline"} & set(server.requests[-1].body)
