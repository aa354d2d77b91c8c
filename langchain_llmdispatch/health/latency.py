"""How fast one deployment answers: seconds to the first token, and seconds per token after it.

Total time alone would mistake a long answer for a slow vendor. Streamed answers show both parts; whole
ones show only their sum, which a line through (tokens, seconds) takes apart. Failures are excluded from
the estimate. Means forget by time, but keep the weight of `FEW` answers, so that thin traffic still averages
over a few.

A deployment that was slow is not tried again, and so its recovery would go unnoticed. What was learned of it
therefore fades while others are tried in its place (see `freshness`), until it looks good enough to be tried
once; that answer then counts for all that had faded.
"""

from __future__ import annotations

import math

WINDOW = 30.0
"""Seconds after which an answer weighs a third."""
FEW = 2.0
"""Answers that the estimate weighs at least, however old it is."""
FADES = 30.0
"""Seconds without a request after which what was learned of a deployment's latency begins to fade."""
PASSED_OVER = 100
"""Requests that must have gone elsewhere meanwhile: so at most one in a hundred probes the latency."""
OUTPUT_FORGOTTEN = 0.05
"""The weight of the newest answer in their mean length, which depends on callers rather than on time."""


class LatencyEstimate:
    """Decayed means of one deployment's latency, in seconds and tokens. Not locked: its owner is.

    Attributes:
        estimate: Seconds to the first token and seconds per token after it; None where unknown.
        samples: Answers learned from.
        output: Tokens of an answer on average, or None if unknown.
        floor: Seconds that the last timeout took; halved by each answer after it.
    """

    def __init__(self) -> None:
        self.samples, self.floor = 0, 0.0
        self.output: float | None = None
        self.estimate: tuple[float | None, float | None] = (None, None)
        self._at = self._weight = 0.0
        self._first_sum = self._first_weight = 0.0
        self._token_seconds = self._tokens = 0.0
        self._line = (0.0, 0.0, 0.0, 0.0, 0.0)  # weight, sums of n, t, n*n, n*t

    def learn(
        self, now: float, latency: float, ttft: float | None, tokens: int | None, *, fresh: float = 1.0
    ) -> None:
        """Learn from one whole answer.

        Args:
            now: Monotonic seconds.
            latency: Seconds from sending to the end.
            ttft: Seconds from sending to the first content, where streamed.
            tokens: Tokens of the answer, or None if unknown.
            fresh: How much of what was learned had not faded when the request was sent.
        """
        kept = math.exp(min(0.0, self._at - now) / WINDOW)
        if self._weight * kept < FEW:
            kept = min(1.0, FEW / self._weight) if self._weight else 1.0
        kept *= fresh
        self._at, self._weight = max(self._at, now), self._weight * kept + 1.0
        self.floor *= fresh / 2
        if fresh < 1.0:
            self._fade(fresh)
        self.samples += 1
        if tokens is not None:
            mean = self.output
            self.output = tokens if mean is None else mean + (tokens - mean) * OUTPUT_FORGOTTEN
        if ttft is None and not (self._tokens and tokens is not None):
            self.estimate = self._fit(kept, tokens if tokens is not None else self.output or 0.0, latency)
            return
        if ttft is None:
            ttft = max(0.0, latency - (tokens or 0) * self._token_seconds / self._tokens)
        elif tokens is not None and tokens > 1:
            self._token_seconds = self._token_seconds * kept + max(0.0, latency - ttft)
            self._tokens = self._tokens * kept + tokens
        self._first_sum = self._first_sum * kept + ttft
        self._first_weight = self._first_weight * kept + 1.0
        self.estimate = self._parts()

    def overran(self, seconds: float) -> None:
        """Learn from a request that timed out after `seconds`: an answer takes at least that."""
        self.floor = max(self.floor, seconds)

    def _fade(self, fresh: float) -> None:
        """Make what has faded permanent."""
        weight, n, t, nn, nt = self._line
        self._line = (weight, n, t * fresh, nn, nt * fresh)
        self._first_sum *= fresh
        self._token_seconds *= fresh

    def _parts(self) -> tuple[float, float | None]:
        per_token = self._token_seconds / self._tokens if self._tokens else None
        return self._first_sum / self._first_weight, per_token

    def _fit(self, kept: float, tokens: float, latency: float) -> tuple[float | None, float | None]:
        """Add a whole answer to the line through (tokens, seconds), and return the estimate."""
        old = self._line
        weight, n, t = old[0] * kept + 1.0, old[1] * kept + tokens, old[2] * kept + latency
        nn, nt = old[3] * kept + tokens * tokens, old[4] * kept + tokens * latency
        self._line = (weight, n, t, nn, nt)
        if self._first_weight:
            return self._parts()
        spread = weight * nn - n * n
        # Answers of one length show no slope; then the mean time is all that can be learned.
        slope = max(0.0, (weight * nt - n * t) / spread) if spread > 1e-6 * weight * nn else 0.0
        start = (t - slope * n) / weight
        return (start, slope) if start >= 0 else (0.0, t / n)


def freshness(idle: float, passed_over: int) -> float:
    """Return how much of what was learned of a deployment's latency still counts: 1.0 for all of it.

    Args:
        idle: Seconds since a request was last sent to it.
        passed_over: Requests that were sent to others since.
    """
    age = min(idle / FADES, passed_over / PASSED_OVER)
    return math.exp(1.0 - age) if age > 1.0 else 1.0
