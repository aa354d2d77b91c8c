"""Cassettes replay what was recorded: any vendor, colour, chunking; in order, without network or wait."""

from __future__ import annotations

import asyncio
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage

from langchain_llmdispatch import DispatcherChatModel, RetryPolicy, StreamInterruptedError
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.framing import SSEDecoder
from langchain_llmdispatch.testing import (
    Cassette,
    FakeClock,
    Faults,
    NoNetwork,
    UnmatchedRequestError,
    assert_route,
    route_of,
)
from langchain_llmdispatch.testing.cassettes.comparing import RecordingOutdatedError
from langchain_llmdispatch.testing.cassettes.file import Tape, dump_yaml, load_yaml
from langchain_llmdispatch.testing.cassettes.matching import Matcher
from langchain_llmdispatch.testing.cassettes.payloads import pack, unpack
from tests.loopback.faults import Fault
from tests.loopback.neutral import Answer
from tests.loopback.server import LoopbackServer
from tests.models import MODELS, VENDORS
from tests.testing.faults.test_faults import COLOURS, ask, deployment, model_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the test's cassette goes."""
    return tmp_path / "cassette.yaml"


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("colour", COLOURS)
def test_what_was_recorded_is_replayed(server: LoopbackServer, path: Path, vendor: str, colour: str) -> None:
    """The same answer comes back, whole and in single bytes, and nothing reaches a server."""
    with model_of(deployment(server, vendor)) as model, Cassette(path, mode="rewrite"):
        first = ask(model, colour)
    for size in (None, 1):
        with (
            model_of(deployment(server, vendor)) as model,
            NoNetwork(),
            Cassette(path, piece_size=size, strict=True),
        ):
            again = ask(model, colour)
        assert again.text == first.text != ""
        assert again.usage_metadata == first.usage_metadata
        assert again.response_metadata["finish_reason"] == "stop"
    assert len(server.requests) == 1


@pytest.mark.parametrize("colour", COLOURS)
def test_a_story_of_failures_replays_as_it_happened(server: LoopbackServer, path: Path, colour: str) -> None:
    """429, 429, 200 come in that order, and the waits between them take no time."""

    def model() -> DispatcherChatModel:
        retries = RetryPolicy(jitter=False, initial_delay=0.01)
        return DispatcherChatModel(models=[deployment(server, "openai")], env={}, retry_policy=retries)

    limited = Fault.error("rate_limit", headers={"retry-after": "0.01", "retry-after-ms": "10"})
    server.script("openai", [limited, limited])
    with model() as recorded, Cassette(path, mode="once"):
        first = ask(recorded, colour)
    text = path.read_text()
    path.write_text(text.replace("retry-after-ms: '10'", "retry-after-ms: '30000'"))
    began = time.monotonic()
    with model() as replayed, Cassette(path, strict=True):
        again = ask(replayed, colour)
    assert time.monotonic() - began < 5
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

    model = DispatcherChatModel(models=[deployment(server, "openai", rpm=60)], env={})
    began = time.monotonic()
    with model, Cassette(path, strict=True):
        if colour == "tasks":
            answers = asyncio.run(gathered(model))
        else:
            with ThreadPoolExecutor(20) as pool:
                answers = list(pool.map(model.invoke, questions))
    assert time.monotonic() - began < 10  # for real it would take 14 s
    waits = [answer.response_metadata["llmdispatch"]["queue_ms"] for answer in answers]
    # A thread that comes late finds time already moved on by those before it, and waits less.
    assert max(waits) > (1_000 if colour == "threads" else 8_000)


def test_concurrent_calls_find_their_own_answers(server: LoopbackServer, path: Path) -> None:
    """Threads and tasks, asking in any order, get what was recorded for them."""
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
    """It says what differs, is no fallback trigger, and fails the test even if it was swallowed."""
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


