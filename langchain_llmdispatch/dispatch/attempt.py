"""One request to one deployment: what happens while it is open, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from pydantic import SecretStr
from tenacity import RetryCallState

from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.catalog.terms import Terms
from langchain_llmdispatch.deployments.secrets import secrets_of
from langchain_llmdispatch.dispatch.call_state import CallState, DeclinedAnswer, TargetState
from langchain_llmdispatch.dispatch.error_secrets import cleanse, forget_variables
from langchain_llmdispatch.dispatch.hedging import LostRaceError
from langchain_llmdispatch.dispatch.paused import PausedAnswer
from langchain_llmdispatch.dispatch.resume import caused, interrupted
from langchain_llmdispatch.errors import (
    AttemptTimeoutError,
    DeadlineExceededError,
    DispatchError,
    PendingAnswerError,
)
from langchain_llmdispatch.types import AttemptRecord, Change
from langchain_llmdispatch.vendors.redaction import hidden, parameter_secrets

_OK = 200
NEVER_ARRIVED = frozenset({"connect", "pool"})
"""Codes of errors of requests that did not reach a server."""


class Attempt:
    """One request to one deployment: a context manager that records how it ended.

    Args:
        call: The call that it belongs to.
        candidate: Its target's state within the call.
        number: Its place in the call, from 1.
        delay: Seconds to wait before sending.
        retry: Tenacity's state if it repeats the deployment that just failed, else None.
        fallback: Whether it goes to another deployment than the attempt before it.
        hedge: Whether it is sent while an earlier one is still open.

    Attributes:
        target: Where it goes.
        deadline: When the whole call ends at the latest, in the clock's monotonic seconds.
        times: The time limits that hold for its target.
        error: What it ended with, or None.
        record: Its record; None until it is over.
        changes: What was altered so that the request fits the target.
        status: The HTTP status of its response, or None.
        request_id: The vendor's id for the request, or None.
        token: What the deployment's `api_key` function has returned for it, or None.
        committed: Whether content has been handed to the caller.
        chunks: What has been handed to the caller.
        unseen: What has arrived and is held back from the caller.
        paused_turn: Whether its answer was paused by the vendor, and another request is to continue it.
        outdated: Whether it went on from an answer that its vendor had stored, and that is gone.
        lost: Whether another request of the call answered first (see `Race`).
        apart: The terms on which its answer was sold apart from live calls, with a vendor's batch, so that
            its latency means nothing; None for a live call.
        crash: The exception that it ended with where that is no `DispatchError`: of code that was handed in,
            or a bug of this package.
        usage: What the vendor reports as used, also by an answer that was rejected; None if unknown.
        partial: Whether `usage` was reported before the answer broke off: more may have been used.
        cost: What the vendor bills: the cost of `usage`, or an estimate where it was left, cut or timed out;
            None if it was refused or did not arrive, or nothing is known.
        cache_miss: The warm prompt cache that its answer did not read (`CacheMiss`), or None.
        waited: Seconds slept or queued before sending.
        throttled: Seconds of them spent waiting for our own limits.
        latency: Seconds from sending to the end, without `paused`.
        paused: Seconds in which the reader of its stream did something else.
        ttft: Seconds from sending to the first streamed content, or None.
        ended_at: When it ended, in the clock's monotonic seconds.
    """

    partial = committed = lost = paused_turn = outdated = False
    changes: Sequence[Change] = ()
    unseen: Sequence[BaseMessage] = ()
    apart: Terms | None = None
    usage: UsageMetadata | None = None
    cost: Cost | None = None
    cache_miss: Any = None
    error: DispatchError | None = None
    crash: Exception | None = None
    record: AttemptRecord | None = None
    status: int | None = None
    request_id: str | None = None
    token: SecretStr | None = None
    waited = throttled = latency = paused = ended_at = 0.0
    ttft: float | None = None
    _sent_at: float | None = None
    _first_at: float | None = None
    _over = False
    _declined: Callable[[], list[Any]] | None = None

    def __init__(
        self,
        call: CallState,
        candidate: TargetState,
        number: int,
        delay: float = 0.0,
        *,
        retry: RetryCallState | None = None,
        fallback: bool = False,
        hedge: bool = False,
    ) -> None:
        self.call, self.candidate, self.target = call, candidate, candidate.target
        self.number, self.delay, self.retry = number, delay, retry
        self.fallback, self.hedge = fallback, hedge
        self.deadline = call.deadline
        target, times = candidate.target, call.policy.times
        self.times = target.limits(times) if target.timeouts else times
        self.chunks: list[AIMessageChunk] = []
        self._opened_at = call.clock.monotonic()

    @property
    def sent(self) -> bool:
        """Whether a request left the process."""
        return self._sent_at is not None

    @property
    def refused(self) -> bool:
        """Whether the vendor responded with an error status."""
        return self.status not in {None, _OK}

    @property
    def pending(self) -> bool:
        """Whether its vendor goes on with its answer, which another call takes up, and pays for."""
        return isinstance(self.error, PendingAnswerError) and not self.call.request.cancel_at_deadline

    @property
    def begun(self) -> bool:
        """Whether content has arrived."""
        return self._first_at is not None

    @property
    def declined(self) -> bool:
        """Whether its answer was whole, but not accepted (see `Cascade`)."""
        return self._declined is not None

    @property
    def accepted(self) -> bool:
        """Whether its answer is the call's, once it is over."""
        return self.error is None and not (self.declined or self.paused_turn or self.lost)

    @property
    def may_continue(self) -> bool:
        """Whether the call has a request and time left to continue an answer that its vendor paused."""
        return self.call.sent < self.call.policy.max_attempts and self.left() > 0

    @property
    def last_resort(self) -> bool:
        """Whether no other deployment is left to try, but for those with an open breaker."""
        return self.candidate.last_resort > 0 or not self.call.others(self.candidate)

    def left(self) -> float:
        """Return the seconds until the call's deadline."""
        return self.deadline - self.call.clock.monotonic()

    def secrets(self) -> Iterator[str]:
        """Yield what no error and no recording may show: keys, headers, tokens in parameters."""
        if self.token is not None:
            yield self.token.get_secret_value()
        yield from secrets_of(self.target)
        request = self.call.request
        own, scopes = self.target.deployment.params, request.scopes
        scoped = () if scopes is None else (scopes.model, scopes.call)
        for part in (request.extra, request.server_tools, request.params, own, *scoped):
            if part:
                yield from parameter_secrets(part)

    # -- while it is open --------------------------------------------------------------------------

    def send(self) -> None:
        """Record that the request leaves the process now.

        Raises:
            DeadlineExceededError: There is no time left to send it.
            BreakerOpenError: Its deployment's breaker is open, and another deployment is left.
            BudgetExceededError: Its worst-case cost does not fit what is left of a budget.
            LostRaceError: Another request of the call has answered meanwhile.
        """
        call = self.call
        if self.left() <= 0:
            raise DeadlineExceededError("the call's deadline has passed", deployment=self.target.name)
        with call.lock:
            if self.record is not None:
                raise LostRaceError
            for check in call.send_checks:
                check(self)
            self._sent_at = call.clock.monotonic()
            call.sent += 1
            if self.number > 1:
                for repeated in call.observers.repeated:
                    repeated(self)
            for started in call.observers.started:
                started(self)

    def answered(self, status: int, request_id: str | None) -> None:
        """Record the head of the response."""
        self.status, self.request_id = status, request_id

    def content(self) -> None:
        """Record that content has arrived; only the first time counts."""
        if self._first_at is None:
            self._first_at = self.call.clock.monotonic()

    def claim(self) -> None:
        """Make this the request that answers the call, if several are open.

        Raises:
            LostRaceError: Another one has answered already.
        """
        if self.record is not None:
            raise LostRaceError
        if self.call.race is not None:
            self.call.race.claim(self)

    def decline(self, outputs: Callable[[], list[Any]]) -> None:
        """Record that its whole answer is not accepted, before `succeed`.

        Args:
            outputs: Builds what the caller gets if no better answer comes.
        """
        self._declined = outputs

    def suspend(self, paused: PausedAnswer) -> None:
        """Record that its answer is continued by another request, before `succeed`."""
        self.call.paused, self.paused_turn = paused, True

    def pause(self, seconds: float) -> None:
        """Leave out seconds in which the caller, who reads the stream, did not wait for it."""
        self.paused += seconds
        self.deadline += seconds
        self.call.deadline += seconds

    # -- its end -----------------------------------------------------------------------------------

    def succeed(self) -> None:
        """Record that the answer is whole.

        Raises:
            LostRaceError: Another request of the call has answered meanwhile.
        """
        self.claim()
        if self.call.warmth is not None:
            self.cache_miss = self.call.warmth.answered(self)
        self.record = self._recorded(None)
        self._end(self.record)

    def lose(self) -> None:
        """Record that another request of the call answered first."""
        self._close(LostRaceError())

    def fail(self, error: DispatchError) -> None:
        """Record how it ended, before its `with` does."""
        self._close(error)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Record the outcome; swallow a `DispatchError`, which the policy decides upon."""
        return self.record is None and self._close(error) and self.error is not None

    def _close(self, error: BaseException | None) -> bool:
        """Record the outcome, once, and return whether that was now."""
        with self.call.lock:
            if self.record is not None:
                return False
            if error is not None:
                forget_variables(error)
            if isinstance(error, DispatchError):
                self.error = self._completed(error)
            elif isinstance(error, Exception) and not isinstance(error, LostRaceError):
                self.crash = error
            self.lost = isinstance(error, LostRaceError)
            if self._sent_at is not None and (self.cost is None or self.partial):
                self._estimate()
            self.record = self._recorded(error)
        self._end(self.record)
        return True

    def _end(self, record: AttemptRecord) -> None:
        call = self.call
        with call.lock:
            if self._sent_at is not None:
                call.records = (*call.records, record)
            if self.cost is not None:
                call.costs = (*call.costs, self.cost)
            if self.error is not None:
                call.errors = (*call.errors, self.error)
                call.delivered = (*call.delivered, *self.chunks)
            if self._declined is not None:
                declined = DeclinedAnswer(self.target, record, self.usage, self.cost, self._declined)
                call.declined = (*call.declined, declined)
            for ended in call.observers.ended:
                ended(self)
            self._over = True
            if self.accepted:
                self._finish(answered=record.error is None)

    def _finish(self, *, answered: bool) -> None:
        """End the call with this attempt."""
        if answered:
            self.call.finish("answered", self)
        elif self.crash is not None:
            self.call.failure = self.crash
            self.call.finish("crashed")
        else:
            self.call.finish("abandoned")

    def __del__(self) -> None:
        """Record the end of an attempt that an interrupt left unrecorded, or recorded in part."""
        if self._sent_at is not None and not self._over:
            with suppress(Exception):
                self.record = self.record or self._recorded(None)
                self._end(self.record)

    def _estimate(self) -> None:
        """Set the cost by estimate, where the vendor has read the request and did not report what it used."""
        unread = self.refused or self.pending or getattr(self.error, "code", None) in NEVER_ARRIVED
        if self.call.estimate is not None and not unread:
            with suppress(Exception):  # an odd request has no estimate; its own error is the one to raise
                self.cost = self.call.estimate(self)

    def _completed(self, error: DispatchError) -> DispatchError:
        """Return an error with everything that is known of it, and without what must not be shown."""
        secrets = list(self.secrets())
        cleanse(error, secrets)
        if self.request_id is not None:
            self.request_id = hidden(self.request_id, *secrets)
        if isinstance(error, AttemptTimeoutError) and self.left() <= 0:
            error = caused(DeadlineExceededError(f"the call's deadline has passed: {error.message}"), error)
        error.vendor = error.vendor or self.target.vendor.name
        error.deployment = error.deployment or self.target.name
        error.request_id = error.request_id or self.request_id
        if error.status_code is None and self.refused:
            error.status_code = self.status
        if not self.committed:
            return error
        before = self.call.paused.delivered if self.call.paused is not None else ()
        return interrupted(error, [*before, *self.call.delivered, *self.chunks])

    def _recorded(self, error: BaseException | None) -> AttemptRecord:
        now, opened, sent, first = self.call.clock.monotonic(), self._opened_at, self._sent_at, self._first_at
        status, request_id, shown = self.status, self.request_id, self.error or error
        if shown is not None:
            status = getattr(shown, "status_code", None) if status is None else status
            request_id = request_id or getattr(shown, "request_id", None)
        self.ended_at = now
        self.waited = (now if sent is None else sent) - opened
        self.latency = 0.0 if sent is None else now - sent - self.paused
        self.ttft = None if first is None or sent is None else first - sent
        return AttemptRecord(
            vendor=self.target.vendor.name,
            model=self.target.model,
            deployment=self.target.name,
            status=status,
            error=type(shown).__name__ if shown is not None else None,
            wait_ms=max(0, round(self.waited * 1000)),
            latency_ms=max(0, round(self.latency * 1000)),
            ttft_ms=None if self.ttft is None else max(0, round(self.ttft * 1000)),
            request_id=request_id,
            started_ms=max(0, round((opened - self.call.started) * 1000)),
            cost_usd=_dollars(self.cost),
        )


def _dollars(cost: Cost | None) -> str | None:
    return None if cost is None or cost.usd is None else format(cost.usd, "f")
