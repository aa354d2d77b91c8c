"""Batches: each row exactly once, whatever happens to the process, the vendor or the budget."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import messages_from_dict
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch.batch import BatchReport, arun_batch, run_batch
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing import FakeClock
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

ROOT = Path(__file__).parents[2]


def source_of(folder: Path, number: int) -> Path:
    """Write a source of so many rows."""
    file = folder / "in.jsonl"
    file.write_text("".join(f'{{"id": "r{n}", "input": "say {n}"}}\n' for n in range(number)))
    return file


def lines_of(sink: Path) -> list[dict[str, Any]]:
    """Return the results."""
    return [json.loads(line) for line in sink.read_text().splitlines()]


def priced(server: LoopbackServer, **fields: Any) -> Any:
    """Return a model whose calls have a price."""
    return model_of(deployment(server, "openai", input_price=1, output_price=2), max_retries=0, **fields)


@pytest.mark.parametrize("colour", ["sync", "async", "in a loop"])
def test_every_row_is_answered_once(server: LoopbackServer, tmp_path: Path, colour: str) -> None:
    """Results are in the order of the source; a second run sends nothing."""
    source, sink, model = source_of(tmp_path, 25), tmp_path / "out.jsonl", priced(server)

    def run() -> BatchReport:
        if colour == "sync":
            return run_batch(model, source, sink, max_in_flight=5)
        if colour == "async":
            return asyncio.run(arun_batch(model, source, sink, max_in_flight=5))

        async def cell() -> BatchReport:
            return run_batch(model, source, sink, max_in_flight=5)

        return asyncio.run(cell())

    report = run()
    assert [line["id"] for line in lines_of(sink)] == [f"r{n}" for n in range(25)]
    assert all(f"say {n}" in line["text"] for n, line in enumerate(lines_of(sink)))
    assert len(server.requests) == 25
    used = server.usage()["openai"]
    assert (report.done, report.failed, report.waiting) == (25, 0, 0)
    assert (report.input_tokens, report.output_tokens) == (used.input_tokens, used.output_tokens)
    assert report.cost == Decimal(used.input_tokens + 2 * used.output_tokens) / 1_000_000
    assert run() == report
    assert len(server.requests) == 25


def test_a_killed_process_repeats_nothing_that_ended(server: LoopbackServer, tmp_path: Path) -> None:
    """Killed at two moments and started again: each row once in the output, few sent twice."""
    rows = 120
    source, sink, store = source_of(tmp_path, rows), tmp_path / "out.jsonl", tmp_path / "batch.sqlite"
    command = [sys.executable, "-m", "tests.batch.worker", *map(str, (source, sink, store))]
    for killed_after in (20, 70, None):
        process = subprocess.Popen([*command, server.base_url("openai")], cwd=ROOT, stdout=subprocess.PIPE)
        if killed_after is not None:
            server.wait_for_requests(killed_after)
            process.send_signal(signal.SIGKILL)
        printed, _ = process.communicate()
    assert printed.decode().startswith(f"{rows} of {rows} rows answered, 0 failed")
    assert [line["id"] for line in lines_of(sink)] == [f"r{n}" for n in range(rows)]
    sent = Counter(str(request.body["messages"][0]["content"]) for request in server.requests)
    assert len(sent) == rows
    assert sum(sent.values()) <= rows + 2 * 8  # what was under way when the process was killed


def test_failures_are_tried_again_or_kept(server: LoopbackServer, tmp_path: Path) -> None:
    """What may pass is tried again later; what is invalid is set aside at once, with its error."""
    server.script("openai", [Fault(status=500), Fault(status=400), Answer(text="fine")])
    sink, clock = tmp_path / "out.jsonl", FakeClock()
    report = run_batch(priced(server), ["a", "b", "c"], sink, max_in_flight=1, clock=clock)
    assert (report.done, report.failed) == (2, 1)
    first, second, third = lines_of(sink)
    assert (second["text"], third["text"]) == (None, "fine")
    assert second["error"].startswith("InvalidRequestError: ")
    assert first["error"] is None
    assert len(server.requests) == 4


def test_a_row_is_set_aside_after_its_tries(server: LoopbackServer, tmp_path: Path) -> None:
    """Another model may answer what failed."""
    server.script("openai", [Fault(status=500)], repeat=True)
    sink, clock = tmp_path / "out.jsonl", FakeClock()
    report = run_batch(priced(server), ["a"], sink, max_tries=2, clock=clock)
    assert (report.failed, len(server.requests)) == (1, 2)
    other = model_of(deployment(server, "anthropic"))
    assert run_batch(other, ["a"], sink, clock=clock).failed == 1
    report = run_batch(other, ["a"], sink, retry_failed=True, clock=clock)
    assert (report.done, report.failed) == (1, 0)
    assert lines_of(sink)[0]["message"]["data"]["response_metadata"]["llmdispatch"]["vendor"] == "anthropic"


def test_max_cost_is_never_exceeded(server: LoopbackServer, tmp_path: Path) -> None:
    """The run ends before the row that would not fit; a later run with more goes on."""
    model, sink = priced(server), tmp_path / "out.jsonl"
    one = run_batch(model, ["say 0"], tmp_path / "one.jsonl").cost
    rows = [f"say {n % 10}" for n in range(50)]
    report = run_batch(model, rows, sink, max_cost=float(one * 10), max_in_flight=16)
    assert report.stopped == "max_cost"
    assert report.cost <= one * 10
    assert report.done >= 9
    assert len(lines_of(sink)) == report.done
    assert run_batch(model, rows, sink, max_cost=1).done == 50


def test_max_cost_after_failures(server: LoopbackServer, tmp_path: Path) -> None:
    """Rows that failed cost nothing, and show nothing: the first answer does, also in a later run."""
    one = run_batch(priced(server), ["say 0"], tmp_path / "one.jsonl").cost
    server.script("openai", [Fault(status=400)] * 4)
    rows, sink = [f"say {n % 10}" for n in range(60)], tmp_path / "out.jsonl"
    report = run_batch(priced(server), rows, sink, max_cost=float(one * 5), max_in_flight=16)
    assert (report.stopped, report.failed) == ("max_cost", 4)
    assert 4 <= report.done <= 5
    assert report.cost <= one * 5


def test_max_cost_needs_prices(server: LoopbackServer, tmp_path: Path) -> None:
    """A bound that cannot be held is an error, after one answer."""
    model = model_of(deployment(server, "openai", model="openai:unheard-of"))
    with pytest.raises(ConfigurationError, match="the price of an answer is unknown"):
        run_batch(model, ["a"] * 9, tmp_path / "out.jsonl", max_cost=1)
    assert len(server.requests) == 1


def test_a_wrong_key_does_not_fail_a_million_rows(server: LoopbackServer, tmp_path: Path) -> None:
    """After `max_failures` in a row the run ends, and the rest waits."""
    server.script("openai", [Fault(status=400)], repeat=True)
    report = run_batch(priced(server), ["a"] * 50, tmp_path / "out.jsonl", max_failures=5, max_in_flight=1)
    assert (report.stopped, report.failed) == ("failures", 5)
    assert report.waiting == 45


def test_openai_s_format_comes_back_in_it(server: LoopbackServer, tmp_path: Path) -> None:
    """A file for OpenAI's batches is answered as by OpenAI, whichever vendor answers."""
    body = {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    (tmp_path / "in.jsonl").write_text(json.dumps(row))
    run_batch(model_of(deployment(server, "anthropic")), tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    (line,) = lines_of(tmp_path / "out.jsonl")
    assert line["custom_id"] == "a"
    assert line["response"]["status_code"] == 200
    choice = line["response"]["body"]["choices"][0]
    assert line["response"]["body"]["created"] > 1_700_000_000
    assert choice["message"]["role"] == "assistant"
    assert "hi" in choice["message"]["content"]
    assert server.requests[0].body["max_tokens"] == 9


def test_messages_come_back_whole(server: LoopbackServer, tmp_path: Path) -> None:
    """The stored message is the answer: usage and metadata included."""
    run_batch(priced(server), ["hi"], tmp_path / "out.jsonl")
    (message,) = messages_from_dict([lines_of(tmp_path / "out.jsonl")[0]["message"]])
    assert message.response_metadata["llmdispatch"]["vendor"] == "openai"
    assert message.usage_metadata["input_tokens"] > 0


def test_chains_are_batched_too(tmp_path: Path) -> None:
    """What is no message is written as it is; a function takes results in a file's place."""
    found: list[dict[str, Any]] = []
    chain = RunnableLambda(lambda text: {"length": len(text)})
    run_batch(chain, ["a", "bcd"], found.append, store=tmp_path / "s.sqlite")
    assert [each["output"] for each in found] == [{"length": 1}, {"length": 3}]


def test_results_as_parquet(server: LoopbackServer, tmp_path: Path) -> None:
    """A column each; what is nested is JSON."""
    parquet = pytest.importorskip("pyarrow.parquet")
    run_batch(priced(server), ["a", "b"], tmp_path / "out.parquet")
    rows = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["1", "2"]
    assert json.loads(rows[0]["message"])["type"] == "ai"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sink": "no/out.jsonl"}, "there is no folder"),
        ({"sink": "out.csv"}, "written to .jsonl or .parquet"),
        ({"sink": None}, "needs the journal's name"),
        ({"sink": "out.jsonl", "max_tries": 0}, "max_tries is 0"),
        ({"sink": "out.jsonl", "store": "in.jsonl"}, "is no journal of a batch"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the field or the file."""
    monkeypatch.chdir(tmp_path)
    source_of(tmp_path, 3)
    with pytest.raises(ConfigurationError, match=message):
        run_batch(RunnableLambda(str), "in.jsonl", **options)


def test_a_changed_source_needs_another_journal(tmp_path: Path) -> None:
    """Rows may be added at the end; ids are unique."""
    sink, chain = tmp_path / "out.jsonl", RunnableLambda(str)
    run_batch(chain, ["a", "b"], sink)
    assert run_batch(chain, ["a", "b", "c"], sink).rows == 3
    with pytest.raises(ConfigurationError, match="row 2 is not that of"):
        run_batch(chain, ["a", "x", "c"], sink)
    twice = [{"id": "q", "input": "a"}, {"id": "q", "input": "b"}]
    with pytest.raises(ConfigurationError, match="row 2: another row has the id 'q', too"):
        run_batch(chain, twice, tmp_path / "twice.jsonl")


class DeathError(KeyboardInterrupt):
    """The process dies."""


def test_a_row_that_kills_the_process_is_set_aside(tmp_path: Path) -> None:
    """It alone, although others are under way whenever the process dies."""

    async def answer(text: str) -> str:
        if text == "poison":
            raise DeathError
        for _ in range(50):
            await asyncio.sleep(0)
        return text

    sink, rows = tmp_path / "out.jsonl", ["a", "b", "poison", "c", "d"]
    deaths = 0
    while True:
        try:
            report = run_batch(RunnableLambda(answer), rows, sink)
            break
        except DeathError:
            deaths += 1
    assert (deaths, report.done, report.failed) == (10, 4, 1)
    assert "the process ended 10 times while this row was under way" in lines_of(sink)[2]["error"]
