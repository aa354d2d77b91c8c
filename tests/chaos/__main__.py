"""`make chaos`: the whole run, by `CHAOS_SEED` and `CHAOS_CALLS`; exits with 1 if a promise is broken.

`CHAOS_ONLY` is the place of one scenario, as a broken promise names it; `CHAOS_ALONE=1` makes its calls one
after the other, in this order each time.
"""

from __future__ import annotations

import os
import random
import sys

from tests.chaos.report import chaos
from tests.loopback.server import LoopbackServer


def main() -> int:
    """Run, print the table, and return the exit status."""
    env = os.environ
    seed = env.get("CHAOS_SEED") or str(random.SystemRandom().randrange(1_000_000))
    calls, only = int(env.get("CHAOS_CALLS") or 10_000), env.get("CHAOS_ONLY")
    print(f"CHAOS_SEED={seed}", flush=True)
    with LoopbackServer() as server:
        alone = bool(env.get("CHAOS_ALONE"))
        report = chaos(server, seed, calls, only=int(only) if only else None, alone=alone)
    print("\n".join(report.lines()))
    return 1 if report.broken else 0


sys.exit(main())
