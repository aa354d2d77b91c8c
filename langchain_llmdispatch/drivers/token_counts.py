"""Counting the tokens of a call at its vendor's own endpoint: cached, within a timeout, or not at all."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from dataclasses import replace
from functools import partial

import httpx
from pydantic import SecretStr

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.secrets import secrets_of
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.drivers.bounded import atoken, token
from langchain_llmdispatch.errors import ConfigurationError, DispatchError, MalformedResponseError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.transport.body import awhole, whole
from langchain_llmdispatch.transport.deadline import ReadDeadline
from langchain_llmdispatch.transport.middleware import SECRETS
from langchain_llmdispatch.transport.transport import ASYNC_CLIENT, SYNC_CLIENT, Transport
from langchain_llmdispatch.types import Call, ChatRequest
from langchain_llmdispatch.vendors.compile.call import compile_call

logger = logging.getLogger(__name__)
TIMEOUT = 10.0
"""Seconds that a count may take, where the deployment has no shorter timeout."""
_KEPT = 1024  # counts
_FAILURES = (DispatchError, ConfigurationError, ValueError, httpx.InvalidURL)
_ABSENT = frozenset({404, 405, 501})  # an endpoint that is not there is not tried again


class RemoteCounts:
    """Counts tokens at vendors' endpoints; a count that was made is not made again.

    Args:
        transport: Sends the requests.
        clock: The source of time.
    """

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport, self._clock = transport, clock
        self._known: OrderedDict[str, int] = OrderedDict()
        self._absent: set[tuple[str, str]] = set()
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def count(self, request: ChatRequest, target: Target) -> int | None:
        """Return the tokens of a request to a target; None where its vendor does not count them."""
        call = self._compiled(request, target)
        if call is None:
            return None
        try:
            if (provider := call.endpoint.token_provider) is not None:
                call = _authorized(call, token(provider, TIMEOUT))
            count = _Count(call, target, self._clock)
            if count.request is None or (known := self._find(count)) is not None:
                return None if count.request is None else known
            response = self._transport.send(count.request, count.deadline)
            try:
                body = whole(response, count.deadline, call.max_response_bytes)
            finally:
                response.close()
            return self._keep(count, response.status_code, body)
        except _FAILURES as error:
            _note(target, error)
            return None

    async def acount(self, request: ChatRequest, target: Target) -> int | None:
        """Return the tokens of a request to a target; see `count`."""
        call = self._compiled(request, target)
        if call is None:
            return None
        try:
            if (provider := call.endpoint.token_provider) is not None:
                call = _authorized(call, await atoken(provider, TIMEOUT))
            count = _Count(call, target, self._clock)
            if count.request is None or (known := self._find(count)) is not None:
                return None if count.request is None else known
            response = await self._transport.asend(count.request, count.deadline)
            try:
                body = await awhole(response, count.deadline, call.max_response_bytes)
            finally:
                await response.aclose()
            return self._keep(count, response.status_code, body)
        except _FAILURES as error:
            _note(target, error)
            return None

    def _compiled(self, request: ChatRequest, target: Target) -> Call | None:
        """Return the call whose tokens are counted; None where the target counts none."""
        if target.vendor.count_field is None or target.key in self._absent:
            return None
        try:
            return compile_call(
                target.vendor,
                request,
                model=target.model,
                endpoint=target.endpoint,
                defaults=target.deployment.params,
                facts=target.facts,
            )[0]
        except _FAILURES as error:
            _note(target, error)
            return None

    def _find(self, count: _Count) -> int | None:
        with self._lock:
            if (known := self._known.get(count.key)) is not None:
                self._known.move_to_end(count.key)
            return known

    def _keep(self, count: _Count, status: int, body: bytes) -> int:
        """Return the count in a response, and keep it.

        Raises:
            DispatchError: It is an error, or holds no count.
        """
        if status in _ABSENT:
            self._absent.add(count.target.key)
        if status != httpx.codes.OK:
            raise MalformedResponseError("the count of tokens was refused", status_code=status)
        found = count.target.vendor.decode_count(body)
        with self._lock:
            self._known[count.key] = found
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return found


class _Count:
    """One count: its request, its deadline, and its key among the counts that are known."""

    def __init__(self, call: Call, target: Target, clock: Clock) -> None:
        self.target, self.request = target, target.vendor.encode_count(call)
        seconds = min(TIMEOUT, target.timeouts.get("timeout", TIMEOUT))
        self.deadline = ReadDeadline(clock, clock.monotonic() + seconds, "the count of tokens")
        self.key = ""
        if self.request is not None:
            if call.endpoint.query:
                self.request.url = self.request.url.copy_merge_params(call.endpoint.query)
            config, content = target.config, self.request.content
            self.request.extensions |= {
                SECRETS: partial(secrets_of, target),
                SYNC_CLIENT: config.http_client,
                ASYNC_CLIENT: config.http_async_client,
            }
            self.key = hashlib.sha256(str(self.request.url).encode() + b"\0" + content).hexdigest()


def _authorized(call: Call, secret: SecretStr) -> Call:
    """Return the call with the token that its deployment's `api_key` function has returned."""
    endpoint = replace(call.endpoint, token_provider=secret.get_secret_value, api_key=secret)
    return replace(call, endpoint=endpoint)


def _note(target: Target, error: Exception) -> None:
    logger.info("%s has counted no tokens, an estimate stands in: %s", target.name, type(error).__name__)
