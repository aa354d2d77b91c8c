"""The command `models`: what the catalog holds on models."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from langchain_llmdispatch.catalog.models import listed_models
from langchain_llmdispatch.catalog.price_list import deployment_price, prices_as_of
from langchain_llmdispatch.catalog.retirements import retirement_of
from langchain_llmdispatch.cli.terminal import Terminal
from langchain_llmdispatch.deployments.vendor_table import VendorTable
from langchain_llmdispatch.vendors.base import Vendor

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What the catalog holds on one model.

    Attributes:
        model: `vendor:model`.
        context_window: Tokens of a prompt at most; None if unknown.
        max_output_tokens: Tokens of an answer at most; None if unknown.
        input_usd: US dollars per million tokens of a short prompt, as a number in text; None if unknown.
        output_usd: US dollars per million tokens of the answer; None if unknown.
        retires: The day on which the model is shut down; None if none is announced.
    """

    model: str
    context_window: int | None
    max_output_tokens: int | None
    input_usd: str | None
    output_usd: str | None
    retires: str | None = None


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print the models whose names hold all words."""
    rows = [row for row in _rows() if all(word.lower() in row.model for word in options.words)]
    if options.json:
        terminal.write(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    for line in _table(rows):
        terminal.write(line)
    terminal.write(f"Prices in USD per million tokens, in and out: {prices_as_of()}.")
    return 0


def _rows() -> Iterator[ModelRow]:
    now = datetime.now(UTC)
    for vendor in VendorTable().known():
        for name in listed_models(vendor.listing):
            yield _row(vendor, name, now)


def _row(vendor: Vendor, name: str, now: datetime) -> ModelRow:
    facts, rates = vendor.facts(name), deployment_price(vendor.listing, name).rates_at(now)
    first, end = None if rates is None else rates.tiers[0], retirement_of(vendor.listing, name)
    return ModelRow(
        model=f"{vendor.name}:{name}",
        context_window=facts.context_window,
        max_output_tokens=facts.max_output_tokens,
        input_usd=None if first is None else f"{first.of_tokens(_MILLION, 0).normalize():f}",
        output_usd=None if first is None else f"{first.of_tokens(0, _MILLION).normalize():f}",
        retires=None if end is None else end.on.isoformat(),
    )


def _table(rows: Sequence[ModelRow]) -> Iterator[str]:
    width = max((len(row.model) for row in rows), default=5)
    yield f"{'model':<{width}}  {'window':>9}  {'output':>8}  {'in':>8}  {'out':>8}  retires"
    for row in rows:
        window, output = row.context_window or "-", row.max_output_tokens or "-"
        prices = f"{row.input_usd or '-':>8}  {row.output_usd or '-':>8}"
        yield f"{row.model:<{width}}  {window:>9}  {output:>8}  {prices}  {row.retires or '-'}"
