"""The truth about an answer, for `response_metadata["llmdispatch"]`: who, how often, for how much."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from langchain_llmdispatch.catalog.prices import Cost, price_of
from langchain_llmdispatch.dispatch.hedging import OVERTAKEN

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmdispatch.dispatch.dispatch import Attempt, Dispatch
    from langchain_llmdispatch.types import ChatRequest

# What LangChain's tracers read to name the vendor that really answered (langchain_core.utils._gateway).
GATEWAY_KEY = "lc_gateway_metadata"


def report(attempt: Attempt, request: ChatRequest, usage: UsageMetadata | None, model: str) -> dict[str, Any]:
    """Return the facts of a finished call, JSON-safe: ints, strings, booleans, None.

    Args:
        attempt: The attempt that answered; its record is complete.
        request: What was asked.
        usage: What the vendor says it used, or None.
        model: The model that the vendor says answered.
    """
    dispatch = attempt.dispatch
    cost = _total(attempt, attempt.cost or cost_of(attempt, usage, model))
    facts: dict[str, Any] = {
        "vendor": attempt.target.vendor.name,
        "deployment": attempt.target.name,
        "route": request.route,
        **_course(dispatch),
        "cost_usd": None if cost.usd is None else format(cost.usd, "f"),
        "price_source": cost.source,
        "created_at": dispatch.clock.now().isoformat(timespec="milliseconds"),
    }
    if dispatch.declined:
        facts |= {"attempts": _answers(attempt), "escalated": True, "accepted": not attempt.declined}
    if dispatch.delivered:
        facts["resumed"] = True
    if attempt.changes:
        facts["adapted"] = [{"kind": c.kind, "detail": c.detail, "lossy": c.lossy} for c in attempt.changes]
    return facts


def failure(dispatch: Dispatch) -> dict[str, Any]:
    """Return the facts of a call that failed, by the names of `report`: who was asked last, what it cost.

    Its cost is that of the requests whose vendors said what they used, wasted as they are; None if none did.
    """
    last = dispatch.records[-1] if dispatch.records else None
    known = [cost for cost in dispatch.costs if cost.usd is not None]
    spent = sum((cost.usd for cost in known if cost.usd is not None), Decimal(0))
    return {
        "vendor": last.vendor if last is not None else None,
        "deployment": last.deployment if last is not None else None,
        "route": dispatch.request.route if dispatch.request is not None else None,
        **_course(dispatch),
        "cost_usd": format(spent, "f") if known else None,
        "price_source": known[-1].source if known else None,
        "created_at": dispatch.clock.now().isoformat(timespec="milliseconds"),
    }


def _course(dispatch: Dispatch) -> dict[str, Any]:
    """Return how a call went. One that another, hedged request overtook did not fall back."""
    records = dispatch.records
    return {
        "attempts": [record.to_dict() for record in records],
        "fallback": len({one.deployment for one in records if one.error != OVERTAKEN}) > 1,
        "queue_ms": sum(record.wait_ms for record in records),
    }


def _total(attempt: Attempt, own: Cost) -> Cost:
    """Return the cost of all answers of a call, declined ones included; unknown if one of them is."""
    others = [other.cost for other in attempt.dispatch.declined if other is not attempt]
    amounts = [own.usd, *(cost.usd if cost is not None else None for cost in others)]
    known = [usd for usd in amounts if usd is not None]
    return replace(own, usd=sum(known, Decimal(0)) if len(known) == len(amounts) else None)


def _answers(attempt: Attempt) -> list[dict[str, Any]]:
    """Return the records of a call that was sent on, with what each answer cost."""
    dispatch = attempt.dispatch
    answers = {id(one.record): one for one in (*dispatch.declined, attempt)}
    out = []
    for record in dispatch.records:
        shown, answer = record.to_dict(), answers.get(id(record))
        if answer is not None:
            usd = answer.cost.usd if answer.cost is not None else None
            shown |= {"declined": answer.declined, "cost_usd": None if usd is None else format(usd, "f")}
        out.append(shown)
    return out


def cost_of(attempt: Attempt, usage: UsageMetadata | None, model: str) -> Cost:
    """Return what an answer cost; unknown where the vendor named no usage or nobody knows the price."""
    if usage is None:
        return Cost(None, None)
    target = attempt.target
    return price_of(
        target.vendor.catalog,
        model,
        usage,
        at=attempt.dispatch.clock.now(),
        input_price=target.deployment.input_price,
        output_price=target.deployment.output_price,
        base_url=target.endpoint.base_url,
    )


def gateway(attempt: Attempt, model: str) -> dict[str, dict[str, str]]:
    """Return the generation info that makes tracers show the vendor that answered."""
    return {GATEWAY_KEY: {"provider": attempt.target.vendor.traced_as, "model": model}}
