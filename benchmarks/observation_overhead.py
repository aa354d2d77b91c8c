"""What observing costs: CPU per call with statistics off and on, and with each kind of callback besides.

    python benchmarks/observation_overhead.py       needs the extras [otel] and [prometheus] for their rows

Nothing is sent: the vendor is a function that returns bytes (`httpx.MockTransport`), so that sockets do not
drown what is measured. All rows are measured in turn, round after round; each figure is the best round's CPU
time, which is what the code needs when nothing else disturbs it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
from langchain_core.callbacks import BaseCallbackHandler

from langchain_llmdispatch import Deployment, DispatcherChatModel, UsageCallbackHandler, VendorConfig

CALLS, ROUNDS, PIECES = 50, 40, 20
_USAGE = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
_HEAD = {"id": "c", "created": 1, "model": "gpt-5.4-mini"}


def answer() -> bytes:
    """Return a whole answer."""
    message = {"role": "assistant", "content": "Hello there, how are you?"}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return json.dumps({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


def events() -> bytes:
    """Return a streamed answer."""
    deltas: list[dict[str, Any]] = [{"content": " token"}] * PIECES
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks: list[dict[str, Any]] = [{**_HEAD, "choices": [choice]} for choice in choices]
    chunks.append({**_HEAD, "choices": [], "usage": _USAGE})
    lines = [f"data: {json.dumps({**chunk, 'object': 'chat.completion.chunk'})}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def vendor() -> httpx.Client:
    """Return a client whose vendor answers at once."""
    whole, streamed = answer(), events()

    def reply(request: httpx.Request) -> httpx.Response:
        if b'"stream":true' in request.content.replace(b" ", b""):
            return httpx.Response(200, content=streamed, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, content=whole, headers={"content-type": "application/json"})

    return httpx.Client(transport=httpx.MockTransport(reply))


def model(**fields: Any) -> DispatcherChatModel:
    """Return a model of one deployment."""
    return DispatcherChatModel(
        models=[Deployment("openai:gpt-5.4-mini", api_key="k")],
        vendors={"openai": VendorConfig(http_client=vendor())},
        env={},
        **fields,
    )


def handlers() -> Iterator[tuple[str, Any]]:
    """Yield each kind of callback that can be made here."""
    yield "a silent callback", BaseCallbackHandler()  # what LangChain's own machinery costs
    yield "usage callback", UsageCallbackHandler()
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from prometheus_client import CollectorRegistry
    except ImportError as error:
        print(f"{error}: no rows for OpenTelemetry and Prometheus")
        return
    from langchain_llmdispatch.telemetry import OpenTelemetryCallbackHandler, PrometheusCallbackHandler

    meters = MeterProvider([InMemoryMetricReader()])
    yield (
        "OpenTelemetry",
        OpenTelemetryCallbackHandler(tracer_provider=TracerProvider(), meter_provider=meters),
    )
    yield "Prometheus", PrometheusCallbackHandler(registry=CollectorRegistry())


def measure(call: Callable[[], object]) -> float:
    """Return CPU microseconds per call of one round."""
    start = time.process_time_ns()
    for _ in range(CALLS):
        call()
    return (time.process_time_ns() - start) / CALLS / 1000


def best(rows: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return each row's best round."""
    found = dict.fromkeys(rows, float("inf"))
    for _ in range(ROUNDS):
        for name, call in rows.items():
            found[name] = min(found[name], measure(call))
    return found


def main() -> None:
    """Print a table for whole answers and one for streams."""
    models = {"statistics off": model(enable_metrics=False), "statistics on": model()}
    models |= {f"statistics and {name}": model(callbacks=[handler]) for name, handler in handlers()}
    ways: dict[str, Callable[[DispatcherChatModel], object]] = {
        "invoke": lambda each: each.invoke("hello"),
        f"stream of {PIECES}": lambda each: sum(1 for _ in each.stream("hello")),
    }
    print(f"Python {sys.version.split()[0]}; CPU per call, best of {ROUNDS} rounds of {CALLS}")
    for way, call in ways.items():
        found = best({name: partial(call, each) for name, each in models.items()})
        least = found["statistics off"]
        print(way)
        for name, value in found.items():
            print(f"  {name:<32}{value:>8.0f} us {value - least:>+8.1f} us")


if __name__ == "__main__":
    main()
