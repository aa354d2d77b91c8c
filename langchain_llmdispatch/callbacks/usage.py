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
from operator import add, attrgetter
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmdispatch.callbacks.events import ATTEMPT
from langchain_llmdispatch.errors import BudgetExceededError

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.outputs import LLMResult


@dataclass(frozen=True, slots=True)
class Usage:
    """What some model calls used. Immutable; adds up.

    Attributes:
        answers: Answers that were billed.
        cached_answers: Answers that came from LangChain's cache, or that a model around ours passed on, and
            cost nothing.
        failed_calls: Calls that ended without an answer: in an error, or because the caller left.
        failed_requests: Requests that brought no answer: those that were retried, fallen back from, overtaken
            by a hedge or left by the caller included.
        input_tokens: Tokens of prompts, failed requests included.
        output_tokens: Tokens of answers, failed requests included.
        cached_tokens: Tokens of prompts that were read from a vendor's cache.
        reasoning_tokens: Tokens of answers that were reasoning.
        wasted_tokens: Tokens of failed requests.
        cost: US dollars, exactly, failed requests included.
        wasted: US dollars of failed requests.
        unpriced_answers: Answers whose cost nobody knows; they are not in `cost`.
    """

    answers: int = 0
    cached_answers: int = 0
    failed_calls: int = 0
    failed_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    wasted_tokens: int = 0
    cost: Decimal = Decimal(0)
    wasted: Decimal = Decimal(0)
    unpriced_answers: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    @property
    def cost_usd(self) -> float:
        """US dollars, failed requests included; `unpriced_answers` are not in it. `cost` is exact."""
        return float(self.cost)

    @property
    def wasted_usd(self) -> float:
        """US dollars of failed requests."""
        return float(self.wasted)

    def __add__(self, other: Usage) -> Usage:
        """Return both taken together."""
        return Usage(*map(add, _VALUES(self), _VALUES(other)))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values; money as text, exactly."""
        counted = {name: getattr(self, name) for name in _SUMMED if name not in {"cost", "wasted"}}
        return {**counted, "cost_usd": format(self.cost, "f"), "wasted_usd": format(self.wasted, "f")}


_SUMMED = tuple(each.name for each in fields(Usage))
_VALUES = attrgetter(*_SUMMED)
_NOTHING, _NOBODY = Usage(), ("", "", "")


class UsageCallbackHandler(BaseCallbackHandler):
    """Totals what a chain's model calls use. Thread-safe; attach it anywhere callbacks are taken.

    Example:
        ```python
        usage = UsageCallbackHandler(budget_usd=0.50)
        agent.invoke(question, {"callbacks": [usage]})
        print(usage)
        ```

    Every attribute of `Usage` can be read from the handler itself, for everything together.

    Args:
        budget_usd: US dollars. Once they are spent, the next model call is refused before anything is sent,
            unless `on_budget` is given. (`budget_usd` of the model itself bounds a single call.)
        on_budget: Called once, with the handler, when the budget is spent; then nothing is refused.
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
        self._lock = threading.RLock()
        self._spent = False
        self._cost = Decimal(0)
        self._parts: dict[tuple[str, str, str], Usage] = {}
        self._runs: dict[Any, bool] = {}  # runs that are going on: whether their requests are counted singly

    # -- what was used -----------------------------------------------------------------------------

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
        """Look up what `Usage` has in `total`."""
        if name in _READ:
            return getattr(self.total, name)
        raise AttributeError(f"UsageCallbackHandler has no attribute {name!r}")

    if TYPE_CHECKING:
        answers: int
        cached_answers: int
        failed_calls: int
        failed_requests: int
        input_tokens: int
        output_tokens: int
        total_tokens: int
        cached_tokens: int
        reasoning_tokens: int
        wasted_tokens: int
        cost: Decimal
        wasted: Decimal
        cost_usd: float
        wasted_usd: float
        unpriced_answers: int

    def __repr__(self) -> str:
        """Say the most important in one line."""
        total = self.total
        unpriced = f", {total.unpriced_answers} of unknown price" if total.unpriced_answers else ""
        wasted = f", ${total.wasted:f} of it wasted" if total.wasted else ""
        return (
            f"{total.answers} answers, {total.failed_requests} failed requests, "
            f"{total.input_tokens} + {total.output_tokens} tokens, ${total.cost:f}{wasted}{unpriced}"
        )

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        from langchain_llmdispatch.callbacks.usage_html import usage_html  # noqa: PLC0415 - only notebooks need it

        return usage_html(self.total, self.by_deployment, self.budget_usd)

    # -- LangChain's events ------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: Any,  # noqa: ARG002 - LangChain's signature
        messages: Any,  # noqa: ARG002 - as above
        *,
        run_id: Any = None,
        **kwargs: Any,  # noqa: ARG002 - as above
    ) -> None:
        """Refuse the call if the budget is spent.

        Raises:
            BudgetExceededError: It is, and nobody else decides (`on_budget`).
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

    def on_llm_end(self, response: LLMResult, *, run_id: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Count an answer; its tokens only if its requests were not heard of."""
        heard = self._forget(run_id)
        for generations in response.generations:
            first = generations[0] if generations else None
            message = first.message if isinstance(first, ChatGeneration) else None
            if isinstance(message, AIMessage):
                self._add(*_answer(message, heard=heard))

    def on_llm_error(self, error: BaseException, *, run_id: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Count a call that failed or was left; its requests were counted as they ended."""
        self._forget(run_id)
        self._add(_NOBODY, Usage(failed_calls=1))

    def on_custom_event(self, name: str, data: Any, *, run_id: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Count a request that is over, by what its vendor reported."""
        if name == ATTEMPT:
            with self._lock:  # a stream that is left may be told of after its run has ended
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
            if names != _NOBODY:
                out[names[place]] = out.get(names[place], _NOTHING) + usage
        return out


_READ = {name for name in dir(Usage) if not name.startswith("_")} - {"to_dict"}

_CURRENT: ContextVar[UsageCallbackHandler | None] = ContextVar("llmdispatch_usage", default=None)


@cache
def _hook() -> None:
    """Make LangChain look for the current handler; once, and not before it is needed: the import is slow."""
    from langchain_core.tracers.context import register_configure_hook  # noqa: PLC0415

    register_configure_hook(_CURRENT, inheritable=True)


@contextmanager
def get_usage_callback(
    *,
    budget_usd: float | Decimal | None = None,
    on_budget: Callable[[UsageCallbackHandler], Any] | None = None,
) -> Iterator[UsageCallbackHandler]:
    """Total what all model calls within the `with` block use.

    It reaches as far as context variables do: tasks, `asyncio.to_thread`, and the threads that LangChain
    starts (`batch`, `RunnableParallel`, agents' tools). Threads of your own must take it along by
    `contextvars.copy_context().run(...)`, or be handed a `UsageCallbackHandler` for their calls.
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


def _answer(message: AIMessage, *, heard: bool) -> tuple[tuple[str, str, str], Usage]:
    """Return whose answer it is, and what it adds to what was heard of its requests."""
    metadata, usage = message.response_metadata, message.usage_metadata
    facts: Mapping[str, Any] = metadata.get("llmdispatch") or {}
    vendor = str(facts.get("vendor") or metadata.get("model_provider") or "")
    deployment, model = facts.get("deployment"), metadata.get("model_name")
    asked = (one["model"] for one in facts.get("attempts", ()) if one["deployment"] == deployment)
    part = (vendor, str(deployment or model or ""), str(next(asked, model or "")))
    if heard:
        return part, Usage(answers=1)
    # One of ours that was not asked for in this run, or one that carries LangChain's mark of a cached answer.
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
    if usage is None:
        return {}
    read, made = usage.get("input_token_details") or {}, usage.get("output_token_details") or {}
    return {
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "cached_tokens": read.get("cache_read") or 0,
        "reasoning_tokens": made.get("reasoning") or 0,
    }
