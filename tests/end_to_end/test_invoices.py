"""What an answer costs is what the vendor bills: invoices calculated by hand, through the whole engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from langchain_llmdispatch import Deployment, DispatcherChatModel, VendorConfig
from langchain_llmdispatch.testing import FakeClock
from tests.end_to_end.invoices import INVOICES, Invoice

TODAY = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _body(invoice: Invoice) -> dict[str, Any]:
    """Return the whole answer of an invoice, in its vendor's form."""
    own = dict(invoice.body)
    if invoice.vendor == "anthropic":
        text = [{"type": "text", "text": "Hi"}]
        head = {"id": "m", "type": "message", "role": "assistant", "model": invoice.model}
        return {**head, "content": text, "stop_reason": "end_turn", **own}
    if invoice.vendor == "google":
        candidate = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
        if "groundingMetadata" in own:
            candidate["groundingMetadata"] = own.pop("groundingMetadata")
        return {"candidates": [candidate], "modelVersion": invoice.model, **own}
    if invoice.vendor == "cohere":
        message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
        return {"id": "c", "message": message, "finish_reason": "COMPLETE", **own}
    if (items := own.pop("items", None)) is not None:
        text = {"type": "message", "id": "t", "content": [{"type": "output_text", "text": "Hi"}]}
        return {
            "id": "r",
            "object": "response",
            "status": "completed",
            "model": invoice.model,
            "output": [*items, text],
            **own,
        }
    message = {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "model": invoice.model, "choices": [choice], **own}


def _model(invoice: Invoice) -> DispatcherChatModel:
    """Return a model whose vendor sends the answer of an invoice."""
    body = json.dumps(_body(invoice)).encode()
    mock = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    config = VendorConfig(http_client=httpx.Client(transport=mock))
    fields = dict(invoice.fields)
    if "items" in invoice.body:
        fields["params"] = {"use_responses_api": True}
    deployment = Deployment(f"{invoice.vendor}:{invoice.model}", api_key="key", **fields)
    clock = FakeClock(date=TODAY)
    return DispatcherChatModel(models=[deployment], vendors={invoice.vendor: config}, env={}, clock=clock)


def _rounded(usd: str | Decimal) -> Decimal:
    return round(Decimal(usd), 12)


@pytest.mark.parametrize("invoice", INVOICES, ids=lambda one: f"{one.vendor}: {one.name}")
def test_an_answer_costs_what_the_vendor_bills(invoice: Invoice) -> None:
    """To the last digit; the details add up to it; an unknown cost has its reason."""
    facts = _model(invoice).invoke("hi").response_metadata["llmdispatch"]
    details = facts["cost_details"]
    if invoice.usd is None:
        assert (facts["cost_usd"], facts["price_source"], details) == (None, None, {})
        assert facts["cost_unknown"]
        return
    assert facts["cost_usd"] is not None, facts["cost_unknown"]
    assert _rounded(facts["cost_usd"]) == Decimal(invoice.usd), invoice.how
    assert sum(_rounded(line["usd"]) for line in details.values()) == Decimal(invoice.usd)
    for line in details.values():
        assert line["source"]
        assert line["as_of"] <= "2026-11-28"
        assert _rounded(Decimal(line["rate"]) * line["units"] / line["per"]) == _rounded(line["usd"])


def test_there_are_invoices_enough() -> None:
    """Sixty at least, each with its calculation and its source."""
    assert len(INVOICES) >= 60
    assert all(invoice.how and invoice.source for invoice in INVOICES)
