"""Policy in virtual time: the attempts iterator is walked without a client, a loop or a real clock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch import errors
from langchain_llmdispatch.deployments.deployment import Deployment
from langchain_llmdispatch.deployments.resolver import Resolver
from langchain_llmdispatch.deployments.target import Target
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.dispatch.dispatch import Dispatch
from langchain_llmdispatch.dispatch.policy import CallPolicy
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import TimeLimits
from tests.calls import dispatch_of

OK = None


def targets(*models: str) -> list[Target]:
    """Return targets on OpenAI, one per model name."""
    resolver = Resolver(VendorTable(), {}, {"OPENAI_API_KEY": "sk-test", "ANTHROPIC_API_KEY": "sk-test"})
    return [resolver.target(Deployment(f"openai:{model}", name=model)) for model in models]


@dataclass
class Walk:
    """A walk through a call's attempts: what each deployment answers, and what was done."""

    answers: dict[str, list[errors.DispatchError | None]]
    policy: CallPolicy = field(default_factory=CallPolicy)
    seconds: float = 1.0
    clock: FakeClock = field(default_factory=FakeClock)
    asked: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    failure: errors.DispatchError | None = None
    dispatch: Dispatch | None = None

    def run(self, models: Sequence[Target]) -> Walk:
        """Walk until an answer or the final error."""
        self.dispatch = dispatch_of(models, self.policy, clock=self.clock, rng=random.Random(7))
        try:
            for attempt in self.dispatch.attempts():
                with attempt:
                    self.delays.append(attempt.delay)
                    self.clock.sleep(attempt.delay)
                    attempt.send()
                    self.asked.append(attempt.target.name)
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


def test_transient_errors_are_retried_with_growing_waits_then_fall_back() -> None:
    """A 503 is retried twice on the same deployment, after 0.5 and 1 s, before the next one is asked at once."""
    walk = Walk({"a": [errors.ServerError("x")]}, steady()).run(targets("a", "b"))
    assert walk.asked == ["a", "a", "a", "b"]
    assert walk.delays == [0, 0.5, 1.0, 0]
    assert walk.failure is None


def test_rate_limit_goes_where_it_can_go_sooner() -> None:
    """A 429 with Retry-After sends the call to the free deployment at once."""
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=9)]}, steady()).run(targets("a", "b"))
    assert (walk.asked, walk.delays) == (["a", "b"], [0, 0])


def test_rate_limit_is_waited_for_where_nobody_else_is_left() -> None:
    """With one deployment the vendor's Retry-After is slept, exactly."""
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=9), OK]}, steady()).run(targets("a"))
    assert (walk.asked, walk.delays) == (["a", "a"], [0, 9])


def test_rate_limited_deployments_are_come_back_to() -> None:
    """When all are rate limited, the one that frees first is asked again."""
    script = {
        "a": [errors.RateLimitError("x", retry_after=30), OK],
        "b": [errors.RateLimitError("x", retry_after=5), OK],
    }
    walk = Walk(script, steady()).run(targets("a", "b"))
    assert walk.asked == ["a", "b", "b"]


def test_a_timeout_is_not_repeated_while_another_is_left() -> None:
    """After a timeout the other deployment goes first, then the timed-out one once more."""
    late = errors.AttemptTimeoutError("late")
    walk = Walk({"a": [late], "b": [errors.InvalidRequestError("x")]}, steady()).run(targets("a", "b"))
    assert walk.asked == ["a", "b"]
    alone = Walk({"a": [late, OK]}, steady()).run(targets("a"))
    assert alone.asked == ["a", "a"]


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
def test_what_is_wrong_with_one_deployment_falls_back_without_retry(error: errors.DispatchError) -> None:
    """Keys, models, money and target-specific refusals are not retried, but others are asked."""
    assert Walk({"a": [error]}, steady()).run(targets("a", "b")).asked == ["a", "b"]