def test_a_missing_file_says_how_to_record(server: LoopbackServer, path: Path) -> None:
    """Nothing is recorded by accident."""
    with model_of(deployment(server, "openai")) as model, Cassette(path) as cassette:
        with pytest.raises(UnmatchedRequestError, match="--llmdispatch-record=once"):
            model.invoke("hello")
        cassette.discard()
    assert not path.exists()
    assert server.requests == []


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


@pytest.mark.parametrize("colour", COLOURS)
def test_verify_asks_again_and_shows_the_difference(server: LoopbackServer, path: Path, colour: str) -> None:
    """Other words are fine; another status or a field that is gone is not. The test sees the recording."""
    with model_of(deployment(server, "openai")) as model:
        server.script("openai", [Answer("recorded words")])
        with Cassette(path, mode="rewrite"):
            ask(model, colour)
        server.script("openai", [Answer("quite other words today")])
        with Cassette(path, mode="verify"):
            assert ask(model, colour).text == "recorded words"
        assert len(server.requests) == 2
        server.script("openai", [Fault.error("overloaded")])
        with pytest.raises(RecordingOutdatedError, match="#1 status: recorded 200, now 503"):
            with Cassette(path, mode="verify"):
                ask(model, colour)
        path.write_text(path.read_text().replace("finish_reason:", "finish_reason_old:", 1))
        with Cassette(path, mode="verify") as cassette:
            ask(model, colour)
            found = [line for line in cassette.differences if "finish_reason_old" in line]
            assert found
            cassette.discard()


def test_matching_overlooks_what_does_not_count(server: LoopbackServer, path: Path) -> None:
    """Random ids of tool calls, ignored paths and the order of keys do not matter; everything else does."""

    def thread(ident: str, result: str = "22") -> list[Any]:
        call = {"name": "weather", "args": {"city": "Oslo"}, "id": ident, "type": "tool_call"}
        return [
            HumanMessage("weather?"),
            AIMessage("", tool_calls=[call]),
            ToolMessage(result, tool_call_id=ident),
        ]

    for vendor in ("openai", "anthropic", "cohere"):
        with model_of(deployment(server, vendor)) as model:
            with Cassette(path, mode="rewrite"):
                model.invoke(thread("call_abc123"), user="someone")
            with Cassette(path, ignore=["user", "metadata.user_id"]):
                model.invoke(thread("call_xyz987"), user="somebody else")
            with pytest.raises(UnmatchedRequestError), Cassette(path, ignore=["user", "metadata.user_id"]):
                model.invoke(thread("call_abc123", "23"))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("a.b", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ("$.list.*.t", {"list": [{"t": 1, "u": 2}, {"t": 3}]}, {"list": [{"u": 2}, {}]}),
        ("list.1", {"list": [1, 2, 3]}, {"list": [1, None, 3]}),
        ("**.at", {"at": 1, "x": [{"at": 2, "y": {"at": 3, "z": 4}}]}, {"x": [{"y": {"z": 4}}]}),
        ("absent.b", {"a": 1}, {"a": 1}),
    ],
)
def test_ignored_paths(path: str, value: Any, expected: Any) -> None:
    """A path names what is left out of the comparison."""
    assert Matcher([path]).canonical(value) == expected


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


def test_a_broken_stream_is_recorded_as_broken(server: LoopbackServer, path: Path) -> None:
    """What ended early when it was recorded ends early when it is replayed; a whole answer does not."""
    server.script("openai", [Fault.cut(after_events=4)])
    for mode in ("rewrite", "none"):
        with model_of(deployment(server, "openai")) as model, Cassette(path, mode=mode):
            with pytest.raises(StreamInterruptedError):
                list(model.stream("say one two three four five"))
    assert Tape.read(path).interactions[0].response["cut"] is True
    with model_of(deployment(server, "openai")) as model, Cassette(path, mode="rewrite"):
        list(model.stream("hello"))
    assert "cut" not in Tape.read(path).interactions[0].response


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


# -- other clients ---------------------------------------------------------------------------------


