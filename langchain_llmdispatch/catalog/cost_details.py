"""What a cost is made of, by kind, for metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from langchain_llmdispatch.catalog.prices import MILLION, Cost, Priced, TokenCounts, TokenRates


def details_of(cost: Cost) -> dict[str, dict[str, Any]]:
    """Return what a cost is made of, by kind, as JSON-safe values; the `usd` of all lines add up to it.

    A line holds `units`, their `rate` in US dollars per `per` units, `usd`, the `source` of the rate and the
    day it is `as_of`; money as text. Fees are list prices: quotas that are free are ignored.
    """
    if cost.parts:
        return _joined([details_of(part) for part in cost.parts])
    if cost.priced is not None:
        return {kind: line for kind, line in _lines(cost.priced) if line["units"]}
    if cost.stated_at is None or cost.usd is None:
        return {}
    day = cost.stated_at.date().isoformat()
    return {"stated": _line(1, cost.usd, 1, cost.usd, cost.source or "", day)}


def total_of(costs: Sequence[Cost]) -> Cost:
    """Return the cost of several requests; unknown if one of them is."""
    if len(costs) == 1:
        return costs[0]
    known = [cost.usd for cost in costs if cost.usd is not None]
    unknown = next((cost.unknown for cost in costs if cost.usd is None), "")
    if len(known) < len(costs) or not costs:
        return Cost(None, costs[0].source if costs else None, unknown=unknown)
    estimated = any(cost.estimated for cost in costs)
    return Cost(sum(known, Decimal(0)), costs[0].source, estimated=estimated, parts=tuple(costs))


def _joined(details: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return several details as one: units and dollars add up, the rate is that of all together."""
    joined: dict[str, dict[str, Any]] = {}
    for kind in dict.fromkeys(kind for one in details for kind in one):
        lines = [one[kind] for one in details if kind in one]
        units, usd = sum(line["units"] for line in lines), sum(Decimal(line["usd"]) for line in lines)
        rates, sources = ({line[name] for line in lines} for name in ("rate", "source"))
        per, day = lines[0]["per"], max(line["as_of"] for line in lines)
        rate = Decimal(rates.pop()) if len(rates) == 1 else usd / units * per
        joined[kind] = _line(units, rate, per, Decimal(usd), ", ".join(sorted(sources)), day)
    return joined


def _lines(priced: Priced) -> Iterator[tuple[str, dict[str, Any]]]:
    rates, tokens, source, at, fees = priced
    read, made, day = tokens.input, tokens.output, at.date().isoformat()
    special = list(_special_inputs(tokens, rates))
    read -= sum(units for _, units, _ in special)
    others = list(_special_outputs(tokens, rates))
    made -= sum(units for _, units, _ in others)
    plain = ("input", read, rates.input), *special, ("output", made, rates.output), *others
    for kind, units, rate in plain:
        yield kind, _line(units, rate * MILLION, MILLION, rate * units, source, day)
    if rates.request:
        yield "request", _line(1, rates.request, 1, rates.request, source, day)
    for kind, number, fee in fees:
        pieces = 1 if fee.once else number
        yield kind, _line(pieces, fee.usd, fee.per, fee.of(number), fee.source, fee.as_of)


def _line(units: int, rate: Decimal, per: int, usd: Decimal, source: str, as_of: str) -> dict[str, Any]:
    money = {"rate": format(rate.normalize(), "f"), "per": per, "usd": format(usd, "f")}
    return {"units": units, **money, "source": source, "as_of": as_of}


def _special_inputs(tokens: TokenCounts, rates: TokenRates) -> Iterator[tuple[str, int, Decimal]]:
    """Yield kind, number and rate of tokens of the prompt that are not plain; media only if priced apart."""
    plain = rates.input
    yield "cache_read", tokens.cached, plain + rates.cached
    yield "cache_write", tokens.written - tokens.written_1h, plain + rates.written
    yield "cache_write_1h", tokens.written_1h, plain + rates.written + rates.written_1h
    yield "audio_input", tokens.audio_in if rates.audio_in else 0, plain + rates.audio_in
    yield "image_input", tokens.image_in if rates.image_in else 0, plain + rates.image_in
    yield "video_input", tokens.video_in if rates.video_in else 0, plain + rates.video_in


def _special_outputs(tokens: TokenCounts, rates: TokenRates) -> Iterator[tuple[str, int, Decimal]]:
    """Yield kind, number and rate of tokens of the answer that are not plain text."""
    yield "reasoning", tokens.reasoning, rates.output + rates.reasoning
    yield "audio_output", tokens.audio_out if rates.audio_out else 0, rates.output + rates.audio_out
    yield "image_output", tokens.image_out if rates.image_out else 0, rates.output + rates.image_out
