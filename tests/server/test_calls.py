"""Calls of clients: what reaches the vendors, and what comes back besides the answer."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel
from tests.cases import each
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer, ToolCall
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, deployment
from tests.server.running import running

HI: Any = [{"role": "user", "content": "hi"}]
SECRET = "sk-live-0123456789abcdefghij"
CLIENT = "client-key-0123456789"
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.4 x").decode()
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream, without the end."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("stream", [False, True])
@each("path", ["chat/completions", "responses"])
@each("status", [400, 401, 403, 404, 429, 500])
def test_no_key_is_in_an_answer(
    server: LoopbackServer, path: str, status: int, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """In no answer of a vendor that repeats it, whichever key it is; nor is it in the log."""
    server.clear()
    body = {"error": {"message": f"Incorrect key {SECRET} of org-77 at host.internal", "code": "x"}}
    server.script("openai", [Fault(status=status, body=body)], repeat=True)
    model = DispatcherChatModel(models=[deployment(server, "openai", api_key=SECRET)], env={}, max_retries=0)
    words = {"model": "default", "messages" if "chat" in path else "input": HI, "stream": stream}
    with running(model, api_keys=[CLIENT]) as url:
        headers = {"authorization": f"Bearer {CLIENT}"}
        answer = httpx.post(f"{url}/{path}", json=words, headers=headers)
    seen = answer.text + str(answer.headers) + caplog.text
    assert answer.status_code >= 400
    assert SECRET not in seen
    assert CLIENT not in seen
    assert "org-77" not in caplog.text
    if status != 400:  # about the request: the client's to read
        assert "org-77" not in answer.text


@each("vendor", ["openai", "anthropic", "google"])
def test_images_and_files_reach_every_vendor(server: LoopbackServer, vendor: str) -> None:
    """In the form of each, from OpenAI's."""
    parts: Any = [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
    ]
    model = DispatcherChatModel(models=[deployment(server, vendor)], env={})
    with running(model) as url:
        words = {"model": "default", "messages": [{"role": "user", "content": parts}]}
        answer = httpx.post(f"{url}/chat/completions", json=words).json()
    assert "I see 2 attachment(s)" in answer["choices"][0]["message"]["content"]


def test_what_was_adapted_is_in_a_header(server: LoopbackServer) -> None:
    """A word of another vendor's, and one that a model does not take."""
    model = DispatcherChatModel(models=[deployment(server, "anthropic")], env={})
    with running(model) as url:
        words = {
            "model": "default",
            "messages": HI,
            "prediction": {"type": "content", "content": "x"},
            "seed": 1,
        }
        headers = httpx.post(f"{url}/chat/completions", json=words).headers
    assert "prediction_dropped" in headers["x-llmdispatch-adapted"]
    assert "seed_dropped" in headers["x-llmdispatch-adapted"]
    assert headers["x-llmdispatch-attempts"] == "1"
    assert float(headers["x-llmdispatch-cost-usd"]) > 0


@each("stream", [False, True])
def test_log_probabilities_come_with_the_answer(server: LoopbackServer, stream: bool) -> None:
    """Streamed, with the last piece; a stream with usage has it as null before."""
    own = Deployment(
        f"compatible:{MODELS['compatible']}", base_url=server.base_url("compatible"), api_key="k"
    )
    logprobs = {"content": [{"token": "Yes", "logprob": -0.1, "bytes": [89], "top_logprobs": []}]}
    choice = {"index": 0, "logprobs": logprobs, "finish_reason": "stop"}
    head = {"id": "1", "object": "chat.completion", "model": "q", "created": 1}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    message = {"role": "assistant", "content": "Yes"}
    chunk = {**head, "object": "chat.completion.chunk", "choices": [{**choice, "delta": message}]}
    whole = {**head, "choices": [{**choice, "message": message}], "usage": usage}
    text = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n" if stream else json.dumps(whole)
    kind = "text/event-stream" if stream else "application/json"
    server.script("compatible", [Fault(status=200, body=text, headers={"content-type": kind})])
    words = {"model": "default", "messages": HI, "logprobs": True, "stream": stream}
    with running(DispatcherChatModel(models=[own], env={})) as url:
        options = {"stream_options": {"include_usage": True}} if stream else {}
        answer = httpx.post(f"{url}/chat/completions", json={**words, **options})
    found = events(answer.text) if stream else [answer.json()]
    choices = [part for each in found for part in each["choices"]]
    assert choices[-1]["logprobs"] == logprobs
    assert not stream or all("usage" in each for each in found)


def test_parallel_calls_of_tools_keep_their_places(server: LoopbackServer) -> None:
    """Each has an index of its own, from 0, whatever the vendor counts by."""
    tools = [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in "fg"
    ]
    calls = (ToolCall("f", {"a": 1}), ToolCall("g", {"b": 2}))
    server.script("anthropic", [Answer("Two calls.", tool_calls=calls)] * 2)
    model = DispatcherChatModel(models=[deployment(server, "anthropic")], env={})
    words = {"model": "default", "messages": HI, "tools": tools}
    with running(model) as url:
        whole = httpx.post(f"{url}/chat/completions", json=words).json()
        text = httpx.post(f"{url}/chat/completions", json={**words, "stream": True}).text
    named = [call["function"]["name"] for call in whole["choices"][0]["message"]["tool_calls"]]
    pieces = [p for e in events(text) for p in e["choices"][0]["delta"].get("tool_calls", [])]
    arguments = {0: "", 1: ""}
    for piece in pieces:
        arguments[piece["index"]] += piece["function"]["arguments"]
    assert named == [piece["function"]["name"] for piece in pieces if piece.get("id")] == ["f", "g"]
    assert [json.loads(arguments[index]) for index in (0, 1)] == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_of_the_server_s_own_code_shows_nothing(
    server: LoopbackServer, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A strategy of the operator's, for example: neither clients nor the log get its text."""

    def strategy(candidates: Any, rng: Any) -> Any:
        raise ValueError(SECRET)

    many = [deployment(server, "openai", name) for name in ("a", "b")]
    model = DispatcherChatModel(models=many, strategy=strategy, env={}, max_retries=0)
    words = {"model": "default", "messages": HI, "stream": stream}
    with running(model) as url:
        answer = httpx.post(f"{url}/chat/completions", json=words)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert SECRET not in answer.text
    assert SECRET not in caplog.text
    assert "crashed: ValueError" in caplog.text
