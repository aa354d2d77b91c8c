"""Counters of tokens: what vendors send as numbers, made LangChain's usage, or no usage where it is absurd.

Within a stream counters never fall: some servers send zeros first and the true counts later, others the
other way round, or the sides in different events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from langchain_core.messages.ai import UsageMetadata

_MOST = 10**9
"""A request of more tokens is a mistake of the counter."""


def count_of(value: Any) -> int | None:
    """Return a count that came as a number or as text; None if it is no number, negative or absurd."""
    if value.__class__ is int:
        return value if 0 <= value <= _MOST else None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if 0 <= number <= _MOST else None  # as for any comparison, NaN is not


def sum_of(*values: Any) -> int | None:
    """Return the sum of counts, absent ones left out; None if one of them is no count."""
    counts = [count_of(value) for value in values if value is not None]
    return None if None in counts else sum(count or 0 for count in counts)


def usage_of(
    read: Any,
    written: Any,
    total: Any = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
) -> UsageMetadata | None:
    """Return LangChain's usage; None if a side is no count.

    Args:
        read: Tokens of the prompt, cached ones included.
        written: Tokens of the answer, reasoning included.
        total: Their sum as the vendor counts it, if it does.
        inputs: Details of the prompt by LangChain's names (`cache_read`, ...); what is no count is left out.
        outputs: Details of the answer (`reasoning`, ...), likewise.
    """
    read, written = count_of(read), count_of(written)
    if read is None or written is None:
        return None
    usage: dict[str, Any] = {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": max(count_of(total) or 0, read + written),
    }
    for name, details in (("input_token_details", inputs), ("output_token_details", outputs)):
        if not details:
            continue
        counts = {key: count_of(value) for key, value in details.items()}
        if found := {key: count for key, count in counts.items() if count is not None}:
            usage[name] = found
    return cast("UsageMetadata", usage)


def grown_counts(old: Any, new: Any) -> Any:
    """Return a vendor's usage with what a later event reports of it: counts grow, other values change.

    Args:
        old: The usage so far, as the vendor sent it.
        new: What comes now; what is absent or null in it stays.
    """
    if isinstance(old, Mapping):
        new = new if isinstance(new, Mapping) else {}
        return {**old, **{key: grown_counts(old.get(key), value) for key, value in new.items()}}
    before, now = count_of(old), count_of(new)
    if before is not None and (now is None or now < before):
        return old
    return old if new is None else new
