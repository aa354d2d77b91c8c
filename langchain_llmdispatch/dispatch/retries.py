"""When to ask the same deployment again, and after how long: `RetryPolicy` on tenacity's policies."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from pydantic import Field, field_validator
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_fixed,
    wait_incrementing,
)
from tenacity.wait import wait_base

from langchain_llmdispatch import errors
from langchain_llmdispatch.settings import Settings, nearest

RetryOn: TypeAlias = Callable[[BaseException], bool] | tuple[type[BaseException], ...]

# The words of the Go library's configuration, and what people write for them.
ERROR_WORDS: dict[str, type[errors.DispatchError]] = {
    "rate limit exceeded": errors.RateLimitError,
    "rate limit": errors.RateLimitError,
    "timeout": errors.AttemptTimeoutError,
    "connection": errors.ConnectionFailedError,
    "connection error": errors.ConnectionFailedError,
    "server error": errors.ServerError,
    "service unavailable": errors.OverloadedError,
    "overloaded": errors.OverloadedError,
    "malformed response": errors.MalformedResponseError,
    "empty answer": errors.EmptyAnswerError,
}


class RetryPolicy(Settings):
    """How one deployment is asked again before the next one is tried.

    Attributes:
        max_retries: Retries per deployment, after the first try.
        backoff: How waits grow: `exponential` (initial x factor^n), `linear` (initial x n), `fixed`.
        initial_delay: Seconds before the first retry.
        backoff_factor: Growth per retry under `exponential`.
        max_delay: Upper bound of our own waits, in seconds.
        jitter: Draw each wait uniformly from zero to its bound ("full jitter"), so that clients spread out.
        max_retry_after: Longest `Retry-After` that is waited for, in seconds; a longer one is not retried.
        retry_on: Exception classes or a predicate, instead of each error's own `is_retryable`.
        retryable_errors: Error classes or their words (`"rate limit exceeded"`, `"timeout"`): only these
            are retried. Empty: each error's own `is_retryable`.
    """

    max_retries: int = Field(default=2, ge=0)
    backoff: Literal["exponential", "linear", "fixed"] = "exponential"
    initial_delay: float = Field(default=0.5, ge=0)
    backoff_factor: float = Field(default=2.0, ge=1)
    max_delay: float = Field(default=20.0, ge=0)
    jitter: bool = True
    max_retry_after: float = Field(default=60.0, ge=0)
    retry_on: Any = Field(default=None, exclude=True)
    retryable_errors: tuple[Any, ...] = ()

    @field_validator("retry_on")
    @classmethod
    def _check_retry_on(cls, value: Any) -> RetryOn | None:
        if value is None or (callable(value) and not isinstance(value, type)):
            return value
        classes = value if isinstance(value, (tuple, list)) else (value,)
        return tuple(_error_class(item) for item in classes)

    @field_validator("retryable_errors")
    @classmethod
    def _check_retryable_errors(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        for item in value:
            _error_class(item)
        return value

    def decide(self, error: errors.DispatchError, tries: int, rng: random.Random) -> RetryCallState | None:
        """Return tenacity's state for the next retry, its wait in `idle_for` (seconds), or None to stop.

        Args:
            error: What the last try raised.
            tries: How often this deployment was tried in this call, at least 1.
            rng: The source of jitter.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.max_retries + 1),
            wait=_RetryAfter(self._wait(rng)),
            retry=retry_if_exception(self._retries),
        )
        state = RetryCallState(retrying, None, (), {})
        state.attempt_number = tries
        state.set_exception((type(error), error, error.__traceback__))
        if not retrying.retry(state) or retrying.stop(state):
            return None
        if (error.retry_after or 0) > self.max_retry_after:
            return None
        state.idle_for = state.upcoming_sleep = float(retrying.wait(state))
        return state

    def _retries(self, error: BaseException) -> bool:
        if self.retry_on is None and not self.retryable_errors:
            return isinstance(error, errors.DispatchError) and error.is_retryable
        if callable(self.retry_on) and self.retry_on(error):
            return True
        classes = self.retry_on if isinstance(self.retry_on, tuple) else ()
        return isinstance(error, (*classes, *map(_error_class, self.retryable_errors)))

    def _wait(self, rng: random.Random) -> wait_base:
        bounds: dict[str, wait_base] = {
            "exponential": wait_exponential(
                multiplier=self.initial_delay, exp_base=self.backoff_factor, max=self.max_delay
            ),
            "linear": wait_incrementing(self.initial_delay, self.initial_delay, self.max_delay),
            "fixed": wait_fixed(min(self.initial_delay, self.max_delay)),
        }
        bound = bounds[self.backoff]
        return _FullJitter(bound, rng) if self.jitter else bound


class _FullJitter(wait_base):
    """Uniform between zero and the bound: AWS's "full jitter"."""

    def __init__(self, bound: wait_base, rng: random.Random) -> None:
        self._bound, self._rng = bound, rng

    def __call__(self, retry_state: RetryCallState) -> float:
        return self._rng.uniform(0, float(self._bound(retry_state)))


class _RetryAfter(wait_base):
    """What the vendor asked for, or else our own backoff."""

    def __init__(self, backoff: wait_base) -> None:
        self._backoff = backoff

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = getattr(error, "retry_after", None)
        return float(self._backoff(retry_state)) if asked is None else float(asked)


def _error_class(item: Any) -> type[BaseException]:
    if isinstance(item, type) and issubclass(item, BaseException):
        return item
    if isinstance(item, str):
        found = ERROR_WORDS.get(item.casefold().replace("_", " ")) or getattr(errors, item, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
        raise errors.ConfigurationError(
            f"retryable_errors: no error is called {item!r}.{nearest(item, ERROR_WORDS)}"
        )
    raise errors.ConfigurationError(f"retryable_errors: {item!r} is neither an error class nor its words.")
