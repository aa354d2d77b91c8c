"""OpenTelemetry: spans and metrics in memory, nested, and no word of a prompt unless captured.

Covers `telemetry/messages.py` and `telemetry/labels.py` too.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import prometheus_client as prometheus
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from langchain_llmdispatch import AllDeploymentsFailedError, RetryPolicy
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.notebook.answer import answer_html
from langchain_llmdispatch.notebook.plots import to_pandas
from langchain_llmdispatch.telemetry import OpenTelemetryCallbackHandler, PrometheusCallbackHandler
from tests.callbacks.handlers import colours
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of
from tests.telemetry.scraping import scrape

SECRET = "the password is swordfish"


class Collector:
    """OpenTelemetry that keeps everything in memory."""

    def __init__(self, **options: Any) -> None:
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.reader = InMemoryMetricReader()
        self.handler = OpenTelemetryCallbackHandler(
            tracer_provider=self.tracers, meter_provider=MeterProvider([self.reader]), **options
        )

    def tree(self) -> tuple[Any, list[Any]]:
        """Return the one call's span, and those beneath it."""
        spans = self.spans.get_finished_spans()
        (call,) = [span for span in spans if span.kind is SpanKind.INTERNAL]
        return call, [span for span in spans if span.parent and span.parent.span_id == call.context.span_id]

    def points(self, name: str) -> list[Any]:
        """Return a metric's data points."""
        data = self.reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


@colours
def test_one_span_per_call_and_one_per_request(server: LoopbackServer, streaming: bool, run: Any) -> None:
    """A retry and a fallback are three request spans under one call span, named by the GenAI conventions."""
    server.script("openai", [Fault.error("overloaded")] * 2)
    collector = Collector()
    model = model_of(
        deployment(server, "openai", input_price=1, output_price=1),
        deployment(server, "google", input_price=1, output_price=1),
        retry_policy=RetryPolicy(max_retries=1, jitter=False, initial_delay=0.01),
        streaming=streaming,
        temperature=0.5,
        clock=Clock(),
    )
    run(model, {"callbacks": [collector.handler]})
    call, requests = collector.tree()
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert call.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert call.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert call.attributes["gen_ai.request.temperature"] == 0.5
    assert call.attributes["llmdispatch.deployment"] == "google"
    assert call.attributes["llmdispatch.attempts"] == len(requests) == 3
    assert call.attributes["gen_ai.usage.input_tokens"] == server.usage()["google"].input_tokens
    assert [event.name for event in call.events] == [
        *("llmdispatch.retry", "llmdispatch.fallback", "llmdispatch.usage")
    ]
    assert [span.kind for span in requests] == [SpanKind.CLIENT] * 3
    assert [span.attributes.get("error.type") for span in requests] == ["OverloadedError"] * 2 + [None]
    assert [span.status.status_code for span in requests[:2]] == [StatusCode.ERROR] * 2
    assert requests[0].attributes["http.response.status_code"] == 503
    assert requests[2].name == "chat gemini-2.5-flash"
    for span in requests:
        assert call.start_time - 2_000_000 <= span.start_time <= span.end_time <= call.end_time
    assert not collector.handler._calls


def test_a_failed_call_s_span_says_so(server: LoopbackServer) -> None:
    """The call's span ends with the class of the error, and without its text."""
    server.script("openai", [Fault(status=401, body={"error": {"message": SECRET}})], repeat=True)
    collector = Collector()
    with pytest.raises(AllDeploymentsFailedError):
        model_of(deployment(server, "openai")).invoke(SECRET, {"callbacks": [collector.handler]})
    call, requests = collector.tree()
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["error.type"] == "AllDeploymentsFailedError"
    assert requests[0].attributes["error.type"] == "AuthenticationError"
    assert SECRET not in "".join(span.to_json() for span in (call, *requests))
    (duration,) = collector.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "AllDeploymentsFailedError"
    assert duration.attributes["gen_ai.request.model"] == "gpt-5.4-mini"
    assert duration.attributes["gen_ai.provider.name"] == "openai"


def test_what_is_left_or_overtaken_is_no_error(server: LoopbackServer) -> None:
    """A hedge's loser and a stream that its caller leaves are abandoned, in traces, metrics and Prometheus."""
    server.script("openai", [Fault.slow_head(600)])
    collector, registry = Collector(), prometheus.CollectorRegistry()
    handlers = [collector.handler, PrometheusCallbackHandler(registry=registry)]
    pair = deployment(server, "openai"), deployment(server, "anthropic")
    model_of(*pair, hedge_after=0.01, clock=Clock()).invoke("hello", {"callbacks": handlers})
    call, (lost, won) = collector.tree()
    assert lost.attributes["llmdispatch.outcome"] == "abandoned"
    assert "error.type" not in lost.attributes
    assert [span.status.status_code for span in (call, lost, won)] == [StatusCode.UNSET] * 3
    assert lost.start_time < won.start_time < lost.end_time
    stream = model_of(pair[1]).stream("hello", {"callbacks": handlers})
    next(stream)
    stream.close()
    left = collector.spans.get_finished_spans()[-1]
    assert left.status.status_code is StatusCode.UNSET
    assert left.attributes["llmdispatch.outcome"] == "abandoned"
    samples = scrape(registry)
    assert samples['llmdispatch_calls_total{outcome="abandoned"}'] == 1
    assert {name for name in samples if "outcome" in name and "Error" in name} == set()


