"""The state of one call, shared by its `Dispatch` and its attempts, and read by observers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from threading import RLock
from typing import Any, Literal, NamedTuple, TypeAlias

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.hedging import Race
from langchain_llmdispatch.dispatch.observer import Observers
from langchain_llmdispatch.dispatch.paused import PausedAnswer
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.errors import ContextOverflowError, DispatchError, SpliceError
from langchain_llmdispatch.types import AttemptRecord, ChatRequest

CallOutcome: TypeAlias = Literal["answered", "failed", "abandoned", "crashed"]
"""How a call ends.

`abandoned`: the caller left. `crashed`: an exception that is no `DispatchError`: of code that was handed in,
or a bug.
"""
SendCheck: TypeAlias = Callable[[Any], None]
"""Called with an attempt right before its request leaves; raises a `DispatchError` to keep it back."""
CostEstimate: TypeAlias = Callable[[Any], Cost]
"""Called with an attempt whose request was sent and not refused."""

_FOREVER = float("inf")
_NO_OBSERVERS = Observers()


@dataclass(slots=True)
class TargetState:
    """The state of one target within one call.

    Attributes:
        target: The target.
        rank: Its place in the order of preference, from 0.
        ready_at: When it may be tried again, in the clock's monotonic seconds.
        tries: How many attempts it has had.
        alive: Whether it may be tried again in this call.
        last_resort: 0: it is none; 1: its breaker is open; 2: its key was refused in this call. Those
            above 0 are tried when no other target is left, in this order.
        whole_history: It gets the whole history, since an answer that it had stored is gone.
    """

    target: Target
    rank: int
    ready_at: float
    tries: int = 0
    alive: bool = True
    last_resort: int = 0
    whole_history: bool = False

    def may_follow(self, failed: TargetState, error: DispatchError) -> bool:
        """Return whether this target may succeed after an error of another one.

        An overflow needs a larger context window; an answer that could not be joined, support of prefill.
        """
        ours, theirs = self.target.facts, failed.target.facts
        if isinstance(error, ContextOverflowError):
            sizes = ours.context_window, theirs.context_window
            return sizes[0] is None or sizes[1] is None or sizes[0] > sizes[1]
        return ours.prefill or not isinstance(error, SpliceError)


class DeclinedAnswer(NamedTuple):
    """A whole answer that a cascade did not accept.

    Attributes:
        target: The target that gave it.
        record: Its attempt's record.
        usage: What the vendor reports as used, or None.
        cost: The cost of `usage`, or None.
        outputs: Builds what the caller gets if no better answer comes, with the facts of the call by then.
    """

    target: Target
    record: AttemptRecord
    usage: UsageMetadata | None
    cost: Cost | None
    outputs: Callable[[], list[Any]]


class CallState:
    """One call: its inputs, and what has happened so far.

    Args:
        request: The request.
        targets: The targets to try, in order of preference.
        policy: What bounds the call.
        clock: The source of time.
        waits: Seconds until each target may be tried, in their order; empty if all may be now.
        last_resorts: How many of the last targets have an open breaker.
        thread: The conversation's id, or None.
        observers: Notified of attempts and of the call's end.
        send_checks: Called in order right before each request leaves.
        estimate: Returns the cost of a request whose vendor did not report its usage, or None.
        budget: What the call may spend (`CallBudget`), or None.
        warmth: What prompt caches hold of the call's thread (`Warmth`), or None.
        first_choice: The first target in configured order, whatever the strategy; None if it is not known.
        left_out: The deployments that cannot serve the call: name, kind and reason of each.

    Attributes:
        started: When it began, in the clock's monotonic seconds.
        deadline: When it ends at the latest, in the clock's monotonic seconds.
        candidates: The state of each target.
        sent: How many requests have left the process.
        records: Records of these requests, in the order of their ends.
        errors: Errors of the attempts, in order.
        costs: Costs of the requests whose vendors reported their usage.
        delivered: Chunks that the caller has of streams that broke.
        declined: Whole answers that the cascade did not accept.
        paused: What has come of an answer that its vendor paused; None if it did not.
        retries_refused: Retries that were not made because the retry quota was used up.
        race: The requests that are open at once while one is hedged; else None.
        outcome: None until the call is over.
        failure: The error that the call ended with, if it failed or crashed.
        lock: Held while an attempt is sent or ends: hedged ones do so in several threads.
    """

    sent = retries_refused = 0
    # Replaced, not extended: the garbage collector looks at each list of each call that waits.
    records: Sequence[AttemptRecord] = ()
    errors: Sequence[DispatchError] = ()
    costs: Sequence[Cost] = ()
    delivered: Sequence[AIMessageChunk] = ()
    declined: Sequence[DeclinedAnswer] = ()
    paused: PausedAnswer | None = None
    race: Race | None = None
    outcome: CallOutcome | None = None
    failure: Exception | None = None

    def __init__(
        self,
        request: ChatRequest,
        targets: Sequence[Target],
        policy: CallPolicy,
        clock: Clock,
        *,
        waits: Sequence[float] = (),
        last_resorts: int = 0,
        thread: str | None = None,
        observers: Observers = _NO_OBSERVERS,
        send_checks: Sequence[SendCheck] = (),
        estimate: CostEstimate | None = None,
        budget: Any = None,
        first_choice: Target | None = None,
        warmth: Any = None,
        left_out: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        self.request, self.policy, self.clock, self.thread = request, policy, clock, thread
        self.observers, self.send_checks, self.estimate = observers, send_checks, estimate
        self.budget, self.first_choice, self.warmth = budget, first_choice, warmth
        self.left_out = left_out
        self.started = started = clock.monotonic()
        seconds = policy.times.deadline
        self.deadline = _FOREVER if seconds is None else started + seconds
        ready = zip(targets, waits or repeat(0.0), strict=False)
        self.candidates = [
            TargetState(target, rank, started + wait) for rank, (target, wait) in enumerate(ready)
        ]
        if last_resorts:
            for state in self.candidates[-last_resorts:]:
                state.last_resort = 1
        self.lock = RLock()

    def others(self, current: TargetState) -> list[TargetState]:
        """Return the other targets that may be tried; one that lost a race, as often as one that failed."""
        most = self.policy.retries.max_retries
        return [c for c in self.candidates if c.alive and c is not current and c.tries <= most]

    def keyed_like(self, target: Target) -> list[Target]:
        """Return the call's other targets that send the same key to the same address."""
        others = [candidate.target for candidate in self.candidates]
        return [other for other in others if other is not target and _same_key(other, target)]

    def finish(self, outcome: CallOutcome, answer: Any = None) -> None:
        """Set the outcome, once, and notify the observers.

        Args:
            outcome: How the call ended.
            answer: The attempt (`Attempt`) whose answer is the call's, or None.
        """
        if self.outcome is None:
            self.outcome = outcome
            for finished in self.observers.finished:
                finished(self, answer)
            if outcome in {"failed", "crashed"}:
                for failed in self.observers.failed:
                    failed(self)


def _same_key(one: Target, other: Target) -> bool:
    ours, theirs = one.endpoint, other.endpoint
    keyed = ours.api_key is not None and ours.token_provider is None and theirs.token_provider is None
    return keyed and one.account == other.account and ours.headers == theirs.headers
