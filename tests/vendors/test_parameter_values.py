"""Values of parameters, as users, files and notebooks give them."""

from __future__ import annotations

import typing
from decimal import Decimal
from types import UnionType
from typing import Any

import pytest

from langchain_llmdispatch import Deployment
from langchain_llmdispatch.chat_model.request import RequestDefaults
from langchain_llmdispatch.config.schema import DispatchFields
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.vendors.parameter_values import KINDS
from tests.cases import each


class Scalar(float):
    """A number like numpy's, whose comparison with a list is no truth value."""

    __hash__ = float.__hash__

    def __eq__(self, other: object) -> Any:
        if isinstance(other, list):
            raise TypeError("The truth value of an empty array is ambiguous.")
        return float(self) == other


def call_params(**words: Any) -> dict[str, Any]:
    """Return the parameters of a call with these words."""
    return dict(RequestDefaults({}).freeze([], None, words).params)


@each(
    ("given", "wanted"),
    [
        ({"temperature": "0.5"}, {"temperature": 0.5}),
        ({"temperature": Decimal("0.5")}, {"temperature": 0.5}),
        ({"temperature": Scalar(0.5), "top_p": 1}, {"temperature": 0.5, "top_p": 1}),
        ({"max_completion_tokens": "100"}, {"max_tokens": 100}),
        ({"num_predict": -1, "top_k": 5.0}, {"max_tokens": -1, "top_k": 5}),
        ({"min_p": Scalar(0.1)}, {"min_p": Scalar(0.1)}),
        ({"seed": None, "thinking": {"type": "adaptive"}}, {"thinking": {"type": "adaptive"}}),
    ],
)
def test_what_is_meant(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Numbers as text and of other libraries, for a call and for a deployment."""
    made = call_params(**given)
    assert made == wanted
    assert all(type(made[name]) is type(value) for name, value in wanted.items())
    params = Deployment("openai:gpt-4.1", params=given).params
    assert [value for value in params.values() if value is not None] == [*wanted.values()]


@each(
    ("name", "value", "message"),
    [
        ("max_tokens", "many", "max_tokens='many': input should be a valid integer"),
        ("max_output_tokens", 1.5, "max_output_tokens=1.5: input should be a valid integer"),
        ("temperature", [1], r"temperature=\[1\]: input should be a valid number"),
        ("reasoning_effort", 5, "reasoning_effort=5: input should be a valid string"),
    ],
)
def test_what_cannot_be_meant(name: str, value: Any, message: str) -> None:
    """The error names the word and the value, before a vendor is tried."""
    with pytest.raises(ConfigurationError, match=message):
        call_params(**{name: value})
    with pytest.raises(ConfigurationError, match=message):
        Deployment("openai:gpt-4.1", params={name: value})


def test_kinds_are_those_of_the_fields() -> None:
    """The model's own fields have the same types."""
    for name, kind in KINDS.items():
        assert DispatchFields.model_fields[name].annotation == kind | None
    plain = {
        name
        for name, field in DispatchFields.model_fields.items()
        if isinstance(field.annotation, UnionType)
        and typing.get_args(field.annotation)[0] in {int, float, str}
    }
    assert plain >= KINDS.keys()
