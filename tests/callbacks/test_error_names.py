"""Errors as logs name them: class, status, and whose code has raised them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from langchain_llmdispatch.callbacks.error_names import error_name, handed_in, is_of_testing
from langchain_llmdispatch.errors import AllDeploymentsFailedError, OverloadedError
from langchain_llmdispatch.internal.json_format import parse_json
from langchain_llmdispatch.testing.cassettes.secrets import SecretFoundError
from langchain_llmdispatch.transport.worker import started


def raised(function: Callable[[], object]) -> BaseException:
    """Return what a function raises."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        function()
    return caught.value


def test_a_name_has_class_cause_and_status() -> None:
    """Nothing of a text."""
    error, cause = AllDeploymentsFailedError("the prompt", status_code=503), OverloadedError("the prompt")
    error.__cause__ = cause
    assert error_name(error) == "AllDeploymentsFailedError, OverloadedError (HTTP 503)"
    assert error_name(KeyError("the prompt")) == "KeyError"


def test_code_that_was_handed_in_is_named_by_its_module() -> None:
    """What it calls may raise as well; what calls this package is not meant."""
    assert handed_in(raised(lambda: started(lambda: json.loads("{")).result())) == __name__
    assert handed_in(raised(lambda: parse_json(b"{"))) == ""
    assert handed_in(None) == ""


def test_the_testing_kit_is_known_by_its_errors() -> None:
    """Wherever they were raised."""
    assert is_of_testing(SecretFoundError())
    assert not is_of_testing(AssertionError())
    assert not is_of_testing(None)
