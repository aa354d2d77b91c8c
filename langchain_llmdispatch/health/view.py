"""A deployment's health at one moment."""

from __future__ import annotations

from typing import NamedTuple

from langchain_llmdispatch import errors
from langchain_llmdispatch.health.breaker import State


class HealthView(NamedTuple):
    """A deployment's health at one moment; moments in monotonic seconds.

    Attributes:
        state: `closed`, `open` (no request is admitted before `open_until`), `half_open` (one probe is).
        open_until: When it may be tried again; 0.0 if now.
        cooling: Whether only a cooldown closes it, after which no probe is needed.
        reason: What opened it, as an error's class name; empty if closed.
        in_flight: Requests in flight.
        success: Share of successes over the last half minute, or None without calls.
        consecutive_failures: Failures since the last success.
        ttft: Seconds to the first token, or None if unknown.
        seconds_per_token: Seconds per output token after it, or None if unknown.
        samples: Answers that `ttft` and `seconds_per_token` were learned from.
        calls: Requests that ended, however they did.
        expected_output: Tokens of an answer on average, or None if unknown.
        floor: Seconds that an answer takes at least, by requests that are overdue or timed out; 0.0 without.
        idle: Seconds since a request was last sent, or None if never.
        turn: When it was last chosen, as a number that only grows; 0 if never.
        fresh: How much of its learned latency and failures still counts, from 1.0 towards 0: it fades while
            requests go elsewhere, so that a deployment that was slow or failing is tried again some day.
    """

    state: State = "closed"
    open_until: float = 0.0
    cooling: bool = False
    reason: str = ""
    in_flight: int = 0
    success: float | None = None
    consecutive_failures: int = 0
    ttft: float | None = None
    seconds_per_token: float | None = None
    samples: int = 0
    calls: int = 0
    expected_output: float | None = None
    floor: float = 0.0
    idle: float | None = None
    turn: int = 0
    fresh: float = 1.0

    @property
    def misconfigured(self) -> bool:
        """Whether a wrong configuration (key, model, billing) keeps it out, which seldom heals by itself."""
        return getattr(getattr(errors, self.reason, None), "blame", "none") == "configuration"

    def latency(self, output_tokens: float) -> float | None:
        """Return the predicted seconds for an answer of so many tokens, or None if unknown.

        The prediction falls while requests go elsewhere; see `fresh`.
        """
        return predicted(self.ttft, self.seconds_per_token, output_tokens, self.floor, self.fresh)


def predicted(
    first: float | None, per_token: float | None, tokens: float, floor: float, fresh: float
) -> float | None:
    """Return the predicted seconds of an answer; see `HealthView.latency`, whose attributes these are."""
    if first is None:
        return floor * fresh or None
    seconds = first + tokens * (per_token or 0.0)
    return max(seconds, floor) * fresh


UNSEEN = HealthView()
"""The health of a deployment that was never tried."""