def test_a_cached_answer_without_usage_ends_its_span(server: LoopbackServer) -> None:
    """LangChain puts its mark of a cached answer where the usage would be; the span ends all the same."""
    server.script("openai", [Fault.without("usage")])
    collector = Collector()
    model = model_of(deployment(server, "openai"), cache=InMemoryCache(), streaming=True)
    answers = [model.invoke("hello", {"callbacks": [collector.handler]}) for _ in range(2)]
    calls = [span for span in collector.spans.get_finished_spans() if span.kind is SpanKind.INTERNAL]
    assert [span.attributes.get("gen_ai.usage.input_tokens") for span in calls] == [None, None]
    assert collector.handler._calls == {}
    assert "answered by openai" in str(answer_html(answers[1]))
    assert to_pandas(answers)["input_tokens"].isna().all()


def test_metrics_have_the_conventions_names(server: LoopbackServer) -> None:
    """Duration, tokens and time to the first chunk; requests, cost and fallbacks under our own names."""
    server.script("openai", [Fault.error("auth")])
    collector = Collector()
    prices = {"input_price": 1, "output_price": 1}
    model = model_of(deployment(server, "openai", **prices), deployment(server, "anthropic", **prices))
    list(model.stream("hello", {"callbacks": [collector.handler]}))
    (duration,) = collector.points("gen_ai.client.operation.duration")
    assert duration.attributes["gen_ai.provider.name"] == "anthropic"
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in collector.points("gen_ai.client.token.usage")
    }
    reported = server.usage()["anthropic"]
    assert tokens == {"input": reported.input_tokens, "output": reported.output_tokens}
    assert collector.points("gen_ai.client.operation.time_to_first_chunk")[0].count == 1
    assert sum(point.value for point in collector.points("llmdispatch.requests")) == 2
    assert collector.points("llmdispatch.fallbacks")[0].value == 1
    assert collector.points("llmdispatch.cost")[0].value == pytest.approx(sum(tokens.values()) / 1e6)


@pytest.mark.parametrize("captures", [True, False, None])
def test_content_is_captured_only_if_asked_for(
    server: LoopbackServer, captures: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No prompt and no answer is on a span, unless the argument or OpenTelemetry's variable allows it."""
    if captures is None:
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    collector = Collector(capture_content=captures)
    model_of(deployment(server, "openai")).invoke(SECRET, {"callbacks": [collector.handler]})
    call, _ = collector.tree()
    assert (SECRET in str(call.attributes.get("gen_ai.input.messages"))) is (captures is not False)
    assert ("gen_ai.output.messages" in call.attributes) is (captures is not False)


def test_captured_content_has_the_conventions_form(server: LoopbackServer) -> None:
    """Messages are roles and parts: text, reasoning, tool calls and their results; an answer has its end."""
    collector = Collector(capture_content=True)
    call = {"name": "add", "args": {"x": 1}, "id": "c1"}
    history = [
        SystemMessage("be brief"),
        HumanMessage([{"type": "text", "text": "look"}, {"type": "image", "url": "http://x/y.png"}]),
        AIMessage("", tool_calls=[call]),
        ToolMessage("2", tool_call_id="c1"),
    ]
    model = model_of(deployment(server, "anthropic"), stop=["END"])
    model.invoke(history, {"callbacks": [collector.handler], "metadata": {"thread_id": "t1"}})
    span, _ = collector.tree()
    messages = json.loads(span.attributes["gen_ai.input.messages"])
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool"]
    assert messages[0]["parts"] == [{"type": "text", "content": "be brief"}]
    assert [part["type"] for part in messages[1]["parts"]] == ["text", "image"]
    assert messages[2]["parts"] == [{"type": "tool_call", "id": "c1", "name": "add", "arguments": {"x": 1}}]
    assert messages[3]["parts"] == [{"type": "tool_call_response", "id": "c1", "response": "2"}]
    (answer,) = json.loads(span.attributes["gen_ai.output.messages"])
    assert (answer["role"], answer["finish_reason"], answer["parts"][0]["type"]) == (
        "assistant",
        "stop",
        "text",
    )
    assert span.attributes["gen_ai.request.stop_sequences"] == ("END",)
    assert span.attributes["gen_ai.conversation.id"] == "t1"


def test_captured_content_is_utf_8(server: LoopbackServer) -> None:
    """Exporters send nothing else: half a character is replaced, as in the request."""
    collector = Collector(capture_content=True)
    model_of(deployment(server, "openai")).invoke("hello \ud83d", {"callbacks": [collector.handler]})
    span, _ = collector.tree()
    assert "hello \ufffd" in span.attributes["gen_ai.input.messages"].encode().decode()


def test_spans_nest_under_the_caller_s_own(server: LoopbackServer) -> None:
    """A call's span is a child of whatever span is current."""
    collector = Collector()
    with collector.tracers.get_tracer("app").start_as_current_span("work") as work:
        model_of(deployment(server, "openai")).invoke("hello", {"callbacks": [collector.handler]})
    parents = [span.parent for span in collector.spans.get_finished_spans() if span.name.startswith("chat")]
    assert work.get_span_context().span_id in {parent.span_id for parent in parents if parent}


@pytest.mark.parametrize("hedges", [None, 0.01])
def test_a_cancelled_call_ends_its_spans(server: LoopbackServer, hedges: float | None) -> None:
    """The call's span and those of its requests, of both in a race; none of them is an error."""
    for vendor in ("openai", "anthropic"):
        server.script(vendor, [Fault.slow_head(60)])
    collector, sent = Collector(), 1 if hedges is None else 2
    pair = deployment(server, "openai"), deployment(server, "anthropic")
    model = model_of(*pair, hedge_after=hedges, callbacks=[collector.handler])

    async def main() -> None:
        task = asyncio.create_task(model.ainvoke("hello"))
        while len(server.requests) < sent:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    call, requests = collector.tree()
    assert len(requests) == sent
    assert {span.status.status_code for span in (call, *requests)} == {StatusCode.UNSET}
