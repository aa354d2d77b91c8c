"""Configuration: constructor, environment, `.env`, files; one schema for all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from langchain_llmdispatch import (
    ConfigurationError,
    Deployment,
    DispatcherChatModel,
    DispatcherConfig,
    RetryPolicy,
    VendorConfig,
    errors,
)
from langchain_llmdispatch.config.schema import DispatchFields
from langchain_llmdispatch.vendors import builtin_vendors

KEYS = {"OPENAI_API_KEY": "sk-test-1", "ANTHROPIC_API_KEY": "sk-test-2"}


def model(**fields: Any) -> DispatcherChatModel:
    """Return a model whose environment holds two keys."""
    return DispatcherChatModel(**{"env": KEYS, **fields})


def names(found: DispatcherChatModel) -> list[str]:
    """Return the names of a model's deployments."""
    return [target.name for target in found.deployments()]


def test_without_fields_one_deployment_per_vendor_with_a_key() -> None:
    """The environment alone makes a model, in the vendors' order."""
    assert names(model()) == ["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"]


def test_without_any_key_the_error_says_what_to_set() -> None:
    """Nothing configured is a clear error that names the variables."""
    with pytest.raises(ValueError, match="OPENAI_API_KEY.*ANTHROPIC_API_KEY"):
        DispatcherChatModel(env={})


@pytest.mark.parametrize("stand_in", ["", "changeme", "your-api-key", "<your key>", "xxx", "sk-..."[3:]])
def test_placeholders_count_as_absent(stand_in: str) -> None:
    """A copied example file configures nothing."""
    assert names(model(env={**KEYS, "OPENAI_API_KEY": stand_in})) == ["anthropic:claude-haiku-5-5"]


@pytest.mark.parametrize("vendor", list(builtin_vendors().values()), ids=str)
def test_every_variable_of_the_vendor_table_is_read(vendor: Any) -> None:
    """Each key, URL, version and timeout variable reaches the target."""
    variables = vendor.environment
    base = {variables.urls[0]: "http://127.0.0.1:9"} if variables.urls else {}
    for key in variables.keys:
        target = model(model=f"{vendor.name}:m", env={**base, key: "k-123456"}).deployments()[0]
        assert target.endpoint.api_key is not None
        bearer = "Bearer " if key in variables.bearers else ""
        assert target.endpoint.api_key.get_secret_value() == f"{bearer}k-123456"
    for url in variables.urls:
        found = model(
            model=f"{vendor.name}:m",
            env={url: "http://127.0.0.1:7", **dict.fromkeys(variables.keys, "k-123456")},
        )
        assert found.deployments()[0].endpoint.base_url.startswith("http://127.0.0.1:7")
    if variables.timeout:
        env = {**base, variables.timeout: "7.5", **dict.fromkeys(variables.keys, "k-123456")}
        assert model(model=f"{vendor.name}:m", env=env).deployments()[0].timeouts == {"timeout": 7.5}


@pytest.mark.parametrize(
    ("text", "vendor", "model_id"),
    [
        ("openai:gpt-6-luna", "openai", "gpt-6-luna"),
        ("openai/gpt-6-luna", "openai", "gpt-6-luna"),
        ("gpt-6-luna", "openai", "gpt-6-luna"),
        ("claude-haiku-5-5", "anthropic", "claude-haiku-5-5"),
        ("ollama:llama3.1:8b", "ollama", "llama3.1:8b"),
        ("gemini:gemini-3.8-flash", "google", "gemini-3.8-flash"),
    ],
)
def test_model_strings(text: str, vendor: str, model_id: str) -> None:
    """`vendor:model`, `vendor/model`, aliases and well-known names are understood."""
    target = model(model=text, env={**KEYS, "GOOGLE_API_KEY": "k-123456"}).deployments()[0]
    assert (target.vendor.name, target.model) == (vendor, model_id)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"modle": "x"}, "'modle'.*Did you mean 'model'"),
        ({"model": "opnai:gpt-6-luna"}, "'opnai:gpt-6-luna'.*Did you mean 'openai'"),
        ({"models": [{"model": "openai:x", "rmp": 3}]}, "'rmp'.*Did you mean 'rpm'"),
        ({"vendors": {"antropic": {}}}, "'antropic'.*Did you mean 'anthropic'"),
        ({"default_vendor": "opnai"}, "default_vendor.*'opnai'"),
        ({"strategy": "lowest_cots"}, "'lowest_cots'.*Did you mean 'lowest_cost'"),
        ({"retry_policy": {"max_retry": 3}}, "'max_retry'.*Did you mean 'max_retries'"),
        ({"api_key": "k"}, "api_key and base_url belong to"),
        ({"model": "openai:x", "base_url": "localhost:80"}, "'localhost:80'"),
        ({"model": "openai:x", "temperature": -1}, "temperature"),
        ({"allowed_vendors": ["cohere"], "model": "openai:x"}, "leaves no deployment"),
        ({"model": "cohere:command-a-03-2025"}, "cohere has no api_key.*CO_API_KEY"),
    ],
)
def test_wrong_settings_name_field_value_and_nearest(fields: dict[str, Any], message: str) -> None:
    """Each error names the field, the value and the nearest right one."""
    with pytest.raises(ValueError, match=message):
        model(**fields)


