"""Descriptions in docstrings."""

from __future__ import annotations

from langchain_llmdispatch.vendors.compile.docstrings import documented


class _Described:
    """What it is.

    More of it: in a second paragraph.

    Attributes:
        one: The first,
            on two lines.
        two (int): The second: with a colon.

    Returns:
        three: Nothing of a field's.
    """


class _Plain:
    """One line: that is all."""


class _None:
    pass


def test_a_class_and_its_fields_are_described() -> None:
    """Sections of other things are left out."""
    about, fields = documented(_Described)
    assert about == "What it is.\n\nMore of it: in a second paragraph."
    assert fields == {"one": "The first, on two lines.", "two": "The second: with a colon."}


def test_a_class_may_have_less() -> None:
    """One line, or nothing."""
    assert documented(_Plain) == ("One line: that is all.", {})
    assert documented(_None) == (None, {})
