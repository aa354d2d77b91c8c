"""A model's calls as requests of vendors' batch APIs: planned, compiled and decoded like live ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

import httpx
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, ensure_config

from langchain_llmdispatch.batch.calls import BatchedRow, BatchReply, Encode, RowAnswer
from langchain_llmdispatch.budgets.budget import BudgetReservation
from langchain_llmdispatch.budgets.call_budget import CallBudget
from langchain_llmdispatch.catalog.terms import Terms
from langchain_llmdispatch.chat_model.engine import Engine
from langchain_llmdispatch.chat_model.request import messages_of, passable, with_choices
from langchain_llmdispatch.chat_model.run_options import RunOptions
from langchain_llmdispatch.deployments.secrets import secrets_of
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.error_secrets import cleanse, forget_variables
from langchain_llmdispatch.drivers.bounded import atoken
from langchain_llmdispatch.drivers.budget_room import await_room
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.errors import DispatchError, MalformedResponseError
from langchain_llmdispatch.framing import FrameTooLongError, LineDecoder
from langchain_llmdispatch.routing.decision import RoutingRequest
from langchain_llmdispatch.transport.body import aread, awhole
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import SECRETS
from langchain_llmdispatch.transport.transport import ASYNC_CLIENT, SYNC_CLIENT
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors.base import retry_after
from langchain_llmdispatch.vendors.batches import BatchApi, BatchResult
from langchain_llmdispatch.vendors.redaction import redact

_BATCH = Terms(tier="batch")
_MOST_BYTES = 4 * 1024**3
"""The most bytes of an answer of a batch API: 50,000 long answers are some gigabytes."""
_TOKEN_SECONDS = 30.0
_UNFIT = (DispatchError, ValueError, TypeError, KeyError, NotImplementedError)
"""What a row raises that makes no request; a live call raises it again, and it is kept with the row."""


class ModelBatchCalls:
    """The calls of one model, for batches; see `BatchCalls` for what each method does.

    Args:
        engine: The engine of the model.
        config: For each call: tags and metadata.
        kwargs: Keywords of each call, under a row's own.
    """

    def __init__(self, engine: Engine, config: RunnableConfig | None, kwargs: Mapping[str, Any]) -> None:
        self._engine, self._kwargs = engine, kwargs
        self.budgets = engine.spending.budgets
        run = ensure_config(with_choices(config))
        self._tags, self._metadata = list(run["tags"]), dict(run["metadata"])

    # -- rows --------------------------------------------------------------------------------------

    def planned(self, given: Any, params: Mapping[str, Any], row_id: str) -> BatchedRow | None:
        """Return a row as a request to the first deployment of its plan that has a batch API."""
        try:
            routing, funds = self._funded(given, params, row_id)
            for target in self._engine.decide(routing):
                if (line := self._line(routing, target, row_id)) is not None:
                    worst = routing.worst(target.on(_BATCH)).usd
                    held = None if funds is None else _Funds(funds, self._engine.apart(routing, target))
                    return BatchedRow(target, line, worst, held)
        except _UNFIT:
            return None
        return None

    def _line(self, routing: RoutingRequest, target: Target, row_id: str) -> Any:
        if target.vendor.batch_api(_bare(target)) is None:
            return None
        exchange = Exchange(self._engine.apart(routing, target))
        call = exchange.call
        # A job has one set of headers, and answers in the background are jobs of their own.
        if call.endpoint != target.endpoint or exchange.background is not None:
            return None
        return self.api(target).line(replace(call, endpoint=_without_key(call.endpoint)), row_id)

    def _funded(
        self, given: Any, params: Mapping[str, Any], row_id: str
    ) -> tuple[RoutingRequest, CallBudget | None]:
        """Return what the decision about a row depends on, and what it may spend; None for anything.

        Only what is done near the end of a budget changes the decision: what fits is judged by the price of
        batches, when the row is submitted.
        """
        engine = self._engine
        routing, options = self._routing(given, params)
        if not engine.spending.bounds and options.max_cost is None:
            return routing, None
        budget = engine.spending.budget_of(
            routing, options, worst=lambda target, **_: routing.worst(target.on(_BATCH)), run=row_id
        )
        steered = engine.spending.steered(routing, budget, engine.registry.targets)
        steered.limit = steered.left_on = None
        return steered, budget

    def _routing(self, given: Any, params: Mapping[str, Any]) -> tuple[RoutingRequest, RunOptions]:
        kwargs = passable({**self._kwargs, **params})
        return self._engine.routing_of(messages_of(given), kwargs, tags=self._tags, metadata=self._metadata)

    def answer(
        self, target: Target, given: Any, params: Mapping[str, Any], result: BatchResult, job: str
    ) -> RowAnswer:
        """Return what a result comes to, by the codec of a live call and at the price of batches."""
        try:
            attempt = self._engine.apart(self._routing(given, params)[0], target)
            attempt.apart = _BATCH
            exchange = Exchange(attempt)
        except _UNFIT as error:
            return RowAnswer(error=error)
        return _told(attempt, *_decoded(exchange, result, job))

    # -- requests ----------------------------------------------------------------------------------

    def find(self, vendor: str, base_url: str, account: str, deployment: str) -> Target | None:
        """Return the deployment of a job: of that name, or with the same vendor, address and key."""
        here = [
            target
            for target in self._engine.registry.all
            if (target.vendor.name, target.endpoint.base_url, target.account) == (vendor, base_url, account)
        ]
        named = [target for target in here if target.name == deployment]
        return next(iter(named or here), None)

    def api(self, target: Target) -> BatchApi:
        """Return the batch API of a deployment that has one, without its key."""
        return _api(target, _without_key(target.endpoint))

    def shown(self, target: Target, text: str) -> str:
        """Return a vendor's text about a job as it may be shown: without credentials."""
        return redact(text, *secrets_of(target))

    async def send(self, target: Target, encode: Encode, seconds: float) -> BatchReply:
        """Return the answer to a request; it takes so many seconds at most."""
        async with self._opened(target, encode, seconds) as (response, deadline):
            body = await awhole(response, deadline, _MOST_BYTES)
            return BatchReply(body, retry_after(response.headers))

    async def lines(self, target: Target, encode: Encode, seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the lines of an answer as they arrive, empty ones left out."""
        decoder = LineDecoder()
        async with self._opened(target, encode, seconds) as (response, deadline):
            async for piece in aread(response, deadline, _MOST_BYTES):
                for line in _fed(decoder, piece):
                    yield line
            for line in decoder.close():
                if line.strip():
                    yield line

    @asynccontextmanager
    async def _opened(
        self, target: Target, encode: Encode, seconds: float
    ) -> AsyncGenerator[tuple[httpx.Response, ReadDeadline], None]:
        """Send a request, and open its response.

        Raises:
            DispatchError: It failed; credentials are removed from the error.
        """
        clock = self._engine.clock
        deadline = ReadDeadline(clock, clock.monotonic() + seconds, "the batch API")
        failure: DispatchError | None = None
        secrets = list(secrets_of(target))
        try:
            response = await self._sent(target, encode, deadline, secrets)
            try:
                if not response.is_success:
                    await _refuse(target, response, deadline)
                yield response, deadline
            finally:
                await response.aclose()
        except DispatchError as error:
            failure = error
        if failure is not None:
            forget_variables(failure)
            cleanse(failure, secrets)
            secrets.clear()  # this frame is in the traceback
            failure.vendor = failure.vendor or target.vendor.name
            failure.deployment = failure.deployment or target.name
            raise failure

    async def _sent(
        self, target: Target, encode: Encode, deadline: ReadDeadline, secrets: list[str]
    ) -> httpx.Response:
        """Return the response to a request; its token is added to the secrets."""
        endpoint, config = await _authorized(target.endpoint), target.config
        if endpoint.api_key is not None:
            secrets.append(endpoint.api_key.get_secret_value())
        request = encode(_api(target, endpoint))
        if target.endpoint.query:
            request.url = request.url.copy_merge_params(target.endpoint.query)
        request.extensions |= {
            SECRETS: partial(tuple, secrets),
            SYNC_CLIENT: config.http_client,
            ASYNC_CLIENT: config.http_async_client,
        }
        return await self._engine.transport.asend(request, deadline)


class _Funds:
    """What a row may spend; see `RowFunds`."""

    def __init__(self, budget: CallBudget, attempt: Attempt) -> None:
        self._budget, self._attempt = budget, attempt

    async def hold(self) -> Sequence[BudgetReservation] | None:
        """Hold its worst case, once a budget elsewhere has decided."""
        budget, attempt = self._budget, self._attempt
        while (room := budget.admit(attempt)) is not None:
            if not budget.is_undecided(attempt):
                budget.give_up(attempt)
                return None
            await await_room(room)
        return budget.held_for(attempt)


# -- requests ------------------------------------------------------------------------------------------


def _bare(target: Target) -> Call:
    return Call(target.model, target.endpoint, ())


def _api(target: Target, endpoint: Endpoint) -> BatchApi:
    api = target.vendor.batch_api(Call(target.model, endpoint, ()))
    if api is None:
        raise RuntimeError(f"{target.name} has no batch API")
    return api


def _without_key(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint for bodies, whose codecs build no headers."""
    return replace(endpoint, api_key=None, token_provider=None)


async def _authorized(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint with the token that its `api_key` function returns, where it has one."""
    if endpoint.token_provider is None:
        return endpoint
    token = await atoken(endpoint.token_provider, _TOKEN_SECONDS)
    return replace(endpoint, token_provider=token.get_secret_value, api_key=token)


async def _refuse(target: Target, response: httpx.Response, deadline: ReadDeadline) -> None:
    """Raise the error that a response with an error status means."""
    body = await awhole(response, deadline, _MOST_BYTES)
    raise target.vendor.decode_error(_bare(target), response.status_code, response.headers, body)


def _fed(decoder: LineDecoder, piece: bytes) -> Sequence[bytes]:
    try:
        return [line for line in decoder.feed(piece) if line.strip()]
    except FrameTooLongError as error:
        raise MalformedResponseError(str(error)) from None


# -- answers -------------------------------------------------------------------------------------------


def _decoded(exchange: Exchange, result: BatchResult, job: str) -> tuple[AIMessage | None, Exception | None]:
    """Return the message in a result, or what it fails with; the attempt ends either way."""
    attempt = exchange.attempt
    response = httpx.Response(result.status or httpx.codes.INTERNAL_SERVER_ERROR)
    with attempt:
        exchange.begin()
        attempt.answered(response.status_code, None)
        outputs = exchange.accept(exchange.decode(response, result.body))
        message = outputs[0].message if outputs else None
        if isinstance(message, AIMessage):
            message.response_metadata["llmdispatch"]["batch"] = job
            return message, None
    attempt.call.finish("failed")
    # Without an error a cascade declined the answer, or the vendor paused it: a live call goes on.
    name = attempt.target.name
    return None, attempt.error or MalformedResponseError("the answer is not final", deployment=name)


def _told(attempt: Attempt, message: AIMessage | None, error: Exception | None) -> RowAnswer:
    usage, cost = attempt.usage, attempt.cost
    usd: Decimal | None = None if cost is None else cost.usd
    read, made = (0, 0) if usage is None else (usage["input_tokens"], usage["output_tokens"])
    return RowAnswer(message, error, usd, read, made, attempt)