def test_config_and_model_have_the_same_fields() -> None:
    """The two cannot drift: both take their fields from one class."""
    assert set(DispatcherConfig.model_fields) == set(DispatchFields.model_fields)
    assert set(DispatchFields.model_fields) <= set(DispatcherChatModel.model_fields)


@pytest.mark.parametrize("form", ["yaml", "json", "mapping"])
def test_from_config(form: str, tmp_path: Path) -> None:
    """YAML, JSON and mappings make the same model; `${ENV}` references are resolved."""
    fields = {
        "routes": {"fast": ["openai:gpt-6-luna", {"model": "anthropic:claude-haiku-5-5", "rpm": 50}]},
        "model": "fast",
        "vendors": {
            "openai": {"api_key": "${MY_KEY}", "timeout": 9},
            "anthropic": {"api_key": "${NOPE:-k-9}"},
        },
        "retry_policy": {"max_retries": 1, "retryable_errors": ["timeout"]},
        "deadline": 30,
    }
    source: Any = fields
    if form != "mapping":
        source = tmp_path / f"dispatch.{form}"
        source.write_text(json.dumps(fields))  # JSON is YAML
    config = DispatcherConfig.load(source, {"MY_KEY": "k-from-env"})
    found = DispatcherChatModel.from_config(config, env={})
    first, second = found.deployments()
    assert first.endpoint.api_key.get_secret_value() == "k-from-env"  # type: ignore[union-attr]
    assert first.timeouts == {"timeout": 9}
    assert second.deployment.rpm == 50
    assert found.retry_policy == RetryPolicy(max_retries=1, retryable_errors=("timeout",))
    assert found.deadline == 30


def test_override_per_call_names_route_deployment_or_model() -> None:
    """`model=` at call time means a route, a deployment, a sibling or another configured vendor's model."""
    fleet = model(
        models=["openai:gpt-6-luna"], routes={"smart": ["anthropic:claude-sonnet-5-5"]}
    )._engine.registry
    assert [t.name for t in fleet.targets("smart")] == ["anthropic:claude-sonnet-5-5"]
    assert [t.name for t in fleet.targets("openai:gpt-6-luna")] == ["openai:gpt-6-luna"]
    assert [t.name for t in fleet.targets("gpt-6.1-terra")] == ["openai:gpt-6.1-terra"]
    assert [t.name for t in fleet.targets("anthropic:claude-haiku-5-5")] == ["anthropic:claude-haiku-5-5"]
    with pytest.raises(ConfigurationError, match="no vendor is known"):
        model(models=["openai:gpt-6-luna", "claude-haiku-5-5"])._engine.registry.targets("nonsense")


def test_equal_names_are_numbered() -> None:
    """Two deployments of one model are told apart."""
    two = [Deployment("openai:gpt-6-luna", api_key="k-1"), Deployment("openai:gpt-6-luna", api_key="k-2")]
    assert names(model(models=two)) == ["openai:gpt-6-luna", "openai:gpt-6-luna#2"]


def test_vendor_config_and_deployment_precedence() -> None:
    """A deployment's own values win over the vendor's, those over the environment."""
    found = model(
        models=[Deployment("openai:a", timeout=1), "openai:b"],
        vendors={"openai": VendorConfig(timeout=2, api_key="k-vendor")},
        env={**KEYS, "OPENAI_TIMEOUT": "3"},
    ).deployments()
    assert [t.timeouts["timeout"] for t in found] == [1, 2]
    assert found[0].endpoint.api_key.get_secret_value() == "k-vendor"  # type: ignore[union-attr]


class _Seen(httpx.MockTransport):
    """Counts what passes, and lets nothing out."""

    def __init__(self) -> None:
        self.count = 0
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return httpx.Response(401, json={"error": {"message": "no", "code": "invalid_api_key"}})


def test_a_users_own_client_is_used_and_left_open() -> None:
    """`VendorConfig.http_client` and `http_async_client` carry that vendor's calls, in both colours."""
    sync, other = _Seen(), _Seen()
    clients = {
        "http_client": httpx.Client(transport=sync),
        "http_async_client": httpx.AsyncClient(transport=other),
    }
    with model(model="openai:gpt-6-luna", vendors={"openai": VendorConfig(**clients)}) as found:
        with pytest.raises(errors.core.ModelAuthenticationError):
            found.invoke("hello")
        with pytest.raises(errors.core.ModelAuthenticationError):
            asyncio.run(found.ainvoke("hello"))
    assert (sync.count, other.count) == (1, 1)
    assert not clients["http_client"].is_closed
