"""Dummy keys are set where none is, and gone afterwards."""

from __future__ import annotations

import os

import pytest

from langchain_llmdispatch.testing.cassettes.dummy_keys import KEY, URL, dummy_variables, missing_keys_set


def test_each_vendor_has_variables() -> None:
    """A key for those that need one, an address for those that have none."""
    variables = dummy_variables()
    assert variables["OPENAI_API_KEY"] == KEY
    assert variables["AZURE_OPENAI_ENDPOINT"] == URL
    assert "OPENAI_BASE_URL" not in variables
    assert dummy_variables(["cohere", "api.example"]) == {"COHERE_API_KEY": KEY, "CO_API_KEY": KEY}


def test_set_only_where_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is there stays; a placeholder counts as none; what was before is restored."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-real-one")
    monkeypatch.setenv("COHERE_API_KEY", "changeme")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with missing_keys_set(["openai", "anthropic", "cohere", "api.example"]):
        assert os.environ["OPENAI_API_KEY"] == "sk-a-real-one"
        assert os.environ["ANTHROPIC_API_KEY"] == KEY
        assert KEY in {os.environ["COHERE_API_KEY"], os.environ.get("CO_API_KEY")}
    assert "ANTHROPIC_API_KEY" not in os.environ
    assert os.environ["COHERE_API_KEY"] == "changeme"
