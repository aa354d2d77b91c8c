"""What operators look at: whether the server lives and may be given traffic, and Prometheus' figures."""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.callbacks import BaseCallbackHandler
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.server.failures import Failure


class Operation:
    """`/livez`, `/readyz`, `/healthz` and `/metrics`: no key is needed.

    Args:
        model: What answers.

    Attributes:
        handlers: What counts calls for `/metrics`, for the config of each run.
    """

    def __init__(self, model: DispatcherChatModel) -> None:
        self._model = model
        self.handlers: list[BaseCallbackHandler] = []
        self._exposed = self._exposition()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/livez", self._live),
            Route("/readyz", self._ready),
            Route("/healthz", self._ready),
            Route("/metrics", self._metrics),
        ]

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, _: Request) -> Response:
        """Return 200 where some vendor may be tried, else 503."""
        vendors = {target.vendor.name for target in self._model.deployments()}
        states = {name: self._model.is_available(name) for name in sorted(vendors)}
        available = any(states.values())
        body = {"status": "ok" if available else "unavailable", "vendors": states}
        return JSONResponse(body, 200 if available else 503)

    async def _metrics(self, _: Request) -> Response:
        if self._exposed is None:
            text = "metrics need the extra: pip install 'langchain-llmdispatch[prometheus]'"
            return Failure(404, "invalid_request_error", text, "no_metrics").response()
        return self._exposed()

    def _exposition(self) -> Callable[[], Response] | None:
        """Add a handler to `handlers`, and return what shows its figures; None without the extra."""
        try:
            from prometheus_client import CollectorRegistry, exposition
        except ImportError:
            return None
        from langchain_llmdispatch.telemetry import PrometheusCallbackHandler

        registry = CollectorRegistry()
        self.handlers.append(PrometheusCallbackHandler(registry=registry))
        kind = {"content-type": exposition.CONTENT_TYPE_LATEST}
        return lambda: PlainTextResponse(exposition.generate_latest(registry), headers=kind)
