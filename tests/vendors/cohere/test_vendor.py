"""Cohere: address, headers, credentials, capabilities."""

from __future__ import annotations

from pydantic import SecretStr

from langchain_llmdispatch.types import Endpoint
from langchain_llmdispatch.vendors.cohere.vendor import chat_url
from tests.cases import each
from tests.vendors.cohere.calls import KEY, VENDOR, call

URLS = [
    "https://api.cohere.com",
    "https://api.cohere.com/",
    "https://api.cohere.com/v1",
    "https://api.cohere.com/v2/",
]


@each("base", URLS)
def test_url(base: str) -> None:
    """People write the base with and without a version; v2 is spoken in any case."""
    assert chat_url(base) == "https://api.cohere.com/v2/chat"


def test_headers() -> None:
    """A fresh token wins over a key, and the user's own header over both."""
    fresh = Endpoint("https://api.cohere.com", SecretStr(KEY), token_provider=lambda: "t")
    assert VENDOR.encode_request(call(endpoint=fresh)).headers["authorization"] == "Bearer t"
    own = Endpoint("https://api.cohere.com", SecretStr(KEY), headers={"Authorization": "Bearer mine"})
    assert VENDOR.encode_request(call(endpoint=own)).headers.get_list("authorization") == ["Bearer mine"]


def test_capabilities() -> None:
    """The catalog's profile, None for an unknown model."""
    profile = VENDOR.capabilities("command-a-03-2025")
    assert profile is not None
    assert profile["tool_calling"] is True
    assert VENDOR.capabilities("no-such-model") is None
