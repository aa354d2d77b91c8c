"""LangChain's face: caches, profiles, token counts, tracing parameters, versions of output, refusals of `n`."""

from __future__ import annotations

import asyncio
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatResult
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableBinding

from langchain_llmdispatch import ConfigurationError, Deployment, DispatcherChatModel, errors
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.vendors import builtin_vendors
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, VENDORS, deployment, model_of, summed

ROOT = Path(__file__).parents[2]


def test_a_cached_answer_is_keyed_by_what_changes_it(server: LoopbackServer) -> None:
    """Equal calls are answered from the cache; another temperature, model or tool is another call."""
    cache = InMemoryCache()
    with model_of(deployment(server, "anthropic"), cache=cache) as model:
        model.invoke("hello")
        model.invoke("hello")
        assert len(server.requests) == 1
        model.invoke("hello", max_tokens=50)
        model.bind_tools([{"title": "f", "type": "object", "properties": {}}]).invoke("hello")
    with model_of(deployment(server, "anthropic"), cache=cache, max_tokens=77) as other:
        other.invoke("hello")
    assert len(server.requests) == 4


@each("vendor", VENDORS)
@each("streamed", [False, True])
def test_output_version_v1_gives_standard_blocks(
    server: LoopbackServer, vendor: str, *, streamed: bool
) -> None:
    """With v1 the content is a list of standard blocks, one text block for a plain answer."""
    with model_of(deployment(server, vendor), output_version="v1") as model:
        message = summed(list(model.stream("hello"))) if streamed else model.invoke("hello")
    assert [block["type"] for block in message.content if isinstance(block, dict)] == ["text"]


def test_n_above_one_is_refused() -> None:
    """Several answers per call have no vendor-neutral form; the error names what to use."""
    model = DispatcherChatModel(model="openai:gpt-6-luna", env={"OPENAI_API_KEY": "k-123456"})
    with pytest.raises(ConfigurationError, match="batch"):
        model.invoke("hello", n=2)


def test_the_profile_is_what_all_deployments_share() -> None:
    """Limits are the least of all, abilities what all have."""
    env = {"OPENAI_API_KEY": "k-123456", "COHERE_API_KEY": "k-123456"}
    wide = DispatcherChatModel(model="openai:gpt-6.1-terra", env=env).profile or {}
    both = (
        DispatcherChatModel(models=["openai:gpt-6.1-terra", "cohere:command-a-03-2025"], env=env).profile
        or {}
    )
    assert wide["max_input_tokens"] > both["max_input_tokens"]
    assert wide["image_inputs"] is True
    assert not both.get("image_inputs", False)


def test_tokens_are_counted_without_downloads() -> None:
    """Counting works offline, with tools too, and grows with the text."""
    model = DispatcherChatModel(model="openai:gpt-6-luna", env={"OPENAI_API_KEY": "k-123456"})
    assert 0 < model.get_num_tokens("hello") < model.get_num_tokens("hello " * 50)
    assert len(model.get_token_ids("hello there")) == model.get_num_tokens("hello there")
    short = model.get_num_tokens_from_messages([HumanMessage("hello")])
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    assert short < model.get_num_tokens_from_messages([HumanMessage("hello")], tools=[tool])


def test_tracing_parameters_are_those_of_the_call() -> None:
    """The call's words win over the deployment's, those over the model's; `stop=[]` means none."""
    own = Deployment("anthropic:claude-haiku-5-5", params={"temperature": 0.5, "stop_sequences": ["own"]})
    env = {"ANTHROPIC_API_KEY": "k-123456", "OPENAI_API_KEY": "k-123456"}
    model = DispatcherChatModel(
        models=[own, "openai:gpt-6-luna"], max_tokens=9, temperature=0.1, stop=["x"], env=env
    )
    assert model._get_ls_params() == {
        "ls_model_type": "chat",
        "ls_provider": "anthropic",
        "ls_model_name": "claude-haiku-5-5",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["own"],
    }
    params = model._get_ls_params(
        stop=[], model="openai:gpt-6-luna", temperature=0.9, max_completion_tokens=7
    )
    assert (params["ls_provider"], params["ls_model_name"]) == ("openai", "gpt-6-luna")
    assert (params["ls_temperature"], params["ls_max_tokens"], "ls_stop" in params) == (0.9, 7, False)


def test_tracing_parameters_name_the_deployment_that_is_planned(server: LoopbackServer) -> None:
    """Not one that `allowed_vendors` rules out, nor one that a breaker keeps out."""
    two = [deployment(server, "openai"), deployment(server, "anthropic")]
    assert model_of(*two, allowed_vendors=["anthropic"])._get_ls_params()["ls_provider"] == "anthropic"
    with model_of(*two) as model:
        assert model._get_ls_params()["ls_provider"] == "openai"
        server.script("openai", [Fault.error("auth")])
        model.invoke("hello")
        assert model._get_ls_params()["ls_provider"] == "anthropic"


def test_a_batch_has_the_tokens_of_all_its_answers(server: LoopbackServer) -> None:
    """`llm_output` is in OpenAI's words, for handlers that read them."""
    with model_of(deployment(server, "anthropic")) as model:
        one = model.generate([[HumanMessage("hello")]])
        two = model.generate([[HumanMessage("hello")], [HumanMessage("hello")]])
    assert one.llm_output is not None
    assert two.llm_output is not None
    usage: Any = one.generations[0][0].message.usage_metadata
    assert one.llm_output["model_name"] == "claude-haiku-4-5"
    assert one.llm_output["token_usage"] == {
        "prompt_tokens": usage["input_tokens"],
        "completion_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
    }
    assert two.llm_output["token_usage"]["total_tokens"] == 2 * usage["total_tokens"]


