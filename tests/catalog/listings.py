"""Listings by a vendor's name: the vendor's own, or a new one for a name that no vendor has."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.price_list import deployment_price
from langchain_llmdispatch.catalog.prices import Cost, DeploymentPrice
from langchain_llmdispatch.catalog.terms import NO_BILL, Bill, Terms
from langchain_llmdispatch.vendors import builtin_vendors

VENDORS = builtin_vendors()


def listing(vendor: str) -> Listing:
    """Return the listing of a vendor."""
    return VENDORS[vendor].listing if vendor in VENDORS else Listing(vendor)


def price(vendor: str, model: str, *, base_url: str | None = None, **own: Any) -> DeploymentPrice:
    """Return the price of a vendor's model, as a deployment has it."""
    known = VENDORS.get(vendor)
    free = known is not None and known.is_free(model, base_url or "")
    return deployment_price(listing(vendor), model, base_url=base_url, is_free=free, **own)


def cost(
    vendor: str, model: str, usage: Any, *, at: datetime, service_tier: str | None = None, **own: Any
) -> Cost:
    """Return what a call cost."""
    tier = VENDORS["openai"].billing.tier(service_tier)
    return price(vendor, model, **own).cost(usage, at, bill=Bill(Terms(tier)) if tier else NO_BILL)


def estimate(
    vendor: str, model: str, read: int, written: int, *, at: datetime, cached_tokens: int = 0, **own: Any
) -> Cost:
    """Return what a call would cost."""
    return price(vendor, model, **own).estimate(read, written, at, cached_tokens=cached_tokens)
