"""LangChain's callbacks for a call's attempts: `on_retry`, and custom events on the LLM run.

| event                    | when                                         | data                            |
|--------------------------|----------------------------------------------|---------------------------------|
| `llmdispatch.attempt`    | a request has ended, answered or not         | the record, `usage`, `cost_usd` |
| `llmdispatch.retry`      | a failed deployment is about to be retried   | `error`, `status`, `delay_ms`   |
| `llmdispatch.fallback`   | another deployment is about to be tried      | `from`, `to`, `error`, `status` |
| `llmdispatch.throttle`   | a request waited for our own limits          | `wait_ms`                       |
| `llmdispatch.hedge`      | a second deployment is tried beside another  |                                 |
| `llmdispatch.usage`      | an answer is complete                        | tokens by kind, `cost_usd`      |
| `llmdispatch.background` | a vendor makes an answer in the background   | `response_id`                   |

All hold `attempt`, `vendor`, `model` and `deployment` as well. Data are JSON-safe and hold no prompt, no
answer and no key. A `Run` is an observer that queues events until its driver delivers them: before each
further attempt, before an answer in the background is waited for, and at the end. Without a handler for
custom events nothing is queued.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManagerForLLMRun,
)
from langchain_core.callbacks.manager import ahandle_event, handle_event

from langchain_llmdispatch.internal.lazy import LateModule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import LLMResult

    from langchain_llmdispatch.catalog import prices
    from langchain_llmdispatch.dispatch.attempt import Attempt
else:
    prices = LateModule("langchain_llmdispatch.catalog.prices")

RunManager: TypeAlias = CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun

ATTEMPT, RETRY, FALLBACK = "llmdispatch.attempt", "llmdispatch.retry", "llmdispatch.fallback"
THROTTLE, HEDGE, USAGE = "llmdispatch.throttle", "llmdispatch.hedge", "llmdispatch.usage"
BACKGROUND = "llmdispatch.background"

_ON_LLM_END = AsyncCallbackManagerForLLMRun.on_llm_end  # another one, of a tracer that wraps it, is called
_SILENT = {BaseCallbackHandler.on_custom_event, AsyncCallbackHandler.on_custom_event}


class Run:
    """One call's LLM run: the events for its handlers, queued until they may be delivered.

    Args:
        manager: LangChain's manager of the run; None where there is none.

    Attributes:
        tags: The run's tags.
        metadata: The run's metadata.
    """

    __slots__ = ("_handlers", "_manager", "_queued", "metadata", "tags")

    def __init__(self, manager: RunManager | None) -> None:
        self._manager = manager
        self._queued: list[tuple[str, dict[str, Any]]] = []
        self._handlers: Sequence[BaseCallbackHandler] = ()
        self.tags: Sequence[str] = ()
        self.metadata: Mapping[str, Any] = {}
        if manager is not None:
            if manager.handlers:
                self._handlers = [handler for handler in manager.handlers if _takes_events(handler)]
            elif type(manager).on_llm_end is _ON_LLM_END:
                vars(manager)["on_llm_end"] = _unobserved_end
            self.tags, self.metadata = manager.tags, manager.metadata

    @property
    def observer(self) -> Run | None:
        """The run as an observer; None without a handler for custom events."""
        return self if self._handlers else None

    # -- an observer -------------------------------------------------------------------------------

    def started(self, attempt: Attempt) -> None:
        """Queue the event of a hedge."""
        if attempt.hedge:
            self._queued.append((HEDGE, _identity(attempt)))

    def ended(self, attempt: Attempt) -> None:
        """Queue the events of a request that has ended."""
        if not attempt.sent:
            return
        if attempt.throttled:
            self._queued.append((THROTTLE, {**_identity(attempt), "wait_ms": _ms(attempt.throttled)}))
        self._queued.append((ATTEMPT, _attempt_data(attempt)))
        if attempt.record is not None and attempt.record.error is None and attempt.usage is not None:
            self._queued.append((USAGE, _usage_data(attempt, attempt.usage)))

    # -- delivery ----------------------------------------------------------------------------------

    def admit(self, attempt: Attempt) -> None:
        """Deliver what is queued and the reason of a further attempt, before the wait for it."""
        for _ in self._reasons(attempt, handle_event):
            pass

    async def aadmit(self, attempt: Attempt) -> None:
        """Deliver what is queued and the reason of a further attempt, before the wait for it."""
        for delivery in self._reasons(attempt, ahandle_event):
            if delivery is not None:
                await delivery

    def pending(self, attempt: Attempt, response_id: str) -> None:
        """Deliver what is queued and the id of an answer in the background, before the wait for it."""
        for _ in self._of_pending(attempt, response_id, handle_event):
            pass

    async def apending(self, attempt: Attempt, response_id: str) -> None:
        """Deliver what is queued and the id of an answer in the background, before the wait for it."""
        for delivery in self._of_pending(attempt, response_id, ahandle_event):
            if delivery is not None:
                await delivery

    def _of_pending(self, attempt: Attempt, response_id: str, deliver: Callable[..., Any]) -> Iterator[Any]:
        if self._handlers:
            self._queued.append((BACKGROUND, {**_identity(attempt), "response_id": response_id}))
        return self._deliveries(deliver)

    def __enter__(self) -> Self:
        """Begin the call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deliver what is queued."""
        if self._queued:
            for _ in self._deliveries(handle_event):
                pass

    async def __aenter__(self) -> Self:
        """Begin the call."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deliver what is queued."""
        if self._queued:
            for delivery in self._deliveries(ahandle_event):
                await delivery

    def _reasons(self, attempt: Attempt, deliver: Callable[..., Any]) -> Iterator[Any]:
        """Make the deliveries before a further attempt; each value is awaited in async code."""
        yield from self._deliveries(deliver)
        if attempt.retry is not None and self._manager is not None:
            yield self._manager.on_retry(attempt.retry)
        if self._handlers:
            self._queued += _reasons_data(attempt)
            yield from self._deliveries(deliver)

    def _deliveries(self, deliver: Callable[..., Any]) -> Iterator[Any]:
        queued, self._queued = self._queued, []
        for name, data in queued:
            yield deliver(
                self._handlers,
                "on_custom_event",
                "ignore_custom_event",
                name,
                data,
                run_id=self._manager.run_id if self._manager is not None else None,
                tags=self.tags,
                metadata=self.metadata,
            )


