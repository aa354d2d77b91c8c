"""What requests and answers show of their price: service tier, speed, geography, fees, stated costs.

One class per dialect; `Vendor.billing` holds an instance. Pure: prices are in the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from langchain_llmdispatch.catalog.terms import NO_BILL, PLAIN, Bill, Terms
from langchain_llmdispatch.vendors.usage import count_of

MOST_USES = 10
"""Uses of a server tool that the worst case of an answer assumes where the request sets no limit."""
_ORDINARY = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand", "none"})
"""Words of all vendors for the ordinary tier; the answer states what `auto` became."""


@dataclass(frozen=True)
class Billing:
    """How a vendor shows what a call costs. The base class: a `service_tier` in requests and answers.

    Attributes:
        facts: The names in `response_metadata` that bear on the price; without one of them `bill` is not
            called.
        tiers: The vendor's words for tiers that the catalog names otherwise.
        writes_cache: Whether prompts are written to its cache unasked, which may be paid for.
        caches_unasked: Whether it caches the beginnings of prompts unasked, and reports what was read.
        cache_lasts: Seconds that a cached prompt lasts after its last use, unless a request sets a time.
        sold: Tiers that the vendor sells; a request for another one is served, and paid, as ordinary.
    """

    facts: frozenset[str] = frozenset({"service_tier"})
    tiers: Mapping[str, str] = field(default_factory=dict)
    writes_cache: bool = False
    caches_unasked: bool = False
    cache_lasts: float = 300.0
    sold: frozenset[str] = frozenset({"flex", "priority", "fast", "batch"})

    def tier(self, word: Any) -> str:
        """Return the catalog's name of a service tier; empty for the ordinary one."""
        name = str(word or "").lower()
        name = self.tiers.get(name, name)
        return "" if name in _ORDINARY else name

    def requested(self, params: Mapping[str, Any]) -> Terms:
        """Return the terms that the parameters of a request select."""
        tier = self.tier(params.get("service_tier"))
        return Terms(tier if tier in self.sold else "")

    def most_fees(self, tools: Sequence[Mapping[str, Any]]) -> Sequence[tuple[str, int]]:
        """Return what one answer may use of tools that the vendor runs, by kind of fee."""
        return ()

    def bill(self, metadata: Mapping[str, Any]) -> Bill:
        """Return what the `response_metadata` of an answer state of its price."""
        tier = self.tier(metadata.get("service_tier"))
        return Bill(Terms(tier)) if tier else NO_BILL

    def geography(self, base_url: str) -> str:
        """Return where requests to an address are processed, if that changes the price; empty if not."""
        return ""


def dollars_of(value: Any) -> Decimal | None:
    """Return an amount that a vendor states; None if it is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        usd = Decimal(str(value))
    except InvalidOperation:
        return None
    return usd if usd.is_finite() and usd >= 0 else None


def fees_of(counts: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Return the fees of counts by kind, without what is zero."""
    return tuple((kind, number) for kind, count in counts.items() if (number := count_of(count) or 0))


def most_uses(tool: Mapping[str, Any]) -> int:
    """Return how often one answer may use a tool: its own `max_uses`, or `MOST_USES`."""
    return count_of(tool.get("max_uses")) or MOST_USES


__all__ = ["MOST_USES", "NO_BILL", "PLAIN", "Bill", "Billing", "Terms", "dollars_of", "fees_of", "most_uses"]
