"""Cassettes replay what was recorded: any vendor, colour, chunking; without network or wait."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage

from langchain_llmdispatch import DispatcherChatModel, RetryPolicy, StreamInterruptedError
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing import (
    Cassette,
    Faults,
    NoNetwork,
    assert_route,
    attempts_of,
    route_of,
)
from tests.loopback.faults import Fault
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS
from tests.testing.models import COLOURS, answer, deployment, model_of


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("colour", COLOURS)
def test_what_was_recorded_is_replayed(server: LoopbackServer, path: Path, vendor: str, colour: str) -> None:
    """The same answer comes back, whole and in single bytes, and nothing reaches a server."""
    with model_of(deployment(server, vendor)) as model, Cassette(path, mode="rewrite"):
        first = answer(model, colour)
    for size in (None, 1):
        with (
            model_of(deployment(server, vendor)) as model,
            NoNetwork(),
            Cassette(path, piece_size=size, strict=True),
        ):
            again = answer(model, colour)
        assert again.text == first.text != ""
        assert again.usage_metadata == first.usage_metadata
        assert again.response_metadata["normalized_finish_reason"] == "stop"
    assert len(server.requests) == 1


@pytest.mark.parametrize("colour", COLOURS)
def test_failures_replay_as_they_happened(server: LoopbackServer, path: Path, colour: str) -> None:
    """429, 429, 200 come in that order, and the waits between them take no time."""

    def model() -> DispatcherChatModel:
        retries = RetryPolicy(jitter=False, initial_delay=0.01)
        return DispatcherChatModel(models=[deployment(server, "openai")], env={}, retry_policy=retries)

    limited = Fault.error("rate_limit", headers={"retry-after": "0.01", "retry-after-ms": "10"})
    server.script("openai", [limited, limited])
    with model() as recorded, Cassette(path, mode="once"):
        first = answer(recorded, colour)
    text = path.read_text()
    path.write_text(text.replace("retry-after-ms: '10'", "retry-after-ms: '30000'"))
    began = time.monotonic()
    with model() as replayed, Cassette(path, strict=True):
        again = answer(replayed, colour)
    assert time.monotonic() - began < 50
    facts = again.response_metadata["llmdispatch"]["attempts"]
    assert [attempt["status"] for attempt in facts] == [429, 429, 200]
    assert [attempt["wait_ms"] > 25_000 for attempt in facts] == [False, True, True]
    assert again.text == first.text


@pytest.mark.parametrize("colour", ["threads", "tasks"])
def test_limits_are_waited_for_in_no_time(server: LoopbackServer, path: Path, colour: str) -> None:
    """Calls that queue for a limit queue in a replay too, without taking the time."""
    questions = [f"question {number}" for number in range(20)]
    with model_of(deployment(server, "openai")) as model, Cassette(path, mode="rewrite"):
        for question in questions:
            model.invoke(question)

    async def gathered(model: DispatcherChatModel) -> list[AIMessage]:
        return list(await asyncio.gather(*(model.ainvoke(question) for question in questions)))

    model = DispatcherChatModel(models=[deployment(server, "openai", rpm=6)], env={})
    began = time.monotonic()
    with model, Cassette(path, strict=True):
        if colour == "tasks":
            answers = asyncio.run(gathered(model))
        else:
            with ThreadPoolExecutor(20) as pool:
                answers = list(pool.map(model.invoke, questions))
    assert time.monotonic() - began < 100  # for real it would take 140 s
    waits = [answer.response_metadata["llmdispatch"]["queue_ms"] for answer in answers]
    # A thread that comes late finds time already moved on by those before it, and waits less.
    assert max(waits) > (1_000 if colour == "threads" else 8_000)


def test_modes(server: LoopbackServer, path: Path) -> None:
    """`once` records what has no file, `rewrite` records anew, a failed test changes nothing."""
    with model_of(deployment(server, "openai")) as model:
        with Cassette(path, mode="once"):
            model.invoke("one")
        with Cassette(path, mode="once"):
            model.invoke("one")
        assert len(server.requests) == 1
        before = path.read_text()
        with pytest.raises(RuntimeError), Cassette(path, mode="rewrite"):
            model.invoke("two")
            raise RuntimeError
        assert path.read_text() == before
        with Cassette(path, mode="rewrite"):
            model.invoke("two")
        with Cassette(path, mode="rewrite", append=True):
            model.invoke("three")
        with Cassette(path, strict=True):
            model.invoke("three")
            model.invoke("two")
        with (
            pytest.raises(AssertionError, match=r"not requested: #2 \(gpt-5.4-mini\)"),
            Cassette(path, strict=True),
        ):
            model.invoke("two")
        with Cassette(path, repeats=True):
            for _ in range(3):
                model.invoke("two")
    with pytest.raises(ConfigurationError, match="'nune' is not one of.*Did you mean 'none'"):
        Cassette(path, mode="nune")


def test_faults_compose_with_cassettes(server: LoopbackServer, path: Path) -> None:
    """A fault comes before the recording, and in the middle of a replayed stream."""
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models) as model, Cassette(path, mode="rewrite"), Faults() as faults:
        faults.fail("openai:*", status=529, times=3)
        model.invoke("hello")
        list(model.stream("say one two three four five"))
    with model_of(*models) as model, Cassette(path, strict=True), NoNetwork(), Faults() as faults:
        faults.connect_error("openai:*", times=3)
        faults.cut("openai:*", after_events=3)
        assert_route(model.invoke("hello"), ["openai:*"] * 3 + ["anthropic:*"])
        with pytest.raises(StreamInterruptedError) as raised:
            list(model.stream("say one two three four five"))
        assert raised.value.partial.text


def test_routes_of_replayed_calls(server: LoopbackServer, path: Path) -> None:
    """The message names the deployments, in a replay as in a recording."""
    models = deployment(server, "openai"), deployment(server, "cohere")
    server.script("openai", [Fault.error("auth")])
    routes = []
    for mode in ("rewrite", "none"):
        with model_of(*models) as model, Cassette(path, mode=mode):
            routes.append(route_of(model.invoke("hello")))
    assert routes[0] == routes[1] == [f"openai:{MODELS['openai']}", f"cohere:{MODELS['cohere']}"]


BROKEN = ("malformed", "cut", "stall", "reset", "wrong_content_type", "slow_first_token")


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_recording_serves_the_retry_too(
    server: LoopbackServer, tmp_path: Path, colour: str, name: str
) -> None:
    """A fault breaks a recorded response as a live one, and the recording serves the next attempt."""
    path, first = tmp_path / "damaged.yaml", deployment(server, "openai")
    with model_of(first) as model, Cassette(path, mode="rewrite"):
        answer(model, colour)
    options = {"slow_first_token": {"seconds": 90}, "reset": {"after_events": 0}}.get(name, {})
    with (
        model_of(first, timeout=30) as model,
        NoNetwork(),
        Cassette(path, strict=True),
        Faults() as faults,
    ):
        getattr(faults, name)("openai:*", times=1, **options)
        message = answer(model, colour)
    assert message.text.count("one two three four five six") == 1
    assert [record["error"] is None for record in attempts_of(message)] == [False, True]