def test_other_clients_pass_through_vcrpy(server: LoopbackServer, path: Path) -> None:
    """A tool's request to a host that was not recorded fails too; a server inside the test is let through."""
    with Cassette(path) as cassette, httpx.Client() as client:
        with pytest.raises(UnmatchedRequestError):
            client.get("https://weather.example/today")
        assert client.get(f"{server.url}/nowhere").status_code == 404
        assert httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(204))).get(
            "https://x.example"
        )
        cassette.discard()
    path.write_text(
        dump_yaml(
            {
                "cassette": 1,
                "interactions": [
                    {
                        "vendor": "weather.example",
                        "request": {"method": "GET", "url": "https://weather.example/today", "headers": {}},
                        "response": {"status": 200, "headers": {}, "body": {"degrees": 3}},
                    }
                ],
            }
        )
    )
    with Cassette(path, strict=True), httpx.Client() as client:
        assert client.get("https://weather.example/today").json() == {"degrees": 3}


def test_recordings_of_vcrpy_can_be_read(path: Path, server: LoopbackServer) -> None:
    """A cassette that vcrpy wrote serves our models: streams, statuses and all."""
    body = (
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        '"delta":{"role":"assistant","content":"Paris"},"finish_reason":null}]}\n\n'
        'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,'
        '"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    request = {"model": "m", "messages": [{"role": "user", "content": "capital?"}], "stream": True}
    request["stream_options"] = {"include_usage": True}
    document = {
        "version": 1,
        "interactions": [
            {
                "request": {
                    "method": "POST",
                    "uri": "https://api.openai.com/v1/chat/completions",
                    "body": json.dumps(request),
                    "headers": {"authorization": ["PLACEHOLDER"]},
                },
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"Content-Type": ["text/event-stream"]},
                    "body": {"string": body},
                },
            }
        ],
    }
    path.write_text(dump_yaml(document | {"interactions": document["interactions"]}))
    model = DispatcherChatModel(model="openai:m", api_key="key", env={})
    with model, Cassette(path):
        chunks = list(model.stream("capital?"))
    assert "".join(chunk.text for chunk in chunks) == "Paris"


# -- bodies ----------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _sse(events: list[tuple[str, Any]], newline: str, separators: tuple[str, str]) -> str:
    lines = []
    for name, value in events:
        data = value if isinstance(value, str) else json.dumps(value, separators=separators)
        head = f"event: {name}{newline}" if name else ""
        lines.append(f"{head}data: {data}{newline}{newline}")
    return "".join(lines)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["", "delta"]), _JSON | st.just("[DONE]")), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([(",", ":"), (", ", ": ")]),
)
def test_event_streams_survive_the_file(
    events: list[tuple[str, Any]], newline: str, separators: tuple[str, str]
) -> None:
    """What is written to YAML and read again has the same events with the same data."""
    events = [(name, v if not isinstance(v, str) else "[DONE]") for name, v in events]
    body = _sse(events, newline, separators).encode()
    again, _ = unpack(_through_file(body, "text/event-stream"))
    assert _events(again) == _events(body)


def _through_file(body: bytes, kind: str) -> dict[str, Any]:
    text = dump_yaml({"interactions": [{"response": pack(body, kind)}]})
    held: dict[str, Any] = load_yaml(text)["interactions"][0]["response"]
    return held


def _events(body: bytes) -> list[Any]:
    decoder = SSEDecoder()
    found = [*decoder.feed(body), *decoder.close()]
    return [(e.event, e.data if e.data == "[DONE]" else json.loads(e.data)) for e in found]


@settings(deadline=None)
@given(st.lists(_JSON, min_size=1, max_size=6), st.sampled_from(["application/json", "application/x-ndjson"]))
def test_json_survives_the_file(values: list[Any], kind: str) -> None:
    """JSON and NDJSON come back with the same values; nearly always with the same bytes."""
    lines = values if kind.endswith("ndjson") else values[:1]
    body = "\n".join(json.dumps(value) for value in lines).encode()
    held = _through_file(body, kind)
    again, _ = unpack(held)
    assert [json.loads(line) for line in again.splitlines() if line] == lines


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_survives_the_file(body: bytes) -> None:
    """What is neither JSON nor events comes back byte for byte."""
    for kind in ("text/plain", "text/event-stream", "application/x-ndjson"):
        held = _through_file(body, kind)
        again, _ = unpack(held)
        if kind == "text/plain" and "body" not in held:
            assert again == body


