"""A process that kills itself during a batch over a batch API: `KILL_AT=2 python job_worker.py SINK BASE_URL`."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.testing.middleware import installed

if TYPE_CHECKING:
    import httpx

    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow


class Killer:
    """Kills the process when the answer to a request is there."""

    depth, replays, seen = 50, False, 0

    def flow(self, request: httpx.Request, read_deadline: ReadDeadline) -> Flow:
        """Forward the request, or die."""
        self.seen += 1
        response = yield request
        if self.seen == int(os.environ["KILL_AT"]):
            yield response
            os.kill(os.getpid(), signal.SIGKILL)
        return response


def main(sink: str, base_url: str) -> None:
    """Run the batch."""
    clock = FakeClock()
    deployment = Deployment("openai:gpt-5.4-mini", name="openai", api_key="key", base_url=base_url)
    model = DispatcherChatModel(models=[deployment], env={}, clock=clock)
    with installed(Killer(), model):
        run_batch(model, [f"say {n}" for n in range(5)], sink, via="batch", clock=clock)


if __name__ == "__main__":
    main(*sys.argv[1:])
