"""Waiting for a budget that other requests hold: each end of a request wakes those that wait."""

from __future__ import annotations

import asyncio
import threading

from langchain_llmdispatch.budgets.call_budget import Room


def wait_for_room(room: Room) -> None:
    """Wait until a request is settled, or the time is over."""
    settled = threading.Event()
    room.changed(settled.set)
    settled.wait(max(0.0, room.seconds))


async def await_room(room: Room) -> None:
    """Wait until a request is settled, or the time is over; requests may end in any thread."""
    loop, settled = asyncio.get_running_loop(), asyncio.Event()

    def notify() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settled.set)

    room.changed(notify)
    try:
        async with asyncio.timeout(max(0.0, room.seconds)):
            await settled.wait()
    except TimeoutError:
        return
