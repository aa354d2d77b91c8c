"""The verbs of a driver: whatever a call may wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx
from langchain_core.messages import AIMessage
from langchain_core.rate_limiters import BaseRateLimiter
from pydantic import SecretStr

from langchain_llmdispatch.budgets.call_budget import Room
from langchain_llmdispatch.callbacks.events import Run
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.drivers.exchange import Exchange
from langchain_llmdispatch.drivers.runner import Runner
from langchain_llmdispatch.limits.permit import Permit
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.types import ChatRequest


@dataclass(frozen=True, slots=True)
class Verbs:
    """Whatever a call may wait for, in the colour of one driver.

    Attributes:
        announce: Delivers the events that precede a further attempt.
        pending: Delivers the id of an answer in the background that is about to be waited for.
        sleep: Waits for so many seconds of a clock.
        acquire: Waits for the limiter's permit; None without limits.
        pace: Waits for a LangChain rate limiter, for so many seconds at most.
        room: Waits until a budget that other requests hold may have room.
        base_url: Returns the address of a model on this machine, whose server it starts if it does not run.
        token: Returns what an `api_key` function returns within so many seconds.
        send: Sends a request and returns the response, its body unread.
        body: Reads a response to its end.
        pieces: Returns the pieces of a response; without one, those of a vendor that runs in process.
        next_piece: Waits for the next of these pieces; None at the end.
        finish: Discards the rest of a response, so that its connection can be used again.
        close: Closes a response or pieces.
        generate: Returns the answer of a vendor that runs in process.
        start: Starts the request of a race in a thread or task of its own.
        detached: Runs a coroutine to its end, even if its caller is cancelled meanwhile.
        first_done: Waits for one of the requests of a race; None if none is done after so many seconds.
        stop: Stops a request of a race that is not done, if that is possible.
    """

    announce: Callable[[Run, Attempt], Awaitable[None]]
    pending: Callable[[Run, Attempt, str], Awaitable[None]]
    sleep: Callable[[Clock, float], Awaitable[None]]
    acquire: Callable[[Attempt, ChatRequest], Awaitable[Permit | None]]
    pace: Callable[[BaseRateLimiter, float], Awaitable[float]]
    room: Callable[[Room], Awaitable[None]]
    base_url: Callable[[Exchange], Awaitable[str]]
    token: Callable[[Callable[[], Any], float], Awaitable[SecretStr]]
    send: Callable[[httpx.Request, ReadDeadline], Awaitable[httpx.Response]]
    body: Callable[[Exchange, httpx.Response], Awaitable[bytes]]
    pieces: Callable[[Exchange, httpx.Response | None], Any]
    next_piece: Callable[[Exchange, Any], Awaitable[Any]]
    finish: Callable[[Any], Awaitable[None]]
    close: Callable[[Any], Awaitable[None]]
    generate: Callable[[Exchange], Awaitable[AIMessage]]
    start: Callable[[Runner], None]
    detached: Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
    first_done: Callable[[list[Runner], float | None], Awaitable[Runner | None]]
    stop: Callable[[Runner], None]
