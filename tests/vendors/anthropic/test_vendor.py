"""Anthropic: address, headers, credentials, capabilities."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import (
    HumanMessage,
)
from pydantic import SecretStr

from langchain_llmdispatch.types import Endpoint, LimitState
from tests.vendors.anthropic.calls import VENDOR, call


@pytest.mark.parametrize(
    ("endpoint", "header", "value"),
    [
        (Endpoint("https://a.test", SecretStr("any-key")), "x-api-key", "any-key"),
        (Endpoint("https://a.test", SecretStr("sk-ant-oat01-x")), "authorization", "Bearer sk-ant-oat01-x"),
        (Endpoint("https://a.test", SecretStr("Bearer gateway")), "authorization", "Bearer gateway"),
        (Endpoint("https://a.test", token_provider=lambda: "fresh"), "authorization", "Bearer fresh"),
        (Endpoint("https://a.test", headers={"X-Api-Key": "own"}), "x-api-key", "own"),
        (Endpoint("https://a.test", api_version="2026-10-21"), "anthropic-version", "2026-10-21"),
    ],
)
def test_credentials_and_version(endpoint: Endpoint, header: str, value: str) -> None:
    """Keys, bearer tokens, the user's own headers and versions each reach their header."""
    assert VENDOR.encode_request(call(endpoint=endpoint)).headers[header] == value


@pytest.mark.parametrize("base", ["https://gate.test/a", "https://gate.test/a/v1"])
def test_base_url_with_and_without_version(base: str) -> None:
    """People write the base URL either way."""
    assert str(VENDOR.encode_request(call(endpoint=Endpoint(base))).url) == "https://gate.test/a/v1/messages"


def test_beta_features_are_collected() -> None:
    """The user's header, the extra `betas` and what tools and files need share one header."""
    compiled = call(
        [HumanMessage([{"type": "file", "file_id": "file_1"}])],
        endpoint=Endpoint("https://a.test", headers={"Anthropic-Beta": "mine-1, mine-2"}),
        server_tools=[{"type": "web_fetch_20250910", "name": "web_fetch"}],
        extra={"betas": ["theirs", "mine-1"]},
    )
    request = VENDOR.encode_request(compiled)
    assert (
        request.headers["anthropic-beta"] == "mine-1,mine-2,theirs,web-fetch-2025-09-10,files-api-2025-04-14"
    )
    assert "betas" not in json.loads(request.content)


def test_limits() -> None:
    """Requests and tokens, with seconds counted from the response's own date."""
    headers = {
        "date": "Wed, 11 Feb 2026 23:43:50 GMT",
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-02-11T23:43:57Z",
        "anthropic-ratelimit-input-tokens-limit": "30000",
        "anthropic-ratelimit-input-tokens-remaining": "-1",
        "anthropic-ratelimit-input-tokens-reset": "nonsense",
        "anthropic-ratelimit-output-tokens-remaining": "8000",
    }
    assert VENDOR.limits(headers) == [
        LimitState("requests", 0, 50, 7.0),
        LimitState("tokens", None, 30_000, None),
        LimitState("tokens", 8000, None, None),
    ]
    assert VENDOR.limits({}) == []


def test_capabilities() -> None:
    """Known models have a profile, unknown ones none."""
    profile = VENDOR.capabilities("claude-haiku-5-5")
    assert profile is not None
    assert profile["tool_calling"]
    assert VENDOR.capabilities("no-such-model") is None
