"""Affinity: a thread stays on the deployment that answered it last, whose prompt cache is warm."""

from __future__ import annotations

import threading
from collections import OrderedDict

from langchain_llmdispatch.dispatch.attempt import Attempt
from langchain_llmdispatch.internal import forks

LASTS = 600.0
"""Seconds for which a thread is remembered after its last answer; vendors' caches last 5 to 60 minutes."""


class Affinity:
    """Which deployment answered which thread last. An `Observer`: answers bind a thread, failures release it.

    Safe to share between threads; the oldest are forgotten beyond `most`.

    Args:
        lasts: Seconds after which a thread is forgotten.
        most: Threads remembered.
    """

    def __init__(self, *, lasts: float = LASTS, most: int = 4096) -> None:
        self._lasts, self._most = lasts, most
        self._renew()
        forks.in_child(self._renew)
        self._bound: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """Return how many threads are remembered."""
        return len(self._bound)

    def deployment_of(self, thread: str, now: float) -> str | None:
        """Return the deployment that answered the thread last, or None.

        Args:
            thread: The thread's id.
            now: Monotonic seconds.
        """
        name, until = self._bound.get(thread, (None, 0.0))
        return name if now < until else None

    def bind(self, thread: str, deployment: str, now: float) -> None:
        """Remember that the deployment answered the thread."""
        with self._lock:
            self._bound[thread] = (deployment, now + self._lasts)
            self._bound.move_to_end(thread)
            if len(self._bound) > self._most:
                self._bound.popitem(last=False)

    def release(self, thread: str, deployment: str) -> None:
        """Forget the deployment, which failed the thread."""
        with self._lock:
            if self._bound.get(thread, ("", 0.0))[0] == deployment:
                del self._bound[thread]

    def ended(self, attempt: Attempt) -> None:
        """Bind the call's thread to the deployment that answered it; release it from one that failed."""
        thread, record = attempt.call.thread, attempt.record
        if thread is None or record is None or not attempt.sent:
            return
        if attempt.error is not None:
            if attempt.error.blame != "none":
                self.release(thread, attempt.target.name)
        elif record.error is None and attempt.accepted:
            self.bind(thread, attempt.target.name, attempt.call.clock.monotonic())
