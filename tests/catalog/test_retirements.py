"""The ends of models: dates, successors, the difference in price, and where they are shown."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.catalog.files import read_data
from langchain_llmdispatch.catalog.models import neighbour_note
from langchain_llmdispatch.catalog.retirements import near_retirement, pinned_names, retirement_of
from langchain_llmdispatch.testing import FakeClock
from langchain_llmdispatch.vendors import builtin_vendors
from tests.cases import each

VENDORS = builtin_vendors()
OPENAI = VENDORS["openai"].listing
NOW = datetime(2026, 11, 28, tzinfo=UTC)
SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "refresh_catalog.py"))
DATA = read_data("retirements.json")


@each(
    "name",
    ["gpt-4o", "openai:gpt-4o", "openai/gpt-4o", "GPT-4o-2024-11-20", "ft:gpt-4o-mini-2024-07-18:a::b"],
)
def test_a_model_is_found_however_it_is_written(name: str) -> None:
    """Prefixes, snapshots and fine-tunes share the date of their model."""
    found = retirement_of(OPENAI, name)
    assert found is not None
    assert (found.on, found.successor) == (date(2027, 1, 14), "gpt-6-luna")


def test_the_words_have_day_successor_and_difference_in_price() -> None:
    """Sixty days before; after it the past tense; nothing before that."""
    assert near_retirement(OPENAI, "gpt-4o", NOW) == (
        "retires on 2027-01-14 (in 47 days); its successor is gpt-6-luna "
        "($0.1 in and $0.5 out per million tokens instead of $2.5 and $10)"
    )
    assert near_retirement(OPENAI, "gpt-4o", datetime(2026, 11, 14, tzinfo=UTC)) == ""
    assert near_retirement(OPENAI, "gpt-4o", datetime(2026, 11, 15, tzinfo=UTC)).startswith("retires on")
    assert near_retirement(OPENAI, "gpt-4o", datetime(2027, 2, 1, tzinfo=UTC)).startswith("was retired on")
    assert near_retirement(OPENAI, "gpt-6-luna", NOW) == ""
    assert near_retirement(VENDORS["azure"].listing, "gpt-4o", NOW) == ""  # Azure has dates of its own


def test_a_plan_names_what_retires_and_what_may_be_misspelt() -> None:
    """`explain` has the retirement, and for an unknown model the known one of nearly that name."""
    model = DispatcherChatModel(
        models=["openai:gpt-4o", "openai:gpt-6-lune", "openai:gpt-6-luna"],
        env={"OPENAI_API_KEY": "k-12345678"},
        clock=FakeClock(date=NOW),
    )
    notes = [each.note for each in model.explain("hi").candidates]
    assert notes[0].startswith("retires on 2027-01-14")
    assert notes[1:] == ["not in the catalog; did you mean 'gpt-6-luna'?", ""]
    assert "retires on 2027-01-14" in str(model.explain("hi"))
    assert neighbour_note(OPENAI, "something-else-entirely") == ""


def test_each_row_has_a_day_a_source_and_a_vendor() -> None:
    """The data are dated and sourced; no default model of a vendor retires soon."""
    for row in DATA["rows"]:
        assert row["vendor"] in VENDORS
        assert row["source"].startswith("https://")
        assert date.fromisoformat(row["read"]) <= date.fromisoformat(DATA["as_of"])
        assert row["confirmed_by"]
        assert date.fromisoformat(row["on"]) > date(2025, 1, 1)
        assert all(name == name.lower() for name in row["models"])
    for vendor in VENDORS.values():
        if vendor.default_model is not None:
            assert retirement_of(vendor.listing, vendor.default_model) is None
    assert {"gpt-4o", "o3"} <= set(pinned_names(OPENAI))


def test_rows_by_hand_and_generated_dates_agree() -> None:
    """Where both have a model, they have the same day: a row is not silently overruled."""
    for vendor, generated in DATA["generated"].items():
        for name, day in generated["models"].items():
            rows = [r for r in DATA["rows"] if r["vendor"] == vendor]
            days = [r["on"] for r in rows if any(fnmatchcase(name, glob) for glob in r["models"])]
            assert days[:1] in ([], [day]), name


def test_dates_are_compared_with_another_table(tmp_path: Path) -> None:
    """A model without a row and one with another day are named; what is no chat model, or of a host, is not."""
    day = {"deprecation_date": "2030-01-02", "mode": "chat"}
    table = {
        "gpt-4o": {"litellm_provider": "openai", **day},
        "gemini/gemini-9": {"litellm_provider": "gemini", **day},
        "gpt-5-mini": {"litellm_provider": "openai", "mode": "chat", "deprecation_date": "2026-12-11"},
        "gpt-image-1": {"litellm_provider": "openai", **day, "mode": "image_generation"},
        "ft:gpt-4o": {"litellm_provider": "openai", **day},
        "together_ai/glm": {"litellm_provider": "together_ai", **day},
    }
    (tmp_path / "table.json").write_text(json.dumps(table))
    assert SCRIPT["compared"](SCRIPT["litellm_dates"](tmp_path / "table.json")) == [
        "google:gemini-9 2030-01-02: no row",
        "openai:gpt-4o 2030-01-02: here 2027-01-14",
    ]


def test_the_script_reads_dates_of_an_sdk_and_of_openais_list(tmp_path: Path) -> None:
    """What it finds replaces generated dates, keeps rows by hand, and moves the day of the file."""
    listed = {
        "data": [{"id": "gpt-9", "shutdown_date": "2030-01-02"}, {"id": "gpt-10", "shutdown_date": None}]
    }
    (tmp_path / "models.json").write_text(json.dumps(listed))
    found = SCRIPT["retirements_of_openai"](tmp_path / "models.json")
    assert found["openai"]["models"] == {"gpt-9": "2030-01-02"}
    assert SCRIPT["day_of"]("November 30th, 2026") == "2026-11-30"
    old = SCRIPT["RETIREMENTS"].read_text(encoding="utf-8")
    assert SCRIPT["render_retirements"](old, {}, "2030-01-01") == old
    new = json.loads(SCRIPT["render_retirements"](old, found, "2030-01-01"))
    assert (new["as_of"], new["rows"]) == ("2030-01-01", DATA["rows"])
    assert new["generated"].keys() == {"anthropic", "openai"}
