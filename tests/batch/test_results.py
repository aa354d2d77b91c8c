"""Where results are written, and what of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.errors import ConfigurationError

CHAIN = RunnableLambda(lambda given: given if isinstance(given, str) else given[-1].text)


def test_the_source_is_not_replaced(tmp_path: Path) -> None:
    """By its own results."""
    source = tmp_path / "rows.jsonl"
    source.write_text('"a"\n')
    with pytest.raises(ConfigurationError, match="the results would replace the source"):
        run_batch(CHAIN, source, tmp_path / ".." / tmp_path.name / "rows.jsonl", store=tmp_path / "b.sqlite")
    assert source.read_text() == '"a"\n'


def test_a_sink_that_cannot_be_written(tmp_path: Path) -> None:
    """It is refused before anything is paid for, and nothing is left behind."""
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "file").write_text("")
    seen: list[Any] = []
    for sink in ("folder.jsonl", "file/out.jsonl"):
        with pytest.raises(ConfigurationError, match="cannot be written there|there is no folder"):
            run_batch(RunnableLambda(seen.append), ["a"], tmp_path / sink)
    assert (seen, sorted(path.name for path in tmp_path.iterdir())) == ([], ["file", "folder.jsonl"])


def test_nothing_to_do(tmp_path: Path) -> None:
    """An empty source has empty results."""
    (tmp_path / "in.jsonl").write_text("\n\n")
    report = run_batch(CHAIN, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert str(report) == "0 of 0 rows answered, 0 failed; 0 tokens, $0.0000"
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_any_message_is_an_answer(tmp_path: Path) -> None:
    """Not only those of models."""
    run_batch(RunnableLambda(lambda _: HumanMessage("hi")), ["a"], tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["text"] == "hi"


def test_openai_s_format_of_a_chain(tmp_path: Path) -> None:
    """What is no message is the body's `output`."""
    body = {"messages": [{"role": "user", "content": "hi"}]}
    row = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    run_batch(CHAIN, [row], tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["response"]["body"] == {"output": "hi"}
