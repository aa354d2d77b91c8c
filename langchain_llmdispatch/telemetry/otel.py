"""OpenTelemetry: one span per call, one per request beneath it, and the GenAI metrics.

Names are the GenAI conventions', written out, since they have left OpenTelemetry's own packages and still
change; attributes without a name there begin with `llmdispatch.`. Prompts and answers are captured only on
request.

| span               | kind     | stands for                                  |
|--------------------|----------|---------------------------------------------|
| `chat <model>`     | INTERNAL | the call, from `invoke` to the whole answer |
| `chat <model>`     | CLIENT   | one request to one vendor                   |

Retries, fallbacks, waits and hedges are events on the call's span. A failure has the status ERROR and
`error.type`; a request that was abandoned or overtaken by a hedge has neither, but
`llmdispatch.outcome="abandoned"`.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmdispatch.callbacks.events import ATTEMPT
from langchain_llmdispatch.catalog.prices import TokenCounts
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.internal.extras import needs
from langchain_llmdispatch.telemetry.labels import ABANDONED, OK, outcome_label
from langchain_llmdispatch.telemetry.messages import as_json
from langchain_llmdispatch.vendors import builtin_vendors
from langchain_llmdispatch.vendors.finish_reasons import normalized

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from langchain_core.messages import BaseMessage
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import LLMResult

CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
PROVIDERS = {
    **{v.name: v.otel_name for v in builtin_vendors().values() if v.otel_name},
    **{v.traced_as: v.otel_name for v in builtin_vendors().values() if v.otel_name},
    # integrations of LangChain's
    "xai": "x_ai",
    "mistral": "mistral_ai",
}
"""`gen_ai.provider.name` where it is not the vendor's own name."""

_REQUESTED = {
    "temperature": "gen_ai.request.temperature",
    "max_tokens": "gen_ai.request.max_tokens",
    "top_p": "gen_ai.request.top_p",
    "seed": "gen_ai.request.seed",
}
_DURATIONS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)