def test_bound_tools_are_neutral_and_shown_as_openai_dicts(server: LoopbackServer) -> None:
    """The binding holds one neutral form; it is compiled for each vendor."""

    def lookup(city: str) -> str:
        """Look a city up."""
        return city

    with model_of(deployment(server, "openai"), deployment(server, "anthropic")) as model:
        bound = model.bind_tools([lookup], tool_choice="any")
        assert isinstance(bound, RunnableBinding)
        assert json.loads(json.dumps(bound.kwargs["tools"]))[0]["function"]["name"] == "lookup"
        bound.invoke("hello")
        bound.invoke("hello", model="anthropic")
    first, second = server.requests
    assert first.body["tools"][0].get("function", first.body["tools"][0])["name"] == "lookup"
    assert second.body["tools"][0]["input_schema"]["properties"]["city"] == {"type": "string"}
    with pytest.raises(ValueError, match="lookup"):
        model.bind_tools([lookup], tool_choice="lokup")


class _Counter(BaseRateLimiter):
    """Counts acquisitions."""

    def __init__(self) -> None:
        self.count = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        """Count one, and admit it at once."""
        self.count += 1
        return True

    async def aacquire(self, *, blocking: bool = True) -> bool:
        """Count one."""
        return self.acquire(blocking=blocking)


def test_langchains_own_rate_limiter_still_works(server: LoopbackServer) -> None:
    """The base field is acquired once per call, in both colours."""
    limiter = _Counter()
    with model_of(deployment(server, "openai"), rate_limiter=limiter) as model:
        model.invoke("hello")
        asyncio.run(model.ainvoke("hello"))
    assert limiter.count == 2


def test_metadata_is_json_safe_and_complete(server: LoopbackServer) -> None:
    """Every message names the deployment that answered; the facts survive JSON."""
    with model_of(deployment(server, "openai")) as model:
        message: AIMessage = model.invoke("hello")
    metadata: dict[str, Any] = json.loads(json.dumps(message.response_metadata))
    assert {"model_name", "model_provider", "finish_reason", "id", "llmdispatch"} <= set(metadata)
    facts = metadata["llmdispatch"]
    names = "vendor deployment route attempts fallback cost_usd price_source queue_ms created_at".split()
    assert set(names) <= set(facts)
    attempt = "vendor model deployment status error wait_ms latency_ms ttft_ms request_id".split()
    assert set(attempt) <= set(facts["attempts"][0])


def test_the_example_environment_holds_every_variable() -> None:
    """`.env.example` names each variable of the vendor table."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    for vendor in builtin_vendors().values():
        words = vendor.environment
        for name in (*words.keys, *words.urls, *words.versions, *filter(None, [words.timeout])):
            assert name in text, f"{name} is missing"


@each("colour", COLOURS)
def test_a_call_may_bring_its_own_times(server: LoopbackServer, colour: str) -> None:
    """`timeout=` and `deadline=` of a call hold for it alone, and the vendor never sees them."""
    with model_of(deployment(server, "openai"), retry_policy={"max_retries": 0}) as model:
        with pytest.raises(errors.ConfigurationError, match="timeout=-1 is not a positive number"):
            COLOURS[colour](model.bind(timeout=-1), "hello")
        assert COLOURS[colour](model.bind(timeout=50, deadline=70), "hello").text
        assert not {"timeout", "deadline"} & set(server.requests[-1].body)
        assert model.explain("hello", deadline=7).bound.seconds == 7
        for times in (
            {"timeout": 0.04},
            {"deadline": 0.04},
        ):  # last: a call that ends early may not reach the server
            server.script("openai", [Fault.slow_head(60)])
            with pytest.raises(errors.DispatchError, match="timed out|deadline"):
                COLOURS[colour](model.bind(**times), "hello")


@pytest.mark.parametrize("colour", COLOURS)
def test_no_backoff_is_waited_for_before_a_breaker_that_is_open(server: LoopbackServer, colour: str) -> None:
    """The failure that opens a breaker is followed by the next deployment, not by a wait for a refused retry."""
    clock = FakeClock()
    first, second = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(first, second, clock=clock) as model:
        for _ in range(4):
            COLOURS[colour](model, "hello")
        server.script("openai", [Fault(status=503)] * 3)
        answer = COLOURS[colour](model, "hello")
    attempts = answer.response_metadata["llmdispatch"]["attempts"]
    tried = [attempt["vendor"] for attempt in attempts]
    assert tried[-1] == "anthropic"
    assert len(clock.slept) == len(tried) - 2


@pytest.mark.parametrize("name", ["_generate", "_agenerate"])
def test_hooks_are_methods_to_whoever_looks(name: str, server: LoopbackServer) -> None:
    """A hook's signature is at hand; it has a name, a colour and docs, and subclasses call it by `super`."""
    model = model_of(deployment(server, "openai"))
    hook, base = getattr(model, name), getattr(BaseChatModel, name)
    assert list(inspect.signature(hook).parameters) == ["messages", "stop", "run_manager", "kwargs"]
    assert inspect.signature(hook) is inspect.signature(hook)
    on_class = getattr(type(model), name)
    assert list(inspect.signature(on_class).parameters) == list(inspect.signature(base).parameters)
    assert (on_class.__name__, inspect.iscoroutinefunction(hook)) == (name, name == "_agenerate")

    class Louder(DispatcherChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            result = super()._generate(*args, **kwargs)
            result.generations[0].message.content = "louder"
            return result

    assert Louder(models=[deployment(server, "openai")], env={}).invoke("hi").content == "louder"
