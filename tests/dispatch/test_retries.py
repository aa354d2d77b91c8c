"""`RetryPolicy`: when a deployment is tried again, and after how long."""

from __future__ import annotations

import random
from typing import Any

import pytest
from pydantic import ValidationError

from langchain_llmdispatch import RetryPolicy, errors
from tests.calls import Walk, steady
from tests.cases import each
from tests.targets import targets

DOWN = errors.ServerError("x")


def waits(policy: RetryPolicy, error: errors.DispatchError = DOWN, seed: int = 1) -> list[float]:
    """Return the seconds before each retry, until the policy stops."""
    rng, out = random.Random(seed), []
    while (state := policy.decide(error, len(out) + 1, rng)) is not None:
        assert state.attempt_number == len(out) + 1
        assert state.outcome is not None
        assert state.outcome.exception() is error
        assert state.idle_for == state.upcoming_sleep
        out.append(state.idle_for)
    return out


@each(
    ("fields", "expected"),
    [
        ({}, [0.5, 1.0, 2.0, 4.0]),
        ({"backoff_factor": 3.0, "max_delay": 5.0}, [0.5, 1.5, 4.5, 5.0]),
        ({"backoff": "linear", "initial_delay": 2.0, "max_delay": 7.0}, [2.0, 4.0, 6.0, 7.0]),
        ({"backoff": "fixed", "initial_delay": 3.0}, [3.0, 3.0, 3.0, 3.0]),
        ({"backoff": "fixed", "initial_delay": 3.0, "max_delay": 1.0}, [1.0, 1.0, 1.0, 1.0]),
        ({"initial_delay": 0.0}, [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_waits_grow_up_to_their_bound(fields: dict[str, Any], expected: list[float]) -> None:
    """Without jitter they are the bound itself; after `max_retries` there is none."""
    assert waits(RetryPolicy(max_retries=4, jitter=False, **fields)) == expected


def test_jitter_draws_below_the_bound() -> None:
    """Uniformly from zero, from the random numbers that are handed in: the same seed, the same waits."""
    policy = RetryPolicy(max_retries=3)
    drawn = [waits(policy, seed=seed) for seed in range(50)]
    assert all(0 <= wait <= bound for each in drawn for wait, bound in zip(each, (0.5, 1, 2), strict=True))
    assert max(each[2] for each in drawn) > 1.5
    assert min(each[2] for each in drawn) < 0.5
    assert waits(policy, seed=7) == waits(policy, seed=7)


def test_a_retry_after_replaces_our_own_wait() -> None:
    """It is waited for exactly, without jitter, up to `max_retry_after`; a longer one is not retried."""
    policy = RetryPolicy(max_retries=1)
    assert waits(policy, errors.RateLimitError("x", retry_after=9.5)) == [9.5]
    assert waits(policy, errors.RateLimitError("x", retry_after=0)) == [0.0]
    assert waits(policy, errors.RateLimitError("x", retry_after=60.5)) == []
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=61)]}, steady()).run(targets("a"))
    assert walk.tried == ["a"]


@pytest.mark.parametrize(
    ("fields", "retried"),
    [
        ({}, {"ServerError", "AttemptTimeoutError"}),
        ({"retryable_errors": ("timeout",)}, {"AttemptTimeoutError"}),
        ({"retryable_errors": ("Rate_Limit", errors.AuthenticationError)}, {"AuthenticationError"}),
        ({"retryable_errors": ("ServerError",)}, {"ServerError"}),
        ({"retry_on": errors.AuthenticationError}, {"AuthenticationError"}),
        (
            {"retry_on": [errors.ServerError, errors.AuthenticationError]},
            {"ServerError", "AuthenticationError"},
        ),
        ({"retry_on": lambda error: error.code == "odd"}, {"AuthenticationError"}),
        ({"retry_on": lambda _: False, "retryable_errors": ("timeout",)}, {"AttemptTimeoutError"}),
    ],
)
def test_which_errors_are_retried(fields: dict[str, Any], retried: set[str]) -> None:
    """Each error's own flag decides, or else what the policy names."""
    policy = RetryPolicy(**fields)
    failures = [DOWN, errors.AttemptTimeoutError("x"), errors.AuthenticationError("x", code="odd")]
    assert {type(error).__name__ for error in failures if waits(policy, error)} == retried


def test_retryable_errors_in_words_restrict_retries() -> None:
    """A call retries only what is named."""
    policy = steady(retries={"retryable_errors": ("timeout",)})
    assert Walk({"a": [errors.ServerError("x")]}, policy).run(targets("a")).tried == ["a"]
    assert len(Walk({"a": [errors.AttemptTimeoutError("x")]}, policy).run(targets("a")).tried) == 3


@each(
    ("fields", "message"),
    [
        ({"retryable_errors": ("timeuot",)}, "'timeuot' is not known.*timeout"),
        ({"retryable_errors": (7,)}, "retryable_errors: 7 is not an error class or its name"),
        ({"retry_on": "nope"}, "retry_on: 'nope' is not known"),
        ({"retry_on": (7,)}, "retry_on: 7 is not an error class or its name"),
        ({"max_retrys": 1}, "max_retries"),
        ({"initial_delay": -1}, "initial_delay"),
        ({"backoff_factor": 0.5}, "backoff_factor"),
        ({"backoff": "quadratic"}, "backoff"),
    ],
)
def test_wrong_settings_are_named(fields: dict[str, Any], message: str) -> None:
    """With the nearest right one where there is one."""
    with pytest.raises((errors.ConfigurationError, ValidationError), match=message):
        RetryPolicy(**fields)


@each(("named", "retried"), [(None, True), (0.0, True), (0.5, True), (0.6, False)])
def test_a_retry_after_up_to_the_longest_is_waited_for(named: float | None, retried: bool) -> None:
    """The bound itself is waited for; without a Retry-After there is nothing to bound."""
    policy = RetryPolicy(max_retry_after=0.5, jitter=False)
    state = policy.decide(errors.RateLimitError("x", retry_after=named), 1, random.Random(1))
    assert (state is not None) is retried


def test_the_state_is_a_whole_one_of_tenacitys() -> None:
    """LangChain hands it to `on_retry`, and handlers read the outcome and the next wait."""
    error = errors.ServerError("x")
    state = RetryPolicy(jitter=False).decide(error, 2, random.Random(1))
    assert state is not None
    assert (state.attempt_number, state.idle_for, state.upcoming_sleep) == (2, 1.0, 1.0)
    assert (state.args, state.kwargs, state.outcome.exception()) == ((), {}, error)
    assert "RetryCallState" in repr(state)
