"""JSON is read and written without loss, and in the same way whether orjson is installed or not."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmdispatch.internal import json_format


def without_orjson() -> ModuleType:
    """Return the module as it is where orjson is not installed."""
    spec = importlib.util.spec_from_file_location("plain_json_format", json_format.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "orjson", None)
        spec.loader.exec_module(module)
    return module


PLAIN = without_orjson()
both = pytest.mark.parametrize("module", [json_format, PLAIN], ids=["orjson", "plain"])


def test_one_has_orjson_and_the_other_has_not() -> None:
    """The comparisons below compare something."""
    assert json_format._fast_loads("[1]") == [1]
    with pytest.raises(TypeError):
        PLAIN._fast_loads("[1]")


# -- reading -------------------------------------------------------------------------------------------

READ: dict[str, tuple[str, Any]] = {
    "small numbers": ("[0, -1, 1.5, -2e-3]", [0, -1, 1.5, -0.002]),
    "64 bits": (f"[{2**63}, {-(2**63)}, {2**64 - 1}]", [2**63, -(2**63), 2**64 - 1]),
    "more bits": (f'{{"a": [{2**64}, {-(2**64)}, {10**40}]}}', {"a": [2**64, -(2**64), 10**40]}),
    "digits in a string": ('"1234567890123456789012345"', "1234567890123456789012345"),
    "floats with many digits": (
        "[0.30000000000000004, 3.14159265358979323846]",
        [0.30000000000000004, math.pi],
    ),
    "a float beyond the range": ("[1e400, -1e400]", [math.inf, -math.inf]),
    "infinity": ("[Infinity, -Infinity]", [math.inf, -math.inf]),
    "control characters": ('{"a": "x\n\ty\r\x01"}', {"a": "x\n\ty\r\x01"}),
    "a pair": ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
    "half a pair": ('["x\\ud83d", "\\ude00x", {"\\uD83D": 1}]', ["x\ufffd", "\ufffdx", {"\ufffd": 1}]),
    "half a pair, and a pair": ('"\\ud83d\\ud83d\\ude00"', "\ufffd\N{GRINNING FACE}"),
    "escapes of escapes": ('"\\\\ud83d"', "\\ud83d"),
    "raw halves": ('"\ud83d\ude00\ud83d"', "\N{GRINNING FACE}\ufffd"),
    "as deep as may be": ("[" * 200 + "1.5" + "]" * 200, None),
    "many side by side": ("[" + ",".join(["[[1.5]]"] * 500) + "]", [[[1.5]]] * 500),
}


@both
@pytest.mark.parametrize(("text", "value"), READ.values(), ids=READ)
def test_reading(module: ModuleType, text: str, value: Any) -> None:
    """Numbers keep their digits; characters that are none are replaced; what Python's reader takes is taken."""
    read = module.parse_json(text)
    assert value is None or (read == value and repr(read) == repr(value))
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert (
            repr(module.parse_json(text.encode()))
            == repr(read)
            == repr(module.parse_json(bytearray(text, "utf-8")))
        )


@both
def test_no_number(module: ModuleType) -> None:
    """NaN is read as Python reads it."""
    assert math.isnan(module.parse_json('{"a": NaN}')["a"])


@both
@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_codings(module: ModuleType, coding: str) -> None:
    """Bytes are read in each of Unicode's codings, with a byte order mark or without."""
    assert module.parse_json('{"a": "é€\N{GRINNING FACE}"}'.encode(coding)) == {"a": "é€\N{GRINNING FACE}"}


@both
def test_bytes_that_are_no_character(module: ModuleType) -> None:
    """An answer that is cut inside a character is read all the same."""
    assert module.parse_json(b'{"a": "x\xf0\x9f"}') == {"a": "x\ufffd"}
    assert module.parse_json(b'{"a": "caf\xe9"}') == {"a": "caf\ufffd"}


UNREADABLE = {
    "nothing": "",
    "half": '{"a": 1',
    "two": "{} {}",
    "words": "data",
    "single quotes": "{'a': 1}",
    "a byte order mark in text": "\ufeff{}",
    "an integer of thousands of digits": "[" + "9" * 5000 + "]",
    "arrays in arrays": "[" * 201 + "]" * 201,
    "objects in objects": '{"a":' * 201 + "1" + "}" * 201,
    "a closed depth among others": '{"x": [[], {}], "a":' + "[" * 220 + "]" * 220 + "}",
    "deeper than any stack": "[" * 100_000 + "]" * 100_000,
    "open and deep": "[" * 100_000,
}


@both
@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable(module: ModuleType, text: str) -> None:
    """It is a ValueError with a short message, which keeps no copy of the text."""
    for data in (text, text.encode()):
        if data == b"\xef\xbb\xbf{}":
            continue  # of bytes it is no part
        with pytest.raises(ValueError, match=r".") as raised:
            module.parse_json(data)
        assert type(raised.value) is ValueError
        assert raised.value.__context__ is None
        assert len(str(raised.value)) < 250


