"""Counts of tokens at vendors' own endpoints: requests, answers, what is kept, what stands in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest
from langchain_core.messages import HumanMessage, SystemMessage

from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.testing import FakeClock
from tests.cases import each

MESSAGES = [SystemMessage("Be terse."), HumanMessage("What is the capital of France?")]
TOOL = {"title": "weather", "description": "Gets weather", "type": "object", "properties": {}}
# The answers are those that the vendors gave (recorded or documented), with other numbers.
ANSWERS: Mapping[str, Any] = {
    "openai": {"object": "response.input_tokens", "input_tokens": 4321},
    "anthropic": {"input_tokens": 4321},
    "google": {"totalTokens": 4321, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 4321}]},
    "cohere": {"tokens": list(range(4321)), "token_strings": [], "meta": {}},
}
PATHS = {
    "openai": "/v1/responses/input_tokens",
    "anthropic": "/v1/messages/count_tokens",
    "google": "/v1beta/models/m:countTokens",
    "cohere": "/v1/tokenize",
}
colours = pytest.mark.parametrize("count", [lambda *a, **k: _sync(*a, **k), lambda *a, **k: _async(*a, **k)])


class Counter:
    """A vendor that answers each request alike.

    Args:
        vendor: Its name.
        status: The status of its answers.
        answer: Their JSON.
    """

    def __init__(self, vendor: str, status: int = 200, answer: Any = None) -> None:
        self.requests: list[httpx.Request] = []
        self._status, self._answer = status, ANSWERS[vendor] if answer is None else answer
        mock = httpx.MockTransport(self._respond)
        client, other = httpx.Client(transport=mock), httpx.AsyncClient(transport=mock)
        self.config = VendorConfig(api_key="sk-own", http_client=client, http_async_client=other)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self._status, json=self._answer)

    def model(self, vendor: str, **fields: Any) -> DispatcherChatModel:
        """Return a model of this vendor."""
        return DispatcherChatModel(
            model=f"{vendor}:m", vendors={vendor: self.config}, env={}, clock=FakeClock(), **fields
        )

    def body(self) -> Any:
        """Return the body of the one request."""
        (request,) = self.requests
        return json.loads(request.content)


def _sync(model: DispatcherChatModel, *args: Any, **fields: Any) -> int:
    return model.get_num_tokens_from_messages(*args, **fields)


def _async(model: DispatcherChatModel, *args: Any, **fields: Any) -> int:
    return asyncio.run(model.aget_num_tokens_from_messages(*args, **fields))


@colours
@pytest.mark.parametrize("vendor", ANSWERS)
def test_the_planned_vendor_counts_once(vendor: str, count: Callable[..., int]) -> None:
    """System text and tools count, what is about the answer is left out, and a count is kept."""
    counter = Counter(vendor)
    model = counter.model(vendor, max_tokens=50, temperature=0.5)
    assert count(model, MESSAGES, [TOOL], exact=True) == 4321
    assert count(model.model_copy(), MESSAGES, [TOOL], exact=True) == 4321
    text = json.dumps(counter.body())
    assert counter.requests[0].url.path == PATHS[vendor]
    assert "sk-own" in str(counter.requests[0].headers.raw)
    assert all(word in text for word in ("Be terse.", "capital of France", "Gets weather"))
    assert vendor == "google" or "temperature" not in text
    assert "max_tokens" not in text
    assert count(model, MESSAGES[1:], exact=True) == 4321
    assert len(counter.requests) == 2


def test_gemini_counts_the_whole_request() -> None:
    """System text and tools count only inside `generateContentRequest`, which names the model."""
    counter = Counter("google")
    counter.model("google").get_num_tokens_from_messages(MESSAGES, [TOOL], exact=True)
    (inner,) = counter.body().values()
    assert inner["model"] == "models/m"
    assert inner["systemInstruction"] == {"parts": [{"text": "Be terse."}]}
    assert inner["tools"][0]["functionDeclarations"][0]["name"] == "weather"


@colours
@pytest.mark.parametrize(("status", "again"), [(404, 1), (405, 1), (429, 2), (500, 2)])
def test_an_estimate_stands_in_where_there_is_no_count(
    status: int, again: int, count: Callable[..., int]
) -> None:
    """An endpoint that is not there is not tried again."""
    counter = Counter("openai", status, {"error": {"message": "no"}})
    model = counter.model("openai")
    estimate = model.get_num_tokens_from_messages(MESSAGES)
    assert [count(model, MESSAGES, exact=True) for _ in range(2)] == [estimate] * 2
    assert len(counter.requests) == again


@each("answer", [{}, {"input_tokens": None}, {"input_tokens": -1}, [], "x"])
def test_an_answer_without_a_count_is_no_count(answer: Any) -> None:
    """The estimate stands in."""
    model = Counter("anthropic", 200, answer).model("anthropic")
    assert model.get_num_tokens_from_messages(MESSAGES, exact=True) == model.get_num_tokens_from_messages(
        MESSAGES
    )


@each("vendor", ["azure", "huggingface", "ollama", "compatible"])
def test_vendors_without_an_endpoint_get_no_request(vendor: str) -> None:
    """Nothing leaves the process."""
    deployment = Deployment(f"{vendor}:m", base_url="http://127.0.0.1:1", api_key="k")
    model = DispatcherChatModel(models=[deployment], env={}, count_tokens="exact")
    assert model.get_num_tokens_from_messages(MESSAGES) > 0
    assert model.get_stats().total_requests == 0


def test_the_setting_counts_without_a_word_in_the_call() -> None:
    """`count_tokens="exact"`; a call may still estimate, and a tokenizer of one's own wins over the setting."""
    counter = Counter("anthropic")
    model = counter.model("anthropic", count_tokens="exact")
    assert model.get_num_tokens_from_messages(MESSAGES) == 4321
    assert model.get_num_tokens_from_messages(MESSAGES, exact=False) < 100
    own = counter.model("anthropic", count_tokens="exact", custom_get_token_ids=lambda text: [1, 2])
    assert own.get_num_tokens_from_messages(MESSAGES) == 4
    assert len(counter.requests) == 1
