"""Configuration: constructor, environment, `.env`, files; one schema for all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core import exceptions as core
from pydantic import TypeAdapter, ValidationError

from langchain_llmdispatch import (
    DispatcherChatModel,
    DispatcherConfig,
    RetryPolicy,
    VendorConfig,
    errors,
)
from langchain_llmdispatch.config.schema import DispatchFields
from tests.cases import each

KEYS = {"OPENAI_API_KEY": "sk-test-1", "ANTHROPIC_API_KEY": "sk-test-2"}


def model(**fields: Any) -> DispatcherChatModel:
    """Return a model whose environment holds two keys."""
    return DispatcherChatModel(**{"env": KEYS, **fields})


def names(found: DispatcherChatModel) -> list[str]:
    """Return the names of a model's deployments."""
    return [target.name for target in found.deployments()]


@each(
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
    assert set(DispatcherConfig.model_fields) == {*DispatchFields.model_fields, "server"}
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


SHAPES: list[tuple[Any, str]] = [
    ({"routes": ["a"]}, "routes: "),
    ({"routes": {"a": 5}}, "routes.a: int is no list of deployments"),
    ({"routes": {"a": [None]}}, "routes.a.0: "),
    ({"routes": {1: ["openai:x"]}}, "routes.1"),
    ({"models": 5}, "models: int is no list of deployments"),
    ({"models": [["openai:x"]]}, "models.0: "),
    ({"models": [{5: 1}]}, "models.0: Deployment: 5 is no name of a field"),
    ({"models": [{"model": {"a": 1}}]}, "models.0.model"),
    ({"models": [{"model": "openai:x", "headers": ["a"]}]}, "models.0.headers: "),
    ({"models": [{"model": "openai:x", "tags": 5}]}, "models.0.tags: "),
    ({"model": ["openai:x"]}, "model: list is no model"),
    ({"model": {"model": ["openai:x"]}}, "model: model"),
    ({"vendors": ["openai"]}, "vendors: "),
    ({"vendors": {"openai": "key"}}, "vendors.openai: "),
    ({"vendors": {5: {}}}, "vendors.5"),
    ({"routing_rules": {"a": 1}}, "routing_rules: "),
    ({"routing_rules": ["x"]}, "routing_rules.0: "),
    ({"retry_policy": [1]}, "retry_policy: "),
    ({"timeout": {"a": 1}}, "timeout: "),
    ({"allowed_vendors": 5}, "allowed_vendors: "),
    ({5: 1}, "5 is no name of a field"),
    ({None: 1}, "None is no name of a field"),
    ([], "not a list"),
    (None, "not a NoneType"),
]


@each(("source", "message"), SHAPES)
def test_wrong_shapes_name_their_path(source: Any, message: str) -> None:
    """Lists where mappings belong, numbers as names: one kind of error, in words of ours."""
    with pytest.raises(errors.ConfigurationError) as raised:
        DispatcherConfig.load(source, {})
    assert message in str(raised.value)
    assert "function-wrap" not in str(raised.value)


CANARY = "canary-0123456789abcdef-key"


@each(
    "fields",
    [
        {"model": "openai:x", "api_key": CANARY, "max_tokens": CANARY},
        {"models": [{"model": "openai:x", "api_key": [CANARY]}]},
        {"models": [{"model": "openai:x", "headers": {"a": [CANARY]}}]},
        {"models": [{"model": "openai:x", "headers": {5: CANARY}}]},
        {"vendors": {"openai": {"api_key": {"a": CANARY}, "rpm": CANARY}}},
        {"vendors": {"openai": CANARY}},
    ],
)
def test_validation_errors_hold_no_input(fields: dict[str, Any]) -> None:
    """Neither our error nor pydantic's own, however it is read, repeats a value beside the wrong one."""
    shown = []
    with pytest.raises(ValueError) as ours:  # noqa: PT011 - whatever its message
        model(**fields)
    shown += [str(ours.value), repr(ours.value.__cause__), repr(ours.value.__context__)]
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(DispatcherChatModel).validate_python({"env": {}, **fields})
    found = raised.value
    shown += [str(found), repr(found), found.json(), repr(found.errors()), repr(found.args)]
    assert CANARY not in " ".join(shown)


def test_variables_of_a_call_are_those_of_references() -> None:
    """`from_config(env=)` is where `${VAR}` is looked up, and where keys are; the process's are not read."""
    source = {"models": [{"model": "openai:${MODEL}"}], "timeout": "${SECONDS:-7}"}
    made = DispatcherChatModel.from_config(source, env={"MODEL": "m", "OPENAI_API_KEY": "k"})
    assert (names(made), made.timeout) == (["openai:m"], 7.0)
    with pytest.raises(errors.ConfigurationError, match=r"models\[0\]\.model: the variable MODEL is not set"):
        DispatcherChatModel.from_config(source, env={})
