"""The targets of a model: default ones, routes, and what a call names."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError, Deployment, VendorConfig
from langchain_llmdispatch.deployments.registry import DeploymentRegistry
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.vendor_table import VendorTable

KEYS = {"OPENAI_API_KEY": "sk-test-1", "ANTHROPIC_API_KEY": "sk-test-2"}


def registry(
    *models: str | Deployment, env: Any = KEYS, configs: Any = None, **fields: Any
) -> DeploymentRegistry:
    """Return the registry of a model."""
    deployments = [Deployment(model) if isinstance(model, str) else model for model in models]
    return DeploymentRegistry(Resolver(VendorTable(), configs or {}, env), models=deployments, **fields)


def names(found: DeploymentRegistry, name: str | None = None) -> list[str]:
    """Return the names of the targets for a call."""
    return [target.name for target in found.targets(name)]


def test_without_fields_one_deployment_per_vendor_with_a_key() -> None:
    """The environment alone makes a model, in the vendors' order."""
    assert names(registry()) == ["openai:gpt-6-luna", "anthropic:claude-haiku-5-5"]


def test_without_any_key_the_error_says_what_to_set() -> None:
    """Nothing configured is a clear error that names the variables."""
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY.*ANTHROPIC_API_KEY"):
        registry(env={})


def test_the_model_goes_first_and_may_be_a_route() -> None:
    """`model` before `models`; the first route where there is nothing else."""
    routes = {"fast": [Deployment("anthropic:a")], "smart": [Deployment("openai:b")]}
    assert names(registry("openai:x", model="anthropic:y")) == ["anthropic:y", "openai:x"]
    assert names(registry("openai:x", model="smart", routes=routes)) == ["openai:b", "openai:x"]
    assert names(registry(routes=routes)) == ["anthropic:a"]


def test_default_and_fallback_vendors_order_the_deployments() -> None:
    """By name or alias, whatever its case; within a vendor the configured order stays."""
    found = registry("openai:a", "anthropic:b", "openai:c", default_vendor="Anthropic")
    assert names(found) == ["anthropic:b", "openai:a", "openai:c"]
    assert names(registry("openai:a", "anthropic:b", fallback_vendor="OPENAI")) == ["anthropic:b", "openai:a"]


def test_a_call_names_a_route_a_deployment_or_a_model() -> None:
    """Also a sibling on the same endpoint, or another configured vendor's model."""
    found = registry("openai:gpt-6-luna", routes={"smart": [Deployment("anthropic:claude-sonnet-5-5")]})
    assert names(found, "smart") == ["anthropic:claude-sonnet-5-5"]
    assert names(found, "openai:gpt-6-luna") == ["openai:gpt-6-luna"]
    assert names(found, "openai/gpt-6-luna") == ["openai:gpt-6-luna"]
    assert names(found, "gpt-6.1-terra") == ["openai:gpt-6.1-terra"]
    assert names(found, "a-model-of-tomorrow") == ["openai:a-model-of-tomorrow"]
    assert names(found, "anthropic:claude-haiku-5-5") == ["anthropic:claude-haiku-5-5"]
    assert found.targets("gpt-6.1-terra") is found.targets("gpt-6.1-terra")
    with pytest.raises(ConfigurationError, match="no vendor is known"):
        registry("openai:gpt-6-luna", "claude-haiku-5-5").targets("nonsense")
    with pytest.raises(ConfigurationError, match="no model"):
        found.targets("openai:")


def test_a_well_known_name_means_the_only_vendor_unless_the_other_is_configured() -> None:
    """A server may serve any model by its name, and a vendor with slashes in its names takes all of them."""
    alone = {"OPENAI_API_KEY": "sk-test-1"}
    assert names(registry("openai:x", env=alone), "claude-haiku-5-5") == ["openai:claude-haiku-5-5"]
    assert names(registry("openai:x"), "claude-haiku-5-5") == ["anthropic:claude-haiku-5-5"]
    own = Deployment("compatible:x", base_url="http://127.0.0.1:1/v1")
    assert names(registry(own), "anthropic/claude-haiku-5-5") == ["compatible:anthropic/claude-haiku-5-5"]


def test_named_models_are_remembered_up_to_a_bound() -> None:
    """Memory stays flat however many models calls name."""
    found = registry("openai:gpt-6-luna")
    for number in range(600):
        found.targets(f"gpt-6-{number}")
    assert len(found._named) <= 256


def test_equal_names_are_numbered() -> None:
    """Two deployments of one model have different names; one written twice in routes is one target."""
    two = [Deployment("openai:gpt-6-luna", api_key=f"k-{n}") for n in (1, 2)]
    assert names(registry(*two)) == ["openai:gpt-6-luna", "openai:gpt-6-luna#2"]
    same = Deployment("openai:x")
    found = registry(same, routes={"a": [same], "b": [same]})
    assert len(found.all) == 1
    assert found.routes["a"][0] is found.routes["b"][0]


def test_allowed_vendors_bound_what_a_call_may_name() -> None:
    """Other vendors' deployments are refused; none left is an error at construction."""
    found = registry("openai:x", "anthropic:y", allowed_vendors=["openai"])
    assert [target.name for target in found.all] == ["openai:x"]
    with pytest.raises(ConfigurationError, match=r"is anthropic's; allowed_vendors=\['openai'\]"):
        found.targets("anthropic:z")
    with pytest.raises(ConfigurationError, match="leaves no deployment"):
        registry("openai:x", allowed_vendors=["cohere"])
    with pytest.raises(ConfigurationError, match="allowed_vendors: vendor 'opnai'.*Did you mean 'openai'"):
        registry("openai:x", allowed_vendors=["opnai"])


def test_the_fingerprint_tells_answers_apart_and_holds_no_key() -> None:
    """Names, models, addresses and parameters are in it."""
    one = registry(Deployment("openai:x", api_key="k-canary", params={"top_p": 0.5})).fingerprint
    other = registry(Deployment("openai:x", api_key="k-canary", params={"top_p": 0.6})).fingerprint
    assert one != other
    assert "canary" not in str(one)


def test_a_vendor_is_available_with_a_key_or_a_deployment() -> None:
    """Without either, and unknown ones, are not."""
    found = registry(Deployment("cohere:x", api_key="k"))
    assert [found.is_available(name) for name in ("cohere", "openai", "azure", "nonsense")] == [
        *(True, True, False, False)
    ]
    assert {"openai", "anthropic", "cohere"} <= set(found.vendor_names())
    assert "azure" not in found.vendor_names()
    assert registry(configs={"azure": VendorConfig(base_url="https://a.example", api_key="k")}).is_available(
        "azure"
    )
