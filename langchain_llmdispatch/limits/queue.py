"""FIFO wait queue for the limits of one deployment or account."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from langchain_llmdispatch.clock import Clock
from langchain_llmdispatch.errors import LimitTimeoutError
from langchain_llmdispatch.limits.bucket import Bucket


class Limits(NamedTuple):
    """The limits of one queue.

    Attributes:
        rpm: Requests per minute.
        tpm: Tokens per minute.
        max_concurrency: Requests in flight at once.
    """

    rpm: float | None = None
    tpm: float | None = None
    max_concurrency: int | None = None


class Demand(NamedTuple):
    """What one request takes from one bucket.

    Attributes:
        kind: `requests` or `tokens`.
        amount: How many.
        bucket: The bucket of this process.
    """

    kind: str
    amount: float
    bucket: Bucket


@dataclass(slots=True)
class Charge:
    """What was taken, so that it can be corrected.

    Attributes:
        queue: Where.
        demand: What.
        at: The moment, in the clock's monotonic seconds.
        shared_at: The moment in the shared limit's own time, or None if only this process counts it.
    """

    queue: LimitQueue
    demand: Demand
    at: float
    shared_at: float | None = None


@dataclass(slots=True, eq=False)
class Waiter:
    """One request that goes through queues. Touched by one thread at a time.

    Attributes:
        tokens: How many it is expected to use.
        max_wait: Seconds it may wait altogether.
        charges: What it has taken so far.
        until: The moment at which its wait times out, set when it begins.
    """

    tokens: float
    max_wait: float
    charges: list[Charge] = field(default_factory=list)
    until: float = float("inf")


class Admission(NamedTuple):
    """What a shared limit answers.

    Attributes:
        wait: Seconds until the request may be sent.
        granted: Whether it may: False if the wait is longer than `max_wait`. Nothing is taken then.
        at: The moment of sending, in the shared limit's own time.
        used: What is in use in each bucket now, in the order of the demands.
    """

    wait: float
    granted: bool
    at: float
    used: Sequence[float]


class SharedLimits(Protocol):
    """Limits that several processes draw from. Awaited on the limiter's loop."""

    async def reserve(self, name: str, demands: Sequence[Demand], max_wait: float) -> Admission | None:
        """Take `demands` from the shared buckets of the queue `name`; None if the server is lost."""

    async def correct(self, name: str, demand: Demand, at: float, difference: float) -> None:
        """Add `difference` to what was taken for the moment `at`."""

    def processes(self, name: str) -> int:
        """Return how many processes drew from the queue `name` when that was last known, at least 1."""


