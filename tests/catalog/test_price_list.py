"""Price lists: genai-prices' snapshot and our corrections, compiled on demand."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from genai_prices import data_snapshot

from langchain_llmdispatch.catalog import price_list
from langchain_llmdispatch.catalog.files import read_data
from langchain_llmdispatch.catalog.price_list import current_prices, prices_as_of
from langchain_llmdispatch.catalog.prices import Cost
from langchain_llmdispatch.catalog.terms import PLAIN, Terms
from tests.catalog.listings import estimate

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SNAPSHOT = data_snapshot.get_snapshot()


def _history_with(*rows: dict[str, Any]) -> price_list.PriceHistory:
    _, info = SNAPSHOT.find_provider_model("gpt-6-luna", None, "openai", None)
    own = price_list.OwnPrices(rows=rows)
    return price_list.PriceHistory(info, PLAIN, own, ("list", "correction"))


def test_a_correction_holds_from_its_day() -> None:
    """The last correction that has begun wins over the list; before it the list holds."""
    history = _history_with(
        {"from": "2026-12-01", "prices": {"input_mtok": 7, "output_mtok": "8.5"}},
        {"from": "2027-01-01", "prices": None},
    )
    listed, corrected = history.rates(NOW), history.rates(datetime(2026, 12, 1, tzinfo=UTC))
    assert listed is not None
    assert listed.source == "list"
    assert corrected is not None
    assert (corrected.source, corrected.tiers[0].input) == ("correction", Decimal("0.000007"))
    assert history.rates(datetime(2027, 1, 1, tzinfo=UTC)) is None


_ROW = {"sellers", "models", "from", "as_of", "source"}
_KEYS = {"input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_audio_read_mtok"}


def test_every_price_of_ours_names_its_source() -> None:
    """A hand-written price has a source and its day, and keys that genai-prices has."""
    data = read_data("prices.json")
    for row in (*data["rows"], *data["factors"], *data["fees"]):
        assert row["source"]
        assert row["as_of"] <= data["as_of"]
    for row in data["rows"]:
        assert set(row) == _ROW | {"prices"}
        assert set(row["prices"] or ()) <= _KEYS
    for row in data["factors"]:
        assert set(row) - {"except", "set"} == _ROW | {"term", "values", "factor"}
        assert row["term"] in Terms._fields
        assert {*row.get("except", ()), *row.get("set", ())} <= _KEYS
    for row in data["fees"]:
        assert set(row) - {"once"} == _ROW | {"kind", "usd", "per"}


def test_an_updated_snapshot_replaces_the_old_prices() -> None:
    """Where the user lets genai-prices update itself, the next price is from the new data."""
    before = estimate("openai", "gpt-6-luna", 10, 10, at=NOW)
    empty = data_snapshot.DataSnapshot(providers=[], from_auto_update=True)
    try:
        data_snapshot.set_custom_snapshot(empty)
        assert estimate("openai", "gpt-6-luna", 10, 10, at=NOW) == Cost(None)
        assert "updated" in prices_as_of()
    finally:
        data_snapshot.set_custom_snapshot(None)
    assert estimate("openai", "gpt-6-luna", 10, 10, at=NOW) == before
    assert "updated" not in prices_as_of()


def test_prices_say_how_old_they_are() -> None:
    """The version of the data and the day of our corrections."""
    assert prices_as_of().startswith("genai-prices ")
    assert "2026-" in prices_as_of()


def test_caches_are_bounded() -> None:
    """Names and days without end do not fill the memory."""
    for number in range(price_list.MOST_MODELS + 10):
        estimate("unknown", f"model-{number}", 1, 1, at=NOW)
    assert len(current_prices()._histories) <= price_list.MOST_MODELS
    history = _history_with()
    for day in range(price_list.MOST_DAYS + 10):
        history.rates(NOW + timedelta(days=day))
    assert len(history._known) <= price_list.MOST_DAYS


def test_threads_agree() -> None:
    """Sixteen threads that look up the first price at once get the same list and cost."""
    current_prices()
    barrier = threading.Barrier(16)

    def ask(number: int) -> Cost:
        barrier.wait()
        return estimate("openai", "gpt-6.1-sol", 1000, 1000, at=NOW + timedelta(days=number % 4))

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1


def test_importing_loads_no_prices() -> None:
    """The module's import brings in neither genai-prices nor any data."""
    code = (
        "import sys, langchain_llmdispatch.catalog.prices as p, langchain_llmdispatch.catalog.models as c;"
        "assert 'genai_prices' not in sys.modules and not c._load.cache_info().currsize"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
