"""Requests per minute of one client, in virtual time, and as its client sees them."""

from __future__ import annotations

import httpx
import pytest

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.server.client_rates import ClientRate
from langchain_llmdispatch.server.failures import RefusedRequestError
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.server import LoopbackServer
from tests.models import deployment
from tests.server.running import running

WORDS = {"model": "default", "messages": [{"role": "user", "content": "hi"}]}


def test_no_minute_has_more_requests_than_it_may_have() -> None:
    """One comes back a minute after it was taken."""
    clock = FakeClock(100.0)
    rate = ClientRate(2, clock)
    first = rate.take()
    clock.advance(20)
    second, third = rate.take(), rate.take()
    assert (first.remaining, first.reset, first.wait) == (1, 60.0, 0.0)
    assert (second.remaining, second.wait) == (0, 0.0)
    assert (third.remaining, third.wait, third.reset) == (0, 40.0, 60.0)
    with pytest.raises(RefusedRequestError, match="Try again in 40.000s"):
        third.check()
    clock.advance(40)
    assert rate.take().wait == 0.0
    assert rate.take().wait == 20.0


def test_a_client_sees_what_it_may_still_send(server: LoopbackServer) -> None:
    """In headers, of refusals too; a refused request reaches no vendor, and other clients go on."""
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    keys = [{"key": "key-of-first", "rpm": 2}, "key-of-second"]
    with running(model, api_keys=keys) as url, httpx.Client(base_url=url) as client:
        client.headers["authorization"] = "Bearer key-of-first"
        taken = client.post("/chat/completions", json=WORDS)
        wrong = client.post("/responses", json={**WORDS, "input": 5})
        refused = client.post("/chat/completions", json=WORDS)
        listed = client.get("/models")
        other = client.post(
            "/chat/completions", json=WORDS, headers={"authorization": "Bearer key-of-second"}
        )
    remaining = [each.headers["x-ratelimit-remaining-requests"] for each in (taken, wrong, refused)]
    assert [each.status_code for each in (taken, wrong, refused, listed, other)] == [200, 400, 429, 200, 200]
    assert remaining == ["1", "0", "0"]
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert "x-ratelimit-limit-requests" not in other.headers
    assert len(server.requests) == 2
