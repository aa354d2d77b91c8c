"""`Dispatch` in virtual time: its attempts are walked without a client, a loop or a real clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import OK, Walk, dispatch_of, steady


def targets(*models: str) -> list[Target]:
    """Return targets on OpenAI, one per model name."""
    resolver = Resolver(VendorTable(), {}, {"OPENAI_API_KEY": "sk-test", "ANTHROPIC_API_KEY": "sk-test"})
    return [resolver.target(Deployment(f"openai:{model}", name=model)) for model in models]


def test_transient_errors_are_retried_with_growing_waits_then_fall_back() -> None:
    """A 503 is retried twice on the same deployment, after 0.5 and 1 s, before the next one is tried at once."""
    walk = Walk({"a": [errors.ServerError("x")]}, steady()).run(targets("a", "b"))
    assert walk.tried == ["a", "a", "a", "b"]
    assert walk.delays == [0, 0.5, 1.0, 0]
    assert walk.failure is None


def test_after_a_rate_limit_the_deployment_that_is_available_sooner_is_tried() -> None:
    """A 429 with Retry-After sends the call to the free deployment at once."""
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=9)]}, steady()).run(targets("a", "b"))
    assert (walk.tried, walk.delays) == (["a", "b"], [0, 0])


def test_a_rate_limit_of_the_only_deployment_is_waited_for() -> None:
    """With one deployment the vendor's Retry-After is slept, exactly."""
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=9), OK]}, steady()).run(targets("a"))
    assert (walk.tried, walk.delays) == (["a", "a"], [0, 9])


def test_rate_limited_deployments_are_tried_again() -> None:
    """When all are rate limited, the one that is available first is tried again."""
    script = {
        "a": [errors.RateLimitError("x", retry_after=30), OK],
        "b": [errors.RateLimitError("x", retry_after=5), OK],
    }
    walk = Walk(script, steady()).run(targets("a", "b"))
    assert walk.tried == ["a", "b", "b"]


def test_a_timeout_is_not_repeated_while_another_is_left() -> None:
    """After a timeout the other deployment goes first, then the timed-out one once more."""
    late = errors.AttemptTimeoutError("late")
    walk = Walk({"a": [late], "b": [errors.InvalidRequestError("x")]}, steady()).run(targets("a", "b"))
    assert walk.tried == ["a", "b"]
    alone = Walk({"a": [late, OK]}, steady()).run(targets("a"))
    assert alone.tried == ["a", "a"]


@pytest.mark.parametrize(
    "error",
    [
        errors.AuthenticationError("x"),
        errors.PermissionDeniedError("x"),
        errors.ModelNotFoundError("x"),
        errors.QuotaExceededError("x"),
        errors.UnsupportedParameterError("x"),
        errors.ForeignSignatureError("x"),
    ],
)
def test_errors_of_one_deployment_fall_back_without_retry(error: errors.DispatchError) -> None:
    """Keys, models, money and target-specific refusals are not retried, but others are tried."""
    assert Walk({"a": [error]}, steady()).run(targets("a", "b")).tried == ["a", "b"]


@pytest.mark.parametrize("error", [errors.InvalidRequestError("x"), errors.ContentFilterError("x")])
def test_the_callers_errors_are_neither_retried_nor_sent_elsewhere(error: errors.DispatchError) -> None:
    """A 400 is raised as it is, with the attempt on it."""
    walk = Walk({"a": [error]}, steady()).run(targets("a", "b"))
    assert walk.tried == ["a"]
    assert walk.failure is error
    assert [record.error for record in error.attempts] == [type(error).__name__]


def test_context_overflow_goes_only_to_larger_windows() -> None:
    """An overflow skips deployments whose window is known to be no larger."""
    small, same, large = targets("gpt-5.4-mini", "gpt-5.4-nano", "gpt-6.1-terra")
    assert large.facts.context_window > small.facts.context_window
    walk = Walk({small.name: [errors.ContextOverflowError("x")]}, steady()).run([small, same, large])
    assert walk.tried == [small.name, large.name]


