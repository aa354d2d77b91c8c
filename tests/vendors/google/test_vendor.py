"""Google: address, headers, credentials, capabilities."""

from __future__ import annotations

from pydantic import SecretStr

from langchain_llmdispatch.types import Endpoint
from tests.cases import each
from tests.vendors.google.calls import KEY, OLD, VENDOR, call


@each(
    ("base", "model", "streamed", "url"),
    [
        ("https://g.test", OLD, False, "https://g.test/v1beta/models/gemini-2.5-flash:generateContent"),
        (
            "https://g.test/",
            OLD,
            True,
            "https://g.test/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        ("https://g.test/v1", "models/x", False, "https://g.test/v1/models/x:generateContent"),
        (
            "https://g.test",
            "tunedModels/mine",
            False,
            "https://g.test/v1beta/tunedModels/mine:generateContent",
        ),
        ("https://g.test", "x?key=y", False, "https://g.test/v1beta/models/x%3Fkey%3Dy:generateContent"),
    ],
)
def test_url(base: str, model: str, streamed: bool, url: str) -> None:
    """The URL holds version, model and method, and never more."""
    request = VENDOR.encode_request(
        call(model=model, stream=streamed, endpoint=Endpoint(base, SecretStr(KEY)))
    )
    assert str(request.url) == url


def test_key_is_a_header_only() -> None:
    """The key is in `x-goog-api-key` and nowhere else; the user's headers win."""
    endpoint = Endpoint("https://g.test", SecretStr(KEY), {"X-Goog-User-Project": "p"})
    request = VENDOR.encode_request(call(endpoint=endpoint))
    assert request.headers["x-goog-api-key"] == KEY
    assert request.headers["x-goog-user-project"] == "p"
    assert KEY not in str(request.url)
    assert KEY not in request.content.decode()


def test_token_provider_wins() -> None:
    """A token provider replaces the key."""
    endpoint = Endpoint("https://g.test", SecretStr(KEY), token_provider=lambda: "tok")
    headers = VENDOR.encode_request(call(endpoint=endpoint)).headers
    assert headers["authorization"] == "Bearer tok"
    assert "x-goog-api-key" not in headers
