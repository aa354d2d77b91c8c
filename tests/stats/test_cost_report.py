"""Reports of dollars: spent, wasted, saved, in every dimension, as mapping, CSV, table and display."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from langchain_llmdispatch.stats.cost_report import COLUMNS
from langchain_llmdispatch.stats.stats import DIMENSIONS, Stats
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import deployment, model_of


@pytest.fixture
def stats(server: LoopbackServer) -> Stats:
    """Return statistics of a failed request and two answers, by two deployments."""
    dear = deployment(server, "openai", input_price=1, output_price=10)
    cheap = deployment(server, "anthropic", input_price=1, output_price=1)
    server.script("openai", [Fault.empty_answer()])
    model = model_of(dear, cheap, max_retries=0, routes={})
    model.invoke("hello", {"tags": ["t"]})
    model.invoke("hello")
    return model.get_stats()


def test_cost_by_every_dimension(stats: Stats) -> None:
    """Each sums up to the whole; the dearest comes first."""
    for by in DIMENSIONS:
        report = stats.cost_by(by)
        assert list(report) == sorted(report, key=lambda name: -report[name].cost)
        if by in {"vendor", "deployment", "model", "tier"}:
            assert sum((tally.cost for tally in report.values()), Decimal(0)) == stats.cost > 0
    assert list(stats.cost_by("tier")) == ["standard"]
    assert set(stats.cost_by("tag")) == {"t"}
    with pytest.raises(ValueError, match="moon"):
        stats.cost_by("moon")


def test_waste_has_a_cause_and_the_cheaper_route_is_a_saving(stats: Stats) -> None:
    """An empty answer was billed; the next deployment was cheaper than the first choice."""
    vendors = stats.cost_by("vendor")
    assert vendors["openai"].wasted == vendors["openai"].wasted_failed > 0
    assert vendors["openai"].saved_route == 0
    answer = vendors["anthropic"]
    assert answer.saved_route == 9 * Decimal(answer.output_tokens) / 1_000_000


def test_a_report_is_csv_a_table_and_a_display(stats: Stats, tmp_path: Path) -> None:
    """The same numbers, exactly in CSV."""
    report, file = stats.cost_by("deployment"), tmp_path / "cost.csv"
    text = report.to_csv(file)
    assert file.read_text(encoding="utf-8") == text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["deployment"] for row in rows] == list(report)
    assert Decimal(rows[0]["cost"]) == next(iter(report.values())).cost
    assert list(report.to_pandas().columns) == list(COLUMNS)
    assert "Cost by deployment" in report._repr_html_()
    assert "openai" in repr(report)


def test_reports_travel_with_their_statistics(stats: Stats) -> None:
    """Through JSON, exactly."""
    again = Stats.from_json(stats.to_json())
    assert again.cost_by("vendor").to_csv() == stats.cost_by("vendor").to_csv()
