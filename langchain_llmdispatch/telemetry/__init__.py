"""OpenTelemetry and Prometheus, as LangChain callback handlers: attach them to a model, a chain or one call.

    from langchain_llmdispatch.telemetry import OpenTelemetryCallbackHandler, PrometheusCallbackHandler

    model = DispatcherChatModel(models=[...], callbacks=[OpenTelemetryCallbackHandler()])
    chain.invoke(question, {"callbacks": [PrometheusCallbackHandler()]})

Attach each handler in one place: two handlers of the same kind count a call twice. The extras `[otel]` and
`[prometheus]` bring what they need; without it, importing a handler is fine and making one is an ImportError
that names the extra.

Owns: spans, metrics, their attribute names and labels.
Must not know: how attempts are decided; it only observes them.
"""

from __future__ import annotations

from langchain_llmdispatch.telemetry.otel import OpenTelemetryCallbackHandler
from langchain_llmdispatch.telemetry.prometheus import PrometheusCallbackHandler

__all__ = ["OpenTelemetryCallbackHandler", "PrometheusCallbackHandler"]
