"""`batch`: the command over `run_batch`."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from langchain_llmdispatch.__main__ import main
from langchain_llmdispatch.testing import FakeClock, use_clock
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer


@pytest.fixture(autouse=True)
def _rows(environment: None) -> None:
    Path("in.jsonl").write_text('"one"\n"two"\n')


def test_a_batch_answers_each_row(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """The report is printed; started again it sends nothing."""
    for _ in range(2):
        assert main(["batch", "in.jsonl", "out.jsonl", "-m", "openai:gpt-6-luna"]) == 0
        assert capsys.readouterr().out.startswith("2 of 2 rows answered, 0 failed; ")
    assert len(Path("out.jsonl").read_text().splitlines()) == len(server.requests) == 2


def test_a_row_that_fails_is_exit_code_1(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """Its error is in the results; `--retry-failed` tries it again."""
    server.script("openai", [Fault(status=400)])
    command = ["batch", "in.jsonl", "out.jsonl", "--max-in-flight", "1"]
    assert main(command) == 1
    assert "1 of 2 rows answered, 1 failed" in capsys.readouterr().out
    assert json.loads(Path("out.jsonl").read_text().splitlines()[0])["error"]
    assert main([*command, "--retry-failed"]) == 0


def test_errors_are_named(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """The most frequent ones, on standard error; `--status` shows them again, and sends nothing."""
    server.script("openai", [Fault(status=400)], repeat=True)
    assert main(["batch", "in.jsonl", "out.jsonl"]) == 1
    assert "llmdispatch: 2 failed with InvalidRequestError: " in capsys.readouterr().err
    sent = len(server.requests)
    assert main(["batch", "in.jsonl", "out.jsonl", "--status"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("0 of 2 rows answered, 2 failed")
    assert "no process works on it\n2 failed with InvalidRequestError" in out
    assert len(server.requests) == sent
    assert main(["batch", "in.jsonl", "none.jsonl", "--status"]) == 2
    assert "none.jsonl.sqlite: there is no journal of a batch" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_in_order(
    capsys: pytest.CaptureFixture[str], server: LoopbackServer, number: int, code: int
) -> None:
    """What is under way is finished; the same command goes on. The signal's handlers are as before."""
    Path("in.jsonl").write_text("".join(f'"say {n}"\n' for n in range(50)))

    def press(entry: object, request: object) -> None:
        if len(server.requests) == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    server.planner = press
    assert main(["batch", "in.jsonl", "out.jsonl", "--max-in-flight", "2"]) == code
    printed = capsys.readouterr()
    assert "waiting (interrupt)" in printed.out
    assert "no further row is taken" in printed.err
    assert "the same command goes on" in printed.err
    assert len(Path("out.jsonl").read_text().splitlines()) == len(server.requests) < 50
    assert signal.getsignal(number) is before
    server.planner = None
    assert main(["batch", "in.jsonl", "out.jsonl"]) == 0
    assert len(server.requests) == 50


def test_the_second_signal_stops_at_once(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """What had been answered is in the results."""
    server.script("openai", [Answer(text="fine"), Fault(kind="stall")], repeat=True)

    def press(entry: object, request: object) -> None:
        if len(server.requests) > 1:
            threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()

    server.planner = press
    assert main(["batch", "in.jsonl", "out.jsonl", "--max-in-flight", "1"]) == 130
    assert capsys.readouterr().err.endswith("llmdispatch: interrupted\n")
    assert len(Path("out.jsonl").read_text().splitlines()) == 1


def test_progress(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """A line of rows and dollars on standard error; jobs at vendors are named."""
    with use_clock(FakeClock()) as clock:
        server.batch_plan.now = lambda: clock.now().timestamp()
        assert main(["batch", "in.jsonl", "out.jsonl", "--progress", "--via", "batch"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "0 of 2 rows"
    assert "llmdispatch: 2 rows are in batch_0 at openai:gpt-6-luna" in lines
    assert lines[-1].startswith("2 of 2 rows, ")


def test_help_says_how_to_stop_and_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Formats, Ctrl-C, exit codes."""
    assert main(["batch", "--help"]) == 0
    shown = capsys.readouterr().out
    for words in (
        '{"custom_id", "method", "url", "body"}',
        "The first Ctrl-C",
        "Exit codes: 0",
        "--status",
        "--max-failures",
    ):
        assert words in shown


def test_a_wrong_file_is_exit_code_2(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """Nothing is sent."""
    Path("in.jsonl").write_text('{"promt": "x"}\n')
    assert main(["batch", "in.jsonl", "out.jsonl"]) == 2
    assert "a row has no field 'promt'" in capsys.readouterr().err
    assert server.requests == []


def test_the_batch_apis(capsys: pytest.CaptureFixture[str], server: LoopbackServer) -> None:
    """`--via batch`; the deadline is in hours."""
    server.batch_plan.stuck = True
    with use_clock(FakeClock()) as clock:
        server.batch_plan.now = lambda: clock.now().timestamp()
        command = [
            "batch",
            "in.jsonl",
            "out.jsonl",
            "-m",
            "openai:gpt-6-luna",
            "--via",
            "batch",
            "--deadline",
            "2",
        ]
        assert main(command) == 0
        assert 7200 <= clock.monotonic() < 9000
    assert server.batches["openai"].jobs[0].cancelled
    assert capsys.readouterr().out.startswith("2 of 2 rows answered, 0 failed; ")
