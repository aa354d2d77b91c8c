"""`DispatchError`: the base of everything a call can raise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from langchain_core import exceptions as core

if TYPE_CHECKING:
    from langchain_llmdispatch.types import AttemptRecord

Blame: TypeAlias = Literal["none", "health", "limits", "configuration"]


class DispatchError(core.ModelError):
    """Base of everything a call can raise.

    Attributes:
        vendor: The vendor's name, or None before one was chosen.
        deployment: The deployment's name, or None before one was chosen.
        status_code: The HTTP status, or None where no answer came.
        code: The vendor's structured error code, or None.
        request_id: The vendor's id for the request, or None.
        retry_after: Seconds to wait before a retry, as the vendor states them, or None.
        attempts: Records of every attempt of the call, in order; empty until the call ends.
        llmdispatch: The facts of the call that it ended, as in `response_metadata["llmdispatch"]`; empty
            until the call ends.
    """

    is_retryable: bool = False
    falls_back: bool = True
    blame: ClassVar[Blame] = "none"

    def __init__(
        self,
        message: str,
        *,
        vendor: str | None = None,
        deployment: str | None = None,
        status_code: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.vendor, self.deployment = vendor, deployment
        self.status_code, self.code = status_code, code
        self.request_id, self.retry_after = request_id, retry_after
        self.attempts: Sequence[AttemptRecord] = ()
        self.llmdispatch: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return the deployment, the message and the HTTP status."""
        where, status = self.deployment or self.vendor, f" (HTTP {self.status_code})" * bool(self.status_code)
        return f"{where}: " * bool(where) + self.message.removesuffix(status) + status

    def __repr__(self) -> str:
        """Return the class, and what `str` has: `batch(return_exceptions=True)` shows it."""
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by message and attributes: errors cross process borders in batch jobs."""
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))


def _rebuild(cls: type[DispatchError], message: str, state: dict[str, Any]) -> DispatchError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error
