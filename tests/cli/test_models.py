"""`models`: what the catalog holds."""

from __future__ import annotations

import json

import pytest

from langchain_llmdispatch.__main__ import main


def test_models_are_listed_with_windows_and_prices(capsys: pytest.CaptureFixture[str]) -> None:
    """All words narrow the list, in any order; the prices' age is stated."""
    assert main(["models", "sonnet", "anthropic"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "window", "output", "in", "out", "retires"]
    assert all(line.startswith("anthropic:claude-") and "sonnet" in line for line in lines[1:-1])
    assert "genai-prices" in lines[-1]


def test_models_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers for machines; what is unknown is null."""
    assert main(["models", "anthropic:claude-haiku-4-5", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first == {
        "model": "anthropic:claude-haiku-4-5",
        "context_window": 200_000,
        "max_output_tokens": 64_000,
        "input_usd": "1",
        "output_usd": "5",
        "retires": None,
    }
