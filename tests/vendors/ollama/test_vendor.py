"""Ollama: address, headers, credentials, capabilities."""

from __future__ import annotations

from pydantic import SecretStr

from langchain_llmdispatch.types import Endpoint
from langchain_llmdispatch.vendors.ollama.vendor import is_cloud, normalise_host
from tests.cases import each
from tests.vendors.ollama.calls import KEY, VENDOR, call

HOSTS = {
    "": "http://127.0.0.1:11434",
    "  ": "http://127.0.0.1:11434",
    "gpu-box": "http://gpu-box:11434",
    "gpu-box:8080": "http://gpu-box:8080",
    "0.0.0.0": "http://127.0.0.1:11434",  # noqa: S104 - an address to turn into another
    "0.0.0.0:8080": "http://127.0.0.1:8080",
    "http://0.0.0.0:11434": "http://127.0.0.1:11434",
    ":11435": "http://127.0.0.1:11435",
    "::": "http://[::1]:11434",
    "::1": "http://[::1]:11434",
    "[::1]:99": "http://[::1]:99",
    "http://box": "http://box",
    "http://box:80/": "http://box:80",
    "https://box/ollama/": "https://box/ollama",
    "localhost:11434/api": "http://localhost:11434",
    "http://localhost:11434/v1/": "http://localhost:11434",
    "ollama.com": "https://ollama.com",
    "https://ollama.com/": "https://ollama.com",
}


@each(("host", "url"), HOSTS.items())
def test_host(host: str, url: str) -> None:
    """OLLAMA_HOST means what Ollama's own clients take it for, and its result means itself."""
    assert normalise_host(host) == url
    assert normalise_host(url) == url
    assert VENDOR.normalise_url(host) == url


def test_cloud_is_not_local() -> None:
    """Only ollama.com is the cloud."""
    assert is_cloud("https://ollama.com")
    assert not is_cloud("http://127.0.0.1:11434")
    assert not is_cloud("http://ollama.com.example.org")


def test_url_and_headers() -> None:
    """The key is a bearer token, the user's headers win, nothing of it is in the URL."""
    endpoint = Endpoint("http://box:1/", SecretStr(KEY), headers={"Authorization": "Basic x", "X-Team": "a"})
    request = VENDOR.encode_request(call(endpoint=endpoint))
    assert str(request.url) == "http://box:1/api/chat"
    assert request.headers.get_list("authorization") == ["Basic x"]
    assert request.headers["x-team"] == "a"
    plain = VENDOR.encode_request(call(endpoint=Endpoint("https://ollama.com", SecretStr(KEY))))
    assert plain.headers["authorization"] == f"Bearer {KEY}"
    fresh = VENDOR.encode_request(call(endpoint=Endpoint("https://ollama.com", token_provider=lambda: "t")))
    assert fresh.headers["authorization"] == "Bearer t"
    assert "authorization" not in VENDOR.encode_request(call()).headers


def test_capabilities() -> None:
    """The catalog finds a model under any tag."""
    profile = VENDOR.capabilities("llama3.1:8b")
    assert profile is not None
    assert profile["tool_calling"] is True
    assert VENDOR.capabilities("somebody/private-model") is None
