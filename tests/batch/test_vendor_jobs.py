"""Vendors' batch APIs: every row once, at half the price, whatever the vendors do."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_llmdispatch import ConfigurationError, Deployment, UsageCallbackHandler
from langchain_llmdispatch.batch import BatchReport, run_batch
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.types import Call
from langchain_llmdispatch.vendors.base import BatchApi
from langchain_llmdispatch.vendors.openai.batches import FileBatches
from langchain_llmdispatch.vendors.openai.compatible import CompatibleVendor
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of

SHARES = {"xai": Decimal("0.8")}
"""What a batch costs by the cost of live calls, where that is not half."""
VENDORS = ("openai", "azure", "anthropic", "google", "mistralai", "xai")


class Bench:
    """A batch over one vendor's batch API, in virtual time."""

    def __init__(self, server: LoopbackServer, folder: Path, *vendors: str, **fields: Any) -> None:
        self.server, self.sink, self.clock = server, folder / "out.jsonl", FakeClock()
        server.batch_plan.now = lambda: self.clock.now().timestamp()
        self.model = model_of(*(deployment(server, vendor, **fields) for vendor in vendors), clock=self.clock)

    def run(self, rows: list[Any] | int, **options: Any) -> BatchReport:
        """Run the batch."""
        given = [f"say {n}" for n in range(rows)] if isinstance(rows, int) else rows
        return run_batch(self.model, given, self.sink, via="batch", clock=self.clock, **options)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The results."""
        return [json.loads(line) for line in self.sink.read_text().splitlines()]

    def live(self) -> int:
        """How many live calls were made."""
        paths = ("chat/completions", "/responses", "/messages", ":generateContent")
        return sum(request.path.endswith(paths) for request in self.server.requests)

    def jobs(self, vendor: str) -> int:
        """How many jobs a vendor has."""
        return len(self.server.batches[vendor].jobs)


@pytest.mark.parametrize("vendor", VENDORS)
def test_rows_are_answered_by_a_batch(server: LoopbackServer, tmp_path: Path, vendor: str) -> None:
    """One job, no live call, results in the order of the source, at the price of batches."""
    bench = Bench(server, tmp_path, vendor)
    report = bench.run(12)
    assert (report.done, report.waiting, bench.live(), bench.jobs(vendor)) == (12, 0, 0, 1)
    assert all(f"say {n}" in line["text"] for n, line in enumerate(bench.lines))
    facts = bench.lines[0]["message"]["data"]["response_metadata"]["llmdispatch"]
    assert facts["batch"] == server.batches[vendor].jobs[0].id
    live = run_batch(bench.model, [f"say {n}" for n in range(12)], tmp_path / "live.jsonl", clock=bench.clock)
    assert live.cost * SHARES.get(vendor, Decimal("0.5")) == report.cost > Decimal(0)
    assert (live.input_tokens, live.output_tokens) == (report.input_tokens, report.output_tokens)


def fate(prompt: str) -> str:
    """Return what becomes of a row of the mixed tests: one of ten of each kind, and five that are fine."""
    kinds = ("ok", "500", "expired", "missing", "400", "twice")
    return dict(enumerate(kinds)).get(int(prompt.rsplit(maxsplit=1)[-1]) % 10, "ok")


@pytest.mark.parametrize("vendor", VENDORS)
def test_rows_that_failed_are_called_live(server: LoopbackServer, tmp_path: Path, vendor: str) -> None:
    """The vendor's faults, expired and missing rows go live; an invalid one keeps its error; none is lost."""
    bench = Bench(server, tmp_path, vendor)
    server.batch_plan.outcome = fate
    report = bench.run(20)
    assert (report.done, report.failed, bench.live()) == (18, 2, 6)
    assert [bool(line["error"]) for line in bench.lines] == [n % 10 == 4 for n in range(20)]
    assert "InvalidRequestError" in bench.lines[4]["error"]
    assert max(server.batches[vendor].billed.values()) == 1


