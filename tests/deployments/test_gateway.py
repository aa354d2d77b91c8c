"""LangSmith's gateway: which addresses and keys it gives, and what it leaves alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from langchain_llmdispatch import ConfigurationError, Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.variables import Variables
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.types import Endpoint

HOST = "https://gateway.smith.langchain.com"
OWN = {"OPENAI_API_KEY": "sk-own", "ANTHROPIC_API_KEY": "sk-own", "GOOGLE_API_KEY": "sk-own"}
ON = {**OWN, "LANGSMITH_GATEWAY": "true", "LANGSMITH_API_KEY": "lsv2_main"}


def endpoint(env: Mapping[str, str], model: str = "openai:x", config: Any = None, **fields: Any) -> Endpoint:
    """Return where a deployment is reached, and with which key."""
    vendor = model.partition(":")[0]
    configs = {vendor: config} if config else {}
    return Resolver(VendorTable(), configs, env).target(Deployment(model, **fields)).endpoint


def found(*args: Any, **fields: Any) -> tuple[str, str]:
    """Return the address and the key in the clear."""
    made = endpoint(*args, **fields)
    assert made.api_key is not None
    return made.base_url, made.api_key.get_secret_value()


@pytest.mark.parametrize(
    ("model", "path", "direct"),
    [
        ("openai:x", "openai/v1", "https://api.openai.com/v1"),
        ("anthropic:x", "anthropic", "https://api.anthropic.com"),
    ],
)
def test_the_switch_sends_a_vendor_through_the_gateway(model: str, path: str, direct: str) -> None:
    """With a key of LangSmith's, the gateway's own first; off, unset and empty leave the vendor's address."""
    assert found(ON, model) == (f"{HOST}/{path}", "lsv2_main")
    assert found({**ON, "LANGSMITH_GATEWAY_API_KEY": "lsv2_own"}, model)[1] == "lsv2_own"
    other = {**ON, "LANGSMITH_GATEWAY": "https://gate.example/"}
    assert found(other, model) == (f"https://gate.example/{path}", "lsv2_main")
    for word in ("", "false", "0", "No"):
        assert found({**ON, "LANGSMITH_GATEWAY": word}, model) == (direct, "sk-own")


def test_an_address_that_is_given_wins_with_the_vendors_own_key() -> None:
    """A deployment's, a vendor's, and the vendor's own variable's."""
    url = "https://api.openai.com/v1"
    assert found(ON, base_url=url) == (url, "sk-own")
    assert found(ON, config=VendorConfig(base_url=url)) == (url, "sk-own")
    assert found({**ON, "OPENAI_BASE_URL": url}) == (url, "sk-own")
    assert found(ON, api_key="sk-mine") == (f"{HOST}/openai/v1", "sk-mine")


def test_without_a_key_of_langsmith_no_other_is_sent_there() -> None:
    """The error names the variables."""
    with pytest.raises(ConfigurationError, match="LANGSMITH_GATEWAY_API_KEY or LANGSMITH_API_KEY"):
        endpoint({**OWN, "LANGSMITH_GATEWAY": "1"})
    with pytest.raises(ConfigurationError, match="LANGSMITH_GATEWAY: base_url"):
        endpoint({**ON, "LANGSMITH_GATEWAY": "gate"})


def test_a_file_cannot_send_a_key_of_the_process_elsewhere() -> None:
    """A `.env` may switch LangSmith's own gateway on; another address in it gets only a key of the same file."""
    process = {name: value for name, value in ON.items() if name != "LANGSMITH_GATEWAY"}
    on = Variables(process, {"LANGSMITH_GATEWAY": "true"}, ".env")
    assert found(on) == (f"{HOST}/openai/v1", "lsv2_main")
    elsewhere = {"LANGSMITH_GATEWAY": "https://gate.example"}
    with pytest.raises(ConfigurationError, match="is not sent to https://gate.example"):
        endpoint(Variables(process, elsewhere, ".env"))
    whole = {**elsewhere, "LANGSMITH_GATEWAY_API_KEY": "lsv2_file"}
    assert found(Variables(process, whole, ".env")) == ("https://gate.example/openai/v1", "lsv2_file")


def test_vendors_without_a_path_are_reached_directly_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """Once each, in a warning."""
    with caplog.at_level(logging.WARNING):
        DispatcherChatModel(models=["google:gemini-2.5-flash", "google:gemini-2.5-pro", "openai:x"], env=ON)
    assert [record.message for record in caplog.records if "LANGSMITH" in record.message] == [
        "LANGSMITH_GATEWAY is set; google has no path there and is reached directly"
    ]


def test_the_context_forces_everything_through_the_gateway() -> None:
    """Whatever addresses, keys and headers a model has; a vendor without a path is refused."""
    gateway: Any = pytest.importorskip("langchain_core.utils._gateway")
    if not hasattr(gateway, "langsmith_gateway"):
        pytest.skip("this langchain-core has no context for it")
    headers = {"X-Service": "s", "x-own": "gateway"}
    with gateway.langsmith_gateway(api_key="lsv2_forced", base_url="https://gate.example", headers=headers):
        made = endpoint(
            OWN, base_url="https://evil.example", api_key="sk-mine", headers={"X-Own": "a", "b": "c"}
        )
        kept = endpoint(OWN, base_url="https://gate.example/v1")
        with pytest.raises(ConfigurationError, match="google is not reached through"):
            endpoint(OWN, "google:gemini-2.5-flash")
    assert made.base_url == "https://gate.example/openai/v1"
    assert made.api_key is not None
    assert made.api_key.get_secret_value() == "lsv2_forced"
    assert made.headers == {"b": "c", "X-Service": "s", "x-own": "gateway"}
    assert kept.base_url == "https://gate.example/v1"
    assert found(OWN) == ("https://api.openai.com/v1", "sk-own")
