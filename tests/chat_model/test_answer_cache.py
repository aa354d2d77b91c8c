"""LangChain's cache: its key, and its use in streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache

from langchain_llmdispatch import DispatcherChatModel, RoutingRule, UsageCallbackHandler
from langchain_llmdispatch.errors import DispatchError
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, ONE_CALL, VENDORS, deployment, model_of, summed


def answer(model: Any, colour: str, text: str = "hello", /, **fields: Any) -> Any:
    """Return the answer to one call."""
    return COLOURS[colour](model, text, **fields)


@each("second", ONE_CALL)
@each("first", ONE_CALL)
def test_whatever_stored_it_an_answer_is_found(server: LoopbackServer, first: str, second: str) -> None:
    """One request for two calls; the second answer is the first one, and counts as cached."""
    used = UsageCallbackHandler()
    with model_of(deployment(server, "anthropic"), cache=InMemoryCache()) as model:
        live = answer(model, first)
        cached = answer(model, second, config={"callbacks": [used]})
    assert len(server.requests) == 1
    assert cached.text == live.text
    assert cached.response_metadata["llmdispatch"] == live.response_metadata["llmdispatch"]
    assert (used.total.cached_answers, used.total.cost_usd) == (1, 0)


@each("vendor", VENDORS)
def test_tool_calls_are_streamed_from_the_cache(server: LoopbackServer, vendor: str) -> None:
    """The one chunk of a cached answer holds its calls."""
    with model_of(deployment(server, vendor), cache=InMemoryCache()) as model:
        bound = model.bind_tools([{"title": "f", "type": "object", "properties": {}}], tool_choice="f")
        live, cached = answer(bound, "stream"), list(bound.stream("hello"))
    assert len(server.requests) == 1
    assert [call["name"] for call in summed(cached).tool_calls] == ["f"]
    assert summed(cached).tool_calls == live.tool_calls
    assert cached[-1].chunk_position == "last"


@pytest.mark.parametrize("colour", ONE_CALL)
def test_what_changes_an_answer_is_another_entry(server: LoopbackServer, colour: str) -> None:
    """Words, tools, parameters of deployments, routes, allowed vendors, tags with rules; not times."""
    cache = InMemoryCache()
    two = (deployment(server, "openai"), deployment(server, "anthropic"))
    rule = RoutingRule(vendor="anthropic", tags=["deep"])
    tool = {"title": "f", "type": "object", "properties": {}}
    with model_of(*two, routes={"a": two[1:]}, routing_rules=[rule], cache=cache) as model:
        calls: list[tuple[Any, dict[str, Any]]] = [
            (model, {}),
            (model, {"max_tokens": 50}),
            (model, {"stop": ["x"]}),
            (model, {"model": "a"}),
            (model, {"config": {"configurable": {"allowed_vendors": ["anthropic"]}}}),
            (model, {"config": {"tags": ["deep"]}}),
            (model.bind_tools([tool]), {}),
            (model.model_copy(update={"temperature": 0.5}), {}),
            (model.model_copy(update={"strategy": "lowest_cost"}), {}),
            (model.model_copy(update={"models": [deployment(server, "openai", params={"top_p": 0.5})]}), {}),
        ]
        for expected in (len(calls), len(calls)):
            for each, fields in calls:
                answer(each, colour, **fields)
            assert len(server.requests) == expected
        for fields in ({"timeout": 5}, {"config": {"tags": ["other"]}}, {"config": {"metadata": {"x": 1}}}):
            answer(model, colour, **fields)
        answer(model, colour, config={"configurable": {"route": "a"}})
        answer(model.model_copy(update={"max_attempts": 2}), colour)
    assert len(server.requests) == len(calls)


def test_a_key_holds_no_word_of_the_call() -> None:
    """Caches are shared: the key is a digest."""
    model = DispatcherChatModel(model="openai:x", api_key="sk-canary-1", env={}, cache=InMemoryCache())
    key = model._get_llm_string(mcp_servers=[{"authorization_token": "canary-2"}])
    assert "canary" not in key
    assert key != model._get_llm_string()


def test_a_stream_that_breaks_or_is_left_is_not_stored(server: LoopbackServer) -> None:
    """Only whole answers are."""
    with model_of(deployment(server, "openai"), cache=InMemoryCache(), max_attempts=1) as model:
        stream: Iterator[Any] = model.stream("hello")
        next(stream)
        stream.close()
        server.script("openai", [(Fault.cut(after_events=5), Answer("so many words " * 20))])
        with pytest.raises(DispatchError):
            answer(model, "stream")
        answer(model, "stream")
    assert len(server.requests) == 3


def test_false_switches_a_global_cache_off(server: LoopbackServer) -> None:
    """`cache=False` sends a request each time, streams included."""
    set_llm_cache(InMemoryCache())
    try:
        with model_of(deployment(server, "openai"), cache=False) as model:
            for colour in ("stream", "invoke", "stream"):
                answer(model, colour)
        with model_of(deployment(server, "openai")) as model:
            for colour in ("stream", "invoke", "stream"):
                answer(model, colour)
    finally:
        set_llm_cache(None)
    assert len(server.requests) == 4


def test_headers_of_a_deployment_are_in_the_key_as_digests(server: LoopbackServer) -> None:
    """What one tenant was answered is not another's; a new key is no new entry, and neither is shown."""
    cache = InMemoryCache()
    for tenant, key in (("a", "secret-1"), ("b", "secret-1"), ("b", "secret-2")):
        headers = {"x-tenant": f"tenant-{tenant}", "x-api-key": key}
        model = model_of(deployment(server, "openai", headers=headers), cache=cache)
        model.invoke("hello")
        assert not any(word in repr(model._identifying_params) for word in ("tenant-", "secret-"))
    assert len(server.requests) == 2
