"""Prometheus: counters and histograms of requests and calls, with bounded labels.

Labels are vendor, model, deployment and the class of an error: never a user, a tag or a prompt. Beyond
`MOST_DEPLOYMENTS` deployments new ones share the label `(other)`.

| metric                                | labels besides `vendor`, `model`, `deployment`             |
|---------------------------------------|------------------------------------------------------------|
| `llmdispatch_requests_total`          | `outcome`: `ok`, `abandoned`, or the class of the error    |
| `llmdispatch_request_seconds`         | histogram of answered requests, from sending to their end  |
| `llmdispatch_first_token_seconds`     | histogram of streams, from sending to the first content    |
| `llmdispatch_tokens_total`            | `kind`: `input`, `output`, `cached`, `reasoning`           |
| `llmdispatch_cost_usd_total`          | known costs, those of failed requests included             |
| `llmdispatch_wasted_usd_total`        | costs of failed requests                                   |
| `llmdispatch_retries_total`           |                                                            |
| `llmdispatch_fallbacks_total`         | the deployment is the one that was fallen back to          |
| `llmdispatch_hedges_total`            |                                                            |
| `llmdispatch_throttled_seconds_total` | waiting for our own limits                                 |
| `llmdispatch_calls_total`             | only `outcome`, as above                                   |
| `llmdispatch_calls_in_flight`         | none; a gauge                                              |
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from langchain_core.callbacks import BaseCallbackHandler

from langchain_llmdispatch.callbacks.events import ATTEMPT, FALLBACK, HEDGE, RETRY, THROTTLE
from langchain_llmdispatch.catalog.prices import TokenCounts
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.internal.extras import needs
from langchain_llmdispatch.stats.counters import OTHER
from langchain_llmdispatch.telemetry.labels import OK, outcome_label

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.outputs import LLMResult

MOST_DEPLOYMENTS = 200
"""Deployments that get labels of their own."""

_LABELS = ("vendor", "model", "deployment")
_REQUEST_SECONDS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
_FIRST_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 30)

# A registry accepts each metric once, and a notebook's cell runs many times.
_KNOWN: WeakKeyDictionary[Any, _RegistryMetrics] = WeakKeyDictionary()
_KNOWN_LOCK = threading.RLock()


def _renew_known_lock() -> None:
    global _KNOWN_LOCK  # noqa: PLW0603 - a lock of the module, which a fork may have copied locked
    _KNOWN_LOCK = threading.RLock()


forks.in_child(_renew_known_lock)


class _RegistryMetrics:
    """The metrics of one registry, and the deployments that have labels of their own in it."""

    def __init__(self, registry: Any) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def counter(name: str, words: str, *labels: str) -> Any:
            return Counter(f"llmdispatch_{name}", words, labels, registry=registry)

        def histogram(name: str, words: str, buckets: tuple[float, ...]) -> Any:
            return Histogram(f"llmdispatch_{name}", words, _LABELS, buckets=buckets, registry=registry)

        self.requests = counter("requests", "Requests that left the process.", *_LABELS, "outcome")
        self.seconds = histogram("request_seconds", "Seconds of answered requests.", _REQUEST_SECONDS)
        self.first = histogram("first_token_seconds", "Seconds to the first content.", _FIRST_SECONDS)
        self.tokens = counter("tokens", "Tokens as vendors reported them.", *_LABELS, "kind")
        self.cost = counter("cost_usd", "US dollars, failed requests included.", *_LABELS)
        self.wasted = counter("wasted_usd", "US dollars of failed requests.", *_LABELS)
        self.throttled = counter("throttled_seconds", "Seconds spent waiting for our own limits.", *_LABELS)
        self.happened = {
            RETRY: counter("retries", "Retries.", *_LABELS),
            FALLBACK: counter("fallbacks", "Fallbacks to the deployment.", *_LABELS),
            HEDGE: counter("hedges", "Hedges.", *_LABELS),
        }
        self.calls = counter("calls", "Calls.", "outcome")
        self.in_flight = Gauge("llmdispatch_calls_in_flight", "Calls in progress.", registry=registry)
        self._seen: set[tuple[str, str, str]] = set()
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def labels_of(self, data: Mapping[str, Any]) -> tuple[str, str, str]:
        """Return the labels of a deployment; shared ones beyond `MOST_DEPLOYMENTS`."""
        labels = str(data["vendor"]), str(data["model"]), str(data["deployment"])
        with self._lock:
            if labels not in self._seen:
                if len(self._seen) >= MOST_DEPLOYMENTS:
                    return OTHER, OTHER, OTHER
                self._seen.add(labels)
        return labels


class PrometheusCallbackHandler(BaseCallbackHandler):
    """Counts the results of a model's calls, for a Prometheus server to scrape.

    Handlers of one registry share its metrics, so a notebook's cell may run again.

    Args:
        registry: Where the metrics are registered; default: the global one.

    Raises:
        ImportError: `prometheus_client` is not installed.
    """

    run_inline = True

    def __init__(self, *, registry: Any = None) -> None:
        super().__init__()
        with needs("prometheus", "prometheus_client is not installed"):
            from prometheus_client import REGISTRY
        registry = REGISTRY if registry is None else registry
        with _KNOWN_LOCK:
            if registry not in _KNOWN:
                _KNOWN[registry] = _RegistryMetrics(registry)
            self._metrics = _KNOWN[registry]
        self._runs: set[UUID] = set()

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Count a call that begins."""
        self._runs.add(run_id)
        self._metrics.in_flight.inc()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Count a call that was answered."""
        self._ended(run_id, OK)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Count a call that failed, or was abandoned."""
        self._ended(run_id, outcome_label(type(error).__name__))

    def _ended(self, run_id: UUID, label: str) -> None:
        if (
            run_id in self._runs
        ):  # models other than chat models begin with another event, and are not counted
            self._runs.discard(run_id)
            self._metrics.in_flight.dec()
            self._metrics.calls.labels(label).inc()

    def on_custom_event(self, name: str, data: Any, **kwargs: Any) -> None:
        """Count a request, a retry, a fallback, a hedge or a wait."""
        if name == ATTEMPT:
            self._count(data, self._metrics.labels_of(data))
        elif name in self._metrics.happened:
            self._metrics.happened[name].labels(*self._metrics.labels_of(data)).inc()
        elif name == THROTTLE:
            self._metrics.throttled.labels(*self._metrics.labels_of(data)).inc(data["wait_ms"] / 1000)

    def _count(self, data: Mapping[str, Any], labels: tuple[str, str, str]) -> None:
        metrics, error = self._metrics, data["error"]
        metrics.requests.labels(*labels, outcome_label(error)).inc()
        if error is None:
            metrics.seconds.labels(*labels).observe(data["latency_ms"] / 1000)
        if data["ttft_ms"] is not None:
            metrics.first.labels(*labels).observe(data["ttft_ms"] / 1000)
        if data["cost_usd"] is not None:
            metrics.cost.labels(*labels).inc(float(data["cost_usd"]))
            if error is not None:
                metrics.wasted.labels(*labels).inc(float(data["cost_usd"]))
        if data["usage"]:
            tokens = TokenCounts.of(data["usage"])
            for kind in ("input", "output", "cached", "reasoning"):
                metrics.tokens.labels(*labels, kind).inc(getattr(tokens, kind))
