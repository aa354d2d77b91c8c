"""How many processes share each limit, known from their reservations: for when the server is lost."""

from __future__ import annotations

from uuid import uuid4

from langchain_llmdispatch.internal import forks

LIVES = 60
"""Seconds after which a process that draws nothing is no longer counted: those of the limits' own minute."""
_BEAT_EVERY = 5.0  # seconds


class Membership:
    """The processes that draw from the same limits, as last counted by the server. Used on one loop.

    Args:
        least: The least number of processes to assume.
    """

    def __init__(self, least: int = 1) -> None:
        self._least = least
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        """Count a forked child as a process of its own; the parent's count is its first guess."""
        self._id = uuid4().hex
        self._due = dict[str, float]()
        self._known: dict[str, int] = getattr(self, "_known", {})

    def beat(self, name: str, now: float) -> str:
        """Return the id to send with a reservation, or an empty text if the last one was just sent."""
        return self._id if now >= self._due.get(name, 0.0) else ""

    def count(self, name: str, processes: int, now: float) -> None:
        """Keep how many processes draw from the queue `name`, as the server counts them."""
        self._known[name] = processes
        self._due[name] = now + _BEAT_EVERY

    def of(self, name: str) -> int:
        """Return how many processes drew from the queue `name` when that was last known, at least `least`."""
        return max(self._least, self._known.get(name, 1))

    def meanwhile(self) -> str:
        """Return what holds while the server is lost."""
        most = max([self._least, *self._known.values()])
        if most == 1:
            return "limits hold in this process only"
        return f"limits hold by shares: this process takes 1/{most} of each ({most} processes shared them)"
