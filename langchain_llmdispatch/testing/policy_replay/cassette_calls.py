"""The calls in a cassette, as entries of a journal; the vendors' codecs read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.utils import count_tokens_approximately

from langchain_llmdispatch.catalog.price_list import deployment_price
from langchain_llmdispatch.errors import DispatchError
from langchain_llmdispatch.testing.cassettes.file import Interaction, Tape
from langchain_llmdispatch.testing.policy_replay.entry import JournalAttempt, JournalEntry
from langchain_llmdispatch.types import Call, Endpoint
from langchain_llmdispatch.vendors import builtin_vendors

if TYPE_CHECKING:
    from langchain_llmdispatch.vendors.base import Vendor

_OK = 200


def calls_in(path: Path) -> list[JournalEntry]:
    """Return the calls of a cassette's models, in order; other clients' requests are left out."""
    vendors, tape = builtin_vendors(), Tape.read(path)
    at = _when(tape.recorded)
    calls: dict[int, list[Interaction]] = {}
    for held in tape.interactions:
        if held.vendor in vendors and held.call is not None:
            calls.setdefault(held.call, []).append(held)
    return [_entry(held, vendors, at) for held in calls.values()]


def _entry(held: list[Interaction], vendors: Mapping[str, Vendor], at: datetime) -> JournalEntry:
    attempts = [_attempt(item, vendors[item.vendor], at) for item in held]
    last, body = attempts[-1], held[-1].request.get("body")
    body = body if isinstance(body, dict) else {}
    return JournalEntry(
        at=0.0,
        seconds=sum(one.latency_s for one in attempts),
        outcome="failed" if last.error else "answered",
        attempts=attempts,
        stream="at_ms" in held[-1].response,
        input_tokens=last.usage["input_tokens"] if last.usage else count_tokens_approximately([str(body)]),
        output_tokens=last.usage["output_tokens"] if last.usage else None,
        tools=len(body.get("tools") or ()),
        error=last.error,
    )


def _attempt(held: Interaction, vendor: Vendor, at: datetime) -> JournalAttempt:
    response = held.response
    body = b"".join(held.pieces()[0])
    times = response.get("at_ms") or []
    attempt = JournalAttempt(
        deployment=held.deployment or f"{held.vendor}:{held.model}",
        vendor=held.vendor,
        model=held.model or "",
        status=response["status"],
        latency_s=response.get("seconds", 0.0),
        ttft_s=times[0] / 1000 if times else None,
    )
    call = _call(held)
    try:
        if response["status"] != _OK:
            raise vendor.decode_error(call, response["status"], response["headers"], body)
        attempt.usage = _usage(vendor, call, response["headers"], body)
    except DispatchError as error:
        attempt.error, attempt.retry_after_s = type(error).__name__, error.retry_after
    if attempt.usage is not None:
        free = vendor.is_free(attempt.model, "")
        price = deployment_price(vendor.listing, attempt.model, is_free=free)
        cost = price.cost(attempt.usage, at).usd
        attempt.cost_usd = None if cost is None else format(cost, "f")
    return attempt


def _when(recorded: str | None) -> datetime:
    """Return when a cassette was recorded, for the prices of that time."""
    try:
        return datetime.strptime(recorded or "", "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    except ValueError:
        return datetime.now(UTC)


def _call(held: Interaction) -> Call:
    body = held.request.get("body")
    extra = {"use_responses_api": True} if held.request["url"].endswith("/responses") else {}
    streamed = "events" in held.response or "lines" in held.response
    stream = streamed or (isinstance(body, dict) and bool(body.get("stream")))
    endpoint = Endpoint(base_url="https://cassette.invalid")
    return Call(model=held.model or "", endpoint=endpoint, messages=(), stream=stream, extra=extra)


def _usage(vendor: Vendor, call: Call, headers: Mapping[str, str], body: bytes) -> UsageMetadata | None:
    if not call.stream:
        return vendor.decode_response(call, body, headers).usage_metadata
    decoder = vendor.stream_decoder(call, headers)
    chunks = [*decoder.feed(body), *decoder.close()]
    found = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    return found[-1] if found else None
