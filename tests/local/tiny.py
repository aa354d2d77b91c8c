"""A tiny model file, sources that deliver it or fail, and another interpreter, for the tests of this folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from langchain_llmdispatch.errors import LocalModelError
from langchain_llmdispatch.local.download import Sink
from langchain_llmdispatch.local.model_files import fetch_model
from langchain_llmdispatch.local.models import LocalModel

BYTES = b"GGUF" + bytes(range(256)) * 40
TINY = LocalModel(
    name="tiny",
    file="tiny.gguf",
    size=len(BYTES),
    sha256=hashlib.sha256(BYTES).hexdigest(),
    licence="MIT",
)
MODELS = {"tiny": TINY}


def good(model: LocalModel, sink: Sink) -> None:
    sink.write(BYTES[:1000])
    sink.write(BYTES[1000:])


def wrong(model: LocalModel, sink: Sink) -> None:
    sink.write(b"x" * model.size)


def endless(model: LocalModel, sink: Sink) -> None:
    while True:
        sink.write(b"x" * 4096)


def offline(model: LocalModel, sink: Sink) -> None:
    raise LocalModelError("no network here")


def fetch(cache: Path, *sources: Any, **kwargs: Any) -> Path:
    return fetch_model("tiny", cache=cache, environ={}, models=MODELS, sources=sources, **kwargs)


def run_python(code: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": root, **(environ or {})}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=env,
    )
