"""Packages that come with an extra."""

from __future__ import annotations

import pytest

from langchain_llmdispatch.internal.extras import needs


def test_a_missing_package_names_the_command_that_installs_it() -> None:
    """The import's own error is the cause."""
    with (
        pytest.raises(
            ImportError, match=r"^plots need x: pip install 'langchain-llmdispatch\[notebook\]'$"
        ) as raised,
        needs("notebook", "plots need x"),
    ):
        raise ModuleNotFoundError("No module named 'x'")
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)


def test_another_error_passes() -> None:
    """Only imports are meant."""
    with pytest.raises(KeyError), needs("notebook", "plots need x"):
        raise KeyError