def test_files_are_readable_and_small(server: LoopbackServer, path: Path) -> None:
    """JSON is structure, events are lines, what all events share is written once."""
    with model_of(deployment(server, "openai")) as model, Cassette(path, mode="rewrite"):
        model.invoke("line one\nline two")
        list(model.stream("say one two three four five"))
    text = path.read_text()
    assert (
        "    body:\n      model: gpt-5.4-mini\n      messages:\n      - role: user\n        content: |-\n"
        in text
    )
    assert "each:" in text
    assert max(len(line) for line in text.splitlines()) < 400
    assert text.count("chatcmpl-") == 2
    assert len(text) < 6_000


@pytest.mark.parametrize(
    ("kind", "whole"), [("text/event-stream", "events"), ("application/x-ndjson", "lines")]
)
def test_a_stream_that_breaks_off_is_still_events(kind: str, whole: str) -> None:
    """What came whole is structure, the rest is text; all of it comes back, the rest as a piece of its own."""
    start, end = ("data: ", "\n\n") if whole == "events" else ("", "\n")
    body = "".join(f'{start}{{"n":{n},"text":"word"}}{end}' for n in range(4)) + start + '{"n":4,"te'
    packed = pack(body.encode(), kind)
    assert len(packed[whole]) == 4
    assert packed["after"] == start + '{"n":4,"te'
    back, ends = unpack(packed)
    assert back.decode() == body
    assert len(ends) == 5


def test_images_are_kept_as_digests(server: LoopbackServer, path: Path) -> None:
    """A large attachment makes no large file, and still has to be the same one."""

    def asked(seed: int) -> list[Any]:
        import base64

        image = base64.b64encode(random.Random(seed).randbytes(300_000)).decode()
        url = {"url": f"data:image/png;base64,{image}"}
        return [HumanMessage([{"type": "text", "text": "what?"}, {"type": "image_url", "image_url": url}])]

    with model_of(deployment(server, "openai")) as model:
        with Cassette(path, mode="rewrite"):
            model.invoke(asked(1))
        assert path.stat().st_size < 5_000
        with Cassette(path):
            model.invoke(asked(1))
        with pytest.raises(UnmatchedRequestError), Cassette(path):
            model.invoke(asked(2))


def test_leaving_a_stream_early_replays(server: LoopbackServer, path: Path) -> None:
    """A consumer who stops reading leaves a recording that serves a consumer who stops there too."""
    for mode in ("rewrite", "none"):
        with model_of(deployment(server, "openai")) as model, Cassette(path, mode=mode):
            stream = model.stream("say one two three four five")
            chunk: AIMessageChunk = next(stream)
            assert chunk.text
            stream.close()


def test_streams_are_not_held_back_while_they_are_recorded(server: LoopbackServer, path: Path) -> None:
    """The first chunk is there before the server has sent the last: recording does not buffer."""
    server.script("openai", [Fault.stall(after_events=4)])
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    with model, Cassette(path, mode="rewrite") as cassette:
        stream = model.stream("say one two three four five")
        assert next(stream).text
        stream.close()
        cassette.discard()


def test_routes_of_replayed_calls(server: LoopbackServer, path: Path) -> None:
    """The message says who answered, in a replay as in a recording."""
    models = deployment(server, "openai"), deployment(server, "cohere")
    server.script("openai", [Fault.error("auth")])
    routes = []
    for mode in ("rewrite", "none"):
        with model_of(*models) as model, Cassette(path, mode=mode):
            routes.append(route_of(model.invoke("hello")))
    assert routes[0] == routes[1] == [f"openai:{MODELS['openai']}", f"cohere:{MODELS['cohere']}"]
