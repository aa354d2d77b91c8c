"""What a price is looked up by, and the list that it is looked up in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.terms import PLAIN, Fee, Terms


class PriceKey(NamedTuple):
    """What a price depends on, besides time and prompt length.

    Attributes:
        listing: The vendor's listing.
        model: The model's name, as written.
        base_url: Where requests go, if not to the vendor's own address: another seller may be there.
        terms: The terms on which tokens are sold.
    """

    listing: Listing
    model: str
    base_url: str | None = None
    terms: Terms = PLAIN


@dataclass(frozen=True, slots=True, eq=False)
class DatedPrices:
    """The price list as of one minute. While it is current, no price can have changed.

    Attributes:
        start: The minute's begin, in UTC.
        end: Its end.
        rates: Returns the rates of a key (`TieredRates`), or None if the price is unknown.
        fee: Returns the fee of a key by kind, or None if it is unknown.
        missing: Returns why the price of a key is unknown, in words.
        snapshot: The data that the list was made of.
        newest: Returns the data that is current.
    """

    start: datetime
    end: datetime
    rates: Callable[[PriceKey], Any]
    fee: Callable[[PriceKey, str], Fee | None]
    missing: Callable[[PriceKey], str]
    snapshot: Any
    newest: Callable[[], Any]
