"""Configuration: constructor, environment, `.env`, files; one schema for all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as core

from langchain_llmdispatch import (
    DispatcherChatModel,
    DispatcherConfig,
    RetryPolicy,
    VendorConfig,
)
from langchain_llmdispatch.config.schema import DispatchFields

KEYS = {"OPENAI_API_KEY": "sk-test-1", "ANTHROPIC_API_KEY": "sk-test-2"}


def model(**fields: Any) -> DispatcherChatModel:
    """Return a model whose environment holds two keys."""
    return DispatcherChatModel(**{"env": KEYS, **fields})


def names(found: DispatcherChatModel) -> list[str]:
    """Return the names of a model's deployments."""
    return [target.name for target in found.deployments()]


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
    assert first.endpoint.api_key.get_secret_value() == "k-from-env"
    assert first.timeouts == {"timeout": 9}
    assert second.deployment.rpm == 50
    assert found.retry_policy == RetryPolicy(max_retries=1, retryable_errors=("timeout",))
    assert found.deadline == 30


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
        with pytest.raises(core.ModelAuthenticationError):
            found.invoke("hello")
        with pytest.raises(core.ModelAuthenticationError):
            asyncio.run(found.ainvoke("hello"))
    assert (sync.count, other.count) == (1, 1)
    assert not clients["http_client"].is_closed
