"""How fast one deployment answers: time to the first token, and seconds per token after it.

Total time alone would mistake a long answer for a slow vendor. Streamed answers show both parts; whole
ones show only their sum, which a line through (tokens, seconds) takes apart. Only successes are learned
from: whoever fails fast is not fast. Means forget by time, and never more than `MOST_FORGOTTEN` at once,
so that thin traffic still averages over a few answers.
"""

from __future__ import annotations

import math

WINDOW = 30.0
"""Seconds after which an answer weighs a third."""
MOST_FORGOTTEN = 0.3
"""Share of what is known that one new answer may replace, however old it is."""
OUTPUT_FORGOTTEN = 0.05
"""The same for the length of answers, which is the caller's habit rather than the vendor's mood."""


class Speed:
    """Decayed means of one deployment's speed, in seconds and tokens. Not locked: its owner is.

    Attributes:
        samples: Answers learned from.
        output: Tokens of an answer on average, or None if unknown.
        floor: Seconds that the last timeout took; halved by each answer after it.
    """

    __slots__ = (
        "_at",
        "_first_sum",
        "_first_weight",
        "_line",
        "_token_seconds",
        "_tokens",
        "floor",
        "output",
        "samples",
    )

    def __init__(self) -> None:
        self.samples, self.floor = 0, 0.0
        self.output: float | None = None
        self._at = 0.0
        self._first_sum = self._first_weight = 0.0
        self._token_seconds = self._tokens = 0.0
        self._line = (0.0, 0.0, 0.0, 0.0, 0.0)  # weight, sums of n, t, n*n, n*t

    def learn(self, now: float, latency: float, ttft: float | None, tokens: int | None) -> None:
        """Learn from one whole answer.

        Args:
            now: Monotonic seconds.
            latency: Seconds from sending to the end.
            ttft: Seconds from sending to the first content, where streamed.
            tokens: Tokens of the answer, or None if unknown.
        """
        kept = max(math.exp(min(0.0, self._at - now) / WINDOW), 1.0 - MOST_FORGOTTEN)
        self._at = max(self._at, now)
        self.samples += 1
        self.floor /= 2
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

    def overran(self, seconds: float) -> None:
        """Learn from a request that was given up after so many seconds: it takes at least that."""
        self.floor = max(self.floor, seconds)

    def estimate(self) -> tuple[float | None, float | None]:
        """Return seconds to the first token and seconds per token after it; (None, None) if unknown."""
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
