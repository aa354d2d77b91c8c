"""The arguments of one call as they arrive: read once, handed out once, at any cut."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.vendors.argument_text import ArgumentText, arguments_of
from tests.cases import each


def fed(*pieces: str) -> tuple[str, dict[str, Any] | None]:
    """Return all that is handed out of some pieces, and the arguments."""
    text = ArgumentText()
    out = "".join(map(text.add, pieces))
    return out + text.rest(), text.value


VALUES = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(alphabet='a"\\{}[] é', max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=3,
)


@given(VALUES, st.sampled_from(["", "{}", "{ }", " {\n}", "null"]), st.booleans(), st.data())
def test_one_object_at_any_cut(value: dict[str, Any], before: str, twice: bool, data: st.DataObject) -> None:
    """Empty objects before it, the same once more, and where the network cuts change nothing."""
    wire = json.dumps(value)
    again = json.dumps(value, indent=1) if twice else ""
    text = (before if before != "null" else "") + wire + again
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    out, found = fed(*(["null"] if before == "null" else []), *pieces)
    assert found == value
    assert json.loads(out) == value


@each("pieces", [[""], ["null"], [" ", "nul", "l"]])
def test_nothing_means_no_arguments(pieces: list[str]) -> None:
    """Nothing is handed out, since LangChain reads no text as no arguments."""
    assert fed(*pieces) == ("", {})


@each("pieces", [["{}"], ["{", " ", "}"], ["{}", "{}"], ["{}", "null"], ["{}", " \n"]])
def test_an_empty_object_is_handed_out_at_the_end(pieces: list[str]) -> None:
    """Until then arguments may follow it."""
    text = ArgumentText()
    assert "".join(map(text.add, pieces)) == ""
    assert text.value == {}


@each(
    "pieces",
    [
        ['{"a"'],
        ['{"a":1}', '{"a":2}'],  # another object is no repetition
        ['{"a":1}', '{"b"'],
        ['{"a":1}}'],
        ['{"a":1}', "x"],
        ["{}", '{"a"'],
        ["[1]"],
        ['"x"'],
        ["7"],
        ["nul"],
        ["}"],
        ["{a:1}"],
    ],
)
def test_what_is_no_one_object(pieces: list[str]) -> None:
    """It is cut, or two calls' arguments in one: no arguments."""
    assert fed(*pieces)[1] is None
    assert arguments_of("".join(pieces)) is None


def test_whole_and_empty() -> None:
    """An object is whole when it is closed, until something else comes."""
    text = ArgumentText()
    assert (text.whole, text.empty) == (False, True)
    text.add("{}")
    assert (text.whole, text.empty) == (True, True)
    text.add('{"a":')
    assert (text.whole, text.empty) == (False, False)
    text.add("1}\n")
    assert (text.whole, text.empty, text.is_null) == (True, False, False)
    assert ArgumentText(" null ").is_null


def test_arguments_of_a_whole_text() -> None:
    """Servers that join pieces leave the empty object before the arguments."""
    assert arguments_of('{}{"a": 1}') == {"a": 1}
    assert arguments_of('{"a": 1}') == {"a": 1}


def test_each_piece_is_read_once() -> None:
    """A text in many pieces is not parsed at each of them: closed inner objects are no ends."""
    text = ArgumentText()
    out = [text.add(piece) for piece in ['{"a":[', *['{"b":"}"},'] * 5000, "0]}"]]
    assert text.value == json.loads("".join(out))
