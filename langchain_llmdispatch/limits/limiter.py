"""Limits: requests and tokens per minute and requests in flight, shared by all threads and event loops.

`Limiter` queues instead of refusing: first come, first served, bounded by the attempt's deadline. The wait
happens on one private event loop, whose thread starts when the first attempt has to wait. Both drivers use it
alike:

    permit = limiter.acquire(attempt, request)   # or await limiter.aacquire(attempt, request)
    with permit or nullcontext():                # frees the slot, and settles by what was really used
        ...
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from langchain_core.messages.utils import count_tokens_approximately

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.limits.loop_thread import LoopThread
from langchain_llmdispatch.limits.permit import Permit
from langchain_llmdispatch.limits.queue import LimitQueue, Limits, SharedLimits
from langchain_llmdispatch.limits.quota import Quota
from langchain_llmdispatch.types import ChatRequest
from langchain_llmdispatch.vendors.compile.words import requested

# Shorter waits, in seconds, are no reason to try another deployment.
_NEGLIGIBLE = 0.005
# Queues and quotas that are remembered; idle ones are forgotten first, so that memory stays flat.
_REMEMBERED = 1024
_ZERO_REMAINING = re.compile(r"ratelimit[^\n]*\n(?:0\n|[^\n]*r=0)")


class Limiter:
    """The limits of one model, or of several that are handed the same object.

    Models share the limits of a deployment that has the same name, account, model and limits in each of them,
    and those of a vendor with the same key and limits.

    Args:
        burst: The part of a minute's amount that may be sent at once. No minute admits more than
            `1 + burst` times the limit.
        clock: The source of time.
        shared: Limits shared with other processes (`RedisLimits`); without it they hold in this process.

    Raises:
        ConfigurationError: `burst` is not above 0 and at most 1.
    """

    def __init__(
        self, *, burst: float = 0.1, clock: Clock | None = None, shared: SharedLimits | None = None
    ) -> None:
        if not 0 < burst <= 1:
            raise ConfigurationError(f"burst={burst!r} must be above 0 and at most 1.")
        self.burst, self.clock, self._shared = burst, clock or Clock(), shared
        self._loop = LoopThread(self.clock)
        self._begin()
        forks.in_child(self._renew)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the settings: another process counts by itself."""
        return (_rebuild, (type(self), self.burst, self._shared))

    @property
    def shared(self) -> SharedLimits | None:
        """The limits that other processes draw from too, if there are some."""
        return self._shared

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._queues: dict[tuple[str, Limits], LimitQueue] = {}
        self._queues_by_target: dict[int, tuple[Target, tuple[LimitQueue, ...]]] = {}  # by identity
        self._quotas: dict[tuple[str, str], Quota] = {}  # by account and model

    def _renew(self) -> None:
        """Keep the levels in a forked child; requests that wait or are in flight are the parent's."""
        self._lock = threading.RLock()
        self._queues = {key: queue.renewed() for key, queue in self._queues.items()}
        self._queues_by_target = {}
        for quota in self._quotas.values():
            quota.renew()

    # -- for drivers -------------------------------------------------------------------------------

    def acquire(
        self, attempt: Attempt, request: ChatRequest | None = None, *, tokens: float = 0.0
    ) -> Permit | None:
        """Wait in this thread until `attempt` may be sent; None if nothing limits it.

        Args:
            attempt: The attempt; its deadline bounds the wait.
            request: The request, whose expected tokens are reserved.
            tokens: The tokens to reserve where there is no `request`.

        Raises:
            LimitTimeoutError: The limits do not admit it before the deadline.
        """
        if not self.limits(attempt.target):
            return None
        with self._queued(attempt, request, tokens) as permit:
            if permit is not None and permit.granted is not None:
                permit.granted.result()
        return permit

    async def aacquire(
        self, attempt: Attempt, request: ChatRequest | None = None, *, tokens: float = 0.0
    ) -> Permit | None:
        """Wait in this task until `attempt` may be sent; see `acquire`."""
        if not self.limits(attempt.target):
            return None
        with self._queued(attempt, request, tokens) as permit:
            if permit is not None and permit.granted is not None:
                await asyncio.wrap_future(permit.granted)
        return permit

    def apply_headers(self, target: Target, headers: Mapping[str, str]) -> None:
        """Apply rate-limit headers that report zero remaining: send nothing until the reset.

        Args:
            target: The target that responded.
            headers: The response's headers.
        """
        # A cheap look first.
        if not _ZERO_REMAINING.search("\n".join(chain.from_iterable(headers.items())).lower() + "\n"):
            return
        for state in target.vendor.limits(headers):
            if state.remaining == 0 and state.reset_after:
                self.close_for(target, state.reset_after)

    # -- for routing -------------------------------------------------------------------------------

    def tokens(self, target: Target, request: ChatRequest) -> float:
        """Return the tokens that `request` is expected to use on `target`; 0 if nothing limits them."""
        queues = self._queues_of(target)
        if not self.counts_tokens(target):
            return 0.0
        own = target.deployment.params
        if request.scopes is not None:
            most = requested(request, target.vendor, own).get("max_tokens")
        else:
            most = request.over(own, request.params).get("max_tokens")
        output = min(queues[0].output_tokens, most if most is not None else float("inf"))
        return _input_tokens(request) + output

    def ready_in(self, target: Target, tokens: float = 0.0) -> float:
        """Return the seconds until a request to `target` could be sent; 0.0 if it could now."""
        queues = self._queues_of(target)
        waits = [max(queue.paced_in(tokens), queue.slot_in()) for queue in queues]
        wait = max([self.closed_in(target), *waits])
        return wait if wait > _NEGLIGIBLE else 0.0

    def readiness(self, request: ChatRequest) -> Callable[[Target], float]:
        """Return `ready_in` for one request, whose tokens are counted at most once."""
        return _Readiness(self, request)

    def limits(self, target: Target) -> bool:
        """Return whether anything may limit requests to `target`."""
        return bool(target.limited or self._quotas)

    def counts_tokens(self, target: Target) -> bool:
        """Return whether the tokens of requests to `target` are limited."""
        return any(queue.counts_tokens for queue in self._queues_of(target))

    def headroom(self, target: Target) -> dict[str, float]:
        """Return what may be sent to `target` at once, by kind: `requests`, `tokens`, `concurrency`."""
        least: dict[str, float] = {}
        for queue in self._queues_of(target):
            for kind, left in queue.headroom().items():
                least[kind] = min(left, least.get(kind, left))
        return least

    def closed_in(self, target: Target) -> float:
        """Return the seconds for which the vendor accepts no requests to `target`."""
        quota = self._quotas.get((target.account, target.model))
        return quota.closed_in() if quota is not None else 0.0

    def close_for(self, target: Target, seconds: float) -> None:
        """Send nothing to the model on that account for `seconds`; a longer wait is not shortened."""
        self._quota(target).close_for(seconds)

    # -- life --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the private thread and forget what was used; a later attempt starts anew."""
        self._loop.close()
        self._begin()

    @contextmanager
    def _queued(
        self, attempt: Attempt, request: ChatRequest | None, tokens: float
    ) -> Iterator[Permit | None]:
        """Yield a permit, granted or queued (abandoned if the wait is interrupted); None without limits."""
        target = attempt.target
        queues = self._queues_of(target)
        if not queues and not self.closed_in(target):
            yield None
            return
        if request is not None:
            tokens = self.tokens(target, request)
        permit = Permit(attempt, queues, self._quota(target), tokens, self.clock)
        if permit.try_enter():
            yield permit
            return
        try:
            permit.enqueue()
            self._loop.post(self._start, permit, queues)
            yield permit
        except BaseException:  # cancellation and Ctrl-C included
            self._loop.post_if_started(permit.abandon)
            raise

    def _start(self, permit: Permit, queues: Sequence[LimitQueue]) -> None:
        if not permit.start():
            with self._lock:
                self._queues = {key: queue for key, queue in self._queues.items() if queue not in queues}
                self._queues_by_target.clear()

    def _quota(self, target: Target) -> Quota:
        key = (target.account, target.model)
        with self._lock:
            if key not in self._quotas:
                if len(self._quotas) >= _REMEMBERED:
                    self._quotas = {k: quota for k, quota in self._quotas.items() if quota.closed_in()}
                self._quotas[key] = Quota(self.clock)
            return self._quotas[key]

    def _queues_of(self, target: Target) -> tuple[LimitQueue, ...]:
        """Return the queues for `target`: its own, and that of its account."""
        known = self._queues_by_target.get(id(target))
        if known is not None and known[0] is target:
            return known[1]
        own, common = target.deployment, target.config
        name = f"{target.name}|{target.account}|{target.model}"
        with self._lock:
            self._forget_idle()
            found = (
                self._queue(name, Limits(own.rpm, own.tpm, own.max_concurrency)),
                self._queue(target.account, Limits(common.rpm, common.tpm)),
            )
            queues = tuple(queue for queue in found if queue is not None)
            self._queues_by_target[id(target)] = (target, queues)
        return queues

    def _queue(self, name: str, limits: Limits) -> LimitQueue | None:
        if limits == Limits():
            return None
        queue = self._queues.get((name, limits))
        if queue is None:
            post = self._loop.post_if_started
            queue = LimitQueue(name, limits, self.burst, self.clock, post, self._shared)
            self._queues[name, limits] = queue
        return queue

    def _forget_idle(self) -> None:
        if len(self._queues_by_target) >= _REMEMBERED:
            self._queues = {key: queue for key, queue in self._queues.items() if not queue.idle}
            self._queues_by_target.clear()


def _rebuild(cls: type[Limiter], burst: float, shared: SharedLimits | None) -> Limiter:
    return cls(burst=burst, shared=shared)


class _Readiness:
    """`Limiter.ready_in` for one request; a closure is seven objects in each call."""

    __slots__ = ("_limiter", "_request", "_tokens")

    def __init__(self, limiter: Limiter, request: ChatRequest) -> None:
        self._limiter, self._request = limiter, request
        self._tokens: float | None = None

    def __call__(self, target: Target) -> float:
        limiter = self._limiter
        if not limiter.limits(target):
            return 0.0
        if self._tokens is None and limiter.counts_tokens(target):
            self._tokens = limiter.tokens(target, self._request)
        return limiter.ready_in(target, self._tokens or 0.0)


def _input_tokens(request: ChatRequest) -> float:
    tools = sum(len(tool.description) + len(str(tool.parameters)) for tool in request.tools)
    output = len(str(request.output.schema)) if request.output is not None else 0
    return count_tokens_approximately(request.messages) + (tools + output) / 4
