"""Assertions on the metadata of a call: which deployments were tried, how often, at what cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_llmdispatch.testing.middleware import matches

_KEY = "llmdispatch"


def route_of(call: Any) -> list[str]:
    """Return the deployments that were tried, in order, each retry again.

    Args:
        call: A message, an error that a call ended with, or an agent's state (its last answer counts).

    Raises:
        AssertionError: It has no dispatch metadata.
    """
    return [record["deployment"] for record in attempts_of(call)]


def attempts_of(call: Any) -> list[dict[str, Any]]:
    """Return the attempts of a call, as in `response_metadata["llmdispatch"]["attempts"]`.

    Args:
        call: A message, an error that a call ended with, or an agent's state.

    Raises:
        AssertionError: It has no dispatch metadata.
    """
    if isinstance(call, BaseException):
        records = getattr(call, "attempts", None)
        if records is None:
            raise AssertionError(f"{type(call).__name__} is not an error of a dispatched call") from call
        return [record.to_dict() for record in records]
    return list(_facts(_last(call))["attempts"])


def calls_of(state: Mapping[str, Any] | Sequence[BaseMessage]) -> list[AIMessage]:
    """Return the answers of dispatched calls in an agent's state or a list of messages, in order."""
    messages = state["messages"] if isinstance(state, Mapping) else state
    return [m for m in messages if isinstance(m, AIMessage) and _KEY in m.response_metadata]


def cost_of(call: Any) -> Decimal | None:
    """Return the cost of a call in US dollars; of a state or list, of all its calls. None if unknown.

    The cost of failed attempts is not in a message; statistics and a `Journal` have it.
    """
    messages = calls_of(call) if isinstance(call, (Mapping, Sequence)) else [_last(call)]
    costs = [_facts(message)["cost_usd"] for message in messages]
    return None if None in costs else sum((Decimal(cost) for cost in costs), Decimal(0))


def assert_route(call: Any, expected: Sequence[str]) -> None:
    """Check which deployments were tried, in order.

    Args:
        call: A message, an error that a call ended with, or an agent's state.
        expected: Deployment names or globs of their names or `vendor:model`; `["openai:*", "anthropic:*"]`.

    Raises:
        AssertionError: The route is another one; the message lists each attempt.
    """
    records = attempts_of(call)
    names = [(record["deployment"], f"{record['vendor']}:{record['model']}") for record in records]
    same = len(names) == len(expected) and all(map(matches, expected, names))
    if not same:
        lines = [f"the route is not the expected one.\n  expected: {list(expected)}\n  actual:"]
        raise AssertionError("\n".join([*lines, *map(_line, records)]))


def assert_attempts(call: Any, *, at_most: int | None = None, exactly: int | None = None) -> None:
    """Check how many requests a call took.

    Raises:
        AssertionError: It took more, or another number; the message lists each attempt.
    """
    records = attempts_of(call)
    count = len(records)
    if (at_most is not None and count > at_most) or (exactly is not None and count != exactly):
        bound = f"at most {at_most}" if exactly is None else f"{exactly}"
        raise AssertionError("\n".join([f"{count} attempts, expected {bound}:", *map(_line, records)]))


def assert_cost(call: Any, *, at_most: float | str | Decimal) -> None:
    """Check what a call, or all calls of an agent's state, cost.

    Args:
        call: A message, or an agent's state or list of messages.
        at_most: US dollars.

    Raises:
        AssertionError: It cost more, or the price is unknown.
    """
    cost, ceiling = cost_of(call), Decimal(str(at_most))
    if cost is None:
        raise AssertionError(
            "the cost is unknown: give the deployment input_price and output_price, "
            "or check that the vendor reports usage"
        )
    if cost > ceiling:
        raise AssertionError(f"it cost {cost:f} USD, more than {ceiling:f} USD")


def _last(call: Any) -> BaseMessage:
    if isinstance(call, BaseMessage):
        return call
    if not isinstance(call, (Mapping, Sequence)):
        problem = f"{type(call).__name__} is not a message, error or state"
    elif found := calls_of(call):
        return found[-1]
    else:
        problem = "there is no answer of a dispatched call in it"
    raise AssertionError(problem)


def _facts(message: BaseMessage) -> Mapping[str, Any]:
    facts = message.response_metadata.get(_KEY)
    if facts is None:
        raise AssertionError("the message has no dispatch metadata: no dispatched call made it")
    return dict(facts)


def _line(record: Mapping[str, Any]) -> str:
    status = "-" if record["status"] is None else record["status"]
    what = record["error"] or "answered"
    return f"    {record['deployment']}  status {status}  {what}  {record['latency_ms']} ms"