class OpenTelemetryCallbackHandler(BaseCallbackHandler):
    """Records a model's calls as spans and metrics.

    Args:
        tracer_provider: Where spans go; default: the global one.
        meter_provider: Where metrics go; default: the global one.
        capture_content: Whether prompts and answers are put on the call's span; default: the value
            of the variable `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`, false if unset.

    Raises:
        ImportError: OpenTelemetry is not installed.
    """

    run_inline = True

    def __init__(
        self, *, tracer_provider: Any = None, meter_provider: Any = None, capture_content: bool | None = None
    ) -> None:
        super().__init__()
        with needs("otel", "OpenTelemetry is not installed"):
            from opentelemetry import metrics, trace
        self._trace = trace
        self._tracer = trace.get_tracer("langchain_llmdispatch", tracer_provider=tracer_provider)
        self._instruments = _Instruments(
            metrics.get_meter("langchain_llmdispatch", meter_provider=meter_provider)
        )
        self._captures = _captures_by_environment() if capture_content is None else capture_content
        self._renew()
        forks.in_child(self._renew)
        self._calls: dict[UUID, tuple[Any, float, dict[str, Any]]] = {}

    def _renew(self) -> None:
        self._lock = threading.RLock()

    # -- LangChain's events ------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin the call's span, under the current span."""
        metadata, params = metadata or {}, kwargs.get("invocation_params") or {}
        model = str(metadata.get("ls_model_name") or params.get("model") or "unknown")
        attributes: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": model,
            "gen_ai.provider.name": _provider(str(metadata.get("ls_provider") or "llmdispatch")),
        }
        for name, attribute in _REQUESTED.items():
            if isinstance(value := params.get(name, metadata.get(f"ls_{name}")), (int, float)):
                attributes[attribute] = value
        if stop := params.get("stop") or metadata.get("ls_stop"):
            attributes["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
        if (thread := metadata.get("thread_id")) is not None:
            attributes["gen_ai.conversation.id"] = str(thread)
        if self._captures and messages:
            attributes["gen_ai.input.messages"] = as_json(messages[0])
        span = self._tracer.start_span(f"chat {model}", attributes=attributes)
        with self._lock:
            self._calls[run_id] = span, time.perf_counter(), _labels(attributes)

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a request that has ended as a span, everything else as an event."""
        held = self._calls.get(run_id)
        if held is None or not name.startswith("llmdispatch."):
            return
        if name == ATTEMPT:
            self._request_span(held[0], data)
            self._instruments.request(data)
        else:
            flat = {f"llmdispatch.{key}": value for key, value in data.items() if value is not None}
            held[0].add_event(name, flat)
            self._instruments.event(name, data)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """End the call's span with the answer's attributes."""
        first = response.generations[0][0] if response.generations and response.generations[0] else None
        message = first.message if isinstance(first, ChatGeneration) else None
        attributes = _answer_attributes(message) if isinstance(message, AIMessage) else {}
        if self._captures and message is not None:
            attributes["gen_ai.output.messages"] = as_json([message])
        self._end(run_id, attributes, None)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the call's span with the kind of error; its text may quote the prompt and stays out."""
        attempts = len(getattr(error, "attempts", ()))
        self._end(run_id, {"llmdispatch.attempts": attempts} if attempts else {}, type(error).__name__)

    # -- spans -------------------------------------------------------------------------------------

    def _request_span(self, parent: Any, data: Mapping[str, Any]) -> None:
        ended = round(datetime.fromisoformat(data["ended_at"]).timestamp() * 1e9)
        span = self._tracer.start_span(
            f"chat {data['model']}",
            context=self._trace.set_span_in_context(parent),
            kind=self._trace.SpanKind.CLIENT,
            start_time=ended - data["latency_ms"] * 1_000_000,
            attributes=_request_attributes(data),
        )
        self._mark(span, data["error"])
        span.end(end_time=ended)

    def _mark(self, span: Any, error: str | None) -> None:
        """Set a span's status; a request that was abandoned or overtaken did not fail."""
        if outcome_label(error) not in {OK, ABANDONED}:
            span.set_status(self._trace.StatusCode.ERROR, error)

    def _end(self, run_id: UUID, attributes: dict[str, Any], error: str | None) -> None:
        with self._lock:
            held = self._calls.pop(run_id, None)
        if held is None:
            return
        span, begun, labels = held
        attributes |= _end_attributes(error)
        self._mark(span, error)
        span.set_attributes({name: value for name, value in attributes.items() if value is not None})
        span.end()
        self._instruments.call({**labels, **attributes}, time.perf_counter() - begun)


class _Instruments:
    """The metrics: those of the GenAI conventions, and counters of ours."""

    def __init__(self, meter: Any) -> None:
        histogram, counter = meter.create_histogram, meter.create_counter
        seconds = {"unit": "s", "explicit_bucket_boundaries_advisory": _DURATIONS}
        tokens = {"unit": "{token}", "explicit_bucket_boundaries_advisory": _TOKENS}
        self._duration = histogram("gen_ai.client.operation.duration", **seconds)
        self._first = histogram("gen_ai.client.operation.time_to_first_chunk", **seconds)
        self._tokens = histogram("gen_ai.client.token.usage", **tokens)
        self._requests = counter("llmdispatch.requests", unit="{request}")
        self._cost = counter("llmdispatch.cost", unit="{USD}")
        self._events = {
            f"llmdispatch.{word}": counter(f"llmdispatch.{name}", unit="{request}")
            for word, name in (("retry", "retries"), ("fallback", "fallbacks"), ("hedge", "hedges"))
        }
        self._waited = counter("llmdispatch.throttled", unit="s")

    def request(self, data: Mapping[str, Any]) -> None:
        """Measure a request that has ended."""
        labels = _identity(data)
        self._requests.add(1, {**labels, **_end_attributes(data["error"])})
        if data["ttft_ms"] is not None:
            self._first.record(data["ttft_ms"] / 1000, labels)
        if data["cost_usd"] is not None:
            self._cost.add(float(data["cost_usd"]), labels)
        if usage := data["usage"]:
            for kind in ("input", "output"):
                self._tokens.record(usage[f"{kind}_tokens"], {**labels, "gen_ai.token.type": kind})

    def event(self, name: str, data: Mapping[str, Any]) -> None:
        """Count a retry, a fallback, a hedge, or the seconds of a wait."""
        if name in self._events:
            self._events[name].add(1, _identity(data))
        elif name == "llmdispatch.throttle":
            self._waited.add(data["wait_ms"] / 1000, _identity(data))

    def call(self, attributes: Mapping[str, Any], seconds: float) -> None:
        """Measure a call that has ended."""
        self._duration.record(seconds, {"gen_ai.operation.name": "chat", **_labels(attributes)})


_LABELS = (
    *("gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", "llmdispatch.deployment"),
    *("error.type", "llmdispatch.outcome"),
)


def _labels(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attributes[name] for name in _LABELS if attributes.get(name) is not None}


def _end_attributes(error: str | None) -> dict[str, str]:
    """Return the attributes of a request or a call that ended without an answer."""
    if error is None:
        return {}
    return {"llmdispatch.outcome": ABANDONED} if outcome_label(error) == ABANDONED else {"error.type": error}


def _captures_by_environment() -> bool:
    value = os.environ.get(CAPTURE_VARIABLE, "").strip().lower()
    return value in {"true", "1", "span_only", "span_and_event"}


def _provider(vendor: str) -> str:
    return PROVIDERS.get(vendor, vendor)


def _identity(data: Mapping[str, Any]) -> dict[str, str]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _provider(data["vendor"]),
        "gen_ai.request.model": data["model"],
        "llmdispatch.deployment": data["deployment"],
    }


