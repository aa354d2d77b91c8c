"""Retries of a chat model that was handed in: found, and switched off on a copy.

A model that retries by itself multiplies our attempts. What can be switched off without touching the user's
object is: its `max_retries`, that of its SDK clients (`with_options`), that of models within it. What is left
(botocore's retries, transports that retry, fallbacks) is counted for a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FIELDS = ("max_retries", "retries")
# botocore's `legacy` mode, its default, sends up to five requests.
_BOTOCORE = 5


@dataclass(frozen=True, slots=True)
class WithoutRetries:
    """A chat model whose own retries are switched off as far as possible.

    Attributes:
        model: The model, or a copy of it.
        requests: How many requests one call of it may still send.
        why: What sends more than one, as text; empty if nothing does.
    """

    model: BaseChatModel
    requests: int = 1
    why: str = ""


def without_retries(model: BaseChatModel, *, none: int = 0) -> WithoutRetries:
    """Return `model` with its own retries switched off; the object itself is not touched.

    Args:
        model: What the user handed in.
        none: The `max_retries` that means none to this integration.
    """
    update = dict(_changed(model, none))
    fresh = _cached(model)
    copy = model.model_copy(update=update) if update or fresh else model
    copy.__dict__.update(fresh)
    requests, reasons = 1, []
    for times, why in _left(copy):
        requests *= times
        reasons.append(why)
    return WithoutRetries(copy, requests, ", ".join(dict.fromkeys(reasons)))


def _changed(model: BaseChatModel, none: int) -> Iterator[tuple[str, Any]]:
    fields = type(model).model_fields
    for name in fields:
        value = getattr(model, name, None)
        if name in _FIELDS and value != none:
            yield name, none
        elif isinstance(value, BaseChatModel):
            inner = without_retries(value, none=none).model
            if inner is not value:
                yield name, inner
        elif (quiet := _quiet(value)) is not None:
            yield name, quiet


def _cached(model: BaseChatModel) -> dict[str, Any]:
    """Return what cached properties hold, with retries off: clients, and the settings for them."""
    found: dict[str, Any] = {}
    for name, value in model.__dict__.items():
        if not isinstance(getattr(type(model), name, None), cached_property):
            continue
        if isinstance(value, dict) and value.get("max_retries"):
            found[name] = {**value, "max_retries": 0}
        elif (quiet := _quiet(value)) is not None:
            found[name] = quiet
    return found


def _quiet(client: Any) -> Any:
    """Return an SDK's client, or a resource of one, that does not retry; None if it already does not."""
    if _retries(client):
        return client.with_options(max_retries=0)
    owner = getattr(client, "_client", None)
    if owner is not None and _retries(owner):
        return type(client)(owner.with_options(max_retries=0))
    return None


def _retries(client: Any) -> int:
    count = getattr(client, "max_retries", None)
    return count if isinstance(count, int) and callable(getattr(client, "with_options", None)) else 0


# -- what is left ----------------------------------------------------------------------------------


def _left(model: BaseChatModel) -> Iterator[tuple[int, str]]:
    """Yield what makes several requests of one: how many, and its name."""
    attempts = getattr(model, "max_attempts", None)
    if isinstance(attempts, int) and attempts > 1:
        yield attempts, f"{type(model).__name__}.max_attempts={attempts}"
    # A cached client or a resource leads to the same transport as its owner: each is counted once.
    seen: set[str] = set()
    for name, value in [*_values(model)]:
        for times, why in _within(name, value):
            if why not in seen:
                seen.add(why)
                yield times, why


def _values(model: BaseChatModel) -> Iterator[tuple[str, Any]]:
    for name in type(model).model_fields:
        yield name, getattr(model, name, None)
    yield from ((name, v) for name, v in model.__dict__.items() if name not in type(model).model_fields)


def _within(name: str, value: Any) -> Iterator[tuple[int, str]]:
    if isinstance(value, BaseChatModel):
        yield from _left(value)
    elif isinstance(value, Runnable):
        yield from _wrapped(value)
    elif (times := _botocore(value)) > 1:
        yield times, f"botocore's retries of {name!r}"
    else:
        for client in (value, getattr(value, "_client", None)):
            if (times := 1 + _transport_retries(client)) > 1:
                yield times, f"the HTTP transport's retries ({type(client).__name__})"


def _wrapped(value: Runnable[Any, Any]) -> Iterator[tuple[int, str]]:
    tries, spare = getattr(value, "max_attempt_number", None), getattr(value, "fallbacks", None)
    if isinstance(tries, int) and tries > 1:
        yield tries, ".with_retry()"
    if isinstance(spare, (list, tuple)) and spare:
        yield 1 + len(spare), ".with_fallbacks()"


def _botocore(client: Any) -> int:
    """Return how many requests botocore may send for one, or 0 for what is not its client."""
    meta = getattr(client, "meta", None)
    config = getattr(meta, "config", None)
    if config is None or not hasattr(meta, "service_model"):
        return 0
    options: Mapping[str, Any] = getattr(config, "retries", None) or {}
    if isinstance(total := options.get("total_max_attempts"), int):
        return total
    return 1 + most if isinstance(most := options.get("max_attempts"), int) else _BOTOCORE


def _transport_retries(client: Any) -> int:
    """Return how often an `httpx` client's transport retries: by its own count, or by a retry policy."""
    for holder in (client, getattr(client, "_client", None)):
        transport = getattr(holder, "_transport", None)
        pool, policy = getattr(transport, "_pool", None), getattr(transport, "retry", None)
        for count in (getattr(pool, "_retries", None), getattr(policy, "total", None)):
            if isinstance(count, int) and count > 0:
                return count
    return 0
