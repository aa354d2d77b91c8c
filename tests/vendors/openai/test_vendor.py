"""OpenAI's vendor: headers, dialect by model, limits, capabilities."""

from __future__ import annotations

import pytest
from langchain_core.messages import (
    SystemMessage,
)
from pydantic import SecretStr

from langchain_llmdispatch.types import Endpoint, LimitState
from langchain_llmdispatch.vendors.openai.vendor import duration
from tests.cases import each
from tests.vendors.openai.calls import HI, KEY, VENDOR, body, call


def test_own_headers_win() -> None:
    """The user's headers replace ours, whatever their case."""
    endpoint = Endpoint("https://gateway.test/v1/", SecretStr(KEY), headers={"Authorization": "Basic x"})
    request = VENDOR.encode_request(call(endpoint=endpoint))
    assert request.headers.get_list("authorization") == ["Basic x"]
    assert str(request.url) == "https://gateway.test/v1/chat/completions"


def test_token_provider_wins_over_key() -> None:
    """A token provider is called at each request."""
    tokens = iter(["one", "two"])
    endpoint = Endpoint("https://x.test", SecretStr(KEY), token_provider=lambda: next(tokens))
    raw = [VENDOR.encode_request(call(endpoint=endpoint)).headers["authorization"] for _ in range(2)]
    assert raw == ["Bearer one", "Bearer two"]


def test_no_key_no_header() -> None:
    """A server without keys gets no credentials."""
    request = VENDOR.encode_request(call(endpoint=Endpoint("http://localhost:8000/v1")))
    assert "authorization" not in request.headers


def test_first_reasoning_models_take_developer() -> None:
    """The o-series prefers `developer` for instructions."""
    sent = body(call([SystemMessage("s"), *HI], model="o3"))
    assert sent["messages"][0] == {"role": "developer", "content": "s"}


def test_limits() -> None:
    """Both budgets are read; the reset is a duration in words."""
    headers = {
        "x-ratelimit-limit-requests": "200",
        "x-ratelimit-remaining-requests": "196",
        "x-ratelimit-reset-requests": "6m0s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "28ms",
    }
    assert VENDOR.limits(headers) == [
        LimitState("requests", 196, 200, 360.0),
        LimitState("tokens", 0, None, pytest.approx(0.028)),
    ]
    assert VENDOR.limits({}) == []


@each(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("7.66s", 7.66),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("-1", None),
        ("soon", None),
        ("", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    """Durations in words and numbers; what is no time is unknown."""
    assert duration(text) == seconds


def test_capabilities_come_from_the_catalog() -> None:
    """A known model has a profile, an unknown one none."""
    assert VENDOR.capabilities("gpt-4.1") is not None
    assert VENDOR.capabilities("no-such-model") is None