def _request_attributes(data: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {
        **_identity(data),
        "llmdispatch.attempt": data["attempt"],
        "llmdispatch.retry": data["retry"],
        "llmdispatch.fallback": data["fallback"],
        "llmdispatch.hedge": data["hedge"],
        "llmdispatch.queue_wait": data["wait_ms"] / 1000,
        "llmdispatch.cost_usd": None if data["cost_usd"] is None else float(data["cost_usd"]),
        "llmdispatch.request_id": data["request_id"],
        "http.response.status_code": data["status"],
        **_end_attributes(data["error"]),
        **_usage_attributes(data["usage"]),
    }
    if data["ttft_ms"] is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = data["ttft_ms"] / 1000
    return {name: value for name, value in attributes.items() if value is not None}


def _answer_attributes(message: AIMessage) -> dict[str, Any]:
    metadata = message.response_metadata
    facts: Mapping[str, Any] = metadata.get("llmdispatch") or {}
    reasons: Sequence[str] | None = [reason] if (reason := normalized(metadata)) else None
    cost = facts.get("cost_usd")
    return {
        "gen_ai.provider.name": _provider(
            str(facts.get("vendor") or metadata.get("model_provider") or "unknown")
        ),
        "gen_ai.response.model": metadata.get("model_name"),
        "gen_ai.response.id": metadata.get("id"),
        "gen_ai.response.finish_reasons": reasons,
        **_usage_attributes(message.usage_metadata),
        "llmdispatch.deployment": facts.get("deployment"),
        "llmdispatch.route": facts.get("route"),
        "llmdispatch.attempts": len(facts["attempts"]) if facts else None,
        "llmdispatch.fallback": facts.get("fallback"),
        "llmdispatch.cost_usd": None if cost is None else float(cost),
    }


def _usage_attributes(usage: UsageMetadata | None) -> dict[str, Any]:
    if not usage or "input_tokens" not in usage:  # a cached answer may hold only LangChain's mark
        return {}
    tokens = TokenCounts.of(usage)
    return {
        "gen_ai.usage.input_tokens": tokens.input,
        "gen_ai.usage.output_tokens": tokens.output,
        "gen_ai.usage.cache_read.input_tokens": tokens.cached or None,
        "gen_ai.usage.cache_creation.input_tokens": tokens.written or None,
        "gen_ai.usage.reasoning.output_tokens": tokens.reasoning or None,
    }