def test_a_thousand_rows_over_two_vendors(server: LoopbackServer, tmp_path: Path) -> None:
    """1,000 answers, none billed twice, half the price for what the batches answered."""
    bench = Bench(server, tmp_path, "openai", "anthropic")
    server.batch_plan.outcome = lambda prompt: fate(prompt).replace("400", "ok")
    rows = [
        {"id": f"r{n}", "input": f"say {n}", "params": {"model": VENDORS[n % 2 * 2]}} for n in range(1000)
    ]
    report = bench.run(rows)
    assert (report.done, report.failed, bench.live()) == (1000, 0, 300)
    assert [line["id"] for line in bench.lines] == [f"r{n}" for n in range(1000)]
    billed = server.batches["openai"].billed + server.batches["anthropic"].billed
    assert (len(billed), max(billed.values())) == (700, 1)
    facts = [line["message"]["data"]["response_metadata"]["llmdispatch"] for line in bench.lines]
    batched = sum(Decimal(each["cost_usd"]) for each in facts if "batch" in each)
    live = sum(Decimal(each["cost_usd"]) for each in facts if "batch" not in each)
    assert report.cost == batched + live
    assert bench.model.get_stats().saved_tier == batched  # against the ordinary tier


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("trouble", ["lost", "unknown", "refused", "slow", "broken", "pending"])
def test_troubles_of_the_protocol(server: LoopbackServer, tmp_path: Path, vendor: str, trouble: str) -> None:
    """Lost answers, a 404 right after creation, 429 and 500, breaking downloads: one job, no live call."""
    bench, plan = Bench(server, tmp_path, vendor), server.batch_plan
    settings: dict[str, dict[str, Any]] = {
        "lost": {"lost": 1},
        "unknown": {"unknown": 3},
        "refused": {"refused": [429, 500, 503]},
        "slow": {"polls": 9, "retry_after": 7},
        "broken": {"broken": 1},
        "pending": {"pending": 3},
    }
    for name, value in settings[trouble].items():
        setattr(plan, name, value)
    report = bench.run(5)
    assert (report.done, bench.live(), bench.jobs(vendor)) == (5, 0, 1)
    assert max(server.batches[vendor].billed.values()) == 1


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_does_not_end_is_cancelled_at_the_deadline(
    server: LoopbackServer, tmp_path: Path, vendor: str
) -> None:
    """Its rows are called live."""
    bench = Bench(server, tmp_path, vendor)
    server.batch_plan.stuck = True
    report = bench.run(5, deadline=3600)
    assert (report.done, bench.live(), bench.jobs(vendor)) == (5, 5, 1)
    assert server.batches[vendor].jobs[0].cancelled
    assert 3600 <= bench.clock.monotonic() < 5000


@pytest.mark.parametrize("vendor", ["openai", "azure"])
def test_a_batch_without_room_is_created_again(server: LoopbackServer, tmp_path: Path, vendor: str) -> None:
    """Too many tokens that wait are a matter of time, and no reason for live calls."""
    bench = Bench(server, tmp_path, vendor)
    server.batch_plan.busy = 2
    report = bench.run(5)
    assert (report.done, bench.live(), bench.jobs(vendor)) == (5, 0, 3)


def test_a_batch_that_fails_its_validation_is_called_live(server: LoopbackServer, tmp_path: Path) -> None:
    """Such as one for a deployment that is of no batch type."""
    bench = Bench(server, tmp_path, "azure")
    server.batch_plan.failed = 1
    assert (bench.run(5).done, bench.live(), bench.jobs("azure")) == (5, 5, 1)


def test_a_wrong_key_goes_live_and_fails_there(server: LoopbackServer, tmp_path: Path) -> None:
    """A refused creation is no job."""
    bench = Bench(server, tmp_path, "openai", api_key="bad-key")
    report = bench.run(2)
    assert (report.failed, bench.jobs("openai")) == (2, 0)
    assert "Incorrect API key" in bench.lines[0]["error"]


