"""How many bytecode instructions of the package a call executes: the same in every run, however loaded the machine.

    python -m benchmarks.instructions            prints the figures beside the baseline
    python -m benchmarks.instructions --write    makes them the baseline of this Python

The baseline is `results/instructions.json`, by version of Python, since each has its own bytecode; a test
(`tests/end_to_end/test_instructions.py`) fails where a figure is more than `TOLERANCE` above it. Nothing is sent: the
vendor is a function. Python 3.13.0 traces too few instructions to have a baseline. Only instructions in our own files count, so versions of LangChain and httpx do not matter.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

import langchain_llmdispatch
from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.transport.body import dated_headers, whole
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.http1 import ResponseReader, request_bytes
from langchain_llmdispatch.transport.pool import Origin
from langchain_llmdispatch.vendors.request import json_request

BASELINE = Path(__file__).with_name("results") / "instructions.json"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
TOLERANCE = 0.05
CHUNKS, BATCH, DEPLOYMENTS, MESSAGES = 50, 20, 10, 200
STRATEGIES = ("ordered", "weighted", "round_robin", "least_busy", "lowest_latency", "lowest_cost", "balanced")
_WARM = 3  # calls before the one that counts: what is cached or imported once is no call's cost
_HOME = str(Path(langchain_llmdispatch.__file__).parent)
_HEAD = {"id": "c", "created": 1, "model": "gpt-4.1-mini"}
_HEADERS = {
    "date": "Sat, 28 Nov 2026 12:00:00 GMT",
    "content-type": "application/json",
    "x-request-id": "req_1",
    "openai-processing-ms": "12",
    "x-ratelimit-remaining-requests": "29999",
    "x-ratelimit-reset-requests": "2ms",
}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
_KEY = "benchmark-key-" * 12  # as long as OpenAI's: errors are searched for it
_BROKEN = {
    "error": {
        "message": "The server had an error while processing your request. Sorry about that! Please contact us.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
}
_SCHEMA = {
    "title": "City",
    "description": "A city.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name"],
}
_TOOL = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search the web.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    },
}


def _answer(text: str = "Hello.") -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


def _events() -> bytes:
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": {"content": " token"}, "finish_reason": None} for _ in range(CHUNKS)
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks: list[dict[str, Any]] = [{**_HEAD, "choices": [choice]} for choice in choices]
    chunks.append({**_HEAD, "choices": [], "usage": _USAGE})
    lines = [f"data: {json.dumps({**chunk, 'object': 'chat.completion.chunk'})}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def _reply(request: httpx.Request) -> httpx.Response:
    if request.url.path.startswith("/fail/"):
        return httpx.Response(
            500, json=_BROKEN, headers={"x-request-id": "req_0123456789abcdef0123456789abcdef"}
        )
    if b'"stream":true' in request.content.replace(b" ", b""):
        return httpx.Response(200, content=_events(), headers={"content-type": "text/event-stream"})
    answer = _answer('{"name": "Paris"}') if b'"response_format"' in request.content else _answer()
    return httpx.Response(200, content=answer, headers={"content-type": "application/json"})


def _model(count: int = 1, *, failing: bool = False, **fields: Any) -> DispatcherChatModel:
    transport = httpx.MockTransport(_reply)
    clients = VendorConfig(
        http_client=httpx.Client(transport=transport),
        http_async_client=httpx.AsyncClient(transport=transport),
    )
    bad = Deployment("openai:gpt-4.1-mini", name="bad", base_url="https://host.example/fail/v1", api_key=_KEY)
    good = [Deployment("openai:gpt-4.1-mini", name=f"d{n}", api_key="k") for n in range(count)]
    models = [bad, *good] if failing else good
    return DispatcherChatModel(models=models, vendors={"openai": clients}, env={}, **fields)


def counted(call: Callable[[], object]) -> int:
    """Return the instructions of the package's own code that a call executes, on this thread.

    Raises:
        RuntimeError: There were none, so that they were not traced.
    """
    count = _trace(call)
    if not count:
        raise RuntimeError("no instruction was traced")
    return count


def _trace(call: Callable[[], object]) -> int:
    count = 0

    def look(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if event == "call" and not frame.f_code.co_filename.startswith(_HOME):
            return None
        if event == "opcode":
            count += 1
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def _thread(number: int) -> list[BaseMessage]:
    """Return a long conversation; each number has another one."""
    turns = (
        (HumanMessage(f"Question {n} of {number}?"), AIMessage(f"Answer {n}.")) for n in range(MESSAGES // 2)
    )
    return [*itertools.chain.from_iterable(turns), HumanMessage("And then?")]


def _exchanged() -> bytes:
    """Return the body of a response that is read as our own pools read it; what they do on sockets is left out."""
    request = json_request("https://host.example/v1/chat", {"authorization": "Bearer k"}, {"model": "m"})
    request_bytes(request, Origin("https", "host.example", 443, None))
    reader, body, clock = ResponseReader("POST"), _answer(), Clock()
    head = "".join(
        f"{name}: {value}\r\n" for name, value in {**_HEADERS, "content-length": len(body)}.items()
    )
    reader.feed(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)
    response = reader.response(httpx.ByteStream(b""))
    dated_headers(response, clock)
    return whole(response, ReadDeadline(clock, float("inf"), "the answer"), 10**6)


def _calls(loop: asyncio.AbstractEventLoop) -> Mapping[str, Callable[[], object]]:
    plain, quiet, tools = _model(), _model(enable_metrics=False), _model().bind_tools([_TOOL])
    structured = _model().with_structured_output(_SCHEMA)
    thread, growing, numbers = _thread(0), _thread(1), itertools.count(2)

    def goes_on() -> object:
        growing.extend([AIMessage("An answer."), HumanMessage("And then?")])
        return plain.invoke(growing)

    async def streamed() -> int:
        return len([chunk async for chunk in plain.astream("hello")])

    calls: dict[str, Callable[[], object]] = {
        "invoke": lambda: plain.invoke("hello"),
        "invoke, no statistics": lambda: quiet.invoke("hello"),
        "invoke, a tool": lambda: tools.invoke("hello"),
        "invoke, structured output": lambda: structured.invoke("hello"),
        f"invoke, {MESSAGES} messages": lambda: plain.invoke(thread),
        f"invoke, {MESSAGES} messages, the first call": lambda: plain.invoke(_thread(next(numbers))),
        f"invoke, {MESSAGES} messages and 2 more": goes_on,
        "ainvoke": lambda: loop.run_until_complete(plain.ainvoke("hello")),
        f"stream, {CHUNKS} chunks": lambda: len(list(plain.stream("hello"))),
        f"stream, the first of {CHUNKS} chunks": lambda: next(iter(plain.stream("hello"))),
        "a request and its response in HTTP/1.1": _exchanged,
        f"abatch of {BATCH}": lambda: loop.run_until_complete(plain.abatch(["hello"] * BATCH)),
        f"astream, {CHUNKS} chunks": lambda: loop.run_until_complete(streamed()),
    }
    for strategy in STRATEGIES:
        many = _model(DEPLOYMENTS, strategy=strategy, rng=random.Random(1))
        calls[f"invoke, {DEPLOYMENTS} deployments, {strategy}"] = lambda many=many: many.invoke("hello")
    return calls


def _fallback() -> int:
    """Return the count of a call whose first deployment fails, with a breaker that has not opened yet."""
    model = _model(failing=True, retry_policy={"max_retries": 0})
    for _ in range(_WARM):
        model.invoke("hello")
    return counted(lambda: model.invoke("hello"))


def measure() -> dict[str, int]:
    """Return the instructions of each kind of call."""
    _trace(
        _model
    )  # Python 3.12 traces instructions from the `settrace` on that follows a frame's wish for them
    loop, found = asyncio.new_event_loop(), {}
    try:
        calls = _calls(loop)
        counted(calls["invoke"])  # the first count of a process is 0 in Python 3.12
        for name, call in calls.items():
            for _ in range(_WARM):
                call()
            found[name] = min(counted(call) for _ in range(3))
        found["fallback after a 500"] = _fallback()
    finally:
        loop.close()
    return found


def main() -> None:
    """Print the figures beside the baseline, or make them the baseline."""
    found = measure()
    held = json.loads(BASELINE.read_text(encoding="ascii")) if BASELINE.exists() else {}
    for name, count in found.items():
        before = held.get(PYTHON, {}).get(name)
        print(f"{name:<44}{count:>10}" + (f"{count / before - 1:>+10.1%}" if before else ""))
    if "--write" in sys.argv:
        text = json.dumps({**held, PYTHON: found}, indent=2, sort_keys=True)
        BASELINE.write_text(f"{text}\n", encoding="ascii")


if __name__ == "__main__":
    main()
