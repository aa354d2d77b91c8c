"""What a price depends on beside model, day and prompt length, and what an answer states of its own price."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple


class Terms(NamedTuple):
    """The terms on which tokens are sold; each is empty where the ordinary price holds.

    Attributes:
        tier: The service tier: `flex`, `priority`, `batch`, `scale`, ...
        speed: `fast`, where a vendor sells speed apart from its tiers.
        geography: Where the request is processed: `us`, `eu`, `data_zone`, `regional`, ...
    """

    tier: str = ""
    speed: str = ""
    geography: str = ""

    def __str__(self) -> str:
        """Name the terms that are not ordinary."""
        return ", ".join(f"{name} {value!r}" for name, value in self._asdict().items() if value)

    def over(self, other: Terms) -> Terms:
        """Return these terms, and `other` where they are ordinary."""
        return Terms(*(own or theirs for own, theirs in zip(self, other, strict=True)))


PLAIN = Terms()


class Bill(NamedTuple):
    """What an answer states of its own price, beside its tokens.

    Attributes:
        terms: The terms on which it was served.
        fees: What is paid by the piece: (kind, how many): (`web_search`, 3).
        stated: What the vendor states as its cost, US dollars; None where it states nothing.
        tokens: Tokens in and out that are billed, where these are not those that were read and written.
        estimated: Whether a number of pieces is assumed and not reported.
    """

    terms: Terms = PLAIN
    fees: Sequence[tuple[str, int]] = ()
    stated: Decimal | None = None
    tokens: tuple[int, int] | None = None
    estimated: bool = False


NO_BILL = Bill()


class Fee(NamedTuple):
    """The price of something that is paid by the piece.

    Attributes:
        usd: US dollars per `per` pieces.
        per: How many pieces that buys.
        source: Where it is from.
        as_of: The day on which the source was read.
        once: Whether one answer pays it once, however many pieces it took.
    """

    usd: Decimal
    per: int
    source: str
    as_of: str
    once: bool = False

    def of(self, number: int) -> Decimal:
        """Return what so many pieces cost, US dollars."""
        return self.usd * (1 if self.once else number) / self.per
