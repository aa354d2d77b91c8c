"""The state of a deployment as HTML, for tables of models and plans."""

from __future__ import annotations

import math

from langchain_llmdispatch.health.breaker import LEAST_SUCCESS
from langchain_llmdispatch.health.view import HealthView
from langchain_llmdispatch.internal.html import BAD, GOOD, QUIET, WARN, Markup, dot, seconds


def health_html(view: HealthView, now: float | None = None) -> Markup:
    """Return the state of a deployment: a coloured dot and a few words.

    Args:
        view: Its health.
        now: The moment, in monotonic seconds; None where the time left of a cooldown is not shown.
    """
    left = max(0.0, view.open_until - now) if now is not None else 0.0
    time, reason = f" {seconds(left)}" if left else "", f" ({view.reason})" if view.reason else ""
    if view.state == "half_open":
        return dot(f"breaker half-open{reason}", WARN)
    if view.state == "open":
        word, colour = ("cooling down", WARN) if view.cooling else ("breaker open", BAD)
        return dot(f"{word}{time}{reason}", colour)
    if not view.calls:
        return dot("not tried yet", QUIET)
    if view.success is None or view.success >= 1:
        return dot("good", GOOD)
    # Rounded down: 100 % is shown only if nothing failed.
    return dot(
        f"{math.floor(view.success * 100)} % answered", GOOD if view.success >= LEAST_SUCCESS else WARN
    )
