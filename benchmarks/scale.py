"""One limit and one budget of four workers over Redis: a process pool, Dask and Ray, each with the same model.

Run it from the repository: `python -m benchmarks.scale` (or `make scale`). It starts Debian's `redis-server` and a
loopback vendor, takes about a minute, and exits with 1 if a limit or a budget is off by more than 3 %. What is
not installed is named and left out.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.redis_limits import redis
from langchain_llmdispatch import Stats
from tests.loopback.server import LoopbackServer
from tests.machines import answer_for, fleet_model

ROOT = Path(__file__).parents[1]
WORKERS, THREADS, SECONDS, RPM, USD = 4, 4, 14.0, 1200.0, 0.02
MOST_OFF = 0.03
Run = Callable[[Callable[[], Any]], list[Any]]
"""Runs a function on each worker, and returns the results."""


@contextmanager
def pool() -> Iterator[Run]:
    """Four processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
        yield lambda work: [each.result() for each in [executor.submit(work) for _ in range(WORKERS)]]


@contextmanager
def dask() -> Iterator[Run]:
    """A cluster of Dask on this machine."""
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        workers = list(client.scheduler_info()["workers"])
        yield lambda work: client.gather(
            [client.submit(work, pure=False, workers=[each]) for each in workers]
        )


@contextmanager
def ray() -> Iterator[Run]:
    """Four actors of Ray Data."""
    import ray as engine
    import ray.data

    engine.init(
        num_cpus=WORKERS + 4, _node_ip_address="127.0.0.1", include_dashboard=False, log_to_driver=False
    )
    engine.data.DataContext.get_current().enable_progress_bars = False

    def run(work: Callable[[], Any]) -> list[Any]:
        def rows(_: dict[str, Any]) -> dict[str, Any]:
            return {"stats": [Stats.from_dict(work()).to_json()]}

        items = engine.data.from_items(list(range(WORKERS))).repartition(WORKERS)
        return [
            Stats.from_json(str(each["stats"])) for each in items.map_batches(rows, batch_size=1).take_all()
        ]

    try:
        yield run
    finally:
        engine.shutdown()


class Work:
    """What each worker does: calls for so long, with its copy of the model."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self) -> dict[str, Any]:
        """Return the statistics of this copy."""
        return answer_for(self.model, SECONDS, THREADS)


def measure(name: str, run: Run, server: LoopbackServer, url: str) -> float:
    """Print how far a limit and a budget are off, and return the larger share."""
    server.clear()
    Stats.merge(run(Work(fleet_model(server, url, namespace=uuid.uuid4().hex, rpm=RPM))))
    times = sorted(each.time for each in server.requests)
    begins = times[0] + SECONDS * 0.45  # the burst is over, and all workers run
    until = times[-1] - 1.0
    went, ideal = sum(begins <= each < until for each in times), (until - begins) * RPM / 60
    server.clear()
    budgets = [{"name": "all", "usd": USD, "per": "day"}]
    model = fleet_model(server, url, namespace=uuid.uuid4().hex, budgets=budgets)
    stats = Stats.merge(run(Work(model)))
    spent = float(stats.totals.cost_usd)
    assert stats.total_requests == len(server.requests), "statistics of all workers add up"
    print(
        f"{name:14} rpm={RPM:.0f}: {went} requests of {ideal:.1f} ({went / ideal - 1:+.1%}); "
        f"${USD}: ${spent:.6f} spent ({spent / USD - 1:+.1%}) by {stats.total_requests} requests",
        flush=True,
    )
    return max(abs(went / ideal - 1), abs(spent / USD - 1))


def main() -> None:
    """Print all of it."""
    os.environ |= {"OPENAI_API_KEY": "sk-test", "PYTHONPATH": str(ROOT), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    engines = {
        "process pool": ("multiprocessing", pool),
        "Dask": ("dask.distributed", dask),
        "Ray Data": ("ray", ray),
    }
    worst = 0.0
    print(
        f"{WORKERS} workers x {THREADS} threads, one Redis, one loopback vendor; {time.strftime('%Y-%m-%d')}"
    )
    with redis() as url, LoopbackServer() as server:
        for name, (module, start) in engines.items():
            if find_spec(module.partition(".")[0]) is None:
                print(f"{name:14} left out: {module} is not installed")
                continue
            with start() as run:
                worst = max(worst, measure(name, run, server, url))
    sys.exit(f"off by {worst:.1%}" if worst > MOST_OFF else 0)


if __name__ == "__main__":
    main()
