"""The application: OpenAI's endpoints over one dispatching model."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.server.access import Access
from langchain_llmdispatch.server.completion_answer import Completion
from langchain_llmdispatch.server.completion_request import CompletionRequest, completion_request
from langchain_llmdispatch.server.failures import Failure, failure_of, invalid

logger = logging.getLogger(__name__)
DEFAULT_MODEL = "default"
"""The name under which clients reach the model's own choice."""


def create_app(
    model: DispatcherChatModel,
    *,
    api_keys: Iterable[str | SecretStr] = (),
    max_body_bytes: int = 32 * 1024 * 1024,
) -> Starlette:
    """Return an ASGI application that answers OpenAI's `/v1/chat/completions` and `/v1/models`.

    Clients name a route or a deployment of `model`, or `default`; other names are refused, so that no client
    reaches a model that was not configured. `/healthz` and `/metrics` (with `[prometheus]`) need no key.

    Args:
        model: What answers. It is closed when the application ends.
        api_keys: Keys of clients, as `Authorization: Bearer <key>`; none leaves the server open.
        max_body_bytes: The most bytes of a request.
    """
    keys = [key if isinstance(key, SecretStr) else SecretStr(key) for key in api_keys]
    return _Server(model, Access(keys), max_body_bytes).app()


class _Server:
    """The endpoints over one model."""

    def __init__(self, model: DispatcherChatModel, access: Access, max_body_bytes: int) -> None:
        self._model, self._access, self._most = model, access, max_body_bytes
        self._config: RunnableConfig = {"tags": ["llmdispatch-server"]}
        self._metrics = _metrics(self._config)

    def app(self) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self._guarded(self._complete), methods=["POST"]),
            Route("/v1/models", self._guarded(self._list_models)),
            Route("/v1/models/{name:path}", self._guarded(self._show_model)),
            Route("/healthz", self._health),
            Route("/metrics", self._show_metrics),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            await self._model.aclose()

        return Starlette(routes=routes, lifespan=lifespan)

    def _guarded(
        self, endpoint: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that needs a key, and whose errors are OpenAI's."""

        async def answer(request: Request) -> Response:
            if not self._access.allows(request.headers.get("authorization", "")):
                refused = Failure(401, "invalid_request_error", "the API key is wrong.", "invalid_api_key")
                return refused.response()
            try:
                return await endpoint(request)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:  # noqa: BLE001 - whatever fails is answered
                return self._failed(error).response()

        return answer

    def _failed(self, error: Exception) -> Failure:
        failure = failure_of(error)
        if failure.status == 500:  # noqa: PLR2004 - a bug of ours
            logger.error("a request crashed", exc_info=error)
        return failure

    # -- completions -----------------------------------------------------------------------------------

    async def _complete(self, request: Request) -> Response:
        wanted = completion_request(await self._body(request))
        if wanted.model not in self._names():
            known = ", ".join(self._names())
            message = f"there is no model {wanted.model!r}; known are {known}."
            return Failure(404, "invalid_request_error", message, "model_not_found").response()
        if wanted.stream:
            return await self._streamed(wanted, request)
        message = await _unless_left(
            self._model.ainvoke(wanted.messages, self._config, **self._keywords(wanted)), request
        )
        facts = message.response_metadata.get("llmdispatch", {})
        return JSONResponse(Completion(wanted.model).body(message), headers=_headers(facts))

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._most:
                raise ValueError(f"the body has more than {self._most} bytes.")
        return bytes(body)

    def _keywords(self, wanted: CompletionRequest) -> dict[str, Any]:
        named = {} if wanted.model == DEFAULT_MODEL else {"model": wanted.model}
        return {**wanted.keywords, **named}

    async def _streamed(self, wanted: CompletionRequest, request: Request) -> Response:
        chunks = cast(
            "AsyncGenerator[AIMessageChunk, None]",
            self._model.astream(wanted.messages, self._config, **self._keywords(wanted)),
        )
        try:
            first = await _unless_left(anext(chunks), request)  # an error before it is one of HTTP
        except BaseException:
            await chunks.aclose()
            raise
        return StreamingResponse(self._events(wanted, first, chunks), media_type="text/event-stream")

    async def _events(
        self, wanted: CompletionRequest, first: AIMessageChunk, chunks: AsyncGenerator[AIMessageChunk, None]
    ) -> AsyncIterator[str]:
        completion, whole = Completion(wanted.model), first
        async with aclosing(chunks):
            try:
                for event in completion.chunks(first):
                    yield _event(event)
                async for chunk in chunks:
                    whole += chunk
                    for event in completion.chunks(chunk):
                        yield _event(event)
            except Exception as error:  # noqa: BLE001 - the stream has begun: the error is its last event
                yield _event(self._failed(error).body())
                return
        if wanted.include_usage:
            yield _event(completion.usage(whole.usage_metadata))
        yield "data: [DONE]\n\n"

    # -- models ----------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        deployments = (target.name for target in self._model.deployments())
        return list(dict.fromkeys([DEFAULT_MODEL, *self._model.routes, *deployments]))

    async def _list_models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model_object(name) for name in self._names()]})

    async def _show_model(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._names():
            message = f"there is no model {name!r}."
            return Failure(404, "invalid_request_error", message, "model_not_found").response()
        return JSONResponse(_model_object(name))

    # -- operation -------------------------------------------------------------------------------------

    async def _health(self, _: Request) -> Response:
        """Return 200 where some vendor may be tried, else 503."""
        vendors = {target.vendor.name for target in self._model.deployments()}
        states = {name: self._model.is_available(name) for name in sorted(vendors)}
        available = any(states.values())
        body = {"status": "ok" if available else "unavailable", "vendors": states}
        return JSONResponse(body, 200 if available else 503)

    async def _show_metrics(self, _: Request) -> Response:
        if self._metrics is None:
            return invalid("metrics need the extra [prometheus].").response()
        return PlainTextResponse(self._metrics(), media_type="text/plain; version=0.0.4")


def _model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "llmdispatch"}


def _headers(facts: dict[str, Any]) -> dict[str, str]:
    shown = {
        "x-llmdispatch-deployment": facts.get("deployment"),
        "x-llmdispatch-cost-usd": facts.get("cost_usd"),
    }
    return {name: str(value) for name, value in shown.items() if value is not None}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _unless_left(answer: Awaitable[Any], request: Request) -> Any:
    """Wait for an answer; it is cancelled when the client leaves.

    Raises:
        ClientDisconnect: The client has left.
    """
    call, left = asyncio.ensure_future(answer), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([call, left], return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            raise ClientDisconnect
        return call.result()
    finally:
        for task in (call, left):
            task.cancel()
        await asyncio.gather(call, left, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _metrics(config: RunnableConfig) -> Callable[[], str] | None:
    """Add a Prometheus handler to the config, and return what shows its figures; None without the extra."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    from langchain_llmdispatch.telemetry import PrometheusCallbackHandler  # noqa: PLC0415 - see above

    registry = CollectorRegistry()
    handler: BaseCallbackHandler = PrometheusCallbackHandler(registry=registry)
    config["callbacks"] = [handler]
    return lambda: generate_latest(registry).decode()
