"""`AllDeploymentsFailedError`: the error of a call, made from those of its attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self, cast

from langchain_core import exceptions as core

from langchain_llmdispatch.errors.base import DispatchError
from langchain_llmdispatch.errors.call import ConfigurationError

if TYPE_CHECKING:
    from langchain_llmdispatch.types import AttemptRecord

_NOTHING: Mapping[str, str] = {}
_MOST_NAMED = 8  # deployments that are named in a message


class AllDeploymentsFailedError(DispatchError):
    """Every deployment that could serve the request was tried, and failed.

    It is also an instance of the LangChain class that all its errors share, so that an `except` clause for
    `ModelRateLimitError` or `ContextOverflowError` still matches. Retrying from outside would multiply
    what was already retried, so `is_retryable` is true only if a single attempt was made.

    Attributes:
        errors: The error of each attempt, in order.
        attempts: The record of each attempt, in order.
        left_out: Why other deployments were not tried, by their names.
    """

    falls_back = False

    def __init__(
        self,
        message: str,
        *,
        errors: Sequence[DispatchError] = (),
        attempts: Sequence[AttemptRecord] = (),
        left_out: Mapping[str, str] = _NOTHING,
        **where: Any,
    ) -> None:
        super().__init__(message, **where)
        self.left_out = dict(left_out)
        self.errors, self.attempts = tuple(errors), tuple(attempts)
        self.is_retryable = len(self.errors) == 1 and self.errors[0].is_retryable

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the public class; the shared LangChain class is found again."""
        return (_rebuild_all_failed, (self.message, self.errors, {**self.__dict__, "errors": self.errors}))

    @classmethod
    def of(
        cls,
        errors: Sequence[DispatchError],
        attempts: Sequence[AttemptRecord],
        left_out: Mapping[str, str] = _NOTHING,
    ) -> Self:
        """Make the final error of a call from the errors of its attempts, and why others were not tried."""
        return cast("type[Self]", _with_shared_class(errors))(
            _summary(errors) + _others(left_out),
            errors=errors,
            attempts=attempts,
            left_out=left_out,
            **{name: _shared(errors, name) for name in _WHERE},
        )


_WHERE = ("vendor", "deployment", "status_code", "code", "request_id", "retry_after")
_CORE_CLASSES = (
    core.ModelAuthenticationError,
    core.ModelPermissionDeniedError,
    core.ModelNotFoundError,
    core.ModelRateLimitError,  # before the next one: a request above a rate limit is both
    core.ModelInvalidRequestError,
    core.ModelAPIError,
    core.ModelConnectionError,
    core.ModelTimeoutError,
    core.ContextOverflowError,
    ConfigurationError,
)
_FAILED_AS: dict[type[Exception], type[AllDeploymentsFailedError]] = {
    shared: type("AllDeploymentsFailedError", (AllDeploymentsFailedError, shared), {"__module__": __name__})
    for shared in _CORE_CLASSES
}


def _with_shared_class(errors: Sequence[DispatchError]) -> type[AllDeploymentsFailedError]:
    fitting = (cls for shared, cls in _FAILED_AS.items() if all(isinstance(e, shared) for e in errors))
    return next(fitting, AllDeploymentsFailedError) if errors else AllDeploymentsFailedError


def _rebuild_all_failed(message: str, errors: Sequence[DispatchError], state: dict[str, Any]) -> Any:
    error = _with_shared_class(errors)(message, errors=errors)
    error.__dict__.update(state)
    return error


def _shared(errors: Sequence[DispatchError], name: str) -> Any:
    values = {getattr(error, name) for error in errors}
    return values.pop() if len(values) == 1 else None


def _others(left_out: Mapping[str, str]) -> str:
    if not left_out:
        return ""
    named = [f"{name} ({reason})" for name, reason in left_out.items()]
    more = [f"{len(named) - _MOST_NAMED} more"] if len(named) > _MOST_NAMED else []
    return f"; not tried: {', '.join(named[:_MOST_NAMED] + more)}"


def _summary(errors: Sequence[DispatchError]) -> str:
    if len(errors) == 1:
        return errors[0].message
    groups = [(text, len(list(same))) for text, same in groupby(f"{type(e).__name__} {e}" for e in errors)]
    lines, number = [], 1
    for text, count in groups:
        lines.append(f"{number}. {text}" if count == 1 else f"{number}-{number + count - 1}. {text}")
        number += count
    return f"all {len(errors)} attempts failed: {'; '.join(lines)}"
