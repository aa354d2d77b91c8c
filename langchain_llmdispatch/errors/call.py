"""How an attempt or a call ends without a vendor's error: connections, time, settings, budgets, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core import exceptions as core

from langchain_llmdispatch.errors.base import DispatchError
from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from langchain_core.messages import AIMessageChunk

    from langchain_llmdispatch.internal import key_shapes
else:
    key_shapes = LateModule("langchain_llmdispatch.internal.key_shapes")


UNCONFIRMED = "unconfirmed"
"""The code of an error after which it is not known whether the vendor has accepted a request."""


class ConnectionFailedError(DispatchError, core.ModelConnectionError):
    """No connection could be made, or it broke before the answer was whole."""

    is_retryable = True
    blame = "health"


class AttemptTimeoutError(DispatchError, core.ModelTimeoutError):
    """One attempt took longer than its timeout."""

    is_retryable = True
    blame = "health"


class StreamInterruptedError(DispatchError):
    """A stream broke after content had been delivered. It is not retried: no text is delivered twice.

    Attributes:
        partial: Everything delivered before the break, as one `AIMessageChunk`.
        response_id: What takes up an answer that its vendor makes in the background; else None.
    """

    response_id: str | None = None

    falls_back = False
    blame = "health"

    def __init__(self, message: str, *, partial: AIMessageChunk, **where: Any) -> None:
        super().__init__(message, **where)
        self.partial = partial


class UnsupportedFeatureError(DispatchError, core.ModelInvalidRequestError):
    """The request uses a feature that this target's API cannot express."""


class SpliceError(DispatchError):
    """A resumed answer differs from what was delivered, so the two cannot be joined."""


class ConfigurationError(ValueError):
    """A setting is wrong. The message names the field, the value and the nearest right one.

    A value that looks like a key, such as one in the place of a model's name, is not shown.
    """

    def __init__(self, message: str = "", /) -> None:
        super().__init__(key_shapes.without_keys(message))


class MissingKeyError(ConfigurationError):
    """A deployment has no key, or no address. The message names the variables that may hold it."""


class UnusableDeploymentError(DispatchError, ConfigurationError):
    """One deployment cannot be used as configured: its proxy, certificates, client or `api_key` function."""

    blame = "health"


class LocalModelError(DispatchError, RuntimeError):
    """A model on this machine cannot run. One line: what failed and what to do."""

    blame = "health"


class LimitTimeoutError(DispatchError, core.ModelTimeoutError):
    """The wait for our own limits did not end within the time that was left."""

    is_retryable = False


class DeadlineExceededError(DispatchError, core.ModelTimeoutError):
    """The whole call took longer than its deadline."""

    is_retryable = False
    falls_back = False


class PendingAnswerError(DispatchError, core.ModelTimeoutError):
    """An answer that its vendor makes in the background is still to come. Nothing else is tried for it.

    Attributes:
        response_id: What `invoke(..., resume_from=...)` takes it up by; the error itself does, too.
    """

    is_retryable = False
    falls_back = False

    def __init__(self, message: str, *, response_id: str, **where: Any) -> None:
        super().__init__(message, **where)
        self.response_id = response_id


class BudgetExceededError(DispatchError):
    """The call's worst-case cost does not fit the budget; nothing was sent.

    Attributes:
        state: What was spent of the budget, and on what (`BudgetState`); None for a call's own limit.
    """

    state: Any = None


class BreakerOpenError(DispatchError):
    """The deployment has failed too often recently; nothing was sent to it."""


class NoDeploymentError(DispatchError, core.ModelInvalidRequestError):
    """No deployment can serve this request; the message has the reason for each."""

    falls_back = False
