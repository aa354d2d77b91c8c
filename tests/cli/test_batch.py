"""`batch`: the command over `run_batch`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_llmdispatch.__main__ import main
from langchain_llmdispatch.testing import FakeClock, use_clock
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer


@pytest.fixture(autouse=True)
def _environment(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "k-secret-123456")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url("openai"))
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
