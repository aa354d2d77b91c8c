"""Record `cassettes/notebooks/`: run the notebooks, and let the models on this machine answer.

    python scripts/record_notebooks.py                   every notebook that calls `replay`
    python scripts/record_notebooks.py 3_agents          those whose names begin so

The cells run unchanged. Requests to vendors are redirected to llama.cpp's OpenAI and Anthropic interfaces
between the faults and the cassette, so that routing, prices and histories are those of the notebook, and the
recording names what served it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tomllib
import types
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from IPython.core.interactiveshell import InteractiveShell

from langchain_llmdispatch.local.server import base_url
from langchain_llmdispatch.testing import Cassette
from langchain_llmdispatch.testing.middleware import attempt_of, installed

if TYPE_CHECKING:
    from langchain_llmdispatch.testing.cassettes.file import Interaction
    from langchain_llmdispatch.transport.deadline import ReadDeadline
    from langchain_llmdispatch.transport.middleware import Flow

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS, CASSETTES = ROOT / "notebooks", ROOT / "cassettes" / "notebooks"
DEFAULT, SMALL = "qwen2.5-coder-0.5b", "smollm2"
ABOUT = {
    DEFAULT: "Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, with this package's chat template",
    SMALL: "SmolLM2-135M-Instruct, Q4_1",
}
# Which model answers for a deployment of this name; the default one for all others.
LOCAL_MODELS = {"small": SMALL}


class Redirect:
    """Sends every model's request to the local server for its deployment."""

    depth: ClassVar[int] = 40  # within the faults, around the cassette
    replays: ClassVar[bool] = False

    def flow(self, request: httpx.Request, _: ReadDeadline) -> Flow:
        """Forward it to the local server."""
        response: httpx.Response = yield self._redirected(request)
        return response

    def _redirected(self, request: httpx.Request) -> httpx.Request:
        attempt = attempt_of(request)
        model = LOCAL_MODELS.get(attempt.target.name if attempt else "", DEFAULT)
        server = httpx.URL(base_url(model))
        url = request.url.copy_with(scheme="http", host=server.host, port=server.port)
        left_out = {"host", "authorization", "x-api-key"}
        headers = [(name, value) for name, value in request.headers.multi_items() if name not in left_out]
        return httpx.Request(
            request.method, url, headers=headers, content=request.content, extensions=request.extensions
        )


class RecordedSoFar:
    """What a cassette has recorded so far, with the attributes of a tape: cells may read it."""

    def __init__(self, cassette: Cassette) -> None:
        self._cassette = cassette

    @property
    def interactions(self) -> list[Interaction]:
        """The interactions, in order."""
        return self._cassette.recorder.interactions()


def main() -> int:
    """Record the notebooks whose names the arguments begin."""
    parser = argparse.ArgumentParser(
        description="Record cassettes/notebooks/ from the models on this machine."
    )
    parser.add_argument("names", nargs="*", default=[""], help="beginnings of notebooks' names; default: all")
    names = tuple(parser.parse_args().names)
    os.environ |= dict.fromkeys(
        ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY"), "replayed-without-a-key"
    )
    os.environ["MPLBACKEND"] = "agg"
    found = [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.stem.startswith(names)]
    done = [_record(path) for path in found]
    return 0 if done and all(done) else 1


def _record(path: Path) -> bool:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    if not any("from recorded import replay" in source for source in sources):
        print(f"{path.stem}: uses no recording")
        return True
    shell = InteractiveShell()
    with ExitStack() as stack:
        stack.enter_context(installed(Redirect()))
        tapes: list[Cassette] = []

        def record(name: str) -> Any:
            cassette = Cassette(
                CASSETTES / f"{name}.yaml",
                mode="rewrite",
                served_by=_about(sources),
                note=f"the cells of notebooks/{path.name}; one thread of {platform.machine()}",
            )
            cassette.tape.by = f"langchain-llmdispatch {_project_version()}"
            tapes.append(stack.enter_context(cassette))
            return types.SimpleNamespace(tape=RecordedSoFar(cassette))

        sys.modules["recorded"] = _module(replay=record)
        for number, source in enumerate(sources, 1):
            if (error := shell.run_cell(source, silent=True).error_in_exec) is not None:
                print(f"{path.stem}: code cell {number}: {type(error).__name__}", file=sys.stderr)
                for tape in tapes:
                    tape.discard()
                return False
    return True


def _module(**names: Any) -> types.ModuleType:
    module = types.ModuleType("recorded")
    module.__dict__.update(names)
    return module


def _project_version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _about(sources: list[str]) -> str:
    named = [
        model for name, model in LOCAL_MODELS.items() if any(f'name="{name}"' in text for text in sources)
    ]
    models = "; ".join(ABOUT[model] for model in (DEFAULT, *named))
    return f"llama.cpp server (xllamacpp {version('xllamacpp')}): {models}"


if __name__ == "__main__":
    sys.exit(main())
