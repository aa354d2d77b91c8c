"""Which recording responds: in order, each once, by the request; and the error where none does."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from langchain_llmdispatch import DispatcherChatModel
from langchain_llmdispatch.testing import (
    Cassette,
    FakeClock,
    Faults,
    UnmatchedRequestError,
)
from langchain_llmdispatch.testing.cassettes.file import Tape, dump_yaml
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.testing.models import deployment, model_of


def test_concurrent_calls_find_their_own_answers(server: LoopbackServer, path: Path) -> None:
    """Threads and tasks, in any order, get what was recorded for their requests."""
    questions = [f"question number {number}" for number in range(12)]
    with model_of(deployment(server, "openai")) as model, Cassette(path, mode="rewrite"):
        answers = [model.invoke(question).text for question in questions]

    async def gathered(model: DispatcherChatModel) -> list[str]:
        return [m.text for m in await asyncio.gather(*(model.ainvoke(q) for q in questions[::-1]))]

    with model_of(deployment(server, "openai")) as model, Cassette(path, strict=True):
        with ThreadPoolExecutor(6) as pool:
            assert [m.text for m in pool.map(model.invoke, questions)] == answers
    with model_of(deployment(server, "openai")) as model, Cassette(path, strict=True):
        assert asyncio.run(gathered(model)) == answers[::-1]


def test_an_unknown_request_fails_with_the_difference(server: LoopbackServer, path: Path) -> None:
    """The error shows what differs, causes no fallback, and fails the test even if it was swallowed."""
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models) as model, Cassette(path, mode="rewrite"):
        model.invoke("What is the capital of France?")
    with model_of(*models) as model:
        with pytest.raises(UnmatchedRequestError) as raised, Cassette(path):
            model.invoke("What is the capital of Spain?")
        with pytest.raises(UnmatchedRequestError), Cassette(path) as cassette:
            fallback = model.with_fallbacks([model])
            with suppress(UnmatchedRequestError):
                fallback.invoke("What is the capital of Spain?")
            assert len(cassette.misses) == 2
        with pytest.raises(UnmatchedRequestError, match="replayed already"), Cassette(path):
            for _ in range(2):
                model.invoke("What is the capital of France?")
    text = str(raised.value)
    assert '-   "content": "What is the capital of France?"' in text
    assert '+   "content": "What is the capital of Spain?"' in text
    assert len(server.requests) == 1


def test_the_error_of_a_missing_file_shows_how_to_record(server: LoopbackServer, path: Path) -> None:
    """Nothing is recorded by accident."""
    with model_of(deployment(server, "openai")) as model, Cassette(path) as cassette:
        with pytest.raises(UnmatchedRequestError, match="--llmdispatch-record=once"):
            model.invoke("hello")
        cassette.discard()
    assert not path.exists()
    assert server.requests == []


def test_recorded_time_passes_on_fake_clocks(server: LoopbackServer, path: Path) -> None:
    """With `pace` the recorded latency is seen again, without being waited for."""
    clock = FakeClock()
    server.script("openai", [Answer("one two three")])
    with model_of(deployment(server, "openai"), clock=clock) as model, Cassette(path, mode="rewrite"):
        with Faults() as faults:
            faults.slow_first_token(seconds=2)
            list(model.stream("hello"))
    tape = Tape.read(path)
    held = tape.interactions[0].response
    held["seconds"], held["at_ms"] = 3.0, [1500 + 100 * n for n in range(len(held["at_ms"]))]
    path.write_text(dump_yaml(tape.to_dict()))
    clock = FakeClock()
    with model_of(deployment(server, "openai"), clock=clock) as model, Cassette(path, pace=1):
        last = list(model.stream("hello"))[-1]
    record = last.response_metadata["llmdispatch"]["attempts"][0]
    assert record["ttft_ms"] in {1500, 1600}
    assert record["latency_ms"] >= 1700
    assert clock.slept == []


def test_without_a_file_the_error_is_about_recording(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not about a key, which a replay does not need."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(path.parent)
    with (
        pytest.raises(UnmatchedRequestError, match="There is no such file; record it"),
        Cassette(path),
        DispatcherChatModel("openai:gpt-6-luna") as model,
    ):
        model.invoke("hi")
