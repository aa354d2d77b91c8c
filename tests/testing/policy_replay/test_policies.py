"""Journals hold what happened; replay runs other policies against it in virtual time, always the same way."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_llmdispatch import AllDeploymentsFailedError, DispatcherChatModel
from langchain_llmdispatch.__main__ import main
from langchain_llmdispatch.errors import ConfigurationError
from langchain_llmdispatch.testing import Cassette, FakeClock, Faults, Journal, replay, use_clock
from langchain_llmdispatch.testing.policy_replay.entry import JournalAttempt, JournalEntry
from langchain_llmdispatch.testing.policy_replay.virtual_time import SimulationLoop
from tests.loopback.server import LoopbackServer
from tests.testing.faults.test_faults import COLOURS, ask, deployment, model_of

ROOT = Path(__file__).parents[3]
A, B = "openai:gpt-5.4-mini", "anthropic:claude-haiku-4-5"
FAST = {"retry_policy": {"jitter": False, "initial_delay": 0.5}, "max_attempts": 6}


def answered(deployment: str, seconds: float = 1.0, **fields: Any) -> JournalAttempt:
    """Return a request that was answered."""
    vendor, _, model = deployment.partition(":")
    return JournalAttempt(
        deployment, vendor, model, status=200, latency_s=seconds, cost_usd="0.001", **fields
    )


def failed(
    deployment: str, error: str, status: int | None, seconds: float = 0.2, **fields: Any
) -> JournalAttempt:
    """Return a request that failed."""
    vendor, _, model = deployment.partition(":")
    return JournalAttempt(deployment, vendor, model, status=status, error=error, latency_s=seconds, **fields)


def calls(count: int, *attempts: JournalAttempt, every: float = 1.0, **fields: Any) -> list[JournalEntry]:
    """Return so many calls with the same story."""
    outcome = "failed" if attempts[-1].error else "answered"
    fields = {"input_tokens": 1000, "output_tokens": 200, **fields}
    seconds = sum(one.latency_s + one.wait_s for one in attempts)
    error = "AllDeploymentsFailedError" if outcome == "failed" else None
    return [
        JournalEntry(1.79e9 + n * every, seconds, outcome, list(attempts), error=error, **fields)
        for n in range(count)
    ]


# -- journals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", COLOURS)
def test_a_journal_holds_each_call(server: LoopbackServer, tmp_path: Path, colour: str) -> None:
    """One line a call, failed requests included, and no word of what was said."""
    path = tmp_path / "calls.jsonl"
    models = deployment(server, "openai"), deployment(server, "anthropic")
    journal = Journal(path)
    with model_of(*models, callbacks=[journal]) as model, Faults() as faults:
        faults.fail("openai:*", status=503, times=3)
        ask(model, colour, "a secret question")
        ask(model, colour)
    first, second = Journal.load(path)
    assert [entry.to_json() for entry in (first, second)] == [entry.to_json() for entry in journal]
    assert [(one.deployment, one.status) for one in first.attempts] == [(A, 503)] * 3 + [(B, 200)]
    assert (first.outcome, first.stream) == ("answered", "stream" in colour)
    assert first.input_tokens > 0
    assert first.output_tokens
    assert Decimal(second.attempts[0].cost_usd or 0) > 0
    assert "secret" not in path.read_text()


def test_a_journal_holds_failures_and_content_if_asked(server: LoopbackServer) -> None:
    """A call that nobody answered is there too; what was said only if asked for."""
    journal = Journal(content=True)
    with model_of(deployment(server, "openai"), callbacks=[journal]) as model, Faults() as faults:
        model.invoke("hello")
        faults.fail(status=429, retry_after=100)
        with pytest.raises(AllDeploymentsFailedError):
            model.invoke([HumanMessage("again")], config={"tags": ["night"]})
    said, failure = journal
    assert said.messages is not None
    assert said.messages[0]["data"]["content"] == "hello"
    assert "hello" in (said.answer or "")
    assert (failure.outcome, failure.error, failure.tags) == (
        "failed",
        "AllDeploymentsFailedError",
        ["night"],
    )
    assert failure.attempts[0].retry_after_s == 100
    assert JournalEntry.from_json(failure.to_json()) == failure
    with pytest.raises(ConfigurationError, match="not a line of a journal"):
        JournalEntry.from_json('{"v": 99}')


def test_a_journal_from_cassettes(server: LoopbackServer, tmp_path: Path) -> None:
    """A cassette's calls are read by the vendors' own codecs: outcomes, usage, waits asked for."""
    path = tmp_path / "x.yaml"
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models) as model, Cassette(path, mode="rewrite"):
        model.invoke("hello")
        list(model.stream("hello there"))
    own = sorted((ROOT / "cassettes").glob("*/*.yaml"))
    journal = Journal.from_cassettes(path, *own)
    first, second = list(journal)[:2]
    assert first.attempts[0].usage
    assert second.stream
    assert second.output_tokens
    kinds = {one.error for entry in journal for one in entry.attempts}
    assert "ContextOverflowError" in kinds
    assert len(journal) > len(own)
    assert all(b.at >= a.at for a, b in zip(list(journal), list(journal)[1:], strict=False))


# -- policies --------------------------------------------------------------------------------------


def test_the_same_policy_gives_what_happened(server: LoopbackServer) -> None:
    """Real calls, replayed with the configuration that made them, take the same ways."""
    clock = FakeClock()
    journal = Journal(clock=clock)
    models = deployment(server, "openai"), deployment(server, "anthropic")
    with model_of(*models, clock=clock, callbacks=[journal]) as model, Faults(seed=3) as faults:
        faults.fail("openai:*", status=503, probability=0.3)
        faults.connect_error("openai:*", probability=0.2)
        for number in range(30):
            ask(model, COLOURS[number % 4])
            clock.advance(number % 5 + 1)
    result = replay(journal, {"models": [A, B], **FAST}, seed=1)  # the jitter of breakers is drawn
    [policy] = result.policies
    assert [call.deployment for call in policy.calls] == [call.deployment for call in result.recorded.calls]
    assert [call.requests for call in policy.calls] == [call.requests for call in result.recorded.calls]
    assert policy.failed == result.recorded.failed
    assert policy.cost_usd == result.recorded.cost_usd > 0
    assert set(policy.sources) == {"recorded"}


def test_another_policy_does_better_or_worse() -> None:
    """Where one vendor was down, a fallback would have answered; a dearer model would have cost more."""
    down = calls(20, failed(A, "OverloadedError", 503))
    well = calls(20, answered(B, 2.0))
    result = replay([*down, *well], {"models": [A], **FAST}, {"models": [A, B], **FAST}, {"models": [B]})
    alone, both, other = result.policies
    assert (alone.failed, both.failed, other.failed) == (40, 0, 0)
    assert both.answered_by == {B: 40}
    assert other.latency(0.5) == 2.0
    assert other.requests == 40 < both.requests
    assert both.cost_usd == other.cost_usd > 0


def test_breakers_limits_and_deadlines_work_in_virtual_time() -> None:
    """An hour of traffic: a dead deployment is left alone, a limit makes calls queue, nobody waits."""
    began = time.monotonic()
    dead = calls(300, failed(A, "ServerError", 500), answered(B, 1.0), every=2.0)
    result = replay(dead, {"models": [A, B], **FAST, "retry_policy": {"max_retries": 0}})
    [policy] = result.policies
    assert policy.answered_by == {B: 300}
    assert policy.requests < 450, "the breaker is open most of the time"
    burst = calls(60, answered(A, 1.0), every=0.01)
    queued = replay(
        burst,
        {"models": [{"model": A, "rpm": 60}]},
        {"models": [{"model": A, "max_concurrency": 2}]},
        {"models": [{"model": A, "rpm": 60}], "deadline": 20},
    )
    paced, narrow, impatient = queued.policies
    assert 45 < (paced.latency(0.99) or 0) < 70
    assert 28 < (narrow.latency(0.99) or 0) < 31
    assert impatient.failed > 10
    assert time.monotonic() - began < 20


def test_rate_limits_are_waited_for_as_told() -> None:
    """A recorded Retry-After is what the replayed policy waits, if it has nowhere else to go."""
    limited = calls(3, failed(A, "RateLimitError", 429, retry_after_s=8.0), answered(A, 1.0), every=100)
    alone, both = replay(limited, {"models": [A], **FAST}, {"models": [A, B], **FAST}).policies
    assert alone.latency(0.5) == pytest.approx(9.2, abs=0.1)
    assert (both.latency(0.5) or 9) < 3
    assert both.assumed == {B}


def test_streams_hedges_and_timeouts() -> None:
    """First tokens count for streams; a hedge answers where the first deployment hangs."""
    slow = calls(10, answered(A, 30.0, ttft_s=20.0), every=60, stream=True)
    quick = calls(10, answered(B, 3.0, ttft_s=0.5), every=60, stream=True)
    result = replay(
        [*slow, *quick],
        {"models": [A, B]},
        {"models": [A, B], "first_token_timeout": 5},
        {"models": [A, B], "hedge_after": 2},
    )
    patient, strict, hedged = result.policies
    assert patient.ttft(0.5) == 20.0
    assert (strict.ttft(0.5) or 9) == pytest.approx(5.5, abs=0.1)
    assert (hedged.ttft(0.5) or 9) == pytest.approx(2.5, abs=0.1)
    assert hedged.answered_by[B] >= 15
    hung = calls(5, failed(A, "AttemptTimeoutError", None, 60.0), answered(B, 1.0), every=100)
    [policy] = replay(hung, {"models": [A, B], "timeout": 4, **FAST}).policies
    assert policy.latency(0.5) == pytest.approx(5.0, abs=0.1)


def test_routes_tools_images_and_sizes_count() -> None:
    """Rules and routes see what the recorded calls had."""
    asked = [
        *calls(2, answered(A), route="fast"),
        *calls(2, answered(A), tools=3),
        *calls(2, answered(A), images=1),
        *calls(2, answered(A), input_tokens=60_000),
    ]
    config = {
        "routes": {"fast": [{"model": A, "name": "small"}], "rest": [B]},
        "models": [B, {"model": A, "name": "tools"}, {"model": A, "name": "long"}],
        "routing_rules": [
            {"deployment": "tools", "has_tools": True},
            {"deployment": "long", "min_input_tokens": 50_000},
        ],
    }
    [policy] = replay(asked, config, assume={B: {"latency_s": 9.0}}).policies
    assert policy.answered_by == {"small": 2, B: 2, "tools": 2, "long": 2}
    assert policy.latency(1.0) == 9.0


def test_no_time_passes_by_a_thread() -> None:
    """What the engine does in another thread takes no virtual time, however long it takes."""
    loop = SimulationLoop()

    async def elapsed() -> float:
        asyncio.get_running_loop().call_later(60, int)
        await asyncio.to_thread(time.sleep, 0.01)
        return asyncio.get_running_loop().time()

    assert loop.run_until_complete(elapsed()) == 0.0
    loop.close()


def test_the_same_seed_gives_the_same_result() -> None:
    """What is drawn is drawn by seed; another seed may differ."""
    mixed = [
        *calls(40, answered(A, 1.0), every=3),
        *calls(40, failed(A, "ServerError", 500), every=3),
        *calls(40, answered(B, 2.0), every=3),
    ]
    config = {"models": [A, B], "strategy": "weighted", "retry_policy": {"max_retries": 1}}
    first, again, other = (replay(mixed, config, seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_assumptions_are_named() -> None:
    """A deployment that nobody recorded is said to be assumed; its failures are what one says they are."""
    result = replay(
        calls(50, answered(A)),
        {"models": ["cohere:command-a-03-2025"], "max_attempts": 1},
        assume={"cohere:command-a-03-2025": {"latency_s": 1.5, "failure_rate": 0.5}},
    )
    [policy] = result.policies
    assert policy.assumed == {"cohere:command-a-03-2025"}
    assert 10 < policy.failed < 40
    assert any("cohere:command-a-03-2025" in line for line in result.unknown)
    assert "What this cannot know:" in str(result)


def test_nothing_is_sent_and_no_key_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A configuration that refers to variables replays on a machine that has none of them."""
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "MY_KEY"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "config.yaml"
    file.write_text(
        f"models:\n- model: {A}\n  api_key: ${{MY_KEY}}\n- azure:gpt-5.4-mini\n- local:qwen2.5-coder-0.5b\n"
    )
    [policy] = replay(calls(3, failed(A, "AuthenticationError", 401)), str(file)).policies
    assert policy.name == "config"
    assert policy.failed == 0


