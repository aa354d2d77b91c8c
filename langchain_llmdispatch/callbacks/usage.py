"""Tokens and dollars over whole chains and agents: `UsageCallbackHandler` and `get_usage_callback()`.

    with get_usage_callback() as usage:
        agent.invoke(...)
    print(usage.cost_usd, usage.total_tokens)

Every request counts once, by the usage that its vendor reported, from the event `llmdispatch.attempt`; those
that failed are also shown as wasted. Answers from LangChain's cache are not billed. Answers of other chat
models in the chain are counted from `on_llm_end`; their price is unknown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmdispatch.callbacks.events import ATTEMPT
from langchain_llmdispatch.catalog.prices import TokenCounts
from langchain_llmdispatch.errors import BudgetExceededError
from langchain_llmdispatch.internal import forks
from langchain_llmdispatch.types import Spending

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import LLMResult


@dataclass(frozen=True, slots=True)
class Usage(Spending):
    """The tokens, dollars and answers of some model calls. Immutable; adds up.

    Tokens and dollars are those of `Spending`.

    Attributes:
        answers: Answers that were billed.
        cached_answers: Answers from LangChain's cache, or passed on by a model around ours: they cost
            nothing.
        failed_calls: Calls that ended without an answer: in an error, or because the caller left.
        failed_requests: Requests that brought no answer: those that were retried, fallen back from, overtaken
            by a hedge or left by the caller included.
        unpriced_answers: Answers whose cost is unknown; they are not in `cost`.
    """

    answers: int = 0
    cached_answers: int = 0
    failed_calls: int = 0
    failed_requests: int = 0
    unpriced_answers: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values; money as text, exactly."""
        counted = {each.name: getattr(self, each.name) for each in fields(self) if type(each.default) is int}
        return {**counted, "cost_usd": format(self.cost, "f"), "wasted_usd": format(self.wasted, "f")}


_NOTHING, _UNKNOWN = Usage(), ("", "", "")


