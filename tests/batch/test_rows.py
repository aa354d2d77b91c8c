"""Rows of batches: every form that people have, and what is wrong with the others."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda

from langchain_llmdispatch.batch import run_batch
from langchain_llmdispatch.batch.rows import read_rows
from langchain_llmdispatch.errors import ConfigurationError
from tests.cases import each

OPENAI = {
    "custom_id": "a",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "gpt-6-luna", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
}


@each(
    ("row", "input_", "params", "name"),
    [
        ("hi", "hi", {}, "1"),
        ({"id": 7, "input": "hi", "params": {"temperature": 0}}, "hi", {"temperature": 0}, "7"),
        ({"messages": [["system", "be brief"], ["human", "hi"]]}, None, {}, "1"),
        (OPENAI, None, {"max_tokens": 9}, "a"),
        ([{"role": "user", "content": "hi"}], None, {}, "1"),
    ],
)
def test_a_row_has_an_input_params_and_an_id(row: Any, input_: Any, params: Any, name: str) -> None:
    """A text, messages, our object, or a line of OpenAI's format."""
    (found,) = read_rows([row])
    if input_ is None:
        assert isinstance(found.input, list)
        assert found.input[-1] == HumanMessage("hi")
    else:
        assert found.input == input_
    assert (found.params, found.id) == (params, name)


@pytest.mark.parametrize("wrapped", [False, True])
def test_messages_are_kept_whole(wrapped: bool) -> None:
    """LangChain's messages come back as they were, tool calls included."""
    call = {"name": "f", "args": {"x": 1}, "id": "c", "type": "tool_call"}
    messages = [SystemMessage("be brief"), AIMessage("", tool_calls=[call]), HumanMessage("hi")]
    (found,) = read_rows([{"input": messages} if wrapped else messages])
    assert found.input == messages


def test_lines_of_a_file_are_rows(tmp_path: Path) -> None:
    """Blank lines are none; a byte-order mark is no part of the first."""
    file = tmp_path / "in.jsonl"
    file.write_text('\ufeff"one"\n\n{"input": "two"}\n', encoding="utf-8")
    assert [row.input for row in read_rows(file)] == ["one", "two"]


def test_a_parquet_file_has_a_row_each(tmp_path: Path) -> None:
    """Columns are fields; what is null is absent."""
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"id": ["a", "b"], "input": ["one", "two"], "params": [{"seed": 1}, None]})
    parquet.write_table(table, tmp_path / "in.parquet")
    found = list(read_rows(tmp_path / "in.parquet"))
    assert [(row.id, row.input, row.params) for row in found] == [("a", "one", {"seed": 1}), ("b", "two", {})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"ok"\n{"input": ', "in.jsonl:2: is not JSON"),
        ('{"prompt": "x"}', "in.jsonl:1: a row has no field 'prompt'; known are id, input, messages"),
        ("[]", "in.jsonl:1: a row is a text, a list of messages, or an object"),
        ('[{"role": "wizard", "content": "x"}]', "in.jsonl:1: "),
        (json.dumps({**OPENAI, "url": "/v1/embeddings"}), "only rows for /v1/chat/completions"),
    ],
)
def test_a_malformed_row_is_named(text: str, message: str, tmp_path: Path) -> None:
    """The message has the file and the line."""
    (tmp_path / "in.jsonl").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        list(read_rows(tmp_path / "in.jsonl"))
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "message"), [("no.jsonl", "cannot be read"), ("x.csv", "read from .jsonl")])
def test_a_file_that_cannot_be_read_is_named(name: str, message: str, tmp_path: Path) -> None:
    """It is missing, or of a kind that is not read."""
    with pytest.raises(ConfigurationError, match=message):
        list(read_rows(tmp_path / name))


@each(
    ("row", "message"),
    [
        ({"input": "a", "params": "temperature=1"}, "params is no object: 'temperature=1'"),
        ({"input": "a", "params": [1]}, r"params is no object: \[1\]"),
        ({"body": [], "url": "/v1/chat/completions"}, r"body is no object: \[\]"),
        ({"id": "a\ud800", "input": "a"}, "the id 'a.ud800' is no valid Unicode"),
    ],
)
def test_what_would_fail_later(row: Any, message: str) -> None:
    """It is refused before anything is paid for."""
    with pytest.raises(ConfigurationError, match=message):
        list(read_rows([row]))


@each("text", ["\ud800 half", "naïve 日本語 🎉", "\u2028 line\x00", ""])
def test_any_text_goes_through(text: str) -> None:
    """Into the journal, through a chain, into the results and back; half a surrogate pair, too."""
    with TemporaryDirectory() as folder:
        sink = Path(folder) / "out.jsonl"
        report = run_batch(RunnableLambda(lambda given: {"said": given}), [{"input": text}], sink)
        (line,) = sink.read_text(encoding="utf-8").split("\n")[:-1]
        assert (report.done, json.loads(line)["output"]) == (1, {"said": text})


def test_an_error_with_half_a_surrogate_pair(tmp_path: Path) -> None:
    """It is kept with the row."""

    def fail(given: str) -> str:
        raise ValueError(given)

    run_batch(RunnableLambda(fail), ["\ud800"], tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["error"] == r"ValueError: \ud800"


def test_what_is_no_parquet(tmp_path: Path) -> None:
    """It is called so."""
    pytest.importorskip("pyarrow")
    (tmp_path / "in.parquet").write_text("id,input\n1,hello\n" * 9)
    with pytest.raises(ConfigurationError, match="cannot be read as Parquet"):
        list(read_rows(tmp_path / "in.parquet"))
