"""Options of a run: which are read, and which are refused."""

from __future__ import annotations

import warnings

import pytest

from langchain_llmdispatch import errors
from langchain_llmdispatch.chat_model.run_options import RunOptions, warn_of_near_misses
from tests.cases import each


def test_only_allow_listed_options_are_read() -> None:
    """Keys, addresses and options of other packages are ignored; thread ids of any kind are read."""
    chosen = {"thread_id": 7, "api_key": "sk-x", "base_url": "http://x", "checkpoint_ns": "", "seed": None}
    assert RunOptions.of(chosen) == RunOptions(thread_id="7")


@each(
    "wrong",
    [
        {"deadline": 0},
        {"deadline": "1"},
        {"max_cost": -1},
        {"seed": 1.5},
        {"route": 1},
        {"allowed_vendors": [1]},
    ],
)
def test_options_of_the_wrong_kind_are_named(wrong: dict) -> None:
    """The error names the option."""
    with pytest.raises(errors.ConfigurationError, match=next(iter(wrong))):
        RunOptions.of(wrong)


def test_near_misses_are_warned_of() -> None:
    """Words of other packages are not."""
    for word, known in (("max_costs", "max_cost"), ("deadlin", "deadline"), ("Route", "route")):
        with pytest.warns(UserWarning, match=f"Did you mean '{known}'"):
            warn_of_near_misses({word: 1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_near_misses(
            {"thread_ts": 1, "user_id": 2, "checkpoint_id": 3, "model": 4, "__pregel": 5, "seed": 6}
        )
