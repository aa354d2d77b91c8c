"""The process that runs the local model server. Run by path, never imported; needs only xllamacpp.

It reads one line of JSON (see `local.LocalServer`) from stdin, loads the model, writes one line of JSON
with `url` or `error` to stdout, and lives until stdin ends, that is until its parent is gone.

Why a process of its own: inside the caller's, loading holds the interpreter's lock for seconds, stopping
with a request in flight never returns, exiting with one crashes, and a forked child cannot exit.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from typing import Any

CONTEXT = 4096
"""Tokens of prompt and answer together."""


def build(settings: dict[str, Any]) -> Any:
    """Load the model and return the running server.

    Raises:
        RuntimeError: The file cannot be loaded.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["alias"]}
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    # Two threads spin against each other as soon as anything else runs; one is faster then.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_gpu_layers = 0
    params.cache_ram_mib = 0
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.offline = True
    params.ui = False
    params.endpoint_slots = False  # it would show other clients' prompts
    params.cors_origins = ""  # no web page may send requests
    params.verbosity = 0
    if settings["template"]:
        params.chat_template = settings["template"]
    return xllamacpp.Server(params)


def main() -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent; this process ends with stdin
    answer = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(null, stream)
    settings = json.loads(sys.stdin.readline())
    sys.path.append(settings["packages"])
    # A C thread: it fires even while loading holds the interpreter's lock.
    faulthandler.dump_traceback_later(settings["load_timeout"], exit=True)
    try:
        server = build(settings)
        reply = {"url": server.listening_address}
    except Exception as error:  # noqa: BLE001 - the parent raises it, whatever it is
        reply = {"error": f"{type(error).__name__}: {error}"}
    faulthandler.cancel_dump_traceback_later()
    with answer:
        answer.write(json.dumps(reply) + "\n")
    if "url" in reply:
        sys.stdin.read()
    os._exit(0)  # the server's destructor would wait for requests under way


if __name__ == "__main__":
    main()
