"""A scrape of a Prometheus registry over HTTP, for the tests of this folder."""

from __future__ import annotations

import urllib.request
from typing import Any

import prometheus_client as prometheus


def scrape(registry: Any) -> dict[str, float]:
    """Return the samples that a Prometheus server would get, over HTTP."""
    server, thread = prometheus.start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=5) as page:
            lines = page.read().decode().splitlines()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    samples = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in samples}
