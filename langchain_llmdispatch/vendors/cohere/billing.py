"""What answers of Cohere show of their price: `billed_units`, which may be less than the tokens read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langchain_llmdispatch.vendors.billing import NO_BILL, Bill, Billing, Terms
from langchain_llmdispatch.vendors.usage import count_of


@dataclass(frozen=True)
class CohereBilling(Billing):
    """Cohere bills `billed_units` (docs.cohere.com, chat API, `usage`): preambles of its own are free."""

    facts: frozenset[str] = frozenset({"usage"})
    sold: frozenset[str] = frozenset()

    def requested(self, params: Mapping[str, Any]) -> Terms:
        """Return the ordinary terms: there are no others."""
        return Terms()

    def bill(self, metadata: Mapping[str, Any]) -> Bill:
        """Return what the metadata of an answer state of its price."""
        usage = metadata.get("usage")
        billed = usage.get("billed_units") if isinstance(usage, Mapping) else None
        if not isinstance(billed, Mapping):
            return NO_BILL
        read, written = count_of(billed.get("input_tokens")), count_of(billed.get("output_tokens"))
        return NO_BILL if read is None or written is None else Bill(tokens=(read, written))
