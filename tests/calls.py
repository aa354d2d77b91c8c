"""Calls without a chat model, for tests of what is below it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_llmdispatch import errors
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.observer import Observer, Observers
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import ChatRequest, TimeLimits

OK = None
HELLO = ChatRequest([HumanMessage("hello")])


def dispatch_of(
    targets: Sequence[Target],
    policy: CallPolicy | None = None,
    *,
    clock: Clock,
    request: ChatRequest = HELLO,
    rng: random.Random | None = None,
    observers: Sequence[Observer] = (),
    waits: Sequence[float] = (),
    last_resorts: int = 0,
    send_checks: Sequence[Callable[[Attempt], None]] = (),
    **fields: Any,
) -> Dispatch:
    """Return the attempts of a call; `fields` are further arguments of `Dispatch`."""
    call = CallState(
        request,
        targets,
        policy or CallPolicy(),
        clock,
        waits=waits,
        last_resorts=last_resorts,
        observers=Observers(*observers),
        send_checks=send_checks,
    )
    return Dispatch(call, rng=rng or random.Random(1), **fields)


@dataclass
class Walk:
    """A walk through a call's attempts in virtual time.

    Attributes:
        answers: Per deployment, the errors that its attempts raise; `OK` for an answer. The last one repeats.
        policy: What bounds the call.
        seconds: How long each request takes.
        clock: The source of time.
        tried: The deployments that a request was sent to, in order.
        delays: The delay of each attempt.
        failure: The final error.
        dispatch: The attempts.
    """

    answers: dict[str, list[errors.DispatchError | None]]
    policy: CallPolicy = field(default_factory=CallPolicy)
    seconds: float = 1.0
    clock: FakeClock = field(default_factory=FakeClock)
    tried: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    failure: errors.DispatchError | None = None
    dispatch: Dispatch | None = None

    def run(self, models: Sequence[Target], *, last_resorts: int = 0) -> Walk:
        """Walk until an answer or the final error."""
        self.dispatch = dispatch_of(
            models, self.policy, clock=self.clock, rng=random.Random(7), last_resorts=last_resorts
        )
        try:
            for attempt in self.dispatch.attempts():
                with attempt:
                    self.delays.append(attempt.delay)
                    self.clock.sleep(attempt.delay)
                    attempt.send()
                    self.tried.append(attempt.target.name)
                    self.clock.sleep(self.seconds)
                    script = self.answers.get(attempt.target.name, [OK])
                    answer = script.pop(0) if len(script) > 1 else script[0]
                    if answer is not None:
                        raise answer
                    attempt.succeed()
        except errors.DispatchError as error:
            self.failure = error
        return self


def steady(**fields: object) -> CallPolicy:
    """Return a policy without jitter."""
    retries = RetryPolicy(jitter=False, **fields.pop("retries", {}))
    times = TimeLimits(**fields.pop("times", {}))
    return CallPolicy(retries=retries, times=times, **fields)
