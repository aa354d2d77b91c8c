"""No call becomes dearer by accident: bytecode instructions, which are the same in every run, beside a baseline."""

from __future__ import annotations

import json

import pytest

from benchmarks.instructions import BASELINE, PYTHON, TOLERANCE, measure

_HELD = json.loads(BASELINE.read_text(encoding="ascii"))


@pytest.mark.skipif(
    PYTHON not in _HELD, reason="each version of Python has its own bytecode; this one's is not held"
)
def test_no_call_executes_more_instructions_than_the_baseline() -> None:
    """Where one does, and is meant to: `python -m benchmarks.instructions --write`, with the reason."""
    found, held = measure(), _HELD[PYTHON]
    assert found.keys() == held.keys()
    dearer = {
        name: f"{held[name]} -> {count}"
        for name, count in found.items()
        if count > held[name] * (1 + TOLERANCE)
    }
    assert not dearer


def test_every_row_of_the_baseline_was_counted() -> None:
    """A row of zero would let anything pass."""
    assert {
        python: [name for name, count in rows.items() if not count] for python, rows in _HELD.items()
    } == {python: [] for python in _HELD}
