"""`Dispatch` in virtual time: its attempts are walked without a client, a loop or a real clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core import exceptions as core

from langchain_llmdispatch import errors
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import OK, Walk, dispatch_of, steady
from tests.cases import each


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


@each(
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
    assert isinstance(failure, core.ModelRateLimitError)
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
    assert isinstance(walk.failure, core.ModelRateLimitError)


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
    assert dispatch.call.errors == ()


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


def walk_of(
    answers: dict[str, list[errors.DispatchError | None]],
    fleet: Sequence[Target],
    last_resorts: int,
    **fields: Any,
) -> tuple[list[str], errors.DispatchError | None]:
    """Return the deployments that a call with last resorts tries, and its final error."""
    walk = Walk(answers, steady(**fields)).run(fleet, last_resorts=last_resorts)
    return walk.tried, walk.failure


@each("error", [errors.AuthenticationError("x"), errors.ServerError("x"), errors.ConnectionFailedError("x")])
def test_a_last_resort_is_tried_before_the_call_fails(error: errors.DispatchError) -> None:
    """Deployments with an open breaker come after all others and their retries, within `max_attempts`."""
    fleet = targets("a", "b", "c")
    tried, failure = walk_of({"a": [error], "b": [error]}, fleet, 2)
    assert (list(dict.fromkeys(tried)), tried[-1], failure) == (["a", "b", "c"], "c", None)
    tried, failure = walk_of(
        {"a": [error], "b": [error]}, fleet, 2, max_attempts=2, retries={"max_retries": 0}
    )
    assert (tried, isinstance(failure, errors.AllDeploymentsFailedError)) == (["a", "b"], True)


def test_a_last_resort_takes_no_attempt_from_retries_of_what_is_well() -> None:
    """With two attempts a 503 is retried; an untried deployment that is well would have gone first."""
    down = errors.ServerError("x")
    assert walk_of({"a": [down, OK]}, targets("a", "b"), 1, max_attempts=2)[0] == ["a", "a"]
    assert walk_of({"a": [down, OK]}, targets("a", "b"), 0, max_attempts=2)[0] == ["a", "b"]


def test_a_rate_limit_is_waited_for_before_a_last_resort_and_a_timeout_is_not_repeated() -> None:
    """Sooner is no reason to try an open breaker; but a timeout is not repeated while anything else is left."""
    limited = [errors.RateLimitError("x", retry_after=9), OK]
    assert walk_of({"a": limited}, targets("a", "b"), 1)[0] == ["a", "a"]
    assert walk_of({"a": [errors.AttemptTimeoutError("late"), OK]}, targets("a", "b"), 1)[0] == ["a", "b"]


def test_a_last_resort_is_tried_where_the_others_are_available_too_late() -> None:
    """A cooldown beyond the deadline leaves the open breakers."""
    clock, policy = FakeClock(), steady(times={"deadline": 10.0})
    dispatch = dispatch_of(targets("a", "b"), policy, clock=clock, waits=(40.0, 0.0), last_resorts=1)
    attempt = next(dispatch.attempts())
    assert (attempt.target.name, attempt.delay, attempt.last_resort) == ("b", 0.0, True)


def test_one_refused_key_is_tried_once_more_as_a_last_resort_and_never_again() -> None:
    """Deployments that share a refused key come last, and the first of them that is refused ends it for all."""
    fleet = targets("a", "b", "c", "d")  # one key
    refused = errors.AuthenticationError("x")
    clock, tried = FakeClock(), []

    def walk(last_resorts: int, is_out: bool) -> list[str]:
        tried.clear()
        options = {"breaker_wait": lambda *_: 300.0 * is_out, "last_resorts": last_resorts}
        with pytest.raises(errors.AllDeploymentsFailedError):
            for attempt in dispatch_of(fleet, steady(), clock=clock, **options).attempts():
                with attempt:
                    attempt.send()
                    tried.append(attempt.target.name)
                    raise refused
        return tried

    assert walk(0, is_out=True) == ["a", "b"]
    assert walk(4, is_out=True) == ["a"]
    assert walk(0, is_out=False) == ["a", "b", "c", "d"]  # another model of theirs took the key meanwhile


def test_a_breaker_that_opens_during_the_call_makes_a_last_resort() -> None:
    """What is kept back right before it leaves is sent at last, if all others fail."""
    opened = {"a"}

    def check(attempt: Attempt) -> None:
        if attempt.target.name in opened and not attempt.last_resort:
            raise errors.BreakerOpenError("open")

    clock, policy, tried = FakeClock(), steady(retries={"max_retries": 0}), []
    dispatch = dispatch_of(targets("a", "b", "c"), policy, clock=clock, send_checks=[check])
    for attempt in dispatch.attempts():
        with attempt:
            attempt.send()
            tried.append(attempt.target.name)
            if attempt.target.name != "a":
                raise errors.ServerError("down")
            attempt.succeed()
    assert tried == ["b", "c", "a"]


def test_a_retry_that_its_breaker_would_keep_back_becomes_a_last_resort() -> None:
    """The others go first; then it is tried again, with the attempts that are left."""
    down, clock = errors.ServerError("down"), FakeClock()
    policy, tried = steady(retries={"max_retries": 1}), []
    breaker_wait = {"a": 8.0}
    dispatch = dispatch_of(
        targets("a", "b"),
        policy,
        clock=clock,
        breaker_wait=lambda target, _now: breaker_wait.get(target.name, 0.0),
    )
    for attempt in dispatch.attempts():
        with attempt:
            attempt.send()
            tried.append(attempt.target.name)
            if tried != ["a", "b", "b", "a"]:
                raise down
            attempt.succeed()
    assert tried == ["a", "b", "b", "a"]


def test_a_hedge_never_goes_to_a_last_resort() -> None:
    """An open breaker gets no request while another one may still answer."""
    dispatch = dispatch_of(targets("a", "b"), steady(hedge_after=1.0), clock=FakeClock(), last_resorts=1)
    first = next(dispatch.attempts())
    first.send()
    assert dispatch.hedge(first) is None


def test_each_attempt_is_marked_by_what_it_repeats() -> None:
    """A retry holds tenacity's state, with the error; a fallback is on another deployment; the first is neither."""
    down = errors.ServerError("x")
    dispatch = dispatch_of(targets("a", "b"), steady(retries={"max_retries": 1}), clock=FakeClock())
    marks = []
    for attempt in dispatch.attempts():
        with attempt:
            marks.append((attempt.target.name, attempt.retry is not None, attempt.fallback, attempt.hedge))
            if attempt.retry is not None:
                assert attempt.retry.outcome.exception() is down
                assert attempt.retry.attempt_number == 1
            attempt.send()
            if attempt.target.name == "a":
                raise down
            attempt.succeed()
    assert marks == [("a", False, False, False), ("a", True, False, False), ("b", False, True, False)]


