"""Cancelled calls end LangChain's run, for every handler and whichever way the call is streamed underneath."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import prometheus_client as prometheus
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.tracers._streaming import _StreamingCallbackHandler, _V2StreamingCallbackHandler
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from langchain_llmdispatch.telemetry import OpenTelemetryCallbackHandler, PrometheusCallbackHandler
from langchain_llmdispatch.telemetry.labels import outcome_label
from tests.cases import each
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


class Runs(AsyncCallbackHandler):
    """Notes the beginnings and ends of runs."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        """Note it."""
        self.events.append("start")

    async def on_llm_end(self, *_: Any, **__: Any) -> None:
        """Note it."""
        self.events.append("end")

    async def on_llm_error(self, error: BaseException, **_: Any) -> None:
        """Note it."""
        self.events.append(type(error).__name__)


class Streamed(Runs, _StreamingCallbackHandler):
    """Makes `ainvoke` stream underneath, as LangGraph's `stream_mode="messages"` does."""

    def tap_output_aiter(self, run_id: Any, output: Any) -> Any:
        """Leave the output alone."""
        return output

    tap_output_iter = tap_output_aiter


class StreamedAsEvents(Runs, _V2StreamingCallbackHandler):
    """Makes `ainvoke` stream content-block events underneath, as LangGraph's `stream_events` does."""


@each(
    ("method", "kind"),
    [("ainvoke", Runs), ("astream", Runs), ("ainvoke", Streamed), ("ainvoke", StreamedAsEvents)],
)
def test_a_cancelled_call_ends_its_run(server: LoopbackServer, method: str, kind: type[Runs]) -> None:
    """Handlers are notified once that the run is over; a span ends, and no call stays in flight."""
    model, runs = model_of(deployment(server, "openai")), kind()
    spans, tracers, registry = InMemorySpanExporter(), TracerProvider(), prometheus.CollectorRegistry()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    handlers = [
        runs,
        OpenTelemetryCallbackHandler(tracer_provider=tracers),
        PrometheusCallbackHandler(registry=registry),
    ]

    async def call() -> None:
        if method == "ainvoke":
            await model.ainvoke("hello", config={"callbacks": handlers})
        else:
            async for _ in model.astream("hello", config={"callbacks": handlers}):
                pass

    async def main() -> None:
        task = asyncio.create_task(call())
        while not model.get_stats().in_flight:
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await model.aclose()

    asyncio.run(main())
    assert runs.events == ["start", "CancelledError"]
    assert [span.kind for span in spans.get_finished_spans()].count(SpanKind.INTERNAL) == 1
    assert registry.get_sample_value("llmdispatch_calls_in_flight") == 0
    assert (
        registry.get_sample_value("llmdispatch_calls_total", {"outcome": outcome_label("CancelledError")})
        == 1
    )
