"""A process that forks during its very first calls; it prints how each child fared.

`tests/end_to_end/test_processes.py` runs it once. By hand, many times: `python -m tests.first_calls 50`.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.clock import Clock
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, deployment, model_of
from tests.processes import start_fork


def main() -> int:
    """Begin calls in eight threads, and fork four children at moments that differ from run to run."""
    rng = random.SystemRandom()
    with (
        LoopbackServer() as server,
        model_of(deployment(server, "openai"), clock=Clock(), deadline=25.0) as model,
    ):
        first = [threading.Thread(target=_calls(model, colour), daemon=True) for colour in [*COLOURS] * 2]
        for thread in first:
            thread.start()
        children = []
        for colour in ("invoke", "astream", "ainvoke", "stream"):
            threading.Event().wait(rng.uniform(0.0, 0.08))
            children.append(start_fork(lambda colour=colour: COLOURS[colour](model, "hello").text))
        fared = [_fared(wait) for wait in children]
        for thread in first:
            thread.join()
    print(*fared)
    return int(fared != ["answered"] * 4)


def _calls(model: DispatcherChatModel, colour: str) -> Callable[[], None]:
    def run() -> None:
        for _ in range(3):
            COLOURS[colour](model, "busy")

    return run


def _fared(wait: Callable[[], str]) -> str:
    try:
        return "answered" if "hello" in wait() else "silent"
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return "hung" if "hung" in str(error) else "raised"


def repeat(times: int) -> int:
    """Run this many processes, and print how many had a child that did not answer."""
    command = [sys.executable, "-m", "tests.first_calls"]
    failed = sum(subprocess.run(command, check=False).returncode != 0 for _ in range(times))
    print(f"{failed} of {times} failed")
    return failed


if __name__ == "__main__":
    sys.exit(repeat(int(sys.argv[1])) if len(sys.argv) > 1 else main())
