"""Calls without a chat model, for tests of what is below it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import HumanMessage

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.observer import Observer, Observers
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.types import ChatRequest

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
        observers=Observers(*observers),
        send_checks=send_checks,
    )
    return Dispatch(call, rng=rng or random.Random(1), **fields)
