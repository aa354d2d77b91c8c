"""Whatever a terminal can do is one line and an exit code, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import pytest

from langchain_llmdispatch.cli.main import run
from langchain_llmdispatch.cli.terminal import Terminal
from tests.cases import each
from tests.loopback.server import LoopbackServer

ROOT = Path(__file__).parents[2]


class FullDisk(io.StringIO):
    """A stream behind which nothing fits any more."""

    def write(self, _: str) -> int:
        raise OSError(28, "No space left on device")


pytestmark = pytest.mark.usefixtures("environment")


def terminal(piped: bytes | None = None, output: TextIO | None = None) -> Terminal:
    """Return a terminal in memory."""
    source = None if piped is None else io.BytesIO(piped)
    return Terminal(source, output or io.StringIO(), io.StringIO())


def shown(stream: object) -> str:
    """Return what was written."""
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


@each("arguments", [["Summarise."], ["-"], []])
def test_what_is_piped_in_is_read(arguments: list[str], server: LoopbackServer) -> None:
    """Piped text comes before the question, or is the question."""
    assert run(arguments, terminal(b"the sky is green")) == 0
    body = str(server.requests[0].body)
    assert "the sky is green" in body
    assert ("Summarise." in body) == (arguments == ["Summarise."])


@each(
    ("arguments", "piped", "message"),
    [
        (["hello"], b"\xff\xfe text", "standard input is not UTF-8 (byte 0)"),
        ([], None, "the question is empty"),
        (["caf\udce9"], None, "the question is not valid UTF-8"),
    ],
)
def test_input_that_is_no_text_is_a_usage_error(
    arguments: list[str], piped: bytes | None, message: str
) -> None:
    """Other encodings and closed streams are named."""
    used = terminal(piped)
    assert run(arguments, used) == 2
    assert message in shown(used.errors)


def test_a_full_disk_is_exit_code_1() -> None:
    """The system's own words are the message."""
    used = terminal(output=FullDisk())
    assert run(["hello"], used) == 1
    assert shown(used.errors) == "llmdispatch: No space left on device\n"


@each("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_encoding_that_lacks_characters_gets_escapes(encoding: str) -> None:
    """A process with another encoding prints what it can, as JSON too."""
    code = "import sys; from langchain_llmdispatch.__main__ import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--json", "h\u00e9llo \u4e16"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert ("\u4e16" in text) == (encoding == "utf-8")
    assert ("\\u4e16" in text) == (encoding != "utf-8")
