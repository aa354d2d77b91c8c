"""What a call cost, and what the next one may cost, in USD.

Prices are genai-prices' (by day, prompt length, cache and service tier) with our corrections: see
`price_book.py`. A deployment's own prices win over both. Routing asks through a `PriceTag`, which looks a
price up once a minute and not once a call.

An unknown price is `None`, never 0. What runs on the user's own machine costs 0. Web searches and other
things that are not tokens are not in a cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from langchain_llmdispatch.catalog.price_list import (
    FREE,
    MILLION,
    ZERO,
    Asked,
    Book,
    Rates,
    Tiers,
    book,
    in_utc,
    is_open,
)

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

PricePerMillion: TypeAlias = Decimal | float | str
"""USD per million tokens."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs.

    Attributes:
        usd: US dollars, or None if the price is unknown. `format(usd, "f")` writes it without an exponent.
        source: Whose price it is: `genai-prices 0.2.3`, `llmdispatch 2026-11-24` (our correction),
            `deployment` (the user's own), `local`; None if unknown.
    """

    usd: Decimal | None
    source: str | None = None


_UNKNOWN = Cost(None)


def price_of(
    vendor: str,
    model: str,
    usage: UsageMetadata,
    *,
    at: datetime,
    input_price: PricePerMillion | None = None,
    output_price: PricePerMillion | None = None,
    base_url: str | None = None,
    service_tier: str | None = None,
) -> Cost:
    """Return what a call cost.

    Args:
        vendor: The vendor's name.
        model: The model that answered, as the response names it (for Azure the deployment's name is no use).
        usage: LangChain's usage: `input_tokens` with cache reads and writes, `output_tokens` with reasoning.
        at: When the request was made; without a time zone it is UTC.
        input_price: The deployment's own price, USD per million input tokens, cached or not.
        output_price: The deployment's own price, USD per million output tokens.
        base_url: Where the request went, if not to the vendor's own address.
        service_tier: OpenAI's service tier as the response names it (`flex`, `priority`).
    """
    length = usage["input_tokens"]
    rates, source = _quote((vendor, model, base_url, service_tier), at, length, input_price, output_price)
    usd = rates.of_usage(usage) if rates else None
    return _UNKNOWN if usd is None else Cost(usd, source)


def estimate(
    vendor: str,
    model: str,
    input_tokens: int,
    output_tokens: int,
    *,
    at: datetime,
    cached_tokens: int = 0,
    input_price: PricePerMillion | None = None,
    output_price: PricePerMillion | None = None,
    base_url: str | None = None,
) -> Cost:
    """Return what a call would cost.

    Args:
        vendor: The vendor's name.
        model: The model that would be asked.
        input_tokens: Tokens of the prompt, cached ones included.
        output_tokens: Tokens of the answer, reasoning included; for the worst case, the limit.
        at: When the request would be made; without a time zone it is UTC.
        cached_tokens: Tokens of the prompt that would be read from the vendor's cache.
        input_price: As for `price_of`.
        output_price: As for `price_of`.
        base_url: As for `price_of`.
    """
    rates, source = _quote((vendor, model, base_url, None), at, input_tokens, input_price, output_price)
    return (
        _UNKNOWN
        if rates is None
        else Cost(rates.of_tokens(input_tokens, output_tokens, cached_tokens), source)
    )


def prices_as_of() -> str:
    """Return how fresh the price data is: its version, and when it was updated if the user has it updated."""
    held = book()
    updated = f", updated {held.snapshot.timestamp:%Y-%m-%d}" if held.snapshot.from_auto_update else ""
    return f"{held.source}{updated}; corrections of {held.corrections['as_of']}"


def load_prices() -> None:
    """Load the price data now (0.1 to 0.3 s at first), so that no call has to wait for it later."""
    book()


def prices_are_loaded() -> bool:
    """Return whether the price data is loaded already."""
    return is_open()


# -- prices of a fleet ---------------------------------------------------------------------------------


class Edition:
    """The price lists of one minute. As long as it is the same object, no price can have changed."""

    __slots__ = ("at", "book", "minute")

    def __init__(self, held: Book, at: datetime, minute: int) -> None:
        self.book, self.at, self.minute = held, at, minute


_latest: Edition | None = None


def edition(at: datetime) -> Edition:
    """Return the price lists as of a moment."""
    global _latest  # noqa: PLW0603 - a cache of immutable data, not state
    at, held, latest = in_utc(at), book(), _latest
    minute = at.toordinal() * 1440 + at.hour * 60 + at.minute
    if latest is None or latest.minute != minute or latest.book is not held:
        latest = _latest = Edition(held, at, minute)
    return latest


class PriceTag:
    """What one deployment costs, looked up once per edition of the price lists.

    Args:
        vendor: As for `price_of`.
        model: As for `price_of`.
        base_url: As for `price_of`.
        input_price: As for `price_of`.
        output_price: As for `price_of`.

    Attributes:
        fixed: Its rates where no price list is needed to know them, else None: then ask `at`.
    """

    __slots__ = ("_asked", "_held", "_own", "fixed")

    def __init__(
        self,
        vendor: str,
        model: str,
        *,
        base_url: str | None = None,
        input_price: PricePerMillion | None = None,
        output_price: PricePerMillion | None = None,
    ) -> None:
        self._asked: Asked = (vendor, model, base_url, None)
        self._own = (input_price, output_price)
        self._held: tuple[Edition | None, Tiers | None] = (None, None)
        self.fixed: Tiers | None = None
        if None not in self._own:
            self.fixed = Tiers((), (_own(None, input_price, output_price),), "deployment")
        elif _is_free(self._asked):
            self.fixed = self._with_own(FREE)

    def at(self, now: Edition) -> Tiers | None:
        """Return its rates, or None if nobody knows them."""
        of, tiers = self._held
        if of is not now:
            listed = now.book.tiers(self._asked, now.at)
            tiers = None if listed is None else self._with_own(listed)
            self._held = (now, tiers)
        return tiers

    def _with_own(self, tiers: Tiers) -> Tiers:
        if self._own == (None, None):
            return tiers
        return Tiers(tiers.starts, [_own(rates, *self._own) for rates in tiers.rates], "deployment")


# -- whose price ---------------------------------------------------------------------------------------


def _quote(
    asked: Asked,
    at: datetime,
    length: int,
    input_price: PricePerMillion | None,
    output_price: PricePerMillion | None,
) -> tuple[Rates | None, str | None]:
    """Return the rates for a prompt of `length` tokens and their source, (None, None) if unknown."""
    if input_price is not None and output_price is not None:
        return _own(None, input_price, output_price), "deployment"
    tiers = FREE if _is_free(asked) else book().tiers(asked, at)
    if tiers is None:
        return None, None
    rates = tiers.of_length(length)
    if input_price is None and output_price is None:
        return rates, tiers.source
    return _own(rates, input_price, output_price), "deployment"


@lru_cache(maxsize=1024)
def _own(
    rates: Rates | None, input_price: PricePerMillion | None, output_price: PricePerMillion | None
) -> Rates:
    """Return `rates` with the deployment's own prices in place of the list's."""
    rates = rates or FREE.rates[0]
    if input_price is not None:
        usd = Decimal(str(input_price)) / MILLION
        rates = replace(
            rates, input=usd, cached=ZERO, written=ZERO, written_1h=ZERO, audio_in=ZERO, overlaps=False
        )
    if output_price is not None:
        usd = Decimal(str(output_price)) / MILLION
        rates = replace(rates, output=usd, audio_out=ZERO, reasoning=ZERO)
    return rates


def _is_free(asked: Asked) -> bool:
    """Tell whether the model runs on the user's own machines, which Ollama's cloud is not."""
    vendor, model, base_url, _ = asked
    cloud = vendor == "ollama" and (
        model.lower().endswith((":cloud", "-cloud")) or "ollama.com" in (base_url or "")
    )
    return vendor in {"ollama", "local"} and not cloud
