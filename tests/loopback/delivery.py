"""Sends an answer to the client, with the faults of its plan."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Literal

from tests.loopback.faults import Fault, StepPlan
from tests.loopback.neutral import Event, Reply, TokenCounts
from tests.loopback.wire import CHUNK_END, Connection

LARGEST_PIECE = 40
Report = Callable[[TokenCounts], None]


@dataclass(frozen=True, slots=True)
class DeliveryPause:
    """A wait in the middle of a body."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stop:
    """An end before the end."""

    how: Literal["cut", "clean", "stall", "reset"]


Action = Event | DeliveryPause | Stop


@dataclass(frozen=True, slots=True)
class FaultBytes:
    """The bytes of a wire format that faults put into a body."""

    keepalive: bytes
    broken: bytes
    error: bytes


class LostError(Exception):
    """The connection is not to be used again."""


def staged(events: list[Event], plan: StepPlan, fault_bytes: FaultBytes) -> list[Action]:
    """The events of a stream with the plan's faults among them."""
    events = _replaced(events, plan, fault_bytes)
    actions: list[Action] = list(events)
    pace = plan.fault("pace")
    if pace:
        wait = DeliveryPause(pace.seconds)
        actions = [action for event in actions for action in (event, wait)][:-1]
    actions = _ended(actions, plan)
    return [*_opening(plan, fault_bytes), *_split(actions, plan)]


def _replaced(events: list[Event], plan: StepPlan, fault_bytes: FaultBytes) -> list[Event]:
    without = plan.fault("without")
    if without:
        events = [event for event in events if event.part not in without.parts]
    malformed = plan.fault("malformed")
    if malformed:
        at = malformed.after_events
        events = [*events[:at], Event(fault_bytes.broken), *events[at:]]
    error = plan.fault("in_band_error")
    if error:
        events = [*events[: error.after_events], Event(fault_bytes.error)]
    return events


def _opening(plan: StepPlan, fault_bytes: FaultBytes) -> Iterable[Action]:
    slow = plan.fault("slow_first")
    if slow:
        yield DeliveryPause(slow.seconds)
    keepalives = plan.fault("keepalives")
    for _ in range(keepalives.count if keepalives else 0):
        yield Event(fault_bytes.keepalive, "start")
        if keepalives and keepalives.seconds:
            yield DeliveryPause(keepalives.seconds)


def _ended(actions: list[Action], plan: StepPlan) -> list[Action]:
    cut = plan.fault("cut")
    if cut:
        kept = _first_events(actions, cut.after_events)
        if cut.after_bytes is not None:
            kept = _first_bytes(actions, cut.after_bytes)
        return [*kept, Stop("clean" if cut.clean else "cut")]
    stall, reset = plan.fault("stall"), plan.fault("reset")
    if stall:
        return [*_first_events(actions, stall.after_events), Stop("stall")]
    if reset:
        return [*_first_events(actions, reset.after_events), Stop("reset")]
    return actions


def _first_events(actions: list[Action], count: int) -> list[Action]:
    kept: list[Action] = []
    for action in actions:
        if count <= 0:
            break
        count -= isinstance(action, Event)
        kept.append(action)
    return kept


def _first_bytes(actions: list[Action], count: int) -> list[Action]:
    kept: list[Action] = []
    for action in actions:
        if not isinstance(action, Event):
            kept.append(action)
        elif len(action.data) <= count:
            kept.append(action)
            count -= len(action.data)
        else:
            return [*kept, replace(action, data=action.data[:count], usage=None)]
    return kept


def _split(actions: list[Action], plan: StepPlan) -> list[Action]:
    drip, chop = plan.fault("drip"), plan.fault("chop")
    if drip:
        size, wait = drip.count, DeliveryPause(drip.seconds)
        pieces = _resized(actions, lambda: size)
        return [action for piece in pieces for action in (piece, wait)] if drip.seconds else pieces
    if chop:
        dice = random.Random(chop.count)
        return _resized(actions, lambda: dice.randint(1, LARGEST_PIECE))
    return actions


def _resized(actions: list[Action], size: Callable[[], int]) -> list[Action]:
    done: list[Action] = []
    run: list[Event] = []
    for action in [*actions, None]:
        if isinstance(action, Event):
            run.append(action)
            continue
        done += _recut(run, size)
        run = []
        if action is not None:
            done.append(action)
    return done


def _recut(run: list[Event], size: Callable[[], int]) -> list[Event]:
    data = b"".join(event.data for event in run)
    cut: list[Event] = []
    at = 0
    while at < len(data):
        step = size()
        cut.append(Event(data[at : at + step]))
        at += step
    usages = [event.usage for event in run if event.usage]
    if cut and usages:
        cut[-1] = replace(cut[-1], usage=usages[-1])
    return cut


async def send_stream(
    connection: Connection, actions: list[Action], headers: Mapping[str, str], report: Report, *, apart: bool
) -> None:
    """Send a chunked body; the usage that it holds is reported.

    A burst of chunks leaves in one go, unless each is to come apart.
    """
    connection.head(200, {**_common(), **headers, "transfer-encoding": "chunked"})
    for action in actions:
        if isinstance(action, Event):
            if action.usage:
                report(action.usage)
            connection.chunk(action.data)
            if apart:
                await connection.flush()
                await asyncio.sleep(0)
        elif isinstance(action, DeliveryPause):
            await pause(connection, action.seconds)
        else:
            await _stop(connection, action)
    connection.write(CHUNK_END)
    await connection.flush()


async def _stop(connection: Connection, stop: Stop) -> None:
    await connection.flush()
    if stop.how == "clean":
        return
    if stop.how == "stall":
        await connection.gone()
    if stop.how == "reset":
        connection.reset()
    raise LostError


async def send_body(connection: Connection, reply: Reply, plan: StepPlan, fault_bytes: FaultBytes) -> None:
    """Send a body of known length."""
    body = reply.body
    cut = plan.fault("cut")
    if plan.fault("malformed"):
        body = body[: len(body) // 2]
    if plan.fault("in_band_error"):
        body = fault_bytes.error
    keepalives = plan.fault("keepalives")
    body = b"\n" * (keepalives.count if keepalives else 0) + body
    sized = {**_common(), **reply.headers, "content-length": str(len(body))}
    if plan.fault("stall"):
        await connection.gone()
        raise LostError
    connection.head(reply.status, sized)
    slow = plan.fault("slow_first")
    if slow:
        await pause(connection, slow.seconds)
    if cut:
        connection.write(body[: len(body) // 2 if cut.after_bytes is None else cut.after_bytes])
        await connection.flush()
        raise LostError
    for piece in _split([Event(body)], plan):
        if isinstance(piece, Event):
            connection.write(piece.data)
            await connection.flush()


async def send_hints(connection: Connection, fault: Fault) -> None:
    """Send the heads of informational responses."""
    for _ in range(fault.count):
        connection.head(103, {"link": "</>; rel=preload"})
        await pause(connection, fault.seconds)


async def pause(connection: Connection, seconds: float) -> None:
    """Send what is prepared and wait, unless the client leaves."""
    await connection.flush()
    if await connection.gone(seconds):
        raise LostError


def _common() -> dict[str, str]:
    return {"date": formatdate(usegmt=True)}
