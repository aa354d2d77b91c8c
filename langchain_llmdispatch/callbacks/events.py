"""What LangChain's callbacks hear of a call's attempts: `on_retry`, and custom events on the LLM run.

| event                  | when                                           | data, besides who it was about   |
|------------------------|------------------------------------------------|----------------------------------|
| `llmdispatch.attempt`  | a request is over, answered or not             | the record, `usage`, `cost_usd`  |
| `llmdispatch.retry`    | a failed deployment is about to be asked again | `error`, `status`, `delay_ms`    |
| `llmdispatch.fallback` | another deployment is about to be asked        | `from`, `to`, `error`, `status`  |
| `llmdispatch.throttle` | our own limits made a request wait             | `wait_ms`                        |
| `llmdispatch.hedge`    | another deployment is asked as well            | `deployment`                     |
| `llmdispatch.usage`    | an answer is whole                             | tokens by kind, `cost_usd`       |

All data are JSON-safe and hold no prompt, no answer and no key. A `Run` is an observer that keeps events
until its driver may hand them over: at once before a wait, and at the end. Handlers that listen to none cost
nothing.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.callbacks.manager import ahandle_event, handle_event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from langchain_llmdispatch.dispatch.dispatch import Attempt, Dispatch

RunManager: TypeAlias = CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun

ATTEMPT, RETRY, FALLBACK = "llmdispatch.attempt", "llmdispatch.retry", "llmdispatch.fallback"
THROTTLE, HEDGE, USAGE = "llmdispatch.throttle", "llmdispatch.hedge", "llmdispatch.usage"

# Shorter waits are our own work, not a limit.
_NOTICEABLE = 0.002
_SILENT = {BaseCallbackHandler.on_custom_event, AsyncCallbackHandler.on_custom_event}

AMBIENT: ContextVar[RunManager | None] = ContextVar("llmdispatch_run", default=None)
"""The LLM run that a stream belongs to: LangChain hands `_stream` none. Read once, when the stream begins."""


def ambient_run(own: RunManager | None, *, stream: bool) -> Run:
    """Return the run of a call that begins now.

    Args:
        own: What LangChain handed over.
        stream: Whether the call is streamed; then the ambient run is taken, and taken only once.
    """
    if own is None and stream:
        own = AMBIENT.get()
        AMBIENT.set(None)
    return Run(own)


class Run:
    """One call's LLM run: what it must be told, kept until it may be.

    Attributes:
        tags: The run's tags.
        metadata: The run's metadata.
    """

    __slots__ = ("_listeners", "_manager", "_pending", "metadata", "tags")

    def __init__(self, manager: RunManager | None) -> None:
        self._manager = manager
        handlers = manager.handlers if manager is not None else ()
        self._listeners = [handler for handler in handlers if _listens(handler)]
        self._pending: list[tuple[str, dict[str, Any]]] = []
        self.tags: Sequence[str] = manager.tags if manager is not None else ()
        self.metadata: Mapping[str, Any] = manager.metadata if manager is not None else {}

    @property
    def observer(self) -> Run | None:
        """The run as an observer, or None if nobody listens."""
        return self if self._listeners else None

    # -- an observer -------------------------------------------------------------------------------

    def started(self, attempt: Attempt) -> None:
        """Keep word of a hedge."""
        if attempt.hedge:
            self._keep(HEDGE, _who(attempt))

    def ended(self, attempt: Attempt) -> None:
        """Keep word of what became of a request."""
        if not attempt.sent:
            return
        if attempt.throttled > _NOTICEABLE:
            self._keep(THROTTLE, {**_who(attempt), "wait_ms": _ms(attempt.throttled)})
        self._keep(ATTEMPT, _attempt_data(attempt))
        if attempt.record is not None and attempt.record.error is None and attempt.usage is not None:
            self._keep(USAGE, _usage_data(attempt))

    def finished(self, dispatch: Dispatch, answer: Attempt | None) -> None:
        """Do nothing: LangChain's own `on_llm_end` and `on_llm_error` follow."""

    # -- its driver's ------------------------------------------------------------------------------

    def admit(self, attempt: Attempt) -> None:
        """Tell that an attempt is about to be waited for, and what was kept."""
        if attempt.number == 1:
            return
        self.flush()
        if attempt.retry is not None and isinstance(self._manager, CallbackManagerForLLMRun):
            self._manager.on_retry(attempt.retry)
        if self._listeners:
            self._keep_reason(attempt)
            self.flush()

    async def aadmit(self, attempt: Attempt) -> None:
        """Tell that an attempt is about to be waited for, and what was kept."""
        if attempt.number == 1:
            return
        await self.aflush()
        if attempt.retry is not None and isinstance(self._manager, AsyncCallbackManagerForLLMRun):
            await self._manager.on_retry(attempt.retry)
        if self._listeners:
            self._keep_reason(attempt)
            await self.aflush()

    def flush(self) -> None:
        """Tell what was kept."""
        for name, data in self._taken():
            handle_event(
                self._listeners, "on_custom_event", "ignore_custom_event", name, data, **self._where()
            )

    async def aflush(self) -> None:
        """Tell what was kept."""
        for name, data in self._taken():
            await ahandle_event(
                self._listeners, "on_custom_event", "ignore_custom_event", name, data, **self._where()
            )

    def __enter__(self) -> Self:
        """Begin the call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what was kept."""
        if self._pending:
            self.flush()

    async def __aenter__(self) -> Self:
        """Begin the call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what was kept."""
        if self._pending:
            await self.aflush()

    def _keep(self, name: str, data: dict[str, Any]) -> None:
        self._pending.append((name, data))

    def _keep_reason(self, attempt: Attempt) -> None:
        if attempt.retry is not None:
            self._keep(RETRY, {**_who(attempt), **_last_failure(attempt), "delay_ms": _ms(attempt.delay)})
        if attempt.fallback:
            failure = _last_failure(attempt)
            data = {**_who(attempt), "from": failure["deployment"], "to": attempt.target.name}
            self._keep(FALLBACK, {**failure, **data, "delay_ms": _ms(attempt.delay)})

    def _taken(self) -> list[tuple[str, dict[str, Any]]]:
        taken, self._pending = self._pending, []
        return taken

    def _where(self) -> dict[str, Any]:
        assert self._manager is not None  # noqa: S101 - there are listeners
        return {
            "run_id": self._manager.run_id,
            "tags": self._manager.tags,
            "metadata": self._manager.metadata,
        }