def with_generation_info(run: RunManager, info: Mapping[str, Any]) -> None:
    """Add what tracers show of an answer to the end of its run.

    LangChain's own bridge hands it to them; producers of content-block events have no other way to.
    """
    ended = run.on_llm_end

    def end(response: LLMResult, **kwargs: Any) -> Any:
        for generations in response.generations:
            for generation in generations:
                generation.generation_info = {**(generation.generation_info or {}), **info}
        return ended(response, **kwargs)

    vars(run)["on_llm_end"] = end


def _unobserved_end(_response: LLMResult, **_kwargs: Any) -> asyncio.Future[None]:
    """End an async run without handlers: LangChain's own method does nothing for one, in two tasks."""
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ended.set_result(None)
    return ended


def _takes_events(handler: BaseCallbackHandler) -> bool:
    return type(handler).on_custom_event not in _SILENT and not handler.ignore_custom_event


def _identity(attempt: Attempt) -> dict[str, Any]:
    target = attempt.target
    return {
        "attempt": attempt.number,
        "vendor": target.vendor.name,
        "model": target.model,
        "deployment": target.name,
    }


def _reasons_data(attempt: Attempt) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the events of a retry or a fallback that is about to be sent."""
    failure, delay = _last_failure(attempt), {"delay_ms": _ms(attempt.delay)}
    if attempt.retry is not None:
        yield RETRY, {**_identity(attempt), **failure, **delay}
    if attempt.fallback:
        way = {"from": failure["deployment"], "to": attempt.target.name}
        yield FALLBACK, {**failure, **_identity(attempt), **way, **delay}


def _last_failure(attempt: Attempt) -> dict[str, Any]:
    errors, declined = attempt.call.errors, attempt.call.declined
    if declined and declined[-1].record is attempt.call.records[-1]:
        record = declined[-1].record
        return {"deployment": record.deployment, "error": None, "status": record.status}
    if not errors:
        return {"deployment": None, "error": None, "status": None}
    last = errors[-1]
    return {"deployment": last.deployment, "error": type(last).__name__, "status": last.status_code}


def _attempt_data(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.number,
        **(attempt.record.to_dict() if attempt.record is not None else {}),
        "route": attempt.call.request.route,
        "retry": attempt.retry is not None,
        "fallback": attempt.fallback,
        "hedge": attempt.hedge,
        "usage": dict(attempt.usage) if attempt.usage is not None else None,
        "cost_usd": _cost_text(attempt),
        "ended_at": attempt.call.clock.now().isoformat(timespec="microseconds"),
    }


def _usage_data(attempt: Attempt, usage: UsageMetadata) -> dict[str, Any]:
    return {
        **_identity(attempt),
        "total_tokens": usage["total_tokens"],
        **prices.TokenCounts.of(usage).summed(),
        "cost_usd": _cost_text(attempt),
        "price_source": attempt.cost.source if attempt.cost is not None else None,
    }


def _cost_text(attempt: Attempt) -> str | None:
    cost = attempt.cost
    return None if cost is None or cost.usd is None else format(cost.usd, "f")


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
