"""One call of the model for a client, whole or as server-sent events."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from traceback import format_tb
from typing import Any, cast

from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from langchain_llmdispatch.callbacks.error_names import error_name
from langchain_llmdispatch.chat_model.chat_model import DispatcherChatModel
from langchain_llmdispatch.server.answer_form import AnswerForm, StreamTotals
from langchain_llmdispatch.server.completion_request import AnswerRequest
from langchain_llmdispatch.server.failures import Failure, attempts_of, failure_of

logger = logging.getLogger(__name__)
_CRASHED = 500
_STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_WORD = re.compile(r"'?(\w+)")


class ServedCall:
    """One call of a client's.

    Args:
        model: What answers.
        request: The client's request.
        form: The form of the answer.
        config: The config of the run.
        keywords: The keywords of the call.
    """

    def __init__(
        self,
        model: DispatcherChatModel,
        request: AnswerRequest,
        form: AnswerForm,
        config: RunnableConfig,
        keywords: Mapping[str, Any],
    ) -> None:
        self._model, self._request, self._form = model, request, form
        self._config, self._keywords = config, keywords

    async def response(self, request: Request) -> Response:
        """Return the answer, or its first events; the call is cancelled when the client leaves.

        Raises:
            ClientDisconnect: The client has left.
        """
        if self._request.stream:
            return await self._streamed(request)
        answer = self._model.ainvoke(self._request.messages, self._config, **self._keywords)
        message = await _unless_left(answer, request)
        facts = message.response_metadata.get("llmdispatch", {})
        return JSONResponse(self._form.body(message), headers=_headers(facts))

    async def _streamed(self, request: Request) -> Response:
        chunks = cast(
            "AsyncGenerator[AIMessageChunk, None]",
            self._model.astream(self._request.messages, self._config, **self._keywords),
        )
        try:
            first = await _unless_left(anext(chunks), request)  # an error before it is one of HTTP
        except BaseException:
            await chunks.aclose()
            raise
        events = self._events(first, chunks)
        return StreamingResponse(events, media_type="text/event-stream", headers=_STREAM_HEADERS)

    async def _events(
        self, first: AIMessageChunk, chunks: AsyncGenerator[AIMessageChunk, None]
    ) -> AsyncIterator[str]:
        form, totals = self._form, StreamTotals()
        totals.add(first)
        async with aclosing(chunks):
            try:
                for event in (*form.begin(), *form.chunks(first)):
                    yield form.frame(event)
                async for chunk in chunks:
                    totals.add(chunk)
                    for event in form.chunks(chunk):
                        yield form.frame(event)
            except Exception as error:  # noqa: BLE001 - the stream has begun: the error is its last event
                for event in form.fail(failed(error)):
                    yield form.frame(event)
                return
        for event in form.end(totals):
            yield form.frame(event)
        if form.last:
            yield form.last


def failed(error: Exception, words: Mapping[str, Any] | None = None, request_id: str = "") -> Failure:
    """Return what the client reads of an error; the log has what is not for clients, but no texts of vendors.

    Args:
        error: What was raised.
        words: The keywords of the call: the one that the message begins with is what is wrong.
        request_id: The id of the request, for the log.
    """
    failure = failure_of(error)
    if failure.status == _CRASHED:
        frames = "".join(format_tb(error.__traceback__))
        logger.error("request %s crashed: %s\n%s", request_id, error_name(error), frames)
    elif failure.status > _CRASHED:
        shown = f"{error_name(error)}{attempts_of(error)}"
        logger.warning("request %s failed with %s: %s", request_id, failure.status, shown)
    named = _WORD.match(failure.message)
    if failure.param is None and named is not None and named[1] in (words or {}):
        fields = {name: getattr(failure, name) for name in Failure.__slots__}
        return Failure(**{**fields, "param": named[1]})
    return failure


def _headers(facts: dict[str, Any]) -> dict[str, str]:
    shown = {
        "x-llmdispatch-deployment": facts.get("deployment"),
        "x-llmdispatch-cost-usd": facts.get("cost_usd"),
        "x-llmdispatch-attempts": len(facts.get("attempts", ())) or None,
        "x-llmdispatch-adapted": ", ".join(each["kind"] for each in facts.get("adapted", ())) or None,
    }
    return {name: str(value) for name, value in shown.items() if value is not None}


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