def test_recorded_traffic_of_a_real_server() -> None:
    """The repository's own recordings, under another order of the same two interfaces."""
    files = sorted((ROOT / "cassettes").glob("*/*.yaml"))
    one, two = "openai:qwen2.5-coder-0.5b", "anthropic:qwen2.5-coder-0.5b"
    result = replay(Journal.from_cassettes(*files), {"models": [one]}, {"models": [two]})
    assert [sum(policy.answered_by.values()) + policy.failed for policy in result.policies] == [
        len(result.recorded.calls)
    ] * 2


# -- the command line ------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Return a journal and two configurations."""
    journal = Journal()
    journal.entries = calls(20, answered(A, 1.0)) + calls(20, answered(B, 3.0))
    journal.write(tmp_path / "calls.jsonl")
    for name, model in (("openai", A), ("both", B)):
        (tmp_path / f"{name}.yaml").write_text(f"models: ['{model}', '{A}']\n")
    return [str(tmp_path / name) for name in ("calls.jsonl", "openai.yaml", "both.yaml")]


def test_the_command_prints_a_table(
    files: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A row for what happened and one for each configuration; a picture if asked."""
    pytest.importorskip("matplotlib")
    picture = tmp_path / "out.png"
    assert main(["replay", files[0], "--config", files[1], "-c", files[2], "--plot", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["what happened", "openai", "both"]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_json(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The same for machines; a wrong file is a usage error."""
    assert main(["replay", files[0], "-c", files[1], "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["recorded"]["calls"] == 40
    assert held["policies"][0]["answered_by"] == {A: 40}
    assert main(["replay", "absent.jsonl", "-c", files[1]]) == 2
    assert "there is no journal absent.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("picture", ["none/p.png", "p.xyz"])
def test_a_picture_that_cannot_be_written_is_said_in_one_line(
    files: list[str], picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is missing and a format that is unknown are usage errors, and so is an empty journal."""
    assert main(["replay", files[0], "-c", files[1], "--plot", str(tmp_path / picture)]) == 2
    assert "picture cannot be written" in capsys.readouterr().err
    (tmp_path / "empty.jsonl").write_text("")
    assert main(["replay", str(tmp_path / "empty.jsonl"), "-c", files[1]]) == 2
    assert "no calls" in capsys.readouterr().err


def test_a_day_of_traffic_takes_seconds() -> None:
    """Two thousand calls replay at well over a hundred a second."""
    rng = random.Random(1)
    day = [
        *calls(1000, answered(A, rng.uniform(0.5, 2)), every=40),
        *calls(1000, answered(B, rng.uniform(0.5, 2)), every=40),
    ]
    began = time.monotonic()
    [policy] = replay(day, {"models": [A, B], "strategy": "lowest_latency"}).policies
    assert len(policy.calls) == 2000
    assert time.monotonic() - began < 60


def test_importing_the_command_line_loads_no_testing_kit() -> None:
    """The kit is loaded by its command only."""
    code = "import sys, langchain_llmdispatch.__main__; print([m for m in sys.modules if 'h.testing' in m])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_keeps_its_own_limits_after_a_replay(server: LoopbackServer) -> None:
    """A simulation leaves nothing behind in other models."""
    replay(calls(2, answered(A)), {"models": [A]})
    model = DispatcherChatModel(models=[deployment(server, "openai")], env={})
    with model:
        assert model.invoke("hello").text


def test_a_replay_asks_neither_cassettes_nor_faults(tmp_path: Path) -> None:
    """What is only imagined is not recorded, not answered from a recording, and does not fail on demand."""
    path = tmp_path / "empty.yaml"
    with Cassette(path, mode="rewrite") as cassette, Faults(strict=False) as faults:
        faults.fail(status=503)
        [policy] = replay(calls(3, answered(A)), {"models": [A]}).policies
    assert (policy.failed, policy.requests) == (0, 3)
    assert not cassette.written
    assert not path.exists()


async def test_a_notebook_can_replay() -> None:
    """Where an event loop runs already, the result is the same."""
    day = calls(5, answered(A, 2.0))
    configs = {"models": [A, B]}, {"models": [B, A]}
    here = replay(day, *configs).to_dict()
    assert here == await asyncio.to_thread(lambda: replay(day, *configs).to_dict())


def test_a_replay_keeps_its_own_time() -> None:
    """A clock that stands in for the real one, as in every cassette's replay, does not move a simulation."""
    with use_clock(FakeClock()) as clock:
        [policy] = replay(calls(3, answered(A, 2.0)), {"models": [A]}).policies
    assert policy.latency(0.5) == 2.0
    assert clock.monotonic() == 0
