"""CPU per call of DispatcherChatModel beside ChatOpenAI and raw httpx, one server, one run.

    python benchmarks/overhead.py            needs langchain-openai for the comparison

The server runs in another process; each figure is the median over rounds of this process's CPU time per call.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import httpx

from langchain_llmdispatch import Deployment, DispatcherChatModel

_SERVER = r"""
import asyncio, json
BODY = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5.4-mini",
  "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there, how are you?"}}],
  "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}}).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
def event(delta, finish=None):
    return b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5.4-mini",
      "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"
EVENTS = event({"role": "assistant", "content": ""}) + event({"content": " token"}) * 200 + event({}, "stop") + b"data: [DONE]\n\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(EVENTS) + EVENTS
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(size)
            if b"/fail/" in head:
                writer.write(b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            elif b'"paced"' in body:
                writer.write(STREAM[:len(STREAM) - len(EVENTS)])
                for piece in EVENTS.split(b"\n\n")[:-1]:
                    writer.write(piece + b"\n\n")
                    await asyncio.sleep(0.002)
            else: writer.write(STREAM if b'"stream":true' in body.replace(b" ", b"") else ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


BARS = {
    "ours": ("ChatOpenAI", "<= 0.35"),
    "ours, async": ("ChatOpenAI, async", "<= 0.40"),
    "ours, stream of 200": ("ChatOpenAI, stream of 200", "<= 0.20"),
}


def measure(call: Callable[[], object], calls: int) -> float:
    """Return CPU microseconds per call."""
    start = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - start) / calls * 1e6


async def ameasure(call: Callable[[], Awaitable[object]], calls: int) -> float:
    """Return CPU microseconds per awaited call."""
    await call()
    start = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - start) / calls * 1e6


@contextmanager
def serving() -> Iterator[str]:
    """Yield the base URL of a server in another process."""
    server = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.kill()
        server.wait()


def main() -> None:
    """Print the table."""
    with serving() as url:
        compare(url)


def compare(url: str) -> None:
    """Measure all rows, interleaved."""
    ours = DispatcherChatModel(models=[Deployment("openai:gpt-5.4-mini", base_url=url, api_key="k")], env={})
    client = httpx.Client()
    body = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "hello"}]}
    rows: dict[str, Callable[[], object]] = {
        "httpx": lambda: client.post(f"{url}/chat/completions", content=json.dumps(body)).json(),
        "ours": lambda: ours.invoke("hello"),
        "ours, stream of 200": lambda: sum(1 for _ in ours.stream("hello")),
    }
    async_rows: dict[str, Callable[[], Awaitable[object]]] = {"ours, async": lambda: ours.ainvoke("hello")}
    try:
        from langchain_openai import ChatOpenAI
    except ImportError:
        print("langchain-openai is not installed: no comparison")
    else:
        theirs = ChatOpenAI(model="gpt-5.4-mini", base_url=url, api_key="k", max_retries=0)
        rows["ChatOpenAI"] = lambda: theirs.invoke("hello")
        rows["ChatOpenAI, stream of 200"] = lambda: sum(1 for _ in theirs.stream("hello"))
        async_rows["ChatOpenAI, async"] = lambda: theirs.ainvoke("hello")
    found: dict[str, list[float]] = {}
    for call in rows.values():
        call()
    loop = asyncio.new_event_loop()  # one for all: ChatOpenAI's client does not survive a second asyncio.run
    for _ in range(5):
        for name, call in rows.items():
            found.setdefault(name, []).append(measure(call, 20 if "stream" in name else 200))
        for name, acall in async_rows.items():
            found.setdefault(name, []).append(loop.run_until_complete(ameasure(acall, 200)))
    loop.run_until_complete(ours.aclose())
    middle = {name: statistics.median(values) for name, values in found.items()}
    for name, cost in middle.items():
        theirs_name, bar = BARS.get(name, ("", ""))
        ratio = f"{cost / middle[theirs_name]:.3f} x {theirs_name}" if theirs_name in middle else ""
        print(f"{name:<28}{cost:>10.0f} us CPU per call   {ratio:<38}{bar if ratio else ''}")


if __name__ == "__main__":
    main()