def test_jobs_are_divided(server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By size, and by what their requests must have in common."""
    monkeypatch.setattr(FileBatches, "most_rows", 3)
    bench = Bench(server, tmp_path, "openai")
    rows = [{"input": f"say {n}", "params": {"use_responses_api": n % 2 == 0}} for n in range(14)]
    report = bench.run(rows)
    assert (report.done, bench.live(), bench.jobs("openai")) == (14, 0, 6)


def test_deployments_without_a_batch_api_answer_live(server: LoopbackServer, tmp_path: Path) -> None:
    """The first deployment of the plan that has one is used; where none has, calls are live."""
    assert Bench(server, tmp_path, "cohere", "anthropic").run(3).done == 3
    bench = Bench(server, tmp_path / "..", "cohere")
    report = bench.run(3, store=tmp_path / "other.sqlite")
    assert (report.done, bench.live() + len(server.requests_to("cohere")), bench.jobs("anthropic")) == (
        3,
        3,
        1,
    )


def test_max_cost_holds_jobs_back(server: LoopbackServer, tmp_path: Path) -> None:
    """What does not fit waits for a job to end, not for live calls; the first worst cases decide."""
    bench = Bench(server, tmp_path, "openai")
    rows = [{"input": f"say {n}", "params": {"max_tokens": 50}} for n in range(60)]
    one = bench.run(rows[:1], store=tmp_path / "one.sqlite").cost
    report = bench.run(rows, max_cost=float(one * 30))
    assert (report.stopped, bench.live()) == ("max_cost", 0)
    assert 10 <= report.done < 60
    assert report.cost <= one * 30
    report = bench.run(rows, max_cost=1.0)
    assert (report.done, report.stopped, bench.live()) == (60, None, 0)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_job_that_is_cancelled_at_the_vendor_s_console(
    server: LoopbackServer, tmp_path: Path, vendor: str
) -> None:
    """It ends; what it did not answer is called live, once."""
    bench, plan = Bench(server, tmp_path, vendor), server.batch_plan
    plan.stuck = True

    class Console(FakeClock):
        async def asleep(self, seconds: float) -> None:
            server.batches[vendor].jobs[0].cancelled = True
            await super().asleep(seconds)

    bench.clock = Console()
    report = bench.run(4)
    assert (report.done, bench.live(), bench.jobs(vendor)) == (4, 4, 1)


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_a_vendor_that_cannot_be_reached_any_more(
    server: LoopbackServer, tmp_path: Path, vendor: str
) -> None:
    """An hour after the deadline its rows are called live: at another vendor, perhaps."""
    bench = Bench(server, tmp_path, vendor, "cohere")
    server.batch_plan.down = True
    report = bench.run(3, deadline=3600)
    assert (report.done, bench.jobs(vendor)) == (3, 1)
    assert 7200 <= bench.clock.monotonic() < 9000


class Buggy(FileBatches):
    """An API whose code cannot read its answers."""

    def job(self, body: bytes) -> Any:
        """Fail."""
        raise IndexError(body)


class WithBuggy(CompatibleVendor):
    """Its vendor."""

    name = "with-buggy"

    def batch_api(self, call: Call) -> BatchApi:
        """Return it."""
        return Buggy(self, call)


def test_code_that_cannot_read_an_answer(server: LoopbackServer, tmp_path: Path) -> None:
    """Of a third party: the job is given up at the deadline, and its rows are called live."""
    bench = Bench(server, tmp_path, "compatible")
    here = Deployment("with-buggy:llama", base_url=server.base_url("compatible"), api_key="key")
    bench.model = model_of(here, custom_vendors=[WithBuggy()], clock=bench.clock)
    report = bench.run(2)
    assert (report.done, bench.live()) == (2, 2)


class Capital(BaseModel):
    """A capital."""

    city: str


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("include_raw", [False, True])
def test_structured_output(server: LoopbackServer, tmp_path: Path, vendor: str, include_raw: bool) -> None:
    """The shape goes into the requests, the parser reads the answers."""
    bench = Bench(server, tmp_path, vendor)
    bench.model = bench.model.with_structured_output(Capital, include_raw=include_raw)
    assert (bench.run(2).done, bench.live(), bench.jobs(vendor)) == (2, 0, 1)
    output = bench.lines[0]["output"]
    assert output["parsed"] if include_raw else output


def test_bound_tools_and_handlers(server: LoopbackServer, tmp_path: Path) -> None:
    """Bound keywords are sent; handlers see a run of each answer, with its usage."""

    def weather(city: str) -> str:
        """Return the weather."""
        return city

    bench = Bench(server, tmp_path, "anthropic")
    model, usage = bench.model, UsageCallbackHandler()
    bench.model = model.bind_tools([weather], tool_choice="weather")
    report = bench.run(3, config={"callbacks": [usage]})
    assert bench.lines[0]["message"]["data"]["tool_calls"][0]["name"] == "weather"
    assert (usage.total.answers, usage.total.cost) == (3, report.cost)
    stats = model.get_stats()
    assert (stats.cost, stats.saved_tier, stats.successes) == (report.cost, report.cost, 3)
    assert not stats.latency.count


def test_another_key_does_not_collect(server: LoopbackServer, tmp_path: Path) -> None:
    """The message names the job; with the key it goes on, live or not."""
    bench = Bench(server, tmp_path, "openai")
    bench.clock.asleep = _stop  # type: ignore[method-assign]  # the process ends while it waits
    with pytest.raises(KeyError):
        bench.run(3)
    other = Bench(server, tmp_path, "openai", api_key="other")
    with pytest.raises(
        ConfigurationError, match="job batch_0 of this batch was submitted by deployment 'openai'"
    ):
        other.run(3)
    again = Bench(server, tmp_path, "openai")
    assert run_batch(again.model, [f"say {n}" for n in range(3)], again.sink, clock=again.clock).done == 3
    assert again.live() == 0


async def _stop(seconds: float) -> None:
    raise KeyError(seconds)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (RunnableLambda(str), {"via": "batch"}, "via='batch' takes a DispatcherChatModel"),
        (RunnableLambda(str), {"via": "batch", "deadline": 0}, "deadline is 0; it must be above 0 seconds"),
        (RunnableLambda(str), {"via": "mail"}, "via='mail' is not known: 'live' or 'batch'"),
    ],
)
def test_what_has_no_batches(model: Any, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A clear error before anything is sent."""
    with pytest.raises(ConfigurationError, match=message):
        run_batch(model, ["a"], tmp_path / "out.jsonl", **options)


def test_an_api_key_function_is_called_for_each_request(server: LoopbackServer, tmp_path: Path) -> None:
    """As Entra's tokens are."""
    calls: list[str] = []
    bench = Bench(server, tmp_path, "openai", api_key=lambda: calls.append("x") or "token")
    assert (bench.run(2).done, bench.live(), bench.jobs("openai")) == (2, 0, 1)
    assert len(calls) == len(server.requests)


class LikeGroq(CompatibleVendor):
    """A third party's vendor with OpenAI's batches, as Groq has them."""

    name = "like-groq"

    def batch_api(self, call: Call) -> BatchApi:
        """Return OpenAI's."""
        return FileBatches(self, call)


def test_a_third_party_declares_its_batch_api(server: LoopbackServer, tmp_path: Path) -> None:
    """A method of the vendor is all."""
    bench = Bench(server, tmp_path, "compatible")
    here = Deployment("like-groq:llama", base_url=server.base_url("compatible"), api_key="key")
    bench.model = model_of(here, custom_vendors=[LikeGroq()], clock=bench.clock)
    server.batch_plan.lost = 1
    assert (bench.run(3).done, bench.live(), bench.jobs("compatible")) == (3, 0, 1)


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_key_is_kept(
    server: LoopbackServer, tmp_path: Path, vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the journal nor in the results, when a creation fails, too; nor are a vendor's words logged."""
    caplog.set_level(logging.DEBUG, "langchain_llmdispatch")
    bench = Bench(server, tmp_path, vendor, api_key="k-very-secret-1")
    server.batch_plan.refused, server.batch_plan.words = [401], "no k-very-secret-1 for 'say 0'"
    assert bench.run(2).done == 2
    assert "it was not created: AuthenticationError (HTTP 40" in caplog.text
    assert "say 0" not in caplog.text
    assert "very-secret" not in caplog.text
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"batch" in kept
    assert b"very-secret" not in kept


@pytest.mark.parametrize("via", ["live", "batch"])
@pytest.mark.parametrize("include_raw", [False, True])
def test_keywords_of_a_row_reach_the_model_of_a_chain(
    server: LoopbackServer, tmp_path: Path, via: str, include_raw: bool
) -> None:
    """Whatever is between."""
    bench = Bench(server, tmp_path, "anthropic")
    made = bench.model.with_structured_output(Capital, include_raw=include_raw)
    rows = [{"input": "hi", "params": {"max_tokens": 77}}]
    assert run_batch(made, rows, bench.sink, via=via, clock=bench.clock).done == 1
    (body,) = (
        [request.body for request in server.requests]
        if via == "live"
        else list(server.batches["anthropic"].jobs[0].rows.values())
    )
    assert body["max_tokens"] == 77
