"""How fast one deployment answers: time to the first token, and seconds per token after it.

Total time alone would mistake a long answer for a slow vendor. Streamed answers show both parts; whole
ones show only their sum, which a line through (tokens, seconds) takes apart. Only successes are learned
from: whoever fails fast is not fast. Means forget by time, but keep the weight of `FEW` answers, so that
thin traffic still averages over a few.

A deployment that was slow is asked no more, and so nobody would ever learn that it has recovered. What is
known of its speed therefore fades while others are asked in its place (see `freshness`), until it looks good
enough to be asked once; that answer then counts for all that had faded.
"""

from __future__ import annotations

import math

WINDOW = 30.0
"""Seconds after which an answer weighs a third."""
FEW = 2.0
"""Answers that what is known weighs at least, however old it is."""
FADES = 30.0
"""Seconds without a request after which what is known of a deployment's speed begins to fade."""
PASSED_OVER = 100
"""Requests that must have gone elsewhere meanwhile: so at most one in a hundred looks again."""
OUTPUT_FORGOTTEN = 0.05
"""The same for the length of answers, which is the caller's habit rather than the vendor's mood."""


class LatencyEstimate:
    """Decayed means of one deployment's speed, in seconds and tokens. Not locked: its owner is.

    Attributes:
        samples: Answers learned from.
        output: Tokens of an answer on average, or None if unknown.
        floor: Seconds that the last timeout took; halved by each answer after it.
    """

    __slots__ = (
        "_at",
        "_estimate",
        "_first_sum",
        "_first_weight",
        "_line",
        "_token_seconds",
        "_tokens",
        "_weight",
        "floor",
        "output",
        "samples",
    )

    def __init__(self) -> None:
        self.samples, self.floor = 0, 0.0
        self.output: float | None = None
        self._at = self._weight = 0.0
        self._estimate: tuple[float | None, float | None] = (None, None)
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
            fresh: How much of what is known had not faded when the request was sent.
        """
        kept = self._forget(now, fresh)
        self.samples += 1
        if tokens is not None:
            mean = self.output
            self.output = tokens if mean is None else mean + (tokens - mean) * OUTPUT_FORGOTTEN
        if ttft is not None:
            self._first(kept, ttft)
            if tokens is not None and tokens > 1:
                self._token_seconds = self._token_seconds * kept + max(0.0, latency - ttft)
                self._tokens = self._tokens * kept + tokens
        elif self._tokens and tokens is not None:
            self._first(kept, max(0.0, latency - tokens * self._token_seconds / self._tokens))
        else:
            self._point(kept, float(tokens if tokens is not None else self.output or 0.0), latency)
        self._estimate = self._estimated()

    def _forget(self, now: float, fresh: float) -> float:
        """Let what has faded be faded for good; return the share of its weight that all else keeps."""
        kept = math.exp(min(0.0, self._at - now) / WINDOW)
        if self._weight * kept < FEW:
            kept = min(1.0, FEW / self._weight) if self._weight else 1.0
        kept *= fresh
        self._at, self._weight = max(self._at, now), self._weight * kept + 1.0
        self.floor *= fresh / 2
        if fresh < 1.0:
            weight, n, t, nn, nt = self._line
            self._line = (weight, n, t * fresh, nn, nt * fresh)
            self._first_sum *= fresh
            self._token_seconds *= fresh
        return kept

    def overran(self, seconds: float) -> None:
        """Learn from a request that was given up after so many seconds: it takes at least that."""
        self.floor = max(self.floor, seconds)

    def estimate(self) -> tuple[float | None, float | None]:
        """Return seconds to the first token and seconds per token after it; (None, None) if unknown."""
        return self._estimate

    def _estimated(self) -> tuple[float | None, float | None]:
        if self._first_weight:
            per_token = self._token_seconds / self._tokens if self._tokens else None
            return self._first_sum / self._first_weight, per_token
        weight, n, t, nn, nt = self._line
        if not weight:
            return None, None
        spread = weight * nn - n * n
        # Answers of one length show no slope; their mean time is all there is to know.
        slope = max(0.0, (weight * nt - n * t) / spread) if spread > 1e-6 * weight * nn else 0.0
        start = (t - slope * n) / weight
        return (start, slope) if start >= 0 else (0.0, t / n)

    def _first(self, kept: float, seconds: float) -> None:
        self._first_sum = self._first_sum * kept + seconds
        self._first_weight = self._first_weight * kept + 1.0

    def _point(self, kept: float, n: float, t: float) -> None:
        old = self._line
        self._line = (
            old[0] * kept + 1.0,
            old[1] * kept + n,
            old[2] * kept + t,
            old[3] * kept + n * n,
            old[4] * kept + n * t,
        )


def freshness(idle: float, passed_over: int) -> float:
    """Return how much of what was learned of a deployment's speed still counts: 1.0 for all of it.

    Args:
        idle: Seconds since a request was last sent to it.
        passed_over: Requests that were sent to others since.
    """
    age = min(idle / FADES, passed_over / PASSED_OVER)
    return math.exp(1.0 - age) if age > 1.0 else 1.0