def test_patience_with_the_first_choice_is_used_up() -> None:
    """Rate limits of 2 s are waited for once with 3 s of patience, twice with 4: it is for the whole call."""
    script = {"a": [errors.RateLimitError("x", retry_after=2)]}
    for patience, tried in [(1.9, "ab"), (2.0, "aab"), (3.0, "aab"), (4.0, "aaab")]:
        walk = Walk(dict(script), steady(wait_for_preferred=patience)).run(targets("a", "b"))
        assert walk.tried == list(tried)


def test_the_least_tried_of_the_available_goes_first() -> None:
    """Among those that failed and may be tried again, however they rank."""
    late = [errors.AttemptTimeoutError("late")]
    policy = steady(max_attempts=6, retries={"max_retries": 2, "initial_delay": 0.0})
    walk = Walk({"a": late, "b": late}, policy).run(targets("a", "b"))
    assert walk.tried == ["a", "b", "a", "b", "a", "b"]


def test_a_queue_of_ours_is_passed_by() -> None:
    """The first choice whose limit would hold the request up is tried later, and not in place of the next."""
    waits = {"a": 4.0, "b": 0.0}
    dispatch = dispatch_of(
        targets("a", "b"), steady(), clock=FakeClock(), queue_wait=lambda target: waits[target.name]
    )
    assert next(dispatch.attempts()).target.name == "b"


def test_as_many_attempts_as_others_need_are_spared() -> None:
    """A retry is made while an attempt is left for each deployment that was not tried."""
    down = [errors.ServerError("x")]
    for most, tried in [(3, "abc"), (4, "aabc"), (5, "aaabc")]:
        walk = Walk({"a": down, "b": down}, steady(max_attempts=most)).run(targets("a", "b", "c"))
        assert walk.tried == list(tried)


def test_the_breaker_of_the_failed_deployment_is_looked_at() -> None:
    """A retry is kept where its own breaker opens for no longer than its wait, whatever another's does."""
    waits = {"a": 0.5, "b": 60.0}
    for at_a, tried in [(0.5, ["a", "a"]), (0.6, ["a", "b"])]:
        waits["a"] = at_a
        moments = []

        def wait(target: Target, now: float, moments: list[float] = moments) -> float:
            moments.append(now)
            return waits[target.name]

        clock, names = FakeClock(start=7.0), []
        policy = steady(retries={"max_retries": 1})
        for attempt in dispatch_of(targets("a", "b"), policy, clock=clock, breaker_wait=wait).attempts():
            with attempt:
                attempt.send()
                names.append(attempt.target.name)
                if len(names) == 1:
                    raise errors.ServerError("x")
                attempt.succeed()
        assert names == tried
        assert moments == [7.0]
