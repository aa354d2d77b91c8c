"""Calls as users write them: type checkers must find nothing wrong here, and the types that stand here."""

from __future__ import annotations

from typing import Any, TypedDict, assert_type

from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from pydantic import BaseModel, SecretStr

from langchain_llmdispatch import (
    Budget,
    Deployment,
    DispatcherChatModel,
    DispatcherConfig,
    Limiter,
    RetryPolicy,
    RoutingRule,
    VendorConfig,
)


class City(BaseModel):
    """A city."""

    name: str
    population: int


class Movie(TypedDict):
    """A movie."""

    title: str


fake = FakeListChatModel(responses=["Paris"])
model = DispatcherChatModel(models=["openai:gpt-6-luna", Deployment("openai:gpt-6-luna", rpm=50), fake])
DispatcherChatModel("openai:gpt-6-luna", api_key="sk-...", base_url="https://host.example/v1")
DispatcherChatModel(model=fake)
DispatcherChatModel(model=fake.bind(stop=["."]), max_retries=2, temperature=0)
DispatcherChatModel(api_key=SecretStr("sk-..."), model="openai:gpt-6-luna")
DispatcherChatModel(routes={"fast": ["openai:gpt-6-luna"], "smart": [Deployment("a:b"), fake]}, model="fast")
DispatcherChatModel(
    models=[{"model": "openai:gpt-6-luna", "rpm": 50}],
    vendors={"openai": VendorConfig(api_key="sk-..."), "anthropic": {"rpm": 10}},
    routing_rules=[RoutingRule(vendor="openai", tags=frozenset({"a"}))],
    retry_policy=RetryPolicy(max_retries=1),
    retry_quota=None,
    strategy={"cost": 0.5, "max_cost_usd": 0.01},
    escalate_when=["refusal", lambda message: "not sure" in message.text],
    stop="END",
    budget=Budget(20.0, "day"),
    limiter=Limiter(),
    allowed_vendors=["openai"],
    reasoning_effort="low",
    thinking={"type": "enabled", "budget_tokens": 1024},
    prompt_cache="1h",
    vendor_params={"anthropic": {"inference_geo": "us"}},
)
Deployment("openai:gpt-6-luna", api_key="sk-...", tags=["a", "b"], params={"temperature": 0})
Deployment(model=fake, api_key=lambda: "token", weight=2)
VendorConfig(api_key=lambda: "token", headers={"a": "b"}, timeout=3)
DispatcherConfig(models=["openai:gpt-6-luna"], routes={"fast": "openai:gpt-6-luna"})

assert_type(model.invoke("hi"), AIMessage)
assert_type(model.models[0].rpm, float | None)
assert_type(model.retry_policy.max_retries, int)
assert_type(model.with_structured_output(City).invoke("hi"), City)
assert_type(model.with_structured_output(City, method="json_schema", strict=True).invoke("hi"), City)
assert_type(model.with_structured_output(Movie).invoke("hi"), Movie)
assert_type(model.with_structured_output({"title": "City"}).invoke("hi"), dict[str, Any])
assert_type(model.with_structured_output(City, include_raw=True).invoke("hi"), dict[str, Any])
chain = model.with_structured_output(City) | (lambda city: city.population)