class UsageCallbackHandler(BaseCallbackHandler):
    """Totals the tokens and dollars of a chain's model calls. Thread-safe; works wherever callbacks do.

    Example:
        ```python
        usage = UsageCallbackHandler(budget_usd=0.50)
        agent.invoke(question, {"callbacks": [usage]})
        print(usage)
        ```

    Every attribute of `Usage` can be read from the handler itself, for everything together.

    Args:
        budget_usd: US dollars. Once they are spent, the next model call raises before anything is sent,
            unless `on_budget` is given. (`budget_usd` of the model itself bounds a single call.)
        on_budget: Called once, with the handler, when the budget is spent; then no call raises.
    """

    raise_error = True
    run_inline = True

    def __init__(
        self,
        *,
        budget_usd: float | Decimal | None = None,
        on_budget: Callable[[UsageCallbackHandler], Any] | None = None,
    ) -> None:
        super().__init__()
        self.budget_usd = None if budget_usd is None else Decimal(str(budget_usd))
        self._on_budget = on_budget
        self._outer: UsageCallbackHandler | None = None
        self._renew()
        forks.in_child(self._renew)
        self._spent = False
        self._cost = Decimal(0)
        self._parts: dict[tuple[str, str, str], Usage] = {}
        self._runs: dict[Any, bool] = {}  # open runs: whether events reported their requests one by one

    def _renew(self) -> None:
        """Replace the lock in a forked child, which goes on from a copy of the totals."""
        self._lock = threading.RLock()

    # -- totals ------------------------------------------------------------------------------------

    @property
    def total(self) -> Usage:
        """Everything together, as a snapshot."""
        with self._lock:
            parts = list(self._parts.values())
        return sum(parts, _NOTHING)

    @property
    def by_vendor(self) -> dict[str, Usage]:
        """Usage by vendor."""
        return self._by(0)

    @property
    def by_deployment(self) -> dict[str, Usage]:
        """Usage by deployment."""
        return self._by(1)

    @property
    def by_model(self) -> dict[str, Usage]:
        """Usage by the vendor's model id."""
        return self._by(2)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of `total`."""
        if name in _READ:
            return getattr(self.total, name)
        raise AttributeError(f"UsageCallbackHandler has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        """Return the attributes of `total` too."""
        return sorted({*super().__dir__(), *_READ})

    def __repr__(self) -> str:
        """Return the most important numbers in one line."""
        total = self.total
        unpriced = f", {total.unpriced_answers} of unknown price" if total.unpriced_answers else ""
        wasted = f", ${total.wasted:f} of it wasted" if total.wasted else ""
        return (
            f"{total.answers} answers, {total.failed_requests} failed requests, "
            f"{total.input_tokens} + {total.output_tokens} tokens, ${total.cost:f}{wasted}{unpriced}"
        )

    def _repr_html_(self) -> str:
        from langchain_llmdispatch.callbacks.usage_html import usage_html

        return usage_html(self.total, self.by_deployment, self.budget_usd)

    # -- LangChain's events ------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: Any = None,
        **kwargs: Any,
    ) -> None:
        """Check the budget before a call.

        Raises:
            BudgetExceededError: It is spent, and there is no `on_budget`.
        """
        self._check()
        with self._lock:
            self._runs[run_id] = False

    def _check(self) -> None:
        budget = self.budget_usd
        if budget is not None and self._on_budget is None and self._cost >= budget:
            raise BudgetExceededError(f"${self._cost:f} of the budget of ${budget:f} are spent")
        if self._outer is not None:
            self._outer._check()  # noqa: SLF001 - another of this class

    def on_llm_end(self, response: LLMResult, *, run_id: Any = None, **kwargs: Any) -> None:
        """Count an answer; its tokens only if no event reported its requests."""
        reported = self._forget(run_id)
        for generations in response.generations:
            first = generations[0] if generations else None
            message = first.message if isinstance(first, ChatGeneration) else None
            if isinstance(message, AIMessage):
                self._add(*_answer(message, reported=reported))

    def on_llm_error(self, error: BaseException, *, run_id: Any = None, **kwargs: Any) -> None:
        """Count a call that failed or was left; its requests were counted as they ended."""
        self._forget(run_id)
        self._add(_UNKNOWN, Usage(failed_calls=1))

    def on_custom_event(self, name: str, data: Any, *, run_id: Any = None, **kwargs: Any) -> None:
        """Count a request that has ended, with the usage that its vendor reported."""
        if name == ATTEMPT:
            with self._lock:  # the event of an abandoned stream may come after the end of its run
                if run_id in self._runs:
                    self._runs[run_id] = True
            self._add((data["vendor"], data["deployment"], data["model"]), _request(data))

    def _forget(self, run_id: Any) -> bool:
        with self._lock:
            return self._runs.pop(run_id, False)

    # -- counting ----------------------------------------------------------------------------------

    def _add(self, part: tuple[str, str, str], usage: Usage) -> None:
        with self._lock:
            self._parts[part] = self._parts.get(part, _NOTHING) + usage
            self._cost += usage.cost
            crossed = not self._spent and self.budget_usd is not None and self._cost >= self.budget_usd
            self._spent = self._spent or crossed
        if crossed and self._on_budget is not None:
            self._on_budget(self)
        if self._outer is not None:
            self._outer._add(part, usage)  # noqa: SLF001 - another of this class

    def _by(self, place: int) -> dict[str, Usage]:
        with self._lock:
            parts = list(self._parts.items())
        out: dict[str, Usage] = {}
        for names, usage in parts:
            if names != _UNKNOWN:
                out[names[place]] = out.get(names[place], _NOTHING) + usage
        return out


_READ = {name for name in dir(Usage) if not name.startswith("_")} - {"to_dict"}

_CURRENT: ContextVar[UsageCallbackHandler | None] = ContextVar("llmdispatch_usage", default=None)


@cache
def _hook() -> None:
    """Register the current handler with LangChain; once, and only when needed: the import is slow."""
    from langchain_core.tracers.context import register_configure_hook

    register_configure_hook(_CURRENT, inheritable=True)


@contextmanager
def get_usage_callback(
    *,
    budget_usd: float | Decimal | None = None,
    on_budget: Callable[[UsageCallbackHandler], Any] | None = None,
) -> Iterator[UsageCallbackHandler]:
    """Total the tokens and dollars of all model calls within the `with` block.

    It reaches as far as context variables do: tasks, `asyncio.to_thread`, and the threads that LangChain
    starts (`batch`, `RunnableParallel`, agents' tools). Threads of your own need
    `contextvars.copy_context().run(...)`, or a `UsageCallbackHandler` in their calls' config.
    Blocks nest: what the inner one counts, the outer one counts as well.

    Args:
        budget_usd: See `UsageCallbackHandler`.
        on_budget: See `UsageCallbackHandler`.

    Yields:
        The handler that counts.
    """
    _hook()
    handler = UsageCallbackHandler(budget_usd=budget_usd, on_budget=on_budget)
    handler._outer = _CURRENT.get()  # noqa: SLF001 - its own module
    token = _CURRENT.set(handler)
    try:
        yield handler
    finally:
        _CURRENT.reset(token)


def _answer(message: AIMessage, *, reported: bool) -> tuple[tuple[str, str, str], Usage]:
    """Return vendor, deployment and model of an answer, and the usage that its requests did not report."""
    metadata, usage = message.response_metadata, message.usage_metadata
    facts: Mapping[str, Any] = metadata.get("llmdispatch") or {}
    vendor = str(facts.get("vendor") or metadata.get("model_provider") or "")
    deployment, model = facts.get("deployment"), metadata.get("model_name")
    tried = (one["model"] for one in facts.get("attempts", ()) if one["deployment"] == deployment)
    part = (vendor, str(deployment or model or ""), str(next(tried, model or "")))
    if reported:
        return part, Usage(answers=1)
    # An answer of ours from another run, or one that carries LangChain's mark of a cached answer.
    if facts or (usage is not None and "total_cost" in usage):
        return part, Usage(cached_answers=1)
    return part, Usage(answers=1, unpriced_answers=1, **_tokens(usage))


def _request(data: Mapping[str, Any]) -> Usage:
    tokens, usd = _tokens(data["usage"]), data["cost_usd"]
    cost = Decimal(usd or 0)
    if data["error"] is None:
        return Usage(cost=cost, unpriced_answers=int(usd is None), **tokens)
    wasted = tokens.get("input_tokens", 0) + tokens.get("output_tokens", 0)
    return Usage(failed_requests=1, wasted_tokens=wasted, cost=cost, wasted=cost, **tokens)


def _tokens(usage: UsageMetadata | None) -> dict[str, Any]:
    return {} if usage is None else TokenCounts.of(usage).summed()