def _listens(handler: BaseCallbackHandler) -> bool:
    return type(handler).on_custom_event not in _SILENT and not handler.ignore_custom_event


def _who(attempt: Attempt) -> dict[str, Any]:
    target = attempt.target
    return {
        "attempt": attempt.number,
        "vendor": target.vendor.name,
        "model": target.model,
        "deployment": target.name,
    }


def _last_failure(attempt: Attempt) -> dict[str, Any]:
    errors, declined = attempt.dispatch.errors, attempt.dispatch.declined
    if declined and declined[-1].record is attempt.dispatch.records[-1]:
        return {"deployment": declined[-1].target.name, "error": None, "status": declined[-1].status}
    if not errors:
        return {"deployment": None, "error": None, "status": None}
    last = errors[-1]
    return {"deployment": last.deployment, "error": type(last).__name__, "status": last.status_code}


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    assert attempt.record is not None  # noqa: S101 - it has ended
    request = attempt.dispatch.request
    return {
        "attempt": attempt.number,
        **attempt.record.to_dict(),
        "route": request.route if request is not None else None,
        "retry": attempt.retry is not None,
        "fallback": attempt.fallback,
        "hedge": attempt.hedge,
        "usage": dict(attempt.usage) if attempt.usage is not None else None,
        "cost_usd": _cost_text(attempt),
        "ended_at": attempt.dispatch.clock.now().isoformat(timespec="microseconds"),
    }


def _usage_data(attempt: Attempt) -> dict[str, Any]:
    usage = attempt.usage
    assert usage is not None  # noqa: S101 - checked by the caller
    read, made = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return {
        **_who(attempt),
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "total_tokens": usage["total_tokens"],
        "cached_tokens": read.get("cache_read") or 0,
        "reasoning_tokens": made.get("reasoning") or 0,
        "cost_usd": _cost_text(attempt),
        "price_source": attempt.cost.source if attempt.cost is not None else None,
    }


def _cost_text(attempt: Attempt) -> str | None:
    cost = attempt.cost
    return None if cost is None or cost.usd is None else format(cost.usd, "f")


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
