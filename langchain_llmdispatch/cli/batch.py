"""The command `batch`: every row of a file, answered once."""

from __future__ import annotations

import argparse

from langchain_llmdispatch.batch.run import run_batch
from langchain_llmdispatch.cli.answer import model_of
from langchain_llmdispatch.cli.terminal import Terminal


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Run the batch, and print its report; 1 if a row failed or waits.

    Raises:
        ConfigurationError: A file, a row or an option is wrong.
    """
    with model_of(options) as model:
        report = run_batch(
            model,
            options.source,
            options.sink,
            store=options.store,
            max_in_flight=options.max_in_flight,
            max_tries=options.max_tries,
            max_cost=options.max_cost,
            retry_failed=options.retry_failed,
            progress=options.progress,
            via=options.via,
            deadline=options.deadline * 3600,
        )
    terminal.write(str(report))
    return 1 if report.failed or report.waiting else 0
