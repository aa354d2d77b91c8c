"""A fleet of 1,000 workers against a vendor's limits, in virtual time: over-admission, Redis operations, an outage.

Run it from the repository: `python -m benchmarks.fleet_simulation` (no Redis needed; about a minute). Each worker
draws from the limit by the rules of `RedisLimits` and `LimitQueue`: a reservation is one script, answered with the
moment at which the request may leave; while Redis is lost each worker uses `Bucket.part`, the package's own bucket of
its share. The vendor counts the requests of each sliding minute against its limit. Three policies are compared:
limits per process (each worker has the whole limit, as without Redis), the whole limit per process in the outage, and
shares in the outage.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

from langchain_llmdispatch.limits.bucket import MINUTE, Bucket
from langchain_llmdispatch.testing import FakeClock

WORKERS, MINUTES, BURST = 1000, 12.0, 0.1
OUTAGE = (4 * MINUTE, 6 * MINUTE)
NOTICE, PROBE, BEAT = 0.15, 3.0, 5.0  # seconds: timeout of a lost server, between probes, between heartbeats


@dataclass
class Shared:
    """The bucket on the server: its level, and when each reservation leaves; see `_RESERVE`."""

    bucket: Bucket
    operations: list[float] = field(default_factory=list)

    def reserve(self, now: float) -> float:
        """Take one request, and return the seconds until it may leave."""
        self.operations.append(now)
        wait = self.bucket.ready_in(1.0)
        self.bucket.add(1.0)
        return wait


@dataclass
class Worker:
    """One worker: what it does while the server is lost, and when it learned of it."""

    part: Bucket | None = None
    lost_until: float = 0.0
    beat_at: float = 0.0


class Fleet:
    """Workers that send as fast as the limit allows, each with `busy` seconds per answer.

    Args:
        rpm: The vendor's limit.
        policy: `shares`, `whole` or `alone`.
        processes: How many processes a worker takes to share the limit when the server is lost.
        seed: Of all randomness.
    """

    def __init__(self, rpm: float, policy: str, processes: int = WORKERS, seed: int = 1) -> None:
        self.clock, self.rng = FakeClock(0.0), random.Random(seed)
        random.seed(seed)
        self.rpm, self.policy, self.processes = rpm, policy, processes
        self.shared = Shared(Bucket(rpm, BURST, self.clock))
        self.workers = [Worker() for _ in range(WORKERS)]
        self.sent: list[float] = []

    def run(self) -> None:
        """Run all workers in virtual time."""
        # (when, order, worker, whether a request leaves then)
        queue = [(self.rng.uniform(0, 5.0), n, n, False) for n in range(WORKERS)]
        heapq.heapify(queue)
        order = WORKERS
        while queue and queue[0][0] < MINUTES * MINUTE:
            when, _, number, leaves = heapq.heappop(queue)
            self.clock.advance(max(0.0, when - self.clock.monotonic()))
            order += 1
            if leaves:
                self.sent.append(when)
                heapq.heappush(queue, (when + self.rng.uniform(0.5, 3.0), order, number, False))
            else:
                heapq.heappush(queue, (when + self._wait(self.workers[number], when), order, number, True))

    def _wait(self, worker: Worker, now: float) -> float:
        """Return the seconds until a worker's next request leaves."""
        if self.policy == "alone":
            return self._own(worker, 1)
        if now < worker.lost_until:
            return self._own(worker, 1 if self.policy == "whole" else self.processes)
        if OUTAGE[0] <= now < OUTAGE[1]:
            first = worker.part is None
            worker.lost_until = now + PROBE
            self.shared.operations.append(now)  # the call that fails, or the probe
            return (NOTICE if first else 0.0) + self._own(
                worker, 1 if self.policy == "whole" else self.processes
            )
        worker.part = None
        return self.shared.reserve(now)

    def _own(self, worker: Worker, processes: int) -> float:
        if worker.part is None:
            worker.part = self.shared.bucket.part(processes)
        wait = worker.part.ready_in(1.0)
        worker.part.add(1.0)
        return wait


def worst_minute(sent: list[float], begins: float, ends: float) -> int:
    """Return the most requests of any sliding minute that ends within a time."""
    window: deque[float] = deque()
    worst = 0
    for when in sorted(sent):
        window.append(when)
        while window[0] <= when - MINUTE:
            window.popleft()
        if begins <= when < ends:
            worst = max(worst, len(window))
    return worst


def rate(times: list[float], begins: float, ends: float) -> float:
    """Return how many a second there were within a time."""
    return sum(begins <= each < ends for each in times) / (ends - begins)


def show(rpm: float, policy: str, processes: int = WORKERS) -> None:
    """Print one line: what the vendor sees before, during and after the outage."""
    fleet = Fleet(rpm, policy, processes)
    fleet.run()
    parts = [(0.0, OUTAGE[0]), (OUTAGE[0], OUTAGE[1]), (OUTAGE[1], MINUTES * MINUTE)]
    worst = [worst_minute(fleet.sent, *part) / rpm for part in parts]
    steady = rate(fleet.sent, 2 * MINUTE, OUTAGE[0]) * MINUTE / rpm
    lost = rate(fleet.sent, OUTAGE[0] + 1, OUTAGE[1]) * MINUTE / rpm
    operations = rate(fleet.shared.operations, 2 * MINUTE, OUTAGE[0])
    name = policy if policy != "shares" else f"shares 1/{processes}"
    print(
        f"{rpm:>8.0f} {name:14} {steady:>7.1%} {operations:>8.1f} {lost:>9.1%} "
        + "".join(f"{each:>9.2f}" for each in worst),
        flush=True,
    )


def main() -> None:
    """Print the table."""
    print(f"{WORKERS} workers, each ready for its next request 0.5 to 3 s after the last; burst {BURST:.0%};")
    print(f"Redis lost from minute {OUTAGE[0] / MINUTE:.0f} to {OUTAGE[1] / MINUTE:.0f} of {MINUTES:.0f}.")
    print(
        "used: share of the limit that is used; ops/s: scripts on Redis; worst: busiest sliding minute in limits,"
    )
    print("before, during and after the outage (1.10 is the limit with its burst).\n")
    print(
        f"{'rpm':>8} {'in an outage':14} {'used':>7} {'ops/s':>8} {'used lost':>9} {'before':>9}{'during':>9}{'after':>9}"
    )
    for rpm in (500.0, 5_000.0, 30_000.0):
        show(rpm, "alone")
        show(rpm, "whole")
        show(rpm, "shares")
    show(5_000.0, "shares", 900)
    show(5_000.0, "shares", 1100)


if __name__ == "__main__":
    main()
