"""A gate: the limits of one deployment or one account, and the line before it. First come, first served."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from langchain_llmdispatch.limits.bucket import Bucket

if TYPE_CHECKING:
    from langchain_llmdispatch.clock import Clock


class Limits(NamedTuple):
    """What a gate lets through.

    Attributes:
        rpm: Requests per minute.
        tpm: Tokens per minute.
        max_concurrency: Requests in flight at once.
    """

    rpm: float | None = None
    tpm: float | None = None
    max_concurrency: int | None = None


class Draw(NamedTuple):
    """What one request takes from one budget.

    Attributes:
        kind: `requests` or `tokens`.
        amount: How much.
        bucket: The budget, as this process sees it.
    """

    kind: str
    amount: float
    bucket: Bucket


@dataclass(slots=True)
class Charge:
    """What was taken, so that it can be corrected.

    Attributes:
        gate: Where.
        draw: What.
        at: The moment, in the clock's monotonic seconds.
        shared: The moment in the shared budget's own time, or None if only this process knows of it.
    """

    gate: LimitQueue
    draw: Draw
    at: float
    shared: float | None = None


@dataclass(slots=True)
class Entry:
    """One request on its way through gates. Touched by one thread at a time.

    Attributes:
        tokens: How many it is expected to use.
        max_wait: Seconds it may wait altogether.
        charges: What it has taken so far.
        slots: The gates whose slots it holds.
        until: The moment its longest wait ends, set when it arrives.
    """

    tokens: float
    max_wait: float
    charges: list[Charge] = field(default_factory=list)
    slots: list[LimitQueue] = field(default_factory=list)
    until: float = float("inf")


class Reservation(NamedTuple):
    """What a shared budget answers.

    Attributes:
        wait: Seconds until the request may go.
        granted: Whether it may: False if the wait is longer than `max_wait`. Nothing is taken then.
        at: The moment it goes, in the shared budget's own time.
        used: What is in use in each budget now, in the order of the draws.
    """

    wait: float
    granted: bool
    at: float
    used: Sequence[float]


class SharedLimits(Protocol):
    """A budget that several processes draw from. Awaited on the limiter's loop."""

    async def reserve(self, name: str, draws: Sequence[Draw], max_wait: float) -> Reservation | None:
        """Take `draws` from the budgets of the gate `name`; None if nobody answers."""

    async def correct(self, name: str, draw: Draw, at: float, difference: float) -> None:
        """Note that what was reserved for the moment `at` was more, or less."""


