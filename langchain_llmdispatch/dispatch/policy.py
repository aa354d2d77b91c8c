"""What bounds one call: `CallPolicy`."""

from __future__ import annotations

from dataclasses import dataclass, field

from langchain_llmdispatch.dispatch.cascade import Cascade
from langchain_llmdispatch.dispatch.retries import RetryPolicy
from langchain_llmdispatch.types import MAX_RESPONSE_BYTES, TimeLimits


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """What bounds a call.

    Attributes:
        retries: When the same deployment is tried again, and after how long.
        max_attempts: Requests that may leave the process for one call, over retries, fallbacks and hedges.
        times: The time limits of the call.
        resume: Whether a stream that breaks after content is continued by another attempt.
        cascade: Which whole answers send the call on to the next deployment; None accepts each one.
        hedge_after: Seconds without a first token (not streamed: without the answer) after which a second
            deployment is tried beside the first one; None for never.
        max_response_bytes: The most bytes that a response, or one event of a stream, may have.
        wait_for_preferred: Seconds that the call waits for its first choice while that is rate limited,
            instead of moving on.
    """

    retries: RetryPolicy = field(default_factory=RetryPolicy)
    max_attempts: int = 6
    times: TimeLimits = field(default_factory=TimeLimits)
    resume: bool = False
    cascade: Cascade | None = None
    hedge_after: float | None = None
    max_response_bytes: int = MAX_RESPONSE_BYTES
    wait_for_preferred: float = 0.0
