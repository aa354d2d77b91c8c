"""The application: OpenAI's endpoints over one dispatching model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.config.server import KeyGiven
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.server.access import Access, Client
from langchain_llmdispatch.server.answer_form import AnswerForm
from langchain_llmdispatch.server.body import BODY_SECONDS, read_body
from langchain_llmdispatch.server.calls import ServedCall, failed
from langchain_llmdispatch.server.client_budgets import with_budget
from langchain_llmdispatch.server.client_rates import ClientRate
from langchain_llmdispatch.server.completion_answer import Completion
from langchain_llmdispatch.server.completion_request import AnswerRequest, completion_request
from langchain_llmdispatch.server.failures import Failure, RefusedRequestError, refusal
from langchain_llmdispatch.server.operation import Operation
from langchain_llmdispatch.server.request_ids import RequestIds, request_id_of
from langchain_llmdispatch.server.response_answer import ResponseAnswer
from langchain_llmdispatch.server.response_request import response_request
from langchain_llmdispatch.settings import nearest, without_variables

DEFAULT_MODEL = "default"
"""The name under which clients reach the model's own choice."""
_Endpoint = Callable[[Request, Client], Awaitable[Response]]


@without_variables
def create_app(
    model: DispatcherChatModel,
    *,
    api_keys: Iterable[KeyGiven] = (),
    max_body_bytes: int = 32 * 1024 * 1024,
    body_seconds: float = BODY_SECONDS,
    cors_origins: Sequence[str] = (),
) -> Starlette:
    """Return an ASGI application with OpenAI's `/v1/chat/completions`, `/v1/responses` and `/v1/models`.

    Clients name a route or a deployment of `model`, or `default`; other names are refused, so that no client
    reaches a model that was not configured. `/livez`, `/readyz`, `/healthz` and `/metrics` (with
    `[prometheus]`) need no key.

    Args:
        model: What answers. It is closed when the application ends.
        api_keys: Keys of clients, as `Authorization: Bearer <key>`; none leaves the server open. A mapping
            has the fields of `ClientKey`: a name, models, a budget.
        max_body_bytes: The most bytes of a request.
        body_seconds: Seconds in which a request's body must have come.
        cors_origins: Origins whose pages may use the server from a browser.

    Raises:
        ConfigurationError: A key, or what it may use, is wrong.
    """
    return _Server(model, Access(api_keys), max_body_bytes, body_seconds).app(cors_origins)


