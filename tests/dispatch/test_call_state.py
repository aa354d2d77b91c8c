"""`CallState`: what the attempts of a call share."""

from __future__ import annotations

from langchain_llmdispatch import errors
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.observer import Observers
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import HELLO
from tests.cases import each
from tests.targets import target, targets


def state(fleet: tuple[Target, ...], policy: CallPolicy | None = None, **fields: object) -> CallState:
    """Return the state of a call that begins at 100 s."""
    clock = FakeClock()
    clock.advance(100.0 - clock.monotonic())
    return CallState(HELLO, fleet, policy or CallPolicy(), clock, **fields)


def test_it_begins_now_and_ends_with_its_deadline() -> None:
    """Both in the clock's seconds; without a deadline it never ends by itself."""
    bounded = state(targets("a"), CallPolicy(times=TimeLimits(deadline=5.0)))
    assert (bounded.started, bounded.deadline) == (100.0, 105.0)
    assert state(targets("a"), CallPolicy(times=TimeLimits(deadline=None))).deadline == float("inf")


def test_candidates_are_ready_after_their_waits() -> None:
    """At once, if no waits are given."""
    assert [c.ready_at for c in state(targets("a", "b"), waits=(0.0, 7.0)).candidates] == [100.0, 107.0]
    assert [c.ready_at for c in state(targets("a", "b")).candidates] == [100.0, 100.0]


def test_others_may_be_tried_while_they_are_alive_and_have_tries_left() -> None:
    """A candidate that lost races has as many tries as one that failed."""
    call = state(targets("a", "b", "c"))
    a, b, c = call.candidates
    assert call.others(a) == [b, c]
    b.alive, c.tries = False, 2
    assert call.others(a) == [c]
    c.tries = 3
    assert call.others(a) == []


def test_targets_with_the_same_key_and_address() -> None:
    """Other keys, other vendors and other headers are different accounts."""
    fleet = (
        target("a"),
        target("same"),
        target("other key", api_key="k-other"),
        target("other vendor", "anthropic:claude-haiku-5-5"),
        target("other headers", headers={"x": "1"}),
    )
    assert [each.name for each in state(fleet).keyed_like(fleet[0])] == ["same"]


def test_a_call_finishes_once() -> None:
    """Observers are notified of the first outcome only."""
    outcomes: list[str | None] = []

    class Observer:
        def finished(self, call: CallState, answer: object) -> None:
            outcomes.append(call.outcome)

    call = state(targets("a"), observers=Observers(Observer()))
    call.finish("failed")
    call.finish("answered", object())
    assert (call.outcome, outcomes) == ("failed", ["failed"])


@each(
    ("failed", "other", "error", "may"),
    [
        ("openai:gpt-5.4-mini", "openai:gpt-6.1-terra", errors.ContextOverflowError("x"), True),
        ("openai:gpt-5.4-mini", "openai:gpt-5.4-nano", errors.ContextOverflowError("x"), False),
        ("openai:gpt-5.4-mini", "openai:unknown", errors.ContextOverflowError("x"), True),
        ("openai:gpt-5.4-mini", "openai:gpt-5.4-nano", errors.SpliceError("x"), False),
        ("openai:gpt-5.4-mini", "anthropic:claude-haiku-4-5", errors.SpliceError("x"), True),
        ("openai:gpt-5.4-mini", "openai:gpt-5.4-nano", errors.ServerError("x"), True),
    ],
)
def test_which_targets_may_follow_an_error(
    failed: str, other: str, error: errors.DispatchError, may: bool
) -> None:
    """An overflow needs a larger window, an answer that could not be joined needs prefill."""
    first, second = state((target("a", failed), target("b", other))).candidates
    assert second.may_follow(first, error) is may