class LimitQueue:
    """The limits of one deployment or account, and the requests that wait for them.

    Args:
        name: Its name in a shared limit.
        limits: The limits.
        share: The part of a minute's amount that may be admitted at once.
        clock: The source of time.
        post: Calls a function on the loop.
        shared: The shared limits if other processes draw from them too.
    """

    # Weight of the newest observation of how long slots are held and how many tokens answers have.
    NEWEST: ClassVar[float] = 0.2
    # Tokens that an answer is expected to have before the first one is known.
    FIRST_GUESS: ClassVar[float] = 256.0

    def __init__(
        self,
        name: str,
        limits: Limits,
        share: float,
        clock: Clock,
        post: Callable[..., None],
        shared: SharedLimits | None = None,
    ) -> None:
        self.name, self._clock, self._post, self._shared = name, clock, post, shared
        self._requests = Bucket(limits.rpm, share, clock) if limits.rpm else None
        self._tokens = Bucket(limits.tpm, share, clock) if limits.tpm else None
        self._slots, self._seconds_held = limits.max_concurrency, 1.0
        self.output_tokens = self.FIRST_GUESS
        self.begin()

    def begin(self) -> None:
        """Begin without requests."""
        self.turn = asyncio.Lock()
        # Reentrant, as all locks that the end of a call takes: the garbage collector may close an abandoned
        # stream within any allocation, while this lock is held.
        self._lock = threading.RLock()
        # Sets of those who hold a slot or wait: one step adds or removes one, which no interrupt divides.
        self._holders = set[Waiter]()
        self._freed = asyncio.Event()
        self._queued, self._queued_tokens = set[Waiter](), 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        # This process's share of each bucket while the shared limits are lost; empty while they are not.
        self._parts = dict[str, Bucket]()
        self._corrections: set[asyncio.Task[None]] = set()  # a loop holds its tasks only weakly

    def renewed(self) -> LimitQueue:
        """Return the queue of a forked child: at the same level, without the parent's requests.

        They keep this one, should the child's garbage collector end one of them.
        """
        self._lock = threading.RLock()
        for bucket in (self._requests, self._tokens):
            if bucket is not None:
                bucket.renew()
        queue = copy.copy(self)
        queue.begin()
        return queue

    @property
    def counts_tokens(self) -> bool:
        """Whether it limits tokens."""
        return self._tokens is not None

    @property
    def idle(self) -> bool:
        """Whether no request waits or holds a slot."""
        return not self._queued and not self._holders

    # -- from any thread ---------------------------------------------------------------------------

    def try_enter(self, waiter: Waiter) -> bool:
        """Admit `waiter` if none is queued and the limits allow it now, and return whether they did."""
        if self._shared is not None and (self._requests is not None or self._tokens is not None):
            return False
        with self._lock:
            full = self._slots is not None and len(self._holders) >= self._slots
            if self._queued or full or not self._try_take(waiter):
                return False
            if self._slots is not None:
                self._holders.add(waiter)
            return True

    def join(self, waiter: Waiter) -> None:
        """Count a request that waits: no other overtakes it, and predictions include it."""
        with self._lock:
            self._queued.add(waiter)
            self._queued_tokens += waiter.tokens

    def leave(self, waiter: Waiter) -> None:
        """Stop counting a request that waited, if it does."""
        with self._lock:
            if waiter in self._queued:
                self._queued.discard(waiter)
                left = max(0.0, self._queued_tokens - waiter.tokens)
                self._queued_tokens = left if self._queued else 0.0

    def free_slot(self, waiter: Waiter, seconds: float) -> None:
        """Free the slot that `waiter` has held for `seconds`, if it holds one."""
        with self._lock:
            if waiter in self._holders:
                self._holders.discard(waiter)
                self._seconds_held += self.NEWEST * (seconds - self._seconds_held)
        if self._slots is not None and self._queued:
            self._post(self._notify)

    def correct(self, charge: Charge, amount: float) -> None:
        """Set what a request really used."""
        demand = charge.demand
        difference = amount - demand.amount
        if not difference:
            return
        demand.bucket.correct(charge.at, difference)
        if charge.shared_at is not None:
            self._post(self._correct_shared, demand, charge.shared_at, difference)
        if difference < 0 and self._queued:
            self._post(demand.bucket.wake)

    def learn(self, output_tokens: float) -> None:
        """Learn how many tokens an answer had."""
        self.output_tokens += self.NEWEST * (output_tokens - self.output_tokens)

    def paced_in(self, tokens: float) -> float:
        """Return the seconds until the buckets admit a request, after those that wait already."""
        waits = [0.0]
        if self._requests is not None:
            bucket = self._parts.get("requests", self._requests)
            waits.append(bucket.ready_in(1.0, float(len(self._queued))))
        if self._tokens is not None:
            waits.append(self._parts.get("tokens", self._tokens).ready_in(tokens, self._queued_tokens))
        return max(waits)

    def slot_in(self) -> float:
        """Return the seconds until a slot is expected to be free, from how long slots are held."""
        if self._slots is None:
            return 0.0
        missing = len(self._holders) + len(self._queued) + 1 - self._slots
        return max(0.0, missing * self._seconds_held / self._slots)

    def headroom(self) -> dict[str, float]:
        """Return what may be sent at once, now, by kind."""
        left = {demand.kind: self._own(demand).bucket.available() for demand in self._demands(0.0)}
        return (
            left if self._slots is None else {**left, "concurrency": float(self._slots - len(self._holders))}
        )

    def _try_take(self, waiter: Waiter) -> bool:
        taken: list[Charge] = []
        for demand in self._demands(waiter.tokens):
            at = demand.bucket.try_take(demand.amount)
            if at is None:
                for charge in taken:
                    charge.demand.bucket.correct(charge.at, -charge.demand.amount)
                return False
            taken.append(Charge(self, demand, at))
        waiter.charges += taken
        return True

    def _demands(self, tokens: float) -> list[Demand]:
        demands = [Demand("requests", 1.0, self._requests)] if self._requests is not None else []
        if self._tokens is not None:
            demands.append(Demand("tokens", tokens, self._tokens))
        return demands

    # -- on the loop -------------------------------------------------------------------------------

    def belongs_to(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether its requests wait on this loop; the first one that is passed stays."""
        if self._loop is None:
            self._loop = loop
        return self._loop is loop

    async def admit(self, waiter: Waiter) -> None:
        """Wait until the limits admit `waiter`, the first of the queue.

        Raises:
            LimitTimeoutError: A shared limit does not admit it in time.
        """
        await self._take_slot(waiter)
        demands = self._demands(waiter.tokens)
        if not demands or (self._shared is not None and await self._reserve(self._shared, waiter, demands)):
            return
        for demand in demands:
            own = self._own(demand)
            at = await own.bucket.take(own.amount)
            waiter.charges.append(Charge(self, own, at))

    def _own(self, demand: Demand) -> Demand:
        """Return the demand on this process's share, while the shared limits are lost."""
        part = self._parts.get(demand.kind)
        return demand if part is None else demand._replace(bucket=part)

    def _divide(self, shared: SharedLimits) -> None:
        """Take this process's share of the limits until the shared ones respond again."""
        processes = shared.processes(self.name)
        if processes > 1 and not self._parts:
            self._parts = {each.kind: each.bucket.part(processes) for each in self._demands(0.0)}

    def _notify(self) -> None:
        if self.belongs_to(asyncio.get_running_loop()):
            self._freed.set()

    async def _take_slot(self, waiter: Waiter) -> None:
        if self._slots is None:
            return
        while not self._try_slot(waiter, self._slots):
            self._freed.clear()
            await self._freed.wait()

    def _try_slot(self, waiter: Waiter, slots: int) -> bool:
        with self._lock:
            free = len(self._holders) < slots
            if free:
                self._holders.add(waiter)
            return free

    async def _reserve(self, shared: SharedLimits, waiter: Waiter, demands: Sequence[Demand]) -> bool:
        """Take from the shared limits, and return whether the server answered."""
        while True:
            left = waiter.until - self._clock.monotonic()
            admission = await self._admission(shared, demands, left)
            if admission is None:
                self._divide(shared)
                return False
            self._parts = {}
            for demand, used in zip(demands, admission.used, strict=True):
                demand.bucket.mirror(used)
            if not admission.granted:
                raise limit_timeout(admission.wait, waiter.max_wait)
            at = self._clock.monotonic() + max(0.0, admission.wait)
            taken = [Charge(self, demand, at, admission.at) for demand in demands]
            waiter.charges += taken
            if admission.wait <= 0 or await demands[-1].bucket.pause(admission.wait):
                return True
            # An amount was returned meanwhile: return this one too, and reserve again.
            for charge in taken:
                waiter.charges.remove(charge)
                await shared.correct(self.name, charge.demand, admission.at, -charge.demand.amount)

    async def _admission(
        self, shared: SharedLimits, demands: Sequence[Demand], max_wait: float
    ) -> Admission | None:
        reserving = asyncio.ensure_future(shared.reserve(self.name, demands, max_wait))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            reserving.add_done_callback(lambda done: self._return(done, demands))
            raise

    def _return(self, reserved: asyncio.Future[Admission | None], demands: Sequence[Demand]) -> None:
        """Release a grant whose waiter was cancelled."""
        admission = None if reserved.cancelled() or reserved.exception() else reserved.result()
        if admission is not None and admission.granted:
            for demand in demands:
                self._correct_shared(demand, admission.at, -demand.amount)

    def _correct_shared(self, demand: Demand, at: float, difference: float) -> None:
        if self._shared is not None:
            task = asyncio.ensure_future(self._shared.correct(self.name, demand, at, difference))
            self._corrections.add(task)
            task.add_done_callback(self._corrections.discard)


def limit_timeout(seconds: float | None, left: float) -> LimitTimeoutError:
    """Return the error of a wait that does not end before the deadline.

    Args:
        seconds: How long the wait would be, or None if unknown.
        left: Seconds that were left for it.
    """
    when = f"for {seconds:.1f} s" if seconds is not None else "in time"
    return LimitTimeoutError(
        f"the limits admit no request {when}, and {max(left, 0.0):.1f} s are left", retry_after=seconds
    )
