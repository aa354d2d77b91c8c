"""When models are shut down, and what their vendors recommend instead: `data/retirements.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from langchain_llmdispatch.catalog.files import read_data
from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.price_list import deployment_price

NOTICE_DAYS = 60
"""Days before a shutdown from which it is warned of."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Retirement:
    """The end of a model.

    Attributes:
        model: The model's name, as it was looked up.
        on: The day on which it is shut down.
        successor: The vendor's recommendation, or None if there is none.
        source: Where that is stated.
    """

    model: str
    on: date
    successor: str | None
    source: str

    def is_near(self, day: date) -> bool:
        """Return whether the shutdown is at most `NOTICE_DAYS` away, or past."""
        return (self.on - day).days <= NOTICE_DAYS

    def text(self, listing: Listing, at: datetime) -> str:
        """Return the retirement in words: the day, the successor, and what that costs more or less."""
        days = (self.on - at.date()).days
        when = f"retires on {self.on} (in {days} days)" if days > 0 else f"was retired on {self.on}"
        if self.successor is None:
            return when
        difference = price_difference(listing, self.model, self.successor, at)
        return f"{when}; its successor is {self.successor}{f' ({difference})' if difference else ''}"


@lru_cache(maxsize=1024)
def retirement_of(listing: Listing, model: str) -> Retirement | None:
    """Return when a model is shut down; None if no date is announced.

    Args:
        listing: The vendor's listing. Azure's dates are its own, and unknown here.
        model: The vendor's model id.
    """
    data, name = read_data("retirements.json"), listing.plain_name(model)
    rows = (row for row in data["rows"] if row["vendor"] == listing.section)
    row = next((row for row in rows if any(fnmatchcase(name, glob) for glob in row["models"])), None)
    generated: dict[str, Any] = data["generated"].get(listing.section, {"models": {}})
    day = generated["models"].get(name) or (row and row["on"])
    if day is None:
        return None
    source = generated["source"] if name in generated["models"] else (row or {}).get("source", "")
    return Retirement(name, date.fromisoformat(day), row and row["successor"], source)


def near_retirement(listing: Listing, model: str, at: datetime) -> str:
    """Return the retirement of a model in words, if it is near or past; else an empty text."""
    found = retirement_of(listing, model)
    return found.text(listing, at) if found is not None and found.is_near(at.date()) else ""


def pinned_names(listing: Listing) -> Iterator[str]:
    """Yield the names of a vendor's models with a date, those with wildcards left out."""
    data = read_data("retirements.json")
    yield from data["generated"].get(listing.section, {"models": {}})["models"]
    for row in data["rows"]:
        if row["vendor"] == listing.section:
            yield from (name for name in row["models"] if "*" not in name)


def price_difference(listing: Listing, old: str, new: str, at: datetime) -> str:
    """Return what a successor costs instead, in dollars per million tokens in and out; empty if unknown."""
    before, after = (_per_million(listing, model, at) for model in (old, new))
    if before is None or after is None:
        return ""
    (old_in, old_out), (new_in, new_out) = before, after
    return f"${new_in} in and ${new_out} out per million tokens instead of ${old_in} and ${old_out}"


def _per_million(listing: Listing, model: str, at: datetime) -> tuple[str, str] | None:
    rates = deployment_price(listing, model).rates_at(at)
    if rates is None:
        return None
    first = rates.tiers[0]
    read, made = (first.of_tokens(*tokens) for tokens in ((_MILLION, 0), (0, _MILLION)))
    return f"{read.normalize():f}", f"{made.normalize():f}"
