"""The facts of a call, for `response_metadata["llmdispatch"]`: what answered, which attempts, what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import UsageMetadata

from langchain_llmdispatch.catalog.cost_details import details_of, total_of
from langchain_llmdispatch.catalog.prices import MILLION, Cost
from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.dispatch.call_state import CallState
from langchain_llmdispatch.dispatch.hedging import OVERTAKEN
from langchain_llmdispatch.dispatch.resume import caused, interrupted
from langchain_llmdispatch.dispatch.untried import untried
from langchain_llmdispatch.errors import (
    AllDeploymentsFailedError,
    BudgetExceededError,
    DeadlineExceededError,
    DispatchError,
    StreamInterruptedError,
)

# What LangChain's tracers read to name the vendor that really answered (langchain_core.utils._gateway).
GATEWAY_KEY = "lc_gateway_metadata"
_NOT_REPORTED = Cost(None, unknown="the vendor reported no usage")


def report(attempt: Attempt) -> dict[str, Any]:
    """Return the facts of a call that an attempt has answered, JSON-safe: ints, strings, booleans, None.

    Args:
        attempt: The attempt; its record is complete.
    """
    call, target = attempt.call, attempt.target
    cost = attempt.cost or _NOT_REPORTED
    if call.declined or call.paused is not None:
        cost = total_of([cost, *_others(attempt)])
    facts: dict[str, Any] = {
        "vendor": target.vendor.name,
        "deployment": target.name,
        "route": call.request.route,
        "messages": len(call.request.messages),
        **_course(call),
        "cost_usd": None if cost.usd is None else format(cost.usd, "f"),
        "cost_details": _details(cost),
        "price_source": cost.source,
        "created_at": call.clock.now().isoformat(timespec="milliseconds"),
    }
    if cost.unknown:
        facts["cost_unknown"] = cost.unknown
    if cost.estimated:
        facts["cost_estimated"] = True
    if attempt.cache_miss is not None:
        facts["cache_miss"] = attempt.cache_miss.to_dict()
    if call.declined:
        facts |= {"attempts": _answers(attempt), "escalated": True, "accepted": not attempt.declined}
    if call.delivered:
        facts["resumed"] = True
    if attempt.changes:
        facts["adapted"] = [{"kind": c.kind, "detail": c.detail, "lossy": c.lossy} for c in attempt.changes]
    return facts


def failure_report(call: CallState) -> dict[str, Any]:
    """Return the facts of a call that failed, by the names of `report`: the last target, the cost.

    Its cost is that of the requests that were billed, by estimate where vendors did not report their usage;
    None if there was none.
    """
    last = call.records[-1] if call.records else None
    known = [cost for cost in call.costs if cost.usd is not None]
    spent = total_of(known)
    return {
        "vendor": last.vendor if last is not None else None,
        "deployment": last.deployment if last is not None else None,
        "route": call.request.route,
        "messages": len(call.request.messages),
        **_course(call),
        "cost_usd": format(spent.usd, "f") if known and spent.usd is not None else None,
        "cost_details": details_of(spent),
        "price_source": known[-1].source if known else None,
        "created_at": call.clock.now().isoformat(timespec="milliseconds"),
        **({"cost_estimated": True} if spent.estimated else {}),
    }


def final_error(call: CallState, last: DispatchError) -> DispatchError:
    """Return the error that a call ends with, after the error of its last attempt."""
    records = tuple(call.records)
    if call.delivered and not isinstance(last, StreamInterruptedError):
        last = interrupted(last, call.delivered)
    caller_fault = not last.falls_back and not last.is_retryable
    if caller_fault or isinstance(last, (DeadlineExceededError, StreamInterruptedError)):
        last.attempts = records
        return last
    if isinstance(last, BudgetExceededError) and not records:
        return last
    error = AllDeploymentsFailedError.of(call.errors, records, untried(call, last))
    if call.retries_refused:
        error.message += "; not retried, because the model's retry_quota is used up"
    return caused(error, last)


def _details(cost: Cost) -> dict[str, dict[str, Any]]:
    """Return what a cost is made of, as `details_of`; nearly always two kinds of tokens."""
    priced = cost.priced
    if priced is None or priced.fees or priced.rates.request or len({0, *priced.tokens[2:]}) > 1:
        return details_of(cost)
    rates, (read, made, *_), source, at, _ = priced
    day = at.date().isoformat()
    return {
        kind: {
            "units": units,
            "rate": rates.texts[kind],
            "per": MILLION,
            "usd": format(rate * units, "f"),
            "source": source,
            "as_of": day,
        }
        for kind, units, rate in (("input", read, rates.input), ("output", made, rates.output))
        if units
    }


def _course(call: CallState) -> dict[str, Any]:
    """Return the attempts of a call. An attempt that lost a race is not what a fallback follows."""
    deployments, waits, attempts = set(), 0, []
    for record in call.records:
        attempts.append(dict(vars(record)))  # as `to_dict` does
        waits += record.wait_ms
        if record.error != OVERTAKEN:
            deployments.add(record.deployment)
    course: dict[str, Any] = {"attempts": attempts, "fallback": len(deployments) > 1, "queue_ms": waits}
    return course | ({"retries_refused": call.retries_refused} if call.retries_refused else {})


def _others(attempt: Attempt) -> list[Cost]:
    """Return the costs of the other answers of a call: those that a cascade declined, or that were paused."""
    others = [one.cost for one in attempt.call.declined if one.record is not attempt.record]
    if attempt.call.paused is not None:
        others += attempt.call.paused.costs[: -1 if attempt.paused_turn else None]
    return [_NOT_REPORTED if cost is None else cost for cost in others]


def _answers(attempt: Attempt) -> list[dict[str, Any]]:
    """Return the records of a call with declined answers, each answer with its cost."""
    call = attempt.call
    answers = {id(one.record): (one.cost, True) for one in call.declined}
    answers.setdefault(id(attempt.record), (attempt.cost, attempt.declined))
    out = []
    for record in call.records:
        shown = record.to_dict()
        if id(record) in answers:
            cost, declined = answers[id(record)]
            usd = cost.usd if cost is not None else None
            shown |= {"declined": declined, "cost_usd": None if usd is None else format(usd, "f")}
        out.append(shown)
    return out


def cost_of(attempt: Attempt, usage: UsageMetadata, model: str, facts: Mapping[str, Any]) -> Cost:
    """Return the cost of an answer; unknown if the model's price is.

    Args:
        attempt: The attempt.
        usage: What the vendor reports as used.
        model: The model that answered, by the vendor's response.
        facts: The answer's `response_metadata`, which may state more of the price.
    """
    target, at = attempt.target, attempt.call.clock.now()
    billing = target.vendor.billing
    if attempt.apart is not None:  # most vendors' bodies do not show that a batch was answered
        bill = billing.bill(facts)
        bill = bill._replace(terms=bill.terms.over(attempt.apart))
        return target.price.cost(usage, at, model=model, bill=bill)
    if billing.facts.isdisjoint(facts):
        return target.price.cost(usage, at, model=model)
    return target.price.cost(usage, at, model=model, bill=billing.bill(facts))


def llm_output(message: BaseMessage) -> dict[str, Any]:
    """Return LangChain's `llm_output` of an answer: its usage in OpenAI's words, as integrations have it."""
    metadata, output = message.response_metadata, {}
    for name in ("model_name", "model_provider"):
        if name in metadata:
            output[name] = metadata[name]
    usage = message.usage_metadata if isinstance(message, AIMessage) else None
    if usage is not None:
        output["token_usage"] = {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage["output_tokens"],
            "total_tokens": usage["total_tokens"],
        }
    return output


def combined_outputs(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return the `llm_output` of several answers: tokens added up, other words of the last that has them."""
    if len(outputs) == 1:
        return dict(outputs[0] or {})
    combined: dict[str, Any] = {}
    tokens: Counter[str] = Counter()
    for output in outputs:
        combined |= output or {}
        tokens.update((output or {}).get("token_usage", {}))
    return {**combined, "token_usage": dict(tokens)} if tokens else combined


def gateway(attempt: Attempt, model: str) -> dict[str, dict[str, str]]:
    """Return the generation info that makes tracers show the vendor that answered."""
    return {GATEWAY_KEY: {"provider": attempt.target.vendor.traced_as, "model": model}}