class _Server:
    """The endpoints over one model."""

    def __init__(self, model: DispatcherChatModel, access: Access, most: int, seconds: float) -> None:
        self._model, self._access, self._most, self._seconds = model, access, most, seconds
        self._operation = Operation(model)
        self._rates = {
            client.name: ClientRate(client.rpm, model.clock) for client in access.clients if client.rpm
        }
        self._budgeted = {client.name: with_budget(model, client) for client in access.clients}
        self._check(access.clients)

    def _check(self, clients: Iterable[Client]) -> None:
        known = self._names()
        for client in clients:
            for name in sorted(client.models.difference(known)):
                text = f"{client.name}: there is no model {name!r}.{nearest(name, known)}"
                raise ConfigurationError(f"server.api_keys: {text}")

    def app(self, cors_origins: Sequence[str]) -> Starlette:
        routes = [
            Route("/v1/chat/completions", self._guarded(self._limited(self._complete)), methods=["POST"]),
            Route("/v1/responses", self._guarded(self._limited(self._respond)), methods=["POST"]),
            Route("/v1/models", self._guarded(self._list_models)),
            Route("/v1/models/{name:path}", self._guarded(self._show_model)),
            *self._operation.routes(),
        ]

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            await self._model.aclose()

        middleware = [Middleware(RequestIds)]
        if cors_origins:
            middleware.append(_cors(cors_origins))
        return Starlette(
            routes=routes,
            lifespan=lifespan,
            middleware=middleware,
            exception_handlers={HTTPException: _no_endpoint},
        )

    def _guarded(self, endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that needs a key, and whose errors are OpenAI's."""

        async def answer(request: Request) -> Response:
            client = self._access.client_of(request.headers.get("authorization", ""))
            if client is None:
                text = "the API key is missing or wrong: send 'Authorization: Bearer <key>'."
                return refusal(text, code="invalid_api_key", status=401).failure.response(_CHALLENGE)
            try:
                return await endpoint(request, client)
            except ClientDisconnect:
                return Response(status_code=499)
            except RefusedRequestError as error:
                last = {"connection": "close"} if error.failure.status in _UNREAD else {}
                return error.failure.response({**last, **getattr(request.state, "rate_headers", {})})

        return answer

    def _limited(self, endpoint: _Endpoint) -> _Endpoint:
        """Return an endpoint to which a client may send so many requests a minute."""

        async def answer(request: Request, client: Client) -> Response:
            rate = self._rates.get(client.name)
            if rate is None:
                return await endpoint(request, client)
            state = rate.take()
            request.state.rate_headers = state.headers()
            state.check()
            response = await endpoint(request, client)
            response.headers.update(state.headers())
            return response

        return answer

    # -- answers ---------------------------------------------------------------------------------------

    async def _complete(self, request: Request, client: Client) -> Response:
        answer_request = completion_request(await self._body(request))
        form = Completion(answer_request.model, counts=answer_request.include_usage)
        return await self._answer(request, client, answer_request, form)

    async def _respond(self, request: Request, client: Client) -> Response:
        answer_request = response_request(await self._body(request))
        return await self._answer(request, client, answer_request, ResponseAnswer(answer_request.fields))

    async def _body(self, request: Request) -> bytes:
        return await read_body(request, self._most, self._seconds)

    async def _answer(
        self, request: Request, client: Client, answer_request: AnswerRequest, form: AnswerForm
    ) -> Response:
        _check_name(answer_request.model, self._names_for(client))
        named = {} if answer_request.model == DEFAULT_MODEL else {"model": answer_request.model}
        words = {**answer_request.keywords, **named}
        model = self._budgeted.get(client.name, self._model)
        try:
            call = ServedCall(model, answer_request, form, self._config_for(client), words)
            return await call.response(request)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - whatever fails is answered
            return failed(error, words, request_id_of(request.scope)).response()

    def _config_for(self, client: Client) -> RunnableConfig:
        metadata = {"client": client.name} if client.name else {}
        tags = ["llmdispatch-server"]
        return {"tags": tags, "metadata": metadata, "callbacks": list(self._operation.handlers)}

    # -- models ----------------------------------------------------------------------------------------

    def _names(self) -> list[str]:
        deployments = (target.name for target in self._model.deployments())
        return list(dict.fromkeys([DEFAULT_MODEL, *self._model.routes, *deployments]))

    def _names_for(self, client: Client) -> list[str]:
        return [name for name in self._names() if client.may_use(name)]

    async def _list_models(self, _: Request, client: Client) -> Response:
        models = [_model_object(name) for name in self._names_for(client)]
        return JSONResponse({"object": "list", "data": models})

    async def _show_model(self, request: Request, client: Client) -> Response:
        name = request.path_params["name"]
        _check_name(name, self._names_for(client))
        return JSONResponse(_model_object(name))


def _cors(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=list(origins),
        allow_methods=["GET", "POST"],
        allow_headers=["*"],
        expose_headers=["*"],
    )


_CHALLENGE = {"www-authenticate": "Bearer"}
_UNREAD = frozenset({408, 413})
"""Statuses of requests whose bodies were not read to the end."""


def _check_name(name: str, known: Sequence[str]) -> None:
    if name not in known:
        text = f"there is no model {name!r}; known are {', '.join(known)}."
        raise refusal(text, param="model", code="model_not_found", status=404)


def _model_object(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "llmdispatch"}


_SERVED = "chat/completions, responses and models are served under /v1"


async def _no_endpoint(request: Request, error: Exception) -> Response:
    """Return what OpenAI answers where there is no endpoint, or another method of it."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    what = f"{request.method} {request.url.path}"
    text = f"Invalid URL ({what}): {_SERVED}." if status == _NOT_FOUND else f"Not allowed: {what}."
    return Failure(status, "invalid_request_error", text, _CODES.get(status)).response(headers)


_NOT_FOUND = 404
_CODES = {404: "unknown_url", 405: "method_not_allowed"}