class NoRoomError(Exception):
    """A shared budget has no room in time.

    Attributes:
        seconds: When it would have.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class LimitQueue:
    """The limits of one deployment or account.

    Args:
        name: What it is called in a shared budget.
        limits: What it lets through.
        share: How much of a minute's budget may go at once, as a share.
        clock: The source of time.
        post: Has something called on the loop.
        shared: Where the budget is kept if other processes draw from it too.
    """

    # Weight of the newest observation in what a request holds its slot for and answers with.
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
        self.turn = asyncio.Lock()
        # Reentrant, like all locks that a call's end takes: the garbage collector may close an abandoned
        # stream within any allocation, this lock held.
        self._lock = threading.RLock()
        self._requests = Bucket(limits.rpm, share, clock) if limits.rpm else None
        self._tokens = Bucket(limits.tpm, share, clock) if limits.tpm else None
        self._slots, self._held = limits.max_concurrency, 0
        self._freed = asyncio.Event()
        self._line_requests, self._line_tokens = 0, 0.0
        self._hold = 1.0
        self.output_tokens = self.FIRST_GUESS
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def counts_tokens(self) -> bool:
        """Whether it limits tokens."""
        return self._tokens is not None

    @property
    def idle(self) -> bool:
        """Whether nobody waits or holds a slot."""
        return not self._line_requests and not self._held

    # -- from any thread ---------------------------------------------------------------------------

    def try_pass(self, entry: Entry) -> bool:
        """Let `entry` pass if nobody waits and there is room now, and return whether it did."""
        if self._shared is not None and (self._requests is not None or self._tokens is not None):
            return False
        with self._lock:
            full = self._slots is not None and self._held >= self._slots
            if self._line_requests or full or not self._try_take(entry):
                return False
            if self._slots is not None:
                self._held += 1
                entry.slots.append(self)
            return True

    def line_up(self, entry: Entry) -> None:
        """Count a request that waits: nobody overtakes it, and others see how long it would take."""
        with self._lock:
            self._line_requests += 1
            self._line_tokens += entry.tokens

    def leave_line(self, entry: Entry) -> None:
        """Count it no more."""
        with self._lock:
            self._line_requests -= 1
            self._line_tokens = max(0.0, self._line_tokens - entry.tokens) if self._line_requests else 0.0

    def leave(self, seconds: float) -> None:
        """Free a slot that was held for so long."""
        with self._lock:
            self._held -= 1
            self._hold += self.NEWEST * (seconds - self._hold)
            waited_for = self._line_requests > 0
        if waited_for:
            self._post(self._free)

    def correct(self, charge: Charge, amount: float) -> None:
        """Note what a request really used."""
        difference = amount - charge.draw.amount
        if not difference:
            return
        charge.draw.bucket.correct(charge.at, difference)
        if charge.shared is not None:
            self._post(self._tell, charge.draw, charge.shared, difference)
        if difference < 0 and self._line_requests:
            self._post(charge.draw.bucket.look_again)

    def learn(self, output_tokens: float) -> None:
        """Note how long an answer was."""
        self.output_tokens += self.NEWEST * (output_tokens - self.output_tokens)

    def paced_in(self, tokens: float) -> float:
        """Return the seconds until the budgets have room, after those who wait already."""
        waits = [0.0]
        if self._requests is not None:
            waits.append(self._requests.ready_in(1.0, float(self._line_requests)))
        if self._tokens is not None:
            waits.append(self._tokens.ready_in(tokens, self._line_tokens))
        return max(waits)

    def slot_in(self) -> float:
        """Return the seconds until a slot may be expected, from how long slots are held."""
        if self._slots is None:
            return 0.0
        missing = self._held + self._line_requests + 1 - self._slots
        return max(0.0, missing * self._hold / self._slots)

    def headroom(self) -> dict[str, float]:
        """Return what may go at once, now, by kind."""
        room = {draw.kind: draw.bucket.room() for draw in self._draws(0.0)}
        return room if self._slots is None else {**room, "concurrency": float(self._slots - self._held)}

    def _try_take(self, entry: Entry) -> bool:
        taken: list[Charge] = []
        for draw in self._draws(entry.tokens):
            at = draw.bucket.try_take(draw.amount)
            if at is None:
                for charge in taken:
                    charge.draw.bucket.correct(charge.at, -charge.draw.amount)
                return False
            taken.append(Charge(self, draw, at))
        entry.charges += taken
        return True

    def _draws(self, tokens: float) -> list[Draw]:
        draws = [Draw("requests", 1.0, self._requests)] if self._requests is not None else []
        if self._tokens is not None:
            draws.append(Draw("tokens", tokens, self._tokens))
        return draws

    # -- on the loop -------------------------------------------------------------------------------

    def waits_on(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether this is the loop that its line waits on: the first one that asks."""
        if self._loop is None:
            self._loop = loop
        return self._loop is loop

    def _free(self) -> None:
        if self.waits_on(asyncio.get_running_loop()):
            self._freed.set()

    async def admit(self, entry: Entry) -> None:
        """Wait until `entry` may pass; its turn has come.

        Raises:
            NoRoomError: A shared budget has no room in time.
        """
        await self._take_slot(entry)
        draws = self._draws(entry.tokens)
        if not draws or (self._shared is not None and await self._reserve(self._shared, entry, draws)):
            return
        for draw in draws:
            at = await draw.bucket.take(draw.amount)
            entry.charges.append(Charge(self, draw, at))

    async def _take_slot(self, entry: Entry) -> None:
        if self._slots is None:
            return
        while not self._try_slot(self._slots):
            self._freed.clear()
            await self._freed.wait()
        entry.slots.append(self)

    def _try_slot(self, slots: int) -> bool:
        with self._lock:
            free = self._held < slots
            self._held += free
            return free

    async def _reserve(self, shared: SharedLimits, entry: Entry, draws: Sequence[Draw]) -> bool:
        """Take from the shared budget, and return whether it answered."""
        while True:
            answer = await self._asked(shared, draws, entry.until - self._clock.monotonic())
            if answer is None:
                return False
            for draw, used in zip(draws, answer.used, strict=True):
                draw.bucket.mirror(used)
            if not answer.granted:
                raise NoRoomError(answer.wait)
            at = self._clock.monotonic() + max(0.0, answer.wait)
            taken = [Charge(self, draw, at, answer.at) for draw in draws]
            entry.charges += taken
            if answer.wait <= 0 or await draws[-1].bucket.pause(answer.wait):
                return True
            # There is room earlier than was thought: give it back and ask again.
            for charge in taken:
                entry.charges.remove(charge)
                await shared.correct(self.name, charge.draw, answer.at, -charge.draw.amount)

    async def _asked(
        self, shared: SharedLimits, draws: Sequence[Draw], max_wait: float
    ) -> Reservation | None:
        asking = asyncio.ensure_future(shared.reserve(self.name, draws, max_wait))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(lambda done: self._return(done, draws))
            raise

    def _return(self, asked: asyncio.Future[Reservation | None], draws: Sequence[Draw]) -> None:
        """Give back what was granted to somebody who has left."""
        answer = None if asked.cancelled() or asked.exception() else asked.result()
        if answer is not None and answer.granted:
            for draw in draws:
                self._tell(draw, answer.at, -draw.amount)

    def _tell(self, draw: Draw, at: float, difference: float) -> None:
        if self._shared is not None:
            task = asyncio.ensure_future(self._shared.correct(self.name, draw, at, difference))
            _TELLING.add(task)
            task.add_done_callback(_TELLING.discard)


# Corrections under way; a loop holds its tasks only weakly.
_TELLING: set[asyncio.Task[None]] = set()
