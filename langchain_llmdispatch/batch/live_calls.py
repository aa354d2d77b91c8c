"""The live calls of rows: one call each, and what its end means for the row."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, messages_to_dict
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ensure_config
from pydantic import BaseModel

from langchain_llmdispatch import errors
from langchain_llmdispatch.batch.answers import AnswerKeeper, AnswerTable, PendingAnswer
from langchain_llmdispatch.batch.batched_model import takes_keywords, with_keywords
from langchain_llmdispatch.batch.progress import counted
from langchain_llmdispatch.batch.rows import BatchRow, as_json
from langchain_llmdispatch.batch.store import RowResult
from langchain_llmdispatch.callbacks.usage import UsageCallbackHandler
from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors.call import UNCONFIRMED

_YOUNG = 60.0  # seconds in which an answer that was just requested may be unknown to its vendor
_NOT_FOUND = 404


class LiveCalls:
    """Answers rows by live calls.

    An answer that its vendor makes in the background is written down before it is waited for, and taken up
    again; that counts as no further try of its row. Only a chat model, or what begins with one, gets the
    keywords of a call, which that needs.

    Args:
        model: A chat model, or what is made of one.
        config: For each call.
        answers: The answers that are still to come.
        clock: The source of time.
        deadline: Seconds after which an answer in the background is cancelled; None for never.
        handlers: Further handlers of each call.
    """

    def __init__(
        self,
        model: Runnable[Any, Any],
        config: RunnableConfig | None,
        answers: AnswerTable,
        *,
        clock: Clock,
        deadline: float | None,
        handlers: Sequence[BaseCallbackHandler] = (),
    ) -> None:
        self._model, self._config, self._answers = model, config, answers
        self._clock, self._deadline, self._handlers = clock, deadline, handlers
        self._keeps = takes_keywords(model)

    async def result(self, number: int, row: BatchRow) -> RowResult:
        """Return what a call for a row comes to."""
        usage = UsageCallbackHandler()
        taken = self._answers.find(number) if self._keeps else None
        late = taken is not None and self._is_late(taken)
        handlers = [usage, *self._handlers]
        if self._keeps:
            handlers.append(AnswerKeeper(self._answers, number, self._clock))
        config = counted(ensure_config(self._config), *handlers)
        more = {} if taken is None else _taking_up(taken, late=late)
        answer, error = await tried(self._call(row, config, more))
        pending = error is not None and not late and self._is_to_come(number, error, taken)
        final = answer is not None or (taken is None and is_final(error))
        return _result(number, answer, error, usage, final=final and not pending, pending=pending)

    async def _call(self, row: BatchRow, config: RunnableConfig, more: dict[str, Any]) -> Any:
        return await with_keywords(self._model, {**row.params, **more}).ainvoke(row.input, config)

    def _is_to_come(self, number: int, error: Exception, taken: PendingAnswer | None) -> bool:
        """Return whether a row goes on with its answer although a call for it has failed."""
        if self._answers.find(number) is None:
            return False
        if isinstance(error, errors.PendingAnswerError):
            return True
        if taken is None:  # the vendor has failed to make it
            return False
        age = self._clock.now().timestamp() - taken.since
        unknown = getattr(error, "status_code", None) == _NOT_FOUND and age < _YOUNG
        return unknown or not is_final(error)

    def _is_late(self, answer: PendingAnswer) -> bool:
        age = self._clock.now().timestamp() - answer.since
        return self._deadline is not None and age >= self._deadline


def _taking_up(answer: PendingAnswer, *, late: bool) -> dict[str, Any]:
    """Return the keywords of a call that takes an answer up; at the batch's deadline it is cancelled."""
    return {"resume_from": answer.error()} | ({"on_deadline": "cancel"} if late else {})


def _result(
    number: int,
    answer: str | None,
    error: Exception | None,
    usage: UsageCallbackHandler,
    *,
    final: bool,
    pending: bool,
) -> RowResult:
    used, text = usage.total, None if error is None else text_of(error)
    spent = (used.cost, used.unpriced_answers, used.input_tokens, used.output_tokens)
    return RowResult(number, answer, text, final, *spent, pending=pending)


async def tried(work: Awaitable[Any]) -> tuple[str | None, Exception | None]:
    """Return an answer as JSON, or what failed."""
    try:
        return _stored(await work), None
    except Exception as error:  # noqa: BLE001 - whatever a row fails with is its result
        return None, error


def text_of(error: Exception) -> str:
    """Return an error as it is kept with its row."""
    return f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode()


def _stored(answer: Any) -> str:
    if isinstance(answer, BaseMessage):
        return as_json(messages_to_dict([answer])[0], default=str)
    value = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
    return as_json({"value": value}, default=str)


_PASSING = (
    errors.LimitTimeoutError,
    errors.DeadlineExceededError,
    errors.BreakerOpenError,
    errors.PendingAnswerError,
)


def is_final(error: Exception | None) -> bool:
    """Return whether the same row cannot succeed later."""
    inner = getattr(error, "errors", ()) or (error,)
    return not any(
        getattr(each, "is_retryable", isinstance(each, OSError))
        or isinstance(each, _PASSING)
        or getattr(each, "code", None) == UNCONFIRMED
        for each in inner
    )
