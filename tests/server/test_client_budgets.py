"""What one client of the server may use and spend."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import openai
import pytest

from langchain_llmdispatch import DispatcherChatModel, RoutingRule
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.server import create_app
from tests.loopback.server import LoopbackServer
from tests.models import deployment
from tests.server.running import running

HI: Any = [{"role": "user", "content": "hi"}]
FIRST = {"key": "key-of-first", "name": "first", "usd": 0.0002, "per": "day"}
SECOND = {"key": "key-of-second", "name": "second", "models": ["anthropic"]}


def answers(url: str, key: str, model: str = "default") -> int:
    """Return how many answers a client gets, up to five, before its budget is used up."""
    with openai.OpenAI(base_url=url, api_key=key) as client:
        for number in range(5):
            try:
                client.chat.completions.create(model=model, messages=HI, max_tokens=20)
            except openai.RateLimitError as error:
                assert error.code == "insufficient_quota"
                return number
    return 5


def test_a_client_spends_no_more_than_its_own(server: LoopbackServer) -> None:
    """Others go on; statistics are those of one model; a budget that is used up is not retried."""
    model = DispatcherChatModel(
        models=[deployment(server, "openai"), deployment(server, "anthropic")], env={}
    )
    with running(model, api_keys=[FIRST, SECOND]) as url:
        spent = answers(url, "key-of-first")
        assert 0 < spent < 5
        assert answers(url, "key-of-second", "anthropic") == 5
    assert model.get_stats().total_requests == len(server.requests) == spent + 5


def test_a_client_sees_its_own_models(server: LoopbackServer) -> None:
    """Others are unknown to it."""
    model = DispatcherChatModel(
        models=[deployment(server, "openai"), deployment(server, "anthropic")], env={}
    )
    with (
        running(model, api_keys=[FIRST, SECOND]) as url,
        openai.OpenAI(base_url=url, api_key="key-of-second") as client,
    ):
        assert [each.id for each in client.models.list()] == ["anthropic"]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("openai")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="openai", messages=HI)


def test_rules_route_by_client(server: LoopbackServer) -> None:
    """Its name is in the metadata of its calls."""
    model = DispatcherChatModel(
        models=[deployment(server, "openai"), deployment(server, "anthropic")],
        routing_rules=[RoutingRule(deployment="anthropic", metadata={"client": "first"})],
        env={},
    )
    with running(model, api_keys=[FIRST, "key-of-third"]) as url:
        for key in ("key-of-first", "key-of-third"):
            with openai.OpenAI(base_url=url, api_key=key) as client:
                client.chat.completions.create(model="default", messages=HI, max_tokens=20)
    assert [each.vendor for each in server.requests] == ["anthropic", "openai"]


def test_what_a_client_may_use_is_checked(server: LoopbackServer) -> None:
    """A model that is not there, and a period that is none."""
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    for more, message in (({"models": ["x"]}, "no model 'x'"), ({"per": "fortnight"}, "first: .*fortnight")):
        with pytest.raises(ConfigurationError, match=message):
            create_app(model, api_keys=[{**FIRST, **more}])


def test_replicas_share_a_clients_budget(server: LoopbackServer, redis_url: str) -> None:
    """Two servers over one Redis: what is spent at one is missing at the other."""
    shared = {"url": redis_url, "namespace": uuid4().hex, "timeout": 5.0}
    models = [
        DispatcherChatModel(models=[deployment(server, "openai")], env={}, redis=shared) for _ in range(2)
    ]
    with running(models[0], api_keys=[FIRST]) as one, running(models[1], api_keys=[FIRST]) as other:
        assert 0 < answers(one, "key-of-first") < 5
        assert answers(other, "key-of-first") == 0
