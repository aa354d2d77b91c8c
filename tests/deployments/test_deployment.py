"""What is configured: fields, placeholders, addresses, and what of it may be pickled."""

from __future__ import annotations

import pickle
from typing import Any

import httpx
import pytest

from langchain_llmdispatch import Deployment, VendorConfig
from langchain_llmdispatch.deployments.credentials import checked_url
from langchain_llmdispatch.deployments.deployment import is_placeholder
from tests.cases import each


@each("value", ["", "changeme", "your-api-key", "<your key>", "xxx", "...", "sk-api-key-here"])
def test_placeholders(value: str) -> None:
    """Values in example files are no keys."""
    assert is_placeholder(value)


def test_a_key_is_no_placeholder() -> None:
    """Also a short one."""
    assert not any(map(is_placeholder, ["sk-1", "k-123456", "Bearer x1"]))


@each(
    ("url", "message"),
    [
        ("localhost:80", "no absolute http"),
        ("ftp://a.example", "no absolute http"),
        ("https://user:pass@a.example", "no credentials and no query"),
        ("https://a.example/v1?key=k", "no credentials and no query"),
    ],
)
def test_addresses_are_checked(url: str, message: str) -> None:
    """An address holds a scheme and a host, and nothing secret."""
    for owner in (lambda: VendorConfig(base_url=url), lambda: Deployment("openai:x", base_url=url)):
        with pytest.raises(ValueError, match=message):
            owner()


def test_a_trailing_slash_is_removed() -> None:
    """So that paths can be appended."""
    assert checked_url("https://a.example/v1/") == "https://a.example/v1"
    assert checked_url(None) is None


@each(
    ("fields", "message"),
    [
        ({"model": " "}, "Deployment.model is empty"),
        ({"model": "openai:x", "rpm": 0}, "rpm"),
        ({"model": "openai:x", "wieght": 1}, "'wieght'.*Did you mean 'weight'"),
        ({"model": "openai:x", "weight": -1}, "weight"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any], message: str) -> None:
    """With the nearest right one."""
    with pytest.raises(ValueError, match=message):
        Deployment(**fields)


def test_settings_are_frozen() -> None:
    """A deployment shares nothing and cannot be changed."""
    with pytest.raises(ValueError, match="frozen"):
        Deployment("openai:x").rpm = 3


def test_nothing_secret_is_shown_or_pickled() -> None:
    """Keys, headers and clients; everything else stays."""
    deployment = Deployment("openai:x", api_key="k-canary", headers={"a": "k-canary"}, rpm=3)
    config = VendorConfig(api_key="k-canary", headers={"a": "k-canary"}, http_client=httpx.Client(), rpm=3)
    for configured in (deployment, config):
        assert "canary" not in f"{configured!r} {configured} {configured.model_dump()}"
    assert b"canary" not in pickle.dumps([deployment, config])
    bare, bare_config = pickle.loads(pickle.dumps([deployment, config]))
    assert (bare.api_key, bare.headers, bare.rpm, bare.model) == (None, {}, 3, "openai:x")
    assert (bare_config.api_key, bare_config.headers, bare_config.http_client) == (None, {}, None)
    assert bare_config.rpm == 3
