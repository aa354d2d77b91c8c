"""Replays the notebooks' requests from recordings: no key, no network, no wait.

Each notebook's first code cell calls `replay`. Without that call, and with keys in the environment or in
`.env`, the same cells call the real vendors.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from langchain_llmdispatch.testing import Cassette

CASSETTES = Path(__file__).resolve().parents[1] / "cassettes" / "notebooks"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY")

_context = ExitStack()


def replay(notebook: str) -> Cassette:
    """Replay every model's requests from `cassettes/notebooks/<notebook>.yaml` until the kernel ends.

    A missing key is replaced by a placeholder, which is not sent. Cells may be run again: the last recording of
    a request is replayed again and again. The clock moves by the recorded times, without waiting.

    Args:
        notebook: The recording's name.
    """
    for name in KEYS:
        os.environ.setdefault(name, "replayed-without-a-key")
    _context.close()  # when the cell is run again
    cassette = Cassette(CASSETTES / f"{notebook}.yaml", pace=1.0, repeats=True)
    return _context.enter_context(cassette)
