"""When the same deployment is tried again, and after how long: `RetryPolicy`, with tenacity's waits."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field, field_validator

from langchain_llmdispatch import errors
from langchain_llmdispatch.errors.call import UNCONFIRMED
from langchain_llmdispatch.internal.lazy import LateModule
from langchain_llmdispatch.settings import Settings, nearest

if TYPE_CHECKING:
    import tenacity
    from tenacity import RetryCallState
    from tenacity.wait import wait_base
else:
    tenacity = LateModule("tenacity")


RetryOn: TypeAlias = Callable[[BaseException], bool] | tuple[type[BaseException], ...]

# Words for error classes, as in the Go library's configuration, with common spellings.
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
    """How one deployment is retried before the next one is tried.

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
        return tuple(_error_class(item, "retry_on") for item in classes)

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
        if tries > self.max_retries or error.code == UNCONFIRMED or not self._retries(error):
            return None
        if (error.retry_after or 0) > self.max_retry_after:
            return None
        state = self.at_once(error, tries)
        state.idle_for = state.upcoming_sleep = float(self._wait(error, state, rng))
        return state

    def at_once(self, error: errors.DispatchError, tries: int) -> RetryCallState:
        """Return tenacity's state of a repetition that is no bet: another request, with no wait."""
        state = tenacity.RetryCallState(_retrying(), None, (), {})
        state.attempt_number = tries
        state.set_exception((type(error), error, error.__traceback__))
        state.idle_for = state.upcoming_sleep = 0.0
        return state

    def _retries(self, error: errors.DispatchError) -> bool:
        if self.retry_on is None and not self.retryable_errors:
            return error.is_retryable
        if callable(self.retry_on) and self.retry_on(error):
            return True
        classes = self.retry_on if isinstance(self.retry_on, tuple) else ()
        return isinstance(error, (*classes, *map(_error_class, self.retryable_errors)))

    def _wait(self, error: errors.DispatchError, state: RetryCallState, rng: random.Random) -> float:
        """Return the vendor's `Retry-After`, or else our own backoff; with full jitter, as AWS names it."""
        if error.retry_after is not None:
            return error.retry_after
        longest = _backoff(self.backoff, self.initial_delay, self.backoff_factor, self.max_delay)(state)
        return rng.uniform(0, longest) if self.jitter else longest


@lru_cache(maxsize=64)
def _retrying() -> tenacity.Retrying:
    """Return the retry object of every `RetryCallState`; it runs nothing."""
    return tenacity.Retrying()


@lru_cache(maxsize=512)
def _backoff(kind: str, initial: float, factor: float, longest: float) -> wait_base:
    """Return tenacity's policy of waits."""
    if kind == "exponential":
        return tenacity.wait_exponential(multiplier=initial, exp_base=factor, max=longest)
    if kind == "linear":
        return tenacity.wait_incrementing(initial, initial, longest)
    return tenacity.wait_fixed(min(initial, longest))


def _error_class(item: Any, field: str = "retryable_errors") -> type[BaseException]:
    if isinstance(item, type) and issubclass(item, BaseException):
        return item
    if isinstance(item, str):
        found = ERROR_WORDS.get(item.casefold().replace("_", " ")) or getattr(errors, item, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            return found
        raise errors.ConfigurationError(f"{field}: {item!r} is not known.{nearest(item, ERROR_WORDS)}")
    raise errors.ConfigurationError(f"{field}: {item!r} is not an error class or its name.")
