"""Limits: requests and tokens per minute and requests in flight, one budget for all threads and loops.

`Limiter` queues instead of refusing: first come, first served, bounded by the attempt's deadline. The waiting
is done on one private event loop, which starts when the first attempt has to wait; until then there is no
thread. Both drivers use it alike:

    permit = limiter.acquire(attempt, tokens)    # or await limiter.aacquire(attempt, tokens)
    with permit:                                 # gives back the slot, and settles by what was really used
        ...
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.limits.loop_thread import LoopThread
from langchain_llmdispatch.limits.permit import NEGLIGIBLE, Permit, no_room
from langchain_llmdispatch.limits.queue import Entry, LimitQueue, Limits, SharedLimits

if TYPE_CHECKING:
    from langchain_llmdispatch.deployments.target import Target
    from langchain_llmdispatch.dispatch.dispatch import Attempt
    from langchain_llmdispatch.types import ChatRequest

# A vendor's word on when to come back is believed up to this many seconds.
BELIEF = 300.0
# Gates that are remembered; idle ones go first, so that memory stays flat.
_REMEMBERED = 1024


class _Quota(NamedTuple):
    """What a vendor counts together: one model on one account."""

    account: str
    model: str


class Limiter:
    """The limits of one model, or of several that are handed the same object.

    Models share the budget of a deployment that has the same name, account, model and limits in each of them,
    and that of a vendor with the same key and limits.

    Args:
        burst: How much of a minute's budget may go at once, as a share of it. No minute admits more than
            `1 + burst` times the limit.
        clock: The source of time. A clock that is not the real one is slept on instead of waiting.
        shared: Budgets shared with other processes (`RedisLimits`); without it they are this process's own.

    Raises:
        ConfigurationError: `burst` is not above 0 and at most 1.
    """

    def __init__(
        self, *, burst: float = 0.1, clock: Clock | None = None, shared: SharedLimits | None = None
    ) -> None:
        if not 0 < burst <= 1:
            raise ConfigurationError(f"burst={burst!r} must be above 0 and at most 1.")
        self.burst, self.clock, self._shared = burst, clock or Clock(), shared
        self._loop = LoopThread(self.clock, self._renew)
        self._renew()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the settings: another process has budgets of its own."""
        return (_rebuild, (type(self), self.burst, self._shared))

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._gates: dict[tuple[str, Limits], LimitQueue] = {}
        self._ways: dict[int, tuple[Target, tuple[LimitQueue, ...]]] = {}  # by identity: the fast way
        self._closed: dict[_Quota, float] = {}

    # -- what drivers use --------------------------------------------------------------------------

    def acquire(self, attempt: Attempt, tokens: float = 0.0) -> Permit:
        """Wait in this thread until `attempt` may be sent.

        Args:
            attempt: What wants to go; its deadline bounds the wait.
            tokens: How many tokens it is expected to use (see `tokens`).

        Raises:
            LimitTimeoutError: There is no room before the deadline.
        """
        permit = self._permit(attempt, tokens)
        if permit is None:
            return Permit(self, attempt, (), _NOTHING)
        if permit.passed is not None:
            try:
                self._loop.post(permit.start)
                permit.passed.result()
            except BaseException:  # Ctrl-C included: what was taken goes back
                self._abandon(permit)
                raise
            permit.told()
        return permit

    async def aacquire(self, attempt: Attempt, tokens: float = 0.0) -> Permit:
        """Wait in this task until `attempt` may be sent; see `acquire`."""
        permit = self._permit(attempt, tokens)
        if permit is None:
            return Permit(self, attempt, (), _NOTHING)
        if permit.passed is not None:
            try:
                self._loop.post(permit.start)
                await asyncio.wrap_future(permit.passed)
            except BaseException:  # cancellation included: what was taken goes back
                self._abandon(permit)
                raise
            permit.told()
        return permit

    def tokens(self, target: Target, request: ChatRequest) -> float:
        """Return the tokens that `request` is expected to use on `target`; 0 where nobody limits them."""
        gates = self._way(target)
        if not gates or not any(gate.counts_tokens for gate in gates):
            return 0.0
        longest = request.params.get("max_tokens")
        output = min(gates[0].output_tokens, longest if longest is not None else float("inf"))
        return _input_tokens(request) + output

    # -- what routing asks -------------------------------------------------------------------------

    def ready_in(self, target: Target, tokens: float = 0.0) -> float:
        """Return the seconds until a request to `target` could go; 0.0 where nothing holds it back."""
        gates = self._way(target)
        wait = max([self.closed_in(target), *(max(g.paced_in(tokens), g.slot_in()) for g in gates)])
        return wait if wait > NEGLIGIBLE else 0.0

    def readiness(self, request: ChatRequest) -> Callable[[Target], float]:
        """Return `ready_in` for one request, whose tokens are counted at most once."""
        counted: list[float] = []

        def ready_in(target: Target) -> float:
            gates = self._way(target)
            if not gates and not self._closed:
                return 0.0
            tokens = 0.0
            if any(gate.counts_tokens for gate in gates):
                if not counted:
                    counted.append(self.tokens(target, request))
                tokens = counted[0]
            return self.ready_in(target, tokens)

        return ready_in

    def headroom(self, target: Target) -> dict[str, float]:
        """Return what may go to `target` at once, by kind: `requests`, `tokens`, `concurrency`."""
        room: dict[str, float] = {}
        for gate in self._way(target):
            for kind, left in gate.headroom().items():
                room[kind] = min(left, room.get(kind, left))
        return room

    def closed_in(self, target: Target) -> float:
        """Return the seconds that the vendor has told us to keep away from `target`."""
        if not self._closed:
            return 0.0
        until = self._closed.get(_Quota(target.account, target.model))
        return max(0.0, until - self.clock.monotonic()) if until is not None else 0.0

    # -- what vendors say --------------------------------------------------------------------------

    def heard(self, target: Target, headers: Mapping[str, str]) -> None:
        """Believe a response's headers where they say that nothing is left.

        Args:
            target: Who answered.
            headers: The response's headers.
        """
        if not _nothing_left(headers):
            return
        for state in target.vendor.limits(headers):
            if state.remaining == 0 and state.reset_after:
                self.close_for(target, state.reset_after)

    def close_for(self, target: Target, seconds: float) -> None:
        """Send nothing to the model on that account for so many seconds; a longer wait is not shortened."""
        quota, now = _Quota(target.account, target.model), self.clock.monotonic()
        with self._lock:
            if len(self._closed) >= _REMEMBERED:
                self._closed = {key: until for key, until in self._closed.items() if until > now}
            until = now + min(seconds, BELIEF)
            self._closed[quota] = max(until, self._closed.get(quota, 0.0))

    # -- life --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the private thread and forget what was used; a later attempt starts anew."""
        self._loop.close()
        self._renew()

    def forget(self, gates: Sequence[LimitQueue]) -> None:
        """Let no further attempt through these gates: they belong to a loop that has ended."""
        with self._lock:
            self._gates = {key: gate for key, gate in self._gates.items() if gate not in gates}
            self._ways.clear()

    def _permit(self, attempt: Attempt, tokens: float) -> Permit | None:
        """Return a permit that has passed, or one that has lined up, or None where nothing is limited."""
        target = attempt.target
        gates, closed = self._way(target), self.closed_in(target)
        if not gates and not closed:
            return None
        permit = Permit(self, attempt, gates, Entry(tokens, attempt.left()))
        if not closed and permit.try_pass():
            return permit
        wait = max([closed, *(gate.paced_in(tokens) for gate in gates)])
        if wait > attempt.left():
            raise no_room(wait, attempt.left())
        permit.line_up()
        return permit

    def _abandon(self, permit: Permit) -> None:
        permit.told()
        self._loop.post_if_started(permit.abandon)

    def _way(self, target: Target) -> tuple[LimitQueue, ...]:
        """Return the gates before `target`: its own, and that of its account."""
        found = self._ways.get(id(target))
        if found is not None and found[0] is target:
            return found[1]
        own, common = target.deployment, target.config
        name = f"{target.name}|{target.account}|{target.model}"
        with self._lock:
            self._forget_idle()
            gates = (
                self._gate(name, Limits(own.rpm, own.tpm, own.max_concurrency)),
                self._gate(target.account, Limits(common.rpm, common.tpm)),
            )
            way = tuple(gate for gate in gates if gate is not None)
            self._ways[id(target)] = (target, way)
        return way

    def _gate(self, name: str, limits: Limits) -> LimitQueue | None:
        if limits == Limits():
            return None
        gate = self._gates.get((name, limits))
        if gate is None:
            post = self._loop.post_if_started
            gate = LimitQueue(name, limits, self.burst, self.clock, post, self._shared)
            self._gates[name, limits] = gate
        return gate

    def _forget_idle(self) -> None:
        if len(self._ways) >= _REMEMBERED:
            self._gates = {key: gate for key, gate in self._gates.items() if not gate.idle}
            self._ways.clear()


_NOTHING = Entry(0.0, float("inf"))
_NOTHING_LEFT = re.compile(rb"ratelimit[^\n]*\n(?:0\n|[^\n]*r=0)")


def _rebuild(cls: type[Limiter], burst: float, shared: SharedLimits | None) -> Limiter:
    return cls(burst=burst, shared=shared)


def _nothing_left(headers: Mapping[str, str]) -> bool:
    """Return whether any header looks like "0 remaining": cheap, so that vendors read only those."""
    raw = getattr(headers, "raw", None)  # httpx has them as bytes, and decodes them at ten times the cost
    if raw is None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return _NOTHING_LEFT.search(b"\n".join(chain.from_iterable(raw)).lower() + b"\n") is not None


def _input_tokens(request: ChatRequest) -> float:
    from langchain_core.messages.utils import count_tokens_approximately  # noqa: PLC0415 - only with limits

    tools = sum(len(tool.description) + len(str(tool.parameters)) for tool in request.tools)
    output = len(str(request.output.schema)) if request.output is not None else 0
    return count_tokens_approximately(request.messages) + (tools + output) / 4
