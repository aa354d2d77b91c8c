"""The command line: answers, errors in one line, exit codes."""

from __future__ import annotations

import io
import json
import sys

import pytest

from langchain_llmdispatch.__main__ import main
from langchain_llmdispatch.types import __version__
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer

pytestmark = pytest.mark.usefixtures("environment")


def test_a_question_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer is streamed to standard output."""
    assert main(["hello there"]) == 0
    assert capsys.readouterr().out.startswith("Hello! You said: hello there")


def test_a_dash_reads_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` takes the question from a pipe."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    assert main(["-", "--model", "openai:gpt-6-luna"]) == 0
    assert "from a pipe" in capsys.readouterr().out


def test_without_any_key_the_error_names_keys_and_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package for a model on this machine is not installed."""
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    assert main(["hello"]) == 2
    printed = capsys.readouterr().err
    assert "set one of OPENAI_API_KEY, ANTHROPIC_API_KEY" in printed
    assert "pip install 'langchain-llmdispatch[local]'" in printed


def test_json_holds_text_usage_and_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints one JSON document."""
    assert main(["hello", "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["metadata"]["llmdispatch"]["vendor"] == "openai"
    assert held["usage"]["input_tokens"] > 0


def test_explain_sends_nothing(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """`--explain` prints what would be tried and sends nothing."""
    assert main(["hello", "--explain"]) == 0
    assert "openai:gpt-6-luna" in capsys.readouterr().out
    assert server.requests == []


def test_a_failed_call_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], server: LoopbackServer
) -> None:
    """The error names what failed, without traceback or key."""
    server.script("openai", [Fault.error("auth")])
    assert main(["hello"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("llmdispatch: ")
    assert printed.count("\n") == 1
    assert "k-secret" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hello", "--model", "opnai:x"], "Did you mean 'openai'"),
        (["hello", "--config", "none.yaml"], "cannot be read"),
        (["check", "none.yaml"], "cannot be read"),
        (["check"], "the following arguments are required: FILE"),
        (["vendors", "x"], "unrecognized arguments: x"),
        ([" "], "question is empty"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Configuration errors are one line, and name what is wrong."""
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_vendors_lists_them_without_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Each vendor is listed with its state or the variable to set."""
    assert main(["vendors"]) == 0
    printed = capsys.readouterr().out
    assert "configured" in printed
    assert "ANTHROPIC_API_KEY" in printed
    assert "k-secret" not in printed


@pytest.mark.parametrize(
    "command", ["answer", "vendors", "models", "check", "convert", "batch", "serve", "replay"]
)
def test_each_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`COMMAND --help` describes it, and `--version` is the package's."""
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: llmdispatch {command} ")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"llmdispatch {__version__}\n"


def test_a_system_message_goes_along(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """`-s` is the system message."""
    assert main(["-s", "Answer in French.", "hello"]) == 0
    assert "Answer in French." in str(server.requests[0].body)
    assert capsys.readouterr().out.startswith("Hello!")


def test_vendors_name_what_is_still_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key and without the address that it needs, the message names the address alone."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k-12345678")
    for name in ("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    assert main(["vendors"]) == 0
    azure = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("azure"))
    assert azure.split(maxsplit=1)[1] == "set AZURE_OPENAI_ENDPOINT or AZURE_API_BASE"
