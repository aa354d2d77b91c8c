"""Rows whose vendor makes the answer in the background: requested once, taken up again by a later run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from langchain_llmdispatch.batch import BatchReport, run_batch
from langchain_llmdispatch.testing import FakeClock
from tests.end_to_end.test_background import Vendor, failed, in_state, model


class CrashError(KeyboardInterrupt):
    """The process dies."""


class Bench:
    """Runs of one batch of one row, in virtual time."""

    def __init__(self, folder: Path) -> None:
        self.sink, self.clock = folder / "out.jsonl", FakeClock()

    def run(self, vendor: Vendor, **options: Any) -> BatchReport:
        """Answer the row at a vendor."""
        with model(vendor, clock=self.clock) as dispatcher:
            made = options.pop("made", lambda given: given)(dispatcher)
            return run_batch(made, ["2+2?"], self.sink, clock=self.clock, **options)

    def die(self, *script: Any) -> None:
        """Request the answer, and die while it is waited for."""
        vendor = Vendor(*script, lambda: (_ for _ in ()).throw(CrashError()))
        with pytest.raises(CrashError):
            self.run(vendor)
        assert vendor.created == 1

    @property
    def line(self) -> dict[str, Any]:
        """The row's result."""
        return json.loads(self.sink.read_text())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A batch of one row."""
    return Bench(tmp_path)


def test_a_row_goes_on_with_its_answer(bench: Bench) -> None:
    """After a crash it is read by its id, and paid once; nothing is left to take up."""
    bench.die(in_state("queued"), in_state("in_progress"))
    vendor = Vendor(in_state("in_progress"), in_state("completed"))
    report = bench.run(vendor)
    assert (report.done, bench.line["text"]) == (1, "Four.")
    assert vendor.arrived == ["GET /resp_1", "GET /resp_1"]
    assert (report.input_tokens, report.output_tokens) == (5, 2)
    assert bench.run(vendor) == report


def test_an_answer_that_takes_longer_than_a_call(bench: Bench) -> None:
    """The row waits for it, call after call, which is no further try of it; it is paid once."""
    vendor = Vendor(lambda: in_state("queued" if bench.clock.monotonic() < 1200 else "completed"))
    report = bench.run(vendor, max_tries=1, max_failures=1)
    assert (report.done, vendor.created, report.output_tokens) == (1, 1, 2)
    assert str(report.cost) == bench.line["message"]["data"]["response_metadata"]["llmdispatch"]["cost_usd"]


@pytest.mark.parametrize(
    "ended",
    [
        in_state("failed", error={"code": "server_error", "message": "oops"}),
        in_state("cancelled"),
        failed(404),
    ],
    ids=["failed", "cancelled", "forgotten"],
)
def test_an_answer_that_will_not_come_is_requested_anew(bench: Bench, ended: httpx.Response) -> None:
    """It is read once more, in the second run, and is then requested again."""
    bench.die(in_state("queued"))
    bench.clock.advance(120)  # it is no longer new, so that 404 is final
    vendor = Vendor(ended, in_state("queued"), in_state("completed"))
    report = bench.run(vendor)
    assert (report.done, vendor.created) == (1, 1)
    assert vendor.arrived == ["GET /resp_1", "POST", "GET /resp_1"]


def test_a_new_answer_may_be_unknown(bench: Bench) -> None:
    """For a moment; it is not requested anew."""
    bench.die(in_state("queued"))
    vendor = Vendor(failed(404), in_state("completed"))
    assert (bench.run(vendor).done, vendor.created) == (1, 0)


def test_the_vendor_cannot_be_reached(bench: Bench) -> None:
    """The row keeps its answer, and is not set aside."""
    bench.die(in_state("queued"))
    vendor = Vendor(*[httpx.ConnectError("no")] * 9, in_state("completed"))
    assert (bench.run(vendor, max_tries=1).done, vendor.created) == (1, 0)


def test_an_answer_is_cancelled_at_the_deadline_of_the_batch(bench: Bench) -> None:
    """And counts as a try."""
    vendor = Vendor(in_state("queued"))
    report = bench.run(vendor, deadline=600, max_tries=1)
    assert (report.failed, vendor.created) == (1, 1)
    assert vendor.arrived[-1] == "POST /resp_1/cancel"
    assert 600 <= bench.clock.monotonic() < 800


def test_a_creation_that_was_not_confirmed_counts_as_a_try(bench: Bench) -> None:
    """The row begins anew: not within the call, and no more often than `max_tries`."""
    vendor = Vendor(httpx.ReadError("reset"), in_state("completed"))
    assert (bench.run(vendor).done, vendor.created) == (1, 2)


def test_what_is_to_come_counts_within_max_cost(bench: Bench) -> None:
    """A row whose answer is made in the background leaves its place to no other row that would not fit beside it."""
    vendor = Vendor(
        in_state("completed"), lambda: in_state("queued" if bench.clock.monotonic() < 600 else "completed")
    )
    with model(vendor, clock=bench.clock) as dispatcher:
        one = 0.0000128  # dollars a row
        rows = ["2+2?"] * 5
        report = run_batch(
            dispatcher, rows, bench.sink, clock=bench.clock, max_cost=one * 2.5, max_in_flight=1
        )
    assert (report.done, report.stopped, vendor.created) == (2, "max_cost", 2)


class Number(BaseModel):
    """A number."""

    value: int


@pytest.mark.parametrize("include_raw", [False, True])
def test_structured_output_goes_on_too(bench: Bench, include_raw: bool) -> None:
    """The keywords of a row reach the model of a chain."""
    made = {"made": lambda given: given.with_structured_output(Number, include_raw=include_raw)}
    vendor = Vendor(in_state("queued"), lambda: (_ for _ in ()).throw(CrashError()))
    with pytest.raises(CrashError):
        bench.run(vendor, **made)
    text = {"type": "output_text", "text": '{"value": 4}', "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [text]}
    later = Vendor(in_state("completed", output=[item]))
    assert (bench.run(later, **made).done, later.created) == (1, 0)
