"""What a call cost, and what the next one may cost, in USD.

Prices are genai-prices' (by day, prompt length, cache and service tier) with our corrections: see
`price_list.py`. A deployment's own prices win over both.

An unknown price is `None`, never 0. What runs on the user's own machine costs 0. Web searches and other
things that are not tokens are not in a cost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from langchain_llmdispatch.catalog.listing import Listing
from langchain_llmdispatch.catalog.price_list import PriceKey, PriceList, current_prices, in_utc
from langchain_llmdispatch.catalog.rates import FREE, MILLION, ZERO, TieredRates, TokenRates

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

PricePerMillion: TypeAlias = Decimal | float | str
"""USD per million tokens."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs.

    Attributes:
        usd: US dollars, or None if the price is unknown. `format(usd, "f")` writes it without an exponent.
        source: Where the price is from: `genai-prices 0.2.3`, `llmdispatch 2026-11-24` (our correction),
            `deployment` (the user's own), `local`; None if unknown.
    """

    usd: Decimal | None
    source: str | None = None


_UNKNOWN = Cost(None)


class DatedPrices:
    """The price list as of one minute. As long as it is the same object, no price can have changed."""

    __slots__ = ("end", "prices", "start")

    def __init__(self, prices: PriceList, at: datetime) -> None:
        self.prices = prices
        self.start = at.replace(second=0, microsecond=0)
        self.end = self.start + timedelta(minutes=1)


_latest: DatedPrices | None = None


def prices_at(at: datetime) -> DatedPrices:
    """Return the price list as of a moment; without a time zone it is UTC."""
    global _latest
    latest = _latest
    if latest is not None and at.tzinfo is UTC and latest.start <= at < latest.end:
        prices = latest.prices
        if prices.newest() is prices.snapshot:
            return latest
    at, prices = in_utc(at), current_prices()
    if latest is None or latest.prices is not prices or not latest.start <= at < latest.end:
        latest = _latest = DatedPrices(prices, at)
    return latest


class DeploymentPrice:
    """What one deployment costs; prices are looked up once a minute.

    Args:
        listing: The vendor's listing.
        model: The model's name.
        base_url: Where requests go, if not to the vendor's own address.
        service_tier: OpenAI's service tier (`flex`, `priority`).
        is_free: The model runs on the user's own machines.
        input_price: The deployment's own price, USD per million input tokens, cached or not.
        output_price: The deployment's own price, USD per million output tokens.

    Attributes:
        fixed: Its rates where no price list is needed to know them; else None, and `rates` has them.
    """

    __slots__ = ("_held", "_is_free", "_key", "_others", "_own", "fixed")

    def __init__(
        self,
        listing: Listing,
        model: str,
        *,
        base_url: str | None = None,
        service_tier: str | None = None,
        is_free: bool = False,
        input_price: PricePerMillion | None = None,
        output_price: PricePerMillion | None = None,
    ) -> None:
        self._key = PriceKey(listing, model, base_url, service_tier)
        self._own = (input_price, output_price)
        self._held: tuple[DatedPrices | None, TieredRates | None] = (None, None)
        self._others: dict[tuple[str, str | None], DeploymentPrice] = {}
        known = is_free or None not in self._own
        self.fixed = self._with_own(FREE) if known else None

    def rates(self, dated: DatedPrices) -> TieredRates | None:
        """Return the rates at that time, or None if the price is unknown."""
        of, rates = self._held
        if of is not dated:
            listed = dated.prices.rates(self._key, dated.start)
            rates = None if listed is None else self._with_own(listed)
            self._held = (dated, rates)
        return rates

    def cost(
        self, usage: UsageMetadata, at: datetime, *, model: str | None = None, service_tier: str | None = None
    ) -> Cost:
        """Return what a call cost.

        Args:
            usage: LangChain's usage: `input_tokens` with cache reads and writes, `output_tokens` with
                reasoning.
            at: When the request was made; without a time zone it is UTC.
            model: The model that answered, if the response names another than was requested.
            service_tier: The service tier that the response names (`flex`, `priority`).
        """
        price, own = self, self._key.model
        if service_tier is not None or (model is not None and model != own):
            answered = (model or own, service_tier)
            price = self._others.get(answered) or self._other(*answered)
        rates = self.fixed or price.rates(prices_at(at))
        if rates is None:
            return _UNKNOWN
        tier = rates.of_length(usage["input_tokens"]) if rates.starts else rates.tiers[0]
        usd = tier.of_usage(usage)
        return _UNKNOWN if usd is None else Cost(usd, rates.source)

    def estimate(
        self, input_tokens: int, output_tokens: int, at: datetime, *, cached_tokens: int = 0
    ) -> Cost:
        """Return what a call would cost.

        Args:
            input_tokens: Tokens of the prompt, cached ones included.
            output_tokens: Tokens of the answer, reasoning included; for the worst case, the limit.
            at: When the request would be made; without a time zone it is UTC.
            cached_tokens: Tokens of the prompt that would be read from the vendor's cache.
        """
        rates = self.fixed or self.rates(prices_at(at))
        if rates is None:
            return _UNKNOWN
        usd = rates.of_length(input_tokens).of_tokens(input_tokens, output_tokens, cached_tokens)
        return Cost(usd, rates.source)

    def _other(self, model: str, service_tier: str | None) -> DeploymentPrice:
        """Return, and remember, the price of another model or service tier of the same seller."""
        if len(self._others) >= _MOST_OTHERS:
            self._others = {}
        made = self._others[model, service_tier] = DeploymentPrice(
            self._key.listing,
            model,
            base_url=self._key.base_url,
            service_tier=service_tier,
            input_price=self._own[0],
            output_price=self._own[1],
        )
        return made

    def _with_own(self, listed: TieredRates) -> TieredRates:
        if self._own == (None, None):
            return listed
        if None not in self._own:
            return TieredRates((), (_own_rates(FREE.tiers[0], *self._own),), "deployment")
        tiers = [_own_rates(rates, *self._own) for rates in listed.tiers]
        return TieredRates(listed.starts, tiers, "deployment")


_MOST_OTHERS = 64  # names of models that answered; they come from vendors, so there must be an end


@lru_cache(maxsize=1024)
def _own_rates(
    rates: TokenRates, input_price: PricePerMillion | None, output_price: PricePerMillion | None
) -> TokenRates:
    """Return `rates` with the deployment's own prices in place of the list's."""
    if input_price is not None:
        usd = Decimal(str(input_price)) / MILLION
        rates = replace(
            rates, input=usd, cached=ZERO, written=ZERO, written_1h=ZERO, audio_in=ZERO, overlaps=False
        )
    if output_price is not None:
        usd = Decimal(str(output_price)) / MILLION
        rates = replace(rates, output=usd, audio_out=ZERO, reasoning=ZERO)
    return rates


# -- the data ------------------------------------------------------------------------------------------


def prices_as_of() -> str:
    """Return how fresh the price data is: its version, and when it was updated if the user has it updated."""
    held = current_prices()
    updated = f", updated {held.snapshot.timestamp:%Y-%m-%d}" if held.snapshot.from_auto_update else ""
    return f"{held.source}{updated}; corrections of {held.corrections['as_of']}"