@pytest.mark.parametrize("error", [errors.InvalidRequestError("x"), errors.ContentFilterError("x")])
def test_the_callers_fault_is_neither_retried_nor_sent_elsewhere(error: errors.DispatchError) -> None:
    """A 400 is raised as it is, with the attempt on it."""
    walk = Walk({"a": [error]}, steady()).run(targets("a", "b"))
    assert walk.asked == ["a"]
    assert walk.failure is error
    assert [record.error for record in error.attempts] == [type(error).__name__]


def test_context_overflow_goes_only_to_larger_windows() -> None:
    """An overflow skips deployments whose window is known to be no larger."""
    small, same, large = targets("gpt-5.4-mini", "gpt-5.4-nano", "gpt-6.1-terra")
    assert large.facts.context_window > small.facts.context_window
    walk = Walk({small.name: [errors.ContextOverflowError("x")]}, steady()).run([small, same, large])
    assert walk.asked == [small.name, large.name]


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
    assert walk.asked == ["a", "b", "c"]


def test_nothing_is_slept_after_the_last_attempt() -> None:
    """The call ends with its last request, not with a wait."""
    walk = Walk({"a": [errors.ServerError("x")]}, steady(max_attempts=2)).run(targets("a"))
    assert len(walk.asked) == 2
    assert walk.clock.monotonic() == pytest.approx(1 + 0.5 + 1)


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    """Retry-After beyond the deadline ends the call at once."""
    policy = steady(times={"deadline": 10.0})
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=30)]}, policy).run(targets("a"))
    assert walk.clock.monotonic() == 1
    assert isinstance(walk.failure, errors.core.ModelRateLimitError)


def test_a_retry_after_beyond_the_policys_bound_is_not_waited_for() -> None:
    """`max_retry_after` bounds what a vendor may ask."""
    walk = Walk({"a": [errors.RateLimitError("x", retry_after=61)]}, steady()).run(targets("a"))
    assert walk.asked == ["a"]


def test_retryable_errors_in_words_restrict_retries() -> None:
    """Only what is named is retried."""
    policy = steady(retries={"retryable_errors": ("timeout",)})
    assert Walk({"a": [errors.ServerError("x")]}, policy).run(targets("a")).asked == ["a"]
    assert len(Walk({"a": [errors.AttemptTimeoutError("x")]}, policy).run(targets("a")).asked) == 3


def test_a_bug_passes_through_and_is_blamed_on_nobody() -> None:
    """An exception that is not ours ends the call untouched, after one attempt."""
    dispatch = dispatch_of(targets("a", "b"), steady(), clock=FakeClock())
    asked = []
    with pytest.raises(ZeroDivisionError):
        for attempt in dispatch.attempts():
            with attempt:
                attempt.send()
                asked.append(attempt.target.name)
                _ = 1 / 0
    assert asked == ["a"]
    assert dispatch.call.errors == []


def test_no_deployment_is_a_clear_error() -> None:
    """An empty plan raises before anything is sent."""
    with pytest.raises(errors.NoDeploymentError):
        next(dispatch_of([], steady(), clock=FakeClock()).attempts())


def test_nobody_is_waited_for_beyond_the_deadline() -> None:
    """Where the only deployment cools down for longer than the call has, the call ends at once."""
    clock, policy = FakeClock(), steady(times={"deadline": 10.0})
    dispatch = dispatch_of(targets("a"), policy, clock=clock, waits=(40.0,))
    with pytest.raises(errors.DeadlineExceededError) as raised:
        next(dispatch.attempts())
    assert (dispatch.call.outcome, clock.slept, raised.value.retry_after) == ("failed", [], 40.0)


def test_records_say_when_each_attempt_began() -> None:
    """From the call's start, before its own wait: one begins where the one before it ended."""
    walk = Walk({"a": [errors.ServerError("x"), errors.ServerError("x"), OK]}, steady()).run(targets("a"))
    assert walk.dispatch is not None
    times = [(r.started_ms, r.wait_ms, r.latency_ms) for r in walk.dispatch.call.records]
    assert times == [(0, 0, 1000), (1000, 500, 1000), (2500, 1000, 1000)]


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
    assert 1 <= len(walk.asked) <= bound
    assert walk.clock.monotonic() - seconds < deadline
    assert walk.dispatch is not None
    assert len(walk.dispatch.call.records) == len(walk.asked)
