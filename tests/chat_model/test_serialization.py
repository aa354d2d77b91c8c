"""Models as JSON: `dumps` and `loads` of langchain-core."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from langchain_core.load import dumpd, dumps, loads
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableSequence
from langchain_openai import ChatOpenAI

from langchain_llmdispatch import (
    Budget,
    Deployment,
    DispatcherChatModel,
    RetryPolicy,
    RoutingRule,
    VendorConfig,
)
from langchain_llmdispatch.errors import RateLimitError
from langchain_llmdispatch.testing import FakeClock

ENVIRONMENT = {"OPENAI_API_KEY": "sk-other", "ANTHROPIC_API_KEY": "sk-other", "GOOGLE_API_KEY": "sk-other"}


def loaded(text: str, *more: Any, **options: Any) -> Any:
    """Return what `loads` makes of a text."""
    return loads(
        text,
        allowed_objects=[DispatcherChatModel, *more],
        valid_namespaces=["langchain_llmdispatch"],
        **options,
    )


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the vendors' keys: those that a model was made with are in no text."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def configured() -> DispatcherChatModel:
    """Return a model with nested objects and secrets in many places."""
    client = httpx.Client()
    return DispatcherChatModel(
        models=[
            Deployment("openai:gpt-6-luna", name="a", api_key="sk-canary-1", rpm=5, tags=["x", "y"]),
            Deployment(
                "anthropic:claude-haiku-5-5",
                params={"temperature": 0.5, "mcp_servers": [{"url": "u", "authorization_token": "canary-2"}]},
                headers={"x-own": "canary-3"},
            ),
            "google:gemini-2.5-flash",
        ],
        routes={"fast": ["openai:gpt-6-luna"], "slow": [Deployment("anthropic:claude-opus-5-5", weight=2)]},
        vendors={"openai": VendorConfig(api_key="sk-canary-4", rpm=50, http_client=client)},
        retry_policy=RetryPolicy(max_retries=1, retryable_errors=[RateLimitError, "timeout"]),
        routing_rules=[RoutingRule(route="slow", tags=["deep"], metadata={"a": 1})],
        strategy={"cost": 0.5, "latency": 0.5},
        escalate_when=["refusal"],
        model_kwargs={"extra": {"api_key": "canary-5"}, "prompt_cache_key": "p"},
        temperature=0.25,
        max_tokens=100,
        stop=["x"],
        deadline=None,
        env={name: f"sk-canary-{name}" for name in ENVIRONMENT},
    )


def test_a_model_is_written_and_loaded_again_without_keys(caplog: pytest.LogCaptureFixture) -> None:
    """Nested objects come back as they were; what was left out is named in a warning."""
    model = configured()
    text = dumps(model)
    assert "canary" not in text
    with caplog.at_level(logging.WARNING):
        twin = loaded(text)
    assert type(twin) is DispatcherChatModel
    for name in (
        "retry_policy",
        "routing_rules",
        "strategy",
        "escalate_when",
        "temperature",
        "stop",
        "deadline",
    ):
        found, expected = getattr(twin, name), getattr(model, name)
        assert found == expected or name == "retry_policy"
    assert twin.retry_policy.retryable_errors == ("RateLimitError", "timeout")
    assert [each.name for each in twin.deployments()] == [each.name for each in model.deployments()]
    assert twin.models[0].tags == model.models[0].tags
    assert twin.models[1].params == {"temperature": 0.5, "mcp_servers": [{"url": "u"}]}
    assert twin.model_kwargs == {"extra": {}, "prompt_cache_key": "p"}
    for name in (
        "env",
        "api_key of 'a'",
        "headers of",
        "http_client of vendors['openai']",
        "authorization_token",
    ):
        assert name in caplog.text
    assert dumps(twin) == dumps(loaded(dumps(twin)))


def test_the_key_of_a_model_is_a_secret_by_its_vendors_variable() -> None:
    """As in the vendors' packages: `secrets_map` gives it, or the environment."""
    model = DispatcherChatModel(model="anthropic:claude-haiku-5-5", api_key="sk-canary")
    assert model.lc_secrets == {"api_key": "ANTHROPIC_API_KEY"}
    text = dumps(model)
    assert "canary" not in text
    assert json.loads(text)["kwargs"]["api_key"] == {"lc": 1, "type": "secret", "id": ["ANTHROPIC_API_KEY"]}
    given = loaded(text, secrets_map={"ANTHROPIC_API_KEY": "sk-mapped"})
    assert given.api_key.get_secret_value() == "sk-mapped"
    assert loaded(text).deployments()[0].endpoint.api_key.get_secret_value() == "sk-other"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"strategy": lambda candidates, rng: candidates}, "strategy"),
        ({"budget": Budget(1)}, "budget"),
        ({"clock": FakeClock()}, "clock"),
        ({"retry_policy": RetryPolicy(retry_on=lambda error: True)}, "retry_on"),
        ({"api_key": lambda: "sk-canary"}, "api_key"),
    ],
)
def test_what_has_no_form_in_json_is_named(fields: dict[str, Any], named: str) -> None:
    """Loading raises with its name; where that is ignored, the field has its default."""
    text = dumps(DispatcherChatModel(model="openai:gpt-6-luna", **fields))
    with pytest.raises(NotImplementedError, match=named):
        loaded(text)
    twin = loaded(text, ignore_unserializable_fields=True)
    assert (twin.strategy, twin.budget, twin.retry_policy.retry_on) == ("ordered", None, None)


def test_a_chain_and_a_langchain_model_inside_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """`prompt | model`, with another package's model among the deployments."""
    inner = ChatOpenAI(model="gpt-5.5", api_key="sk-canary")
    model = DispatcherChatModel(models=[inner, "anthropic:claude-haiku-5-5"])
    chain = ChatPromptTemplate.from_messages([("human", "{text}")]) | model
    text = dumps(chain)
    assert "canary" not in text
    twin = loads(text, allowed_objects="all", valid_namespaces=["langchain_llmdispatch"], **_MAPPED)
    assert isinstance(twin, RunnableSequence)
    assert isinstance(twin.last, DispatcherChatModel)
    assert isinstance(twin.last.models[0].model, ChatOpenAI)


# `allowed_objects="all"` means LangChain's own table of classes, to which this mapping adds.
_ID = ("langchain_llmdispatch", "DispatcherChatModel")
_MAPPED: Any = {"additional_import_mappings": {_ID: _ID}, "secrets_from_env": True}


def test_tracers_see_the_fields_as_they_are() -> None:
    """The text that handlers get is written anew when a field changes."""
    model = DispatcherChatModel(model="openai:gpt-6-luna", temperature=0.5)
    assert model._serialized["kwargs"]["temperature"] == 0.5
    model.temperature = 0.75
    assert model._serialized["kwargs"]["temperature"] == 0.75
    assert model.asdict() == loaded(json.dumps(dumpd(model))).asdict()


def test_a_subclass_is_found_in_its_own_module() -> None:
    """Its namespace is the module's; ours is the package, whose modules may move."""

    class Own(DispatcherChatModel):
        pass

    assert DispatcherChatModel.lc_id() == ["langchain_llmdispatch", "DispatcherChatModel"]
    assert Own.lc_id() == [*__name__.split("."), "Own"]
