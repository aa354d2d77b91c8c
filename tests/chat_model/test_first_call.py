"""What the first call would import is imported before it begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys

from langchain_llmdispatch.chat_model import first_call
from langchain_llmdispatch.errors import DispatchError
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import COLOURS, VENDORS, deployment, model_of

with LoopbackServer() as server:
    model = model_of(*(deployment(server, vendor) for vendor in VENDORS))
    first_call.import_for_first_async_call()
    before = set(sys.modules)
    for vendor in VENDORS:
        for colour in COLOURS:
            only = model.bind(model=vendor)
            COLOURS[colour](only, "hello")
            server.script(vendor, [Fault.error("invalid_request")])
            try:
                COLOURS[colour](only, "hello")
            except DispatchError:
                pass
    print(*sorted(set(sys.modules) - before))
"""


def test_calls_import_nothing_more() -> None:
    """Answered and refused calls of every vendor and colour, in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []
