"""Credentials, echoed by servers in every spelling, in what observers of a call get: spans, metrics, event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import prometheus_client
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.telemetry import OpenTelemetryCallbackHandler, PrometheusCallbackHandler
from tests.canaries import found
from tests.end_to_end.echoes import MODES, SILENT, SPELLINGS, UNREACHED, EchoServer, echoing
from tests.end_to_end.test_canaries import SENT, failing
from tests.models import COLOURS


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    """Return the server."""
    with echoing() as server:
        yield server


class Observers:
    """Handlers that keep what they record in memory."""

    def __init__(self) -> None:
        self.spans, self.metrics = InMemorySpanExporter(), InMemoryMetricReader()
        self.registry = prometheus_client.CollectorRegistry()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.handlers: list[Any] = [
            OpenTelemetryCallbackHandler(
                tracer_provider=tracers, meter_provider=MeterProvider([self.metrics]), capture_content=True
            ),
            PrometheusCallbackHandler(registry=self.registry),
        ]

    def shown(self) -> Iterator[tuple[str, str]]:
        """Yield everything that was recorded."""
        yield from (("span", span.to_json()) for span in self.spans.get_finished_spans())
        recorded = self.metrics.get_metrics_data()
        assert recorded is not None
        yield "metrics", recorded.to_json()
        yield "prometheus", prometheus_client.generate_latest(self.registry).decode()


@pytest.mark.parametrize("colour", ["invoke", "stream", "ainvoke", "astream"])
def test_observers_get_no_credential(echo: EchoServer, colour: str, recwarn: pytest.WarningsRecorder) -> None:
    """Attributes, events and statuses of spans, labels of metrics, warnings, names of threads."""
    spellings, observers = cycle(SPELLINGS), Observers()
    urls = {
        mode: echo.url("openai", mode, next(spellings)) for mode in (*MODES, *UNREACHED) if mode != SILENT
    }
    with failing("openai", urls) as model, pytest.raises(DispatchError):
        COLOURS[colour](model.with_config(callbacks=observers.handlers), "hello")
    seen = [*observers.shown(), ("warnings", repr([str(each.message) for each in recwarn]))]
    assert len(observers.spans.get_finished_spans()) == len(urls) + 1
    assert found(SENT, [*seen, ("threads", repr(threading.enumerate()))]) == []


def test_event_loops_get_no_credential(echo: EchoServer) -> None:
    """What a loop's exception handler gets after streams were left, and how its tasks are called."""
    reported: list[str] = []

    async def leave(model: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(repr(context)))
        stream = model.astream("hello")
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        reported.extend(repr(task) for task in asyncio.all_tasks())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        reported.append(repr(waiting))
        gc.collect()

    with warnings.catch_warnings(), failing("openai", {SILENT: echo.url("openai", SILENT)}) as model:
        warnings.simplefilter("ignore")
        asyncio.run(leave(model))
    assert reported
    assert found(SENT, [("loop", text) for text in reported]) == []