def test_all_failed_carries_every_error_in_order() -> None:
    """The final error holds all errors and records, and is LangChain's class where all agree."""
    script = {"a": [errors.RateLimitError("1")], "b": [errors.RateLimitError("2")]}
    walk = Walk(script, steady(retries={"max_retries": 0})).run(targets("a", "b"))
    failure = walk.failure
    assert isinstance(failure, errors.AllDeploymentsFailedError)
    assert isinstance(failure, errors.core.ModelRateLimitError)
    assert [str(e) for e in failure.errors] == ["a: 1", "b: 2"]
    assert [r.deployment for r in failure.attempts] == ["a", "b"]
    assert failure.is_retryable is False
    assert failure.__cause__ is failure.errors[-1]


def test_a_retry_never_takes_the_last_attempt_of_an_untried_deployment() -> None:
    """With three attempts for three deployments each gets one."""
    down = [errors.ServerError("x")]
    walk = Walk({"a": down, "b": down, "c": [OK]}, steady(max_attempts=3)).run(targets("a", "b", "c"))
    assert walk.tried == ["a", "b", "c"]


def test_nothing_is_slept_after_the_last_attempt() -> None:
    """The call ends with its last request, not with a wait."""
    walk = Walk({"a": [errors.ServerError("x")]}, steady(max_attempts=2)).run(targets("a"))
    assert len(walk.tried) == 2
    assert walk.clock.monotonic() == pytest.approx(1 + 0.5 + 1)


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    """Retry-After beyond the deadline ends the call at once."""
    policy = steady(times={"deadline": 10.0})
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=30)]}, policy).run(targets("a"))
    assert walk.clock.monotonic() == 1
    assert isinstance(walk.failure, errors.core.ModelRateLimitError)


def test_a_bug_passes_through_and_counts_against_no_deployment() -> None:
    """An exception that is not ours ends the call untouched, after one attempt."""
    dispatch = dispatch_of(targets("a", "b"), steady(), clock=FakeClock())
    tried = []
    with pytest.raises(ZeroDivisionError):
        for attempt in dispatch.attempts():
            with attempt:
                attempt.send()
                tried.append(attempt.target.name)
                _ = 1 / 0
    assert tried == ["a"]
    assert dispatch.call.errors == []


def test_no_deployment_is_a_clear_error() -> None:
    """An empty plan raises before anything is sent."""
    with pytest.raises(errors.NoDeploymentError):
        next(dispatch_of([], steady(), clock=FakeClock()).attempts())


def test_no_deployment_is_waited_for_beyond_the_deadline() -> None:
    """Where the only deployment cools down for longer than the call has, the call ends at once."""
    clock, policy = FakeClock(), steady(times={"deadline": 10.0})
    dispatch = dispatch_of(targets("a"), policy, clock=clock, waits=(40.0,))
    with pytest.raises(errors.DeadlineExceededError) as raised:
        next(dispatch.attempts())
    assert (dispatch.call.outcome, clock.slept, raised.value.retry_after) == ("failed", [], 40.0)


_FAILURES = st.sampled_from(
    [
        None,
        errors.ServerError,
        errors.RateLimitError,
        errors.AttemptTimeoutError,
        errors.AuthenticationError,
        errors.ConnectionFailedError,
        errors.EmptyAnswerError,
        errors.ContextOverflowError,
    ]
)


@given(
    script=st.lists(st.lists(_FAILURES, min_size=1, max_size=6), min_size=1, max_size=4),
    waits=st.lists(st.one_of(st.none(), st.floats(0, 90)), min_size=1, max_size=5),
    bound=st.integers(1, 8),
    deadline=st.floats(1, 120),
    seconds=st.floats(0, 20),
)
def test_every_call_is_bounded(
    script: list[list[type[errors.DispatchError] | None]],
    waits: list[float | None],
    bound: int,
    deadline: float,
    seconds: float,
) -> None:
    """No fault schedule sends more than `max_attempts`, or begins anything after the deadline."""
    names = [f"m{n}" for n in range(len(script))]
    answers: dict[str, list[errors.DispatchError | None]] = {
        name: [e and e("x", retry_after=waits[i % len(waits)]) for i, e in enumerate(column)]
        for name, column in zip(names, script, strict=True)
    }
    policy = CallPolicy(RetryPolicy(), bound, TimeLimits(deadline=deadline))
    walk = Walk(answers, policy, seconds=seconds).run(targets(*names))
    assert 1 <= len(walk.tried) <= bound
    assert walk.clock.monotonic() - seconds < deadline
    assert walk.dispatch is not None
    assert len(walk.dispatch.call.records) == len(walk.tried)
