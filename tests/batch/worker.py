"""A process that runs a batch, and is killed by the test: `python worker.py SOURCE SINK STORE BASE_URL`."""

from __future__ import annotations

import sys

from langchain_llmdispatch import Deployment, DispatcherChatModel
from langchain_llmdispatch.batch import run_batch


def main(source: str, sink: str, store: str, base_url: str) -> None:
    """Run the batch to its end."""
    deployment = Deployment(
        "openai:gpt-6-luna", api_key="k", base_url=base_url, input_price=1, output_price=2, allow_http=True
    )
    model = DispatcherChatModel(models=[deployment], env={}, max_retries=0)
    report = run_batch(model, source, sink, store=store, max_in_flight=8)
    sys.stdout.write(f"{report}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
