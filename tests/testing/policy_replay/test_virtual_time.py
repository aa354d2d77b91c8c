"""Time in a simulation moves only when all tasks wait."""

from __future__ import annotations

import asyncio
import time

from langchain_llmdispatch.testing.policy_replay.virtual_time import SimulationLoop


def test_no_time_passes_by_a_thread() -> None:
    """What the engine does in another thread takes no virtual time, however long it takes."""
    loop = SimulationLoop()

    async def elapsed() -> float:
        asyncio.get_running_loop().call_later(60, int)
        await asyncio.to_thread(time.sleep, 0.01)
        return asyncio.get_running_loop().time()

    assert loop.run_until_complete(elapsed()) == 0.0
    loop.close()
