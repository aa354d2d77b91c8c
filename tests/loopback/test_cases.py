"""Cases within one test."""

from __future__ import annotations

import inspect

import pytest

from tests.cases import each


@each("number", [1, 2])
@each("word", "ab")
def _nested(seen: list[str], number: int, word: str) -> None:
    """Note the case."""
    seen.append(f"{number}{word}")


@each("one, two", [(1, 1), (1, 2), (2, 2), (3, 4)])
def _equal(extra: str, one: int, two: int) -> None:
    """Compare."""
    assert one == two, extra


def test_every_case_runs_and_each_failure_is_named() -> None:
    """Two of four fail, with the values they failed for."""
    with pytest.raises(ExceptionGroup, match="2 of 4 cases of _equal") as raised:
        _equal(extra="unequal")
    assert [error.__notes__ for error in raised.value.exceptions] == [
        ["The case: one=1, two=2"],
        ["The case: one=3, two=4"],
    ]


def test_pytest_sees_a_test_without_the_parameters() -> None:
    """What is left are fixtures."""
    assert list(inspect.signature(_equal).parameters) == ["extra"]
    assert _equal.__doc__ == "Compare."


def test_decorators_are_stacked() -> None:
    """Every pair of values."""
    seen: list[str] = []
    _nested(seen=seen)
    assert seen == ["1a", "1b", "2a", "2b"]
    assert list(inspect.signature(_nested).parameters) == ["seen"]