NUMBERS = st.integers() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False)
SCALARS = (
    NUMBERS | st.none() | st.booleans() | st.text() | st.text(st.characters(categories=["Cs", "Cc", "Lu"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


def mended(value: Any) -> Any:
    """Return a value with pairs for their halves, and U+FFFD for halves that are alone."""
    units = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return json.loads(units.decode("utf-16-le", "replace"))


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    """With orjson and without it: the same bytes mean the same value to both, to Python and to each other."""
    expected = repr(mended(value))
    for module in (json_format, PLAIN):
        written = module.dump_json(value)
        written.decode()
        for reader in (json_format.parse_json, PLAIN.parse_json, json.loads):
            assert repr(reader(written)) == expected


@given(st.text(st.sampled_from('{}[]":,0123456789.eE+-\\udD8fnultrase \n\t\ufeff\x00é'), max_size=60))
def test_any_text_means_the_same_to_both(text: str) -> None:
    """Both read the same value, or both raise a ValueError."""
    found = []
    for module in (json_format, PLAIN):
        for data in (text, text.encode()):
            try:
                found.append(repr(module.parse_json(data)))
            except ValueError:
                found.append("ValueError")
    if "\ufeff" not in text[:1] and "\x00" not in text:  # which tell of a coding in bytes
        assert len(set(found)) == 1
    assert found[:2] == found[2:]


# -- writing -------------------------------------------------------------------------------------------


class Colour(Enum):
    """An enumeration."""

    RED = "red"


class Size(IntEnum):
    """Numbers with names."""

    BIG = 3


@dataclass
class Point:
    """A dataclass."""

    x: Any
    when: date


class Name(str):
    """A string of another class."""

    __slots__ = ()


WRITTEN: dict[str, tuple[Any, str]] = {
    "compact": ({"a": [1, "é"], "b": None}, '{"a":[1,"é"],"b":null}'),
    "more than 64 bits": ([2**64, -(10**30)], f"[{2**64},{-(10**30)}]"),
    "keys": ({2: "a", 1.5: "b", True: "c", None: "d"}, '{"2":"a","1.5":"b","true":"c","null":"d"}'),
    "keys of enumerations": ({Size.BIG: 1, Name("n"): 2}, '{"3":1,"n":2}'),
    "half a pair": ({"a\ud83d": "\ude00"}, '{"a\ufffd":"\ufffd"}'),
    "two halves": ("\ud83d\ude00", '"\N{GRINNING FACE}"'),
    "tuples": ((1, (2,)), "[1,[2]]"),
    "times": (
        [datetime(2026, 1, 2, 3, 4, 5, 6, UTC), date(2026, 1, 2), time(3, 4)],
        '["2026-01-02T03:04:05.000006+00:00","2026-01-02","03:04:00"]',
    ),
    "others": (
        [UUID(int=5), Colour.RED, Size.BIG, Point(1, date(2026, 1, 2))],
        '["00000000-0000-0000-0000-000000000005","red",3,{"x":1,"when":"2026-01-02"}]',
    ),
    "no number": ([math.nan, {"a": (-math.inf, None)}], '[NaN,{"a":[-Infinity,null]}]'),
}


@both
@pytest.mark.parametrize(("value", "text"), WRITTEN.values(), ids=WRITTEN)
def test_writing(module: ModuleType, value: Any, text: str) -> None:
    """Keys become strings, integers keep their digits, and the bytes are always UTF-8."""
    assert module.dump_json(value) == text.encode()


def loop() -> list[Any]:
    """Return a list that holds itself."""
    inner: list[Any] = []
    inner.append(inner)
    return inner


def nested(depth: int) -> list[Any]:
    """Return lists in lists."""
    out: list[Any] = []
    for _ in range(depth):
        out = [out]
    return out


UNWRITABLE: dict[str, tuple[Any, str]] = {
    "bytes": ({"a": [1, {"b": b"x"}]}, r"a\[1\]\.b is of type bytes"),
    "a set": ([{1}], r"\[0\] is of type set"),
    "a decimal": ({"a": {"b": Decimal(1)}}, r"a\.b is of type Decimal"),
    "an object alone": (object(), "it is of type object"),
    "a class": ([Point], "is of type type"),
    "a key": ({"a": {(1, 2): 3}}, "a has a key that is neither"),
    "many digits": ({"a": 10**5000}, "a is an integer of too many digits"),
    "itself": ({"a": loop()}, "nested too deeply, or inside itself"),
    "deeper than any stack": (nested(100_000), "nested too deeply, or inside itself"),
    "within a dataclass": ({"a": Point({2}, date(2026, 1, 2))}, "a is of type Point"),
}


@both
@pytest.mark.parametrize(("value", "message"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_has_no_json_form(module: ModuleType, value: Any, message: str) -> None:
    """The error is a TypeError which names the place, and shows no value."""
    with pytest.raises(module.UnwritableError, match=message):
        module.dump_json(value)
    with pytest.raises(TypeError, match=r"^args(\W|$)|itself"):
        module.dump_json(value, path="args")


@both
def test_numbers_that_json_does_not_have(module: ModuleType) -> None:
    """They can be refused, with their place, beside nulls and without."""
    for value, message in [
        ({"a": [None, math.nan]}, r"a\[1\] is nan"),
        ([math.inf], r"\[0\] is inf"),
        (-math.inf, "it is -inf"),
    ]:
        with pytest.raises(module.UnwritableError, match=message):
            module.dump_json(value, allow_nan=False)
    assert module.dump_json({"a": [None, 1.5]}, allow_nan=False) == b'{"a":[null,1.5]}'


@given(VALUES)
def test_finite_values(value: Any) -> None:
    """A value is finite if Python's strict writer takes it."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        assert not json_format.is_finite(value)
    else:
        assert json_format.is_finite(value)
