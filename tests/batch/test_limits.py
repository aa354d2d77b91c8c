"""What ends a row or a run: values that make no sense are named."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmdispatch.batch.limits import RunLimits
from langchain_llmdispatch.errors import ConfigurationError
from tests.cases import each

FINE: dict[str, Any] = {
    "max_tries": 3, "max_cost": None, "max_failures": 100, "max_in_flight": 64, "deadline": None,
}  # fmt: skip


@each(
    ("name", "value", "message"),
    [
        ("max_tries", 0, "max_tries is 0; it must be at least 1"),
        ("max_failures", 0, "max_failures is 0; it must be at least 1"),
        ("max_in_flight", -1, "max_in_flight is -1; it must be at least 1"),
        ("max_cost", -0.5, "max_cost is -0.5; it must be at least 0 US dollars"),
        ("max_cost", float("nan"), "max_cost is nan"),
        ("deadline", 0, "deadline is 0; it must be above 0 seconds, or None"),
    ],
)
def test_values_out_of_range(name: str, value: Any, message: str) -> None:
    """The message has the name, the value and what it must be."""
    with pytest.raises(ConfigurationError, match=message):
        RunLimits(**{**FINE, name: value})
    RunLimits(**FINE)
